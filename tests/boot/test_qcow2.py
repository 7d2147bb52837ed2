# SPDX-License-Identifier: Apache-2.0
"""Tiny guests on qcow2 chains that amber or QEMU made: they see one disk, what
they flushed survives a kill, and qemu-img finds nothing wrong afterwards."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from promises import await_true, check, console, guest, run_tests, state  # noqa: E402
from vmm import OUT, Vmm, run_once  # noqa: E402

VMM, AMBER = os.path.join(OUT, "amber-vmm"), os.path.join(OUT, "amber")
LIMIT_S = 120
KILLS = 4
SHAPES = {  # qemu-img's options
    "default": [],
    "small clusters": ["-o", "cluster_size=512"],
    "large clusters": ["-o", "cluster_size=2M"],
    "subclusters": ["-o", "extended_l2=on"],
    "version 2": ["-o", "compat=0.10"],
    "1-bit refcounts": ["-o", "refcount_bits=1"],
}


def sh(*command):
    done = subprocess.run(command, text=True, capture_output=True, timeout=LIMIT_S)
    check(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


class Images:
    """A directory of images."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="amber-qcow2-", dir=OUT)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __call__(self, name):
        return os.path.join(self.dir, name)

    def chain(self, layers, options=(), size="24M"):
        """A stack of images; the path of its top."""
        for i in range(layers):
            below = ["-b", f"l{i - 1}.qcow2", "-F", "qcow2"] if i else []
            sh("qemu-img", "create", "-q", "-f", "qcow2", *options, *below,
               self(f"l{i}.qcow2"), *([] if i else [size]))
        return self(f"l{layers - 1}.qcow2")


def good(name, append, disk):
    done = run_once(
        [VMM, "--kernel", guest(name), "--memory", "64M", "--append", append, "--once",
         "--console", "stdio", "--disk", disk], stdin=subprocess.DEVNULL, text=True,
        capture_output=True, timeout=LIMIT_S)
    check(done.returncode == 0, f"{name} {append} {disk}: {done.stdout}{done.stderr}")
    return dict(re.findall(r"(\w+)=(\S*)", done.stdout))


def is_clean(path):
    sh("qemu-img", "check", "-q", path)
    sh(AMBER, "disk", "check", path)


def is_let_go(path):
    """The kernel's own workers hold a killed process's file a little longer."""
    return subprocess.run(["qemu-img", "info", path], capture_output=True,
                          timeout=LIMIT_S).returncode == 0


def a_guest_agrees_with_its_model_on_every_kind_of_image():
    for name, options in SHAPES.items():
        with Images() as images:
            top = images.chain(2, options)
            for cache in ("writeback", "writethrough"):
                facts = good("blk-twin", "steps=400", f"{top},cache={cache}")
                check(facts["bad"] == "0", f"{name}, {cache}: {facts}")
            is_clean(top)


def a_guest_with_direct_io_agrees_with_its_model():
    with Images() as images:
        top = images.chain(2)
        good("blk-twin", "steps=400", f"{top},cache=none")
        is_clean(top)


def what_was_flushed_survives_a_kill_on_a_chain():
    with Images() as images:
        top = images.chain(3, size="64M")
        for seed in range(1, KILLS + 1):
            append = f"mode=write blocks=16000 seed={seed}"
            with Vmm("blk-rw", "--append", append, "--disk", top) as vmm:
                vmm.ask("POST", "/v1/vm/start")
                await_true(lambda: len(re.findall("flushed=", console(vmm))) > 3 * seed,
                           "nothing was flushed", LIMIT_S)
                flushed = max(int(n) for n in
                              re.findall(r"flushed=(\d+)\b", console(vmm)))
                vmm.process.kill()
                vmm.process.wait()
            await_true(lambda: is_let_go(top), "the killed VM's lock is still there", LIMIT_S)
            done = subprocess.run(["qemu-img", "check", "-q", top], capture_output=True,
                                  timeout=LIMIT_S)
            check(done.returncode in (0, 3), f"after kill {seed}: {done.returncode}")
            good("blk-rw", f"mode=verify blocks=16000 seed={seed} expect={flushed}", top)
        sh(AMBER, "disk", "check", "--repair", top)
        is_clean(top)


def amber_and_qemu_write_the_same_image_in_turns():
    with Images() as images:
        top, flat = images.chain(2), images("flat.raw")
        for turn in range(6):
            good("blk-twin", f"steps=100 seed={turn + 1}", top)
            is_clean(top)
            sh("qemu-io", "-f", "qcow2", "-c", f"write -P {turn + 1} {turn * 700}k 300k",
               "-c", f"discard {turn * 900}k 256k", "-c", f"write -z {turn * 333}k 100k", top)
            sh("qemu-img", "convert", "-O", "raw", top, flat)
            sh(AMBER, "disk", "compare", top, flat)
            os.unlink(flat)
            sh(AMBER, "disk", "convert", "-O", "raw", top, flat)
            sh("qemu-img", "compare", "-f", "qcow2", "-F", "raw", top, flat)
            os.unlink(flat)


def the_image_of_a_running_vm_is_nobody_else_s():
    with Images() as images:
        top = images.chain(2)
        with Vmm("blk-twin", "--append", "steps=0", "--disk", top) as vmm:
            vmm.ask("POST", "/v1/vm/start")
            for command in ([AMBER, "disk", "resize", top, "+1M"],
                            [AMBER, "disk", "check", "--repair", top],
                            ["qemu-img", "resize", "-q", top, "+1M"],
                            ["qemu-io", "-c", "write 0 512", images("l0.qcow2")]):
                done = subprocess.run(command, text=True, capture_output=True)
                check(done.returncode, f"{command}: {done}")


def an_image_that_leads_elsewhere_is_refused_in_one_line():
    with Images() as images:
        os.mkdir(images("tops"))
        base, top = images("base.raw"), images("tops/top.qcow2")
        with open(base, "wb") as f:
            f.truncate(1 << 20)
        sh("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top)
        done = subprocess.run([VMM, "--kernel", guest("blk-info"), "--once", "--console",
                               "stdio", "--disk", top], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S)
        check(done.returncode == 1 and len(done.stderr.splitlines()) == 1 and
              "allow_backing" in done.stderr, done)
        good("blk-info", "", f"{top},allow_backing={images.dir}")


def damage_is_named_in_the_event():
    with Images() as images:
        top = images.chain(1)
        good("blk-rw", "mode=write blocks=16", top)
        with open(top, "r+b") as f:
            f.seek(0x30000)  # the L1 table
            l2 = int.from_bytes(f.read(8), "big") & 0x00fffffffffffe00
            f.seek(l2)
            f.write((0x8000000000010000).to_bytes(8, "big"))  # the refcount table
        with Vmm("blk-rw", "--append", "mode=verify blocks=16 expect=1",
                 "--disk", top) as vmm:
            vmm.ask("POST", "/v1/vm/start")
            await_true(lambda: state(vmm) == "io-error", "it goes on", LIMIT_S)
            text = str(vmm.ask("GET", "/v1/vm")[1])
            check("is damaged: L2 entry" in text, text)


TESTS = (a_guest_agrees_with_its_model_on_every_kind_of_image,
         a_guest_with_direct_io_agrees_with_its_model,
         what_was_flushed_survives_a_kill_on_a_chain,
         amber_and_qemu_write_the_same_image_in_turns,
         the_image_of_a_running_vm_is_nobody_else_s,
         an_image_that_leads_elsewhere_is_refused_in_one_line,
         damage_is_named_in_the_event)

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv[1:]))
