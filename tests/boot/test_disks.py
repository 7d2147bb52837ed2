# SPDX-License-Identifier: Apache-2.0
"""Tiny guests on amber's disks: what they wrote is there, also after a kill;
guests that attack get nowhere; a host that fails loses nothing."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import promises  # noqa: E402
from promises import check, console, guest, run_tests, state  # noqa: E402
from vmm import OUT, Vmm, run_once  # noqa: E402

VMM = os.path.join(OUT, "amber-vmm")
LIMIT_S = 120
ENGINES = ("io_uring", "sync")


def await_true(what, text):
    promises.await_true(what, text, LIMIT_S)


class Image:
    """A sparse raw image in a directory of its own."""

    def __init__(self, mib=16, where=None):
        self.dir = tempfile.mkdtemp(prefix="amber-disk-", dir=where)
        self.path = os.path.join(self.dir, "disk.raw")
        with open(self.path, "wb") as f:
            f.truncate(mib << 20)

    def option(self, more=""):
        return ("--disk", f"{self.path},format=raw{more}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)


def run(name, append, *options, **more):
    """A guest to its end; its facts as a dictionary."""
    done = run_once(
        [VMM, "--kernel", guest(name), "--memory", "64M", "--append", append,
         "--once", "--console", "stdio", *options], stdin=subprocess.DEVNULL,
        text=True, capture_output=True, timeout=LIMIT_S, **more)
    facts = dict(re.findall(r"(\w+)=(\S*)", done.stdout))
    return done.returncode, facts, done.stdout + done.stderr


def good(name, append, *options, **more):
    status, facts, text = run(name, append, *options, **more)
    check(status == 0, f"{name} {append}: status {status}\n{text}")
    return facts


def figures(vmm):
    stats = vmm.ask("GET", "/v1/vm/stats")[1]
    check("disks" in stats, "there is no machine: " + console(vmm))
    return stats["disks"]["disk0"]


# --- the disk as it should be --------------------------------------------------


def a_disk_is_what_was_asked_for():
    with Image(mib=3) as image:
        facts = good("blk-info", "", *image.option(",serial=abc,ro"))
        check((facts["sectors"], facts["serial"], facts["readonly"], facts["widths"]) ==
              ("6144", "abc", "1", "15"), facts)


def what_is_written_is_there_at_the_next_start():
    for engine in ENGINES:
        for cache in ("writeback", "writethrough", "none"):
            with Image() as image:
                option = image.option(f",aio={engine},cache={cache}")
                good("blk-rw", "blocks=64 depth=8", *option)
                facts = good("blk-rw", "mode=verify blocks=64 expect=64", *option)
                check(facts["highest"] == "64", facts)


def a_disk_agrees_with_its_model():
    for engine in ENGINES:
        with Image() as image:
            facts = good("blk-twin", "steps=600 seed=7", *image.option(f",aio={engine}"))
            check(facts["bad"] == "0", facts)


def what_was_flushed_survives_a_kill():
    for seed in range(1, 5):
        with Image(mib=64) as image, Vmm(
                "blk-rw", "--append", f"blocks=16000 seed={seed} flush=8",
                *image.option()) as vmm:
            vmm.ask("POST", "/v1/vm/start")
            await_true(lambda: len(re.findall("flushed=", console(vmm))) > 3 * seed,
                       "no flush")
            flushed = max(int(n) for n in re.findall(r"flushed=(\d+)\b", console(vmm)))
            vmm.process.kill()
            vmm.process.wait()
            good("blk-rw", f"mode=verify blocks=16000 seed={seed} expect={flushed}",
                 *image.option())


def a_pause_is_a_point_where_disk_and_memory_agree():
    with Image() as image, Vmm("blk-twin", "--append", "steps=0",
                               *image.option()) as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: figures(vmm)["write_ops"] > 20, "no writes")
        for _ in range(30):
            check(vmm.ask("POST", "/v1/vm/pause")[0] == 200, "pause")
            before = figures(vmm)
            check(before["in_flight"] == 0, before)
            with open(image.path, "rb") as f:
                first = f.read(1 << 20)
            time.sleep(0.002)
            check(figures(vmm)["write_ops"] == before["write_ops"], "it went on")
            with open(image.path, "rb") as f:
                check(f.read(1 << 20) == first, "the file changed while paused")
            check(vmm.ask("POST", "/v1/vm/resume")[0] == 200, "resume")
            done = before["write_ops"]
            await_true(lambda: figures(vmm)["write_ops"] > done, "it does not go on")
        check("bad=0" in console(vmm) or "bad=" not in console(vmm), console(vmm))


def a_reset_under_load_boots_again():
    with Image() as image, Vmm("blk-twin", "--append", "steps=0 ",
                               *image.option()) as vmm:
        vmm.ask("POST", "/v1/vm/start")
        for _ in range(5):
            await_true(lambda: state(vmm) == "running" and figures(vmm)["write_ops"] > 20,
                       "no writes")
            check(vmm.ask("POST", "/v1/vm/reset")[0] == 200, "reset")


def limits_are_changed_while_it_runs():
    with Image() as image, Vmm("blk-bench", "--append", "depth=32 seconds=60",
                               *image.option(",iops=100")) as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: figures(vmm)["read_ops"] > 10, "no reads")
        slow = figures(vmm)["read_ops"]
        status, answer = vmm.ask("POST", "/v1/vm/limit", {"device": "disk0", "ops": 0})
        check(status == 200 and answer["changed"], answer)
        await_true(lambda: figures(vmm)["read_ops"] > slow + 5000, "still limited")
        check(vmm.ask("POST", "/v1/vm/limit", {"device": "disk7", "ops": 0})[0] == 404,
              "an unknown disk")


# --- guests that attack ---------------------------------------------------------


def rings_that_lie_break_the_device_and_nothing_else():
    with Image() as image:
        facts = good("evil-queue", "strict=1", *image.option())
        check(facts["missed"] == "0", facts)


def requests_that_can_not_be_are_refused():
    with Image() as image:
        facts = good("evil-blk", "strict=1", *image.option())
        check(facts["unexpected"] == "0", facts)


def registers_take_any_access():
    with Image() as image:
        good("evil-regs", "strict=1 count=4000", *image.option())


def rings_that_change_under_the_reader_do_no_harm():
    for cpus in ("1", "2"):
        with Image() as image:
            good("evil-flip", "count=200", "--cpus", cpus, *image.option())


def a_broken_device_is_told_but_not_for_ever():
    with Image() as image, Vmm("evil-queue", *image.option()) as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: state(vmm) == "stopped", "still running")
        records = vmm.ask("GET", "/v1/journal?limit=200")[1]["records"]
        broken = [r for r in records if r["kind"] == "device-broken"]
        check(0 < len(broken) < 20, records)
        check(re.match(r"disk0: (queue \d+: )?\w", broken[0]["text"]), broken[0])


# --- a host that fails --------------------------------------------------------------


def limit_files(vmm, limit):
    """Beyond it the kernel answers EFBIG; that is dealt with as ENOSPC is."""
    resource.prlimit(vmm.process.pid, resource.RLIMIT_FSIZE, (limit, -1))


def start_limited(vmm):
    """Limited when guest memory, a file as well, is there."""
    vmm.ask("POST", "/v1/vm/start", {"paused": True})
    limit_files(vmm, 1 << 20)
    vmm.ask("POST", "/v1/vm/resume")


def io_error_and_back(vmm, cure):
    """Waits for io-error, cures, resumes until the guest has ended."""
    await_true(lambda: state(vmm) == "io-error", "no io-error")
    status = vmm.ask("GET", "/v1/vm")[1]
    check(status["cause"] == "io-error" and "disk0: write" in status["reason"], status)
    answer = vmm.ask("POST", "/v1/vm/resume")
    check(answer[0] == 200, answer)
    await_true(lambda: state(vmm) == "io-error", "not cured, and it goes on")
    cure()
    check(vmm.ask("POST", "/v1/vm/resume")[0] == 200, "resume")
    await_true(lambda: state(vmm) == "stopped", "it does not end")
    check(vmm.ask("GET", "/v1/vm")[1]["cause"] == "debug-exit", console(vmm))
    check("OK" in console(vmm).split(), console(vmm))


def a_file_that_can_not_grow_pauses_and_nothing_is_lost():
    for engine in ENGINES:
        with Image() as image, Vmm("blk-rw", "--append", "blocks=64 sectors=64",
                                   *image.option(f",aio={engine}")) as vmm:
            start_limited(vmm)
            io_error_and_back(vmm, lambda: limit_files(vmm, -1))
            good("blk-rw", "mode=verify blocks=64 sectors=64 expect=64", *image.option())


def a_full_file_system_pauses_and_nothing_is_lost():
    if os.geteuid():
        return "only root mounts a file system"
    where = tempfile.mkdtemp(prefix="amber-full-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "amber", where],
                      stderr=subprocess.DEVNULL, check=False).returncode:
        os.rmdir(where)
        return "no mount here"
    try:
        with Image(where=where) as image, Vmm(
                "blk-rw", "--append", "blocks=64 sectors=64", *image.option()) as vmm:
            vmm.ask("POST", "/v1/vm/start")
            io_error_and_back(vmm, lambda: subprocess.run(
                ["mount", "-o", "remount,size=32m", where], check=True))
            good("blk-rw", "mode=verify blocks=64 sectors=64 expect=64", *image.option())
    finally:
        subprocess.run(["umount", where], check=False)
        os.rmdir(where)
    return None


def by_policy_the_guest_is_told_or_the_vm_stopped():
    for policy, cause, words in (("report", "debug-exit", "FAIL"),
                                 ("stop", "io-error", "")):
        with Image() as image, Vmm("blk-rw", "--append", "blocks=64 sectors=64",
                                   *image.option(",on_error=" + policy)) as vmm:
            start_limited(vmm)
            await_true(lambda: state(vmm) == "stopped", "it goes on")
            status = vmm.ask("GET", "/v1/vm")[1]
            check(status["cause"] == cause and words in console(vmm),
                  f"{policy}: {status} {console(vmm)}")


class HungStorage:
    """An image behind a FUSE export whose server can be stopped."""

    def __init__(self):
        self.image = Image()
        self.mounted = os.path.join(self.image.dir, "fuse.raw")
        open(self.mounted, "wb").close()
        self.server = subprocess.Popen(
            ["qemu-storage-daemon", "--blockdev",
             f"file,node-name=f,filename={self.image.path}", "--blockdev",
             "raw,node-name=r,file=f", "--export",
             f"fuse,id=e,node-name=r,mountpoint={self.mounted},writable=on"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def is_there(self):
        return os.path.exists(self.mounted) and os.stat(self.mounted).st_size > 0

    def __enter__(self):
        due = time.monotonic() + 60
        while not self.is_there() and self.server.poll() is None and time.monotonic() < due:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.server.send_signal(signal.SIGCONT)
        self.server.terminate()
        self.server.wait()
        self.server.stderr.close()
        self.image.__exit__()


def storage_that_hangs_delays_nobody_s_answer():
    if os.geteuid() or not os.path.exists("/dev/fuse") or not shutil.which(
            "qemu-storage-daemon"):
        return "needs root, /dev/fuse and qemu-storage-daemon"
    with HungStorage() as storage:
        if not storage.is_there():
            return "no FUSE export here"
        option = ("--disk", f"{storage.mounted},format=raw")
        with Vmm("blk-rw", "--append", "blocks=4000 sectors=8", *option) as vmm:
            vmm.ask("POST", "/v1/vm/start")
            await_true(lambda: figures(vmm)["write_ops"] > 5, "no writes")
            storage.server.send_signal(signal.SIGSTOP)
            await_true(lambda: figures(vmm)["oldest_ms"] > 200, "nothing hangs")
            pause = []
            asker = threading.Thread(target=lambda: pause.append(subprocess.run(
                ["curl", "-s", "--unix-socket", vmm.path, "-X", "POST",
                 "http://x/v1/vm/pause"], capture_output=True, check=False).stdout))
            asker.start()
            await_true(lambda: state(vmm) == "pausing", "not pausing")
            began = time.monotonic()
            for _ in range(50):
                state(vmm)
            check(time.monotonic() - began < 5, "status waits for the storage")
            status, answer = vmm.ask("POST", "/v1/vm/pause", {"emergency": True})
            check(status == 200 and answer["state"] == "paused", answer)
            asker.join()
            storage.server.send_signal(signal.SIGCONT)
            check(vmm.ask("POST", "/v1/vm/resume")[0] == 200, "resume")
            done = figures(vmm)["write_ops"]
            await_true(lambda: figures(vmm)["write_ops"] > done + 20, "it does not go on")
            vmm.ask("POST", "/v1/vm/stop")
    return None


def an_image_is_opened_by_one_writer():
    with Image() as image, Vmm("blk-twin", "--append", "steps=0", *image.option()) as vmm:
        vmm.ask("POST", "/v1/vm/start")
        status, _, text = run("blk-info", "", *image.option())
        check(status == 1 and f"in use by process {vmm.process.pid}" in text, text)
        if shutil.which("qemu-img"):
            done = subprocess.run(["qemu-img", "resize", "-f", "raw", image.path, "32M"],
                                  text=True, capture_output=True, check=False)
            check(done.returncode and "lock" in done.stderr, done)
        vmm.ask("POST", "/v1/vm/stop")
        good("blk-info", "", *image.option())


def what_is_no_disk_is_refused_in_one_line():
    with Image(mib=1) as image:
        for make, option, words in (
                (lambda: os.truncate(image.path, 0), "", "empty"),
                (lambda: os.truncate(image.path, 1000), "", "512"),
                (lambda: os.truncate(image.path, 1 << 20), ",format=qcow2", "qcow2"),
                (lambda: None, ",format=vmdk", "'vmdk' is not one of raw, qcow2"),
                (lambda: None, ",frmat=raw", "did you mean 'format'?"),
                (lambda: None, ",bps=-1", "bps"),
                (lambda: None, ",id=a,queues=9", "1..8"),
                (lambda: None, ",id=a,id=b", "id: is there twice"),
                (lambda: None, ",serial=012345678901234567890", "limit is 20")):
            make()
            status, _, text = run("blk-info", "", "--disk", image.path + option)
            check(status in (1, 2) and len(text.splitlines()) == 1 and words in text,
                  f"{option}: {status} {text}")
        with open(image.path, "r+b") as f:
            f.write(b"QFI\xfb")
        status, _, text = run("blk-info", "", "--disk", image.path)
        check(status == 1 and "qcow2" in text and "format=raw" in text, text)
        good("blk-info", "", *image.option())
        status, _, text = run("blk-info", "", "--disk", image.dir)
        check(status == 1 and len(text.splitlines()) == 1, text)


TESTS = (a_disk_is_what_was_asked_for,
         what_is_written_is_there_at_the_next_start,
         a_disk_agrees_with_its_model,
         what_was_flushed_survives_a_kill,
         a_pause_is_a_point_where_disk_and_memory_agree,
         a_reset_under_load_boots_again,
         limits_are_changed_while_it_runs,
         rings_that_lie_break_the_device_and_nothing_else,
         requests_that_can_not_be_are_refused,
         registers_take_any_access,
         rings_that_change_under_the_reader_do_no_harm,
         a_broken_device_is_told_but_not_for_ever,
         a_file_that_can_not_grow_pauses_and_nothing_is_lost,
         a_full_file_system_pauses_and_nothing_is_lost,
         by_policy_the_guest_is_told_or_the_vm_stopped,
         storage_that_hangs_delays_nobody_s_answer,
         an_image_is_opened_by_one_writer,
         what_is_no_disk_is_refused_in_one_line)

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, sys.argv[1:]))
