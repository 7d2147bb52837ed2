# SPDX-License-Identifier: Apache-2.0
"""Snapshots of VMs with disks: disks and memory of one moment, or a part of it."""

import json
import os
import re
import subprocess
import time

from harness import check, equal, run
from processes import kill
from snapshot_rig import await_end, create, judge, lines, snapshots, twin_disk


def disk_and_memory_go_back_together(home):
    image = twin_disk(home, 10000)
    for n in range(4):
        home.amber("snapshot", "create", "twin", f"s{n}")
        time.sleep(0.05)
    for n in (2, 0, 3, 1):
        home.amber("snapshot", "restore", "twin", f"s{n}", *(["--no-safety"] if n % 2 else []))
        time.sleep(0.05)
        home.amber("snapshot", "rewind", "twin")
        home.amber("snapshot", "rewind", "twin")
    await_end(home)
    chain = judge(image)
    equal(chain[0]["filename"], image)
    for layer in chain[1:]:
        equal(os.stat(layer["filename"]).st_mode & 0o777, 0o444)
    left = [n for n in os.listdir(home.dir) if ".was." in n or ".new." in n or ".old." in n]
    equal(left, [])


def snapshot_of_the_disk_alone_boots_from_it(home):
    image = twin_disk(home, 2000)
    home.amber("snapshot", "create", "twin", "one", "--kind", "disk")
    await_end(home)
    home.amber("snapshot", "restore", "twin", "one")
    await_end(home)
    equal(len(judge(image)), 2)


def stopped_vm_has_its_disks_kept(home):
    image = twin_disk(home, 2000, ends="exit")
    await_end(home)
    done = home.amber("snapshot", "create", "twin", "one")
    check("twin: snapshot one" in done.out and "disks only" in done.out, done)
    done = home.amber("snapshot", "create", "twin", "two", "-k", "full", status=1)
    check("is not running" in done.err, done)
    equal(len(judge(image)), 2)
    before = subprocess.run(["sha256sum"], stdin=open(judge(image)[1]["filename"], "rb"),
                            capture_output=True, check=True).stdout
    home.amber("start", "twin")
    await_end(home)
    home.amber("snapshot", "restore", "twin", "one", "--paused")
    equal(home.state("twin"), "paused")
    purposes = [s["purpose"] for s in snapshots(home, "twin")["snapshots"]]
    equal(purposes, ["manual", "pre-restore"])
    home.amber("stop", "twin")
    layer = judge(image)[1]["filename"]
    equal(subprocess.run(["sha256sum"], stdin=open(layer, "rb"), capture_output=True,
                         check=True).stdout, before)


def stopped_vm_whose_process_waits_has_its_disks_kept(home):
    image = twin_disk(home, 2000)
    await_end(home)
    equal(home.state("twin"), "stopped")
    done = home.amber("snapshot", "create", "twin", "one")
    check("twin: snapshot one" in done.out and "disks only" in done.out, done)
    done = home.amber("snapshot", "create", "twin", "two", "-k", "full", status=1)
    check("has disks only" in done.err, done)
    home.amber("start", "twin")
    await_end(home)
    home.amber("snapshot", "restore", "twin", "one")
    await_end(home)
    equal(len(judge(image)), 2)


def start_waits_while_the_disks_are_being_kept(home):
    image = twin_disk(home, 200)
    await_end(home)
    for n in range(5):
        child = home.start("snapshot", "create", "twin", f"s{n}")
        time.sleep(0.002 * n)
        home.amber("start", "twin")
        child.wait(60)
        await_end(home)
    judge(image)


def vm_is_started_from_a_snapshot_warm_or_cold(home):
    image = twin_disk(home, 3000, ends="exit")
    home.amber("snapshot", "create", "twin", "one")
    done = home.amber("start", "twin", "--from", "one", status=1)
    check("amber snapshot restore twin one" in done.err, done)
    await_end(home)
    home.amber("start", "twin", "--from", "one")
    check("restored in" in home.amber("log", "twin", "--boot").out, "it booted")
    await_end(home)
    home.amber("start", "twin", "--from", "one", "--cold")
    check("restored in" not in home.amber("log", "twin", "--boot").out, "it did not boot")
    await_end(home)
    done = home.amber("start", "twin", "--from", "nope", status=1)
    check("no snapshot 'nope'" in done.err, done)
    judge(image)


def parts_come_back_alone(home):
    create(home)
    image = twin_disk(home, 3000, ends="exit")
    home.amber("snapshot", "create", "twin", "one")
    await_end(home)
    home.amber("snapshot", "restore", "twin", "one", "--only", "disk:disk0")
    check("restored in" not in home.amber("log", "twin", "--boot").out, "it did not boot")
    await_end(home)
    home.amber("snapshot", "restore", "twin", "one", "--paused")
    for only, text in (("ram", "has moved on"), ("disk:x", "no disk 'x'"),
                       ("everything", "is not all, disk")):
        done = home.amber("snapshot", "restore", "twin", "one", "--only", only, status=1)
        check(text in done.err, done)
    home.amber("stop", "twin")
    with open(home.path("twin", "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    with open(home.path("twin", "config.json"), "w", encoding="utf-8") as f:
        json.dump(dict(config, memory=32 << 20), f)
    home.amber("snapshot", "restore", "twin", "one", "--only", "config")
    with open(home.path("twin", "config.json"), encoding="utf-8") as f:
        equal(json.load(f)["memory"], config["memory"])
    judge(image)


def damage_anywhere_is_found_by_verify(home):
    twin_disk(home, 3000)
    home.amber("snapshot", "create", "twin", "one")
    home.amber("snapshot", "create", "twin", "two", "--incremental")
    done = home.amber("snapshot", "verify", "twin")
    equal([line.split(" (memory")[0] for line in done.lines()],
          [f"twin: snapshot {n} ({i}) is whole" for n, i in
           ((s["name"], s["id"]) for s in snapshots(home, "twin")["snapshots"])])
    one, two = snapshots(home, "twin")["snapshots"]
    where = home.path("twin", "snapshots", one["id"])
    for path, offset in ((f"{where}/memory", 0x100000), (f"{where}/memory.map", 100),
                         (f"{where}/vmstate", 300), (one["disks"][0]["layer"], 65536 * 3)):
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.seek(offset)
            good = f.read(8)
            f.seek(offset)
            f.write(bytes(b ^ 0x41 for b in good))
        done = home.amber("snapshot", "verify", "twin", status=1)
        check("snapshot one" in done.err and "damaged" in done.err, f"{path}: {done}")
        if "memory" in path or "layer" in path:  # what it stands on
            check("snapshot two" in done.err, f"{path}: {done}")
        with open(path, "r+b") as f:
            f.seek(offset)
            f.write(good)
    home.amber("snapshot", "verify", "twin", "two")


def is_the_truth(home, name, n):
    """An increment of a paused VM shows what a full snapshot has beside it."""
    home.amber("pause", name)
    home.amber("snapshot", "create", name, f"inc{n}", "--incremental")
    home.amber("snapshot", "create", name, f"all{n}")
    done = home.amber("snapshot", "diff", name, f"inc{n}", f"all{n}")
    check("memory:    0 pages differ" in done.out, done)


def increment_has_what_devices_wrote(home):
    """Disks by io_uring and by cached reads, rings, the balloon that takes memory
    away and gives it back; going back in between, and a snapshot that fails."""
    twin_disk(home, 0)
    create(home, "ball", "balloon", "follow=1", "--balloon", "on")
    home.amber("start", "ball")
    for name in ("twin", "ball"):
        home.amber("snapshot", "create", name, "first")
    for n, size in enumerate(("48M", "64M", "40M", "56M", "64M")):
        for name in ("twin", "ball"):
            home.amber("resume", name)
        home.amber("balloon", "ball", size)
        time.sleep(0.3)
        home.amber("snapshot", "create", "twin", "first", status=1)
        for name in ("twin", "ball"):
            is_the_truth(home, name, n)
        if n == 1:
            home.amber("snapshot", "rewind", "twin")
        if n == 2:
            home.amber("snapshot", "restore", "twin", "inc1", "--no-safety")
            home.amber("snapshot", "restore", "ball", "inc1", "--no-safety")
    home.amber("resume", "twin")
    time.sleep(0.2)
    log = home.console("twin")
    check("FAIL" not in log and not re.search(r"bad=[1-9]", log), log[-2000:])


def memory_alone_is_refused_when_disks_have_changed(home):
    twin_disk(home, 4000)
    home.amber("pause", "twin")
    home.amber("snapshot", "create", "twin", "one", "--kind", "memory")
    home.amber("snapshot", "restore", "twin", "one", "--no-safety", "--paused")
    done = home.amber("snapshot", "rewind", "twin", status=1)
    check("has no disks" in done.err, done)
    home.amber("resume", "twin")
    await_end(home)
    done = home.amber("snapshot", "restore", "twin", "one", status=1)
    check("was changed since" in done.err, done)


def raw_disk_is_refused_with_what_helps(home):
    image = f"{home.dir}/twin.raw"
    home.amber("disk", "create", "-f", "raw", image, "8M")
    create(home, "twin", "blk-twin", "steps=3000", "--disk", image)
    home.amber("start", "twin")
    done = home.amber("snapshot", "create", "twin", status=1)
    check("raw" in done.err and "amber disk convert" in done.err, done)
    equal(os.listdir(home.path("twin", "snapshots")), [])
    await_end(home)


def killed_while_it_goes_back_disks_are_of_one_moment(home):
    image = twin_disk(home, 100000)
    home.amber("snapshot", "create", "twin", "one")
    for turn in range(10):
        pid = home.vmm_pids()[0]
        child = home.start("snapshot", "restore", "twin", "one", "--no-safety")
        time.sleep(0.001 * turn)  # at any point of it
        kill(pid)
        child.wait(30)
        home.amber("snapshot", "restore", "twin", "one", "--no-safety")
        left = [n for n in os.listdir(home.dir) if ".was." in n]
        equal(left, [])
    time.sleep(0.1)
    home.amber("stop", "twin")
    judge(image)
    log = home.console("twin")
    check("FAIL" not in log and not re.search("bad=[1-9]", log), log[-2000:])


def disk_that_can_t_go_back_costs_no_guest(home):
    """The layer is no image, or is gone; the directory can't be written."""
    where = f"{home.dir}/disks"
    os.mkdir(where)
    home.amber("disk", "create", f"{where}/d.qcow2", "8M")
    create(home, "web", "blk-twin", "steps=0", "--disk", f"{where}/d.qcow2")
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    layer = snapshots(home)["snapshots"][0]["disks"][0]["layer"]
    os.rename(layer, f"{where}/away")
    for content in (None, b"junk"):
        if content:
            with open(layer, "wb") as f:
                f.write(content)
        for line in (("restore", "web", "one", "--no-safety"), ("rewind", "web")):
            done = home.amber("snapshot", *line, status=1)
            check(done.err.count("\n") == 1, done)
            equal(home.state("web"), "running", line)
    os.rename(f"{where}/away", layer)
    if subprocess.run(["mount", "--bind", where, where], capture_output=True).returncode == 0:
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", where], check=True)
            for line in (("restore", "web", "one", "--no-safety"), ("rewind", "web"),
                         ("create", "web", "two")):
                done = home.amber("snapshot", *line, status=1)
                check("Read-only" in done.err and done.err.count("\n") == 1, done)
                equal(home.state("web"), "running")
        finally:
            subprocess.run(["umount", "-l", where], check=False)
    home.amber("snapshot", "restore", "web", "one", "--no-safety")
    equal(sorted(os.listdir(where)), sorted([os.path.basename(layer), "d.qcow2"]))


def deleted_vm_leaves_the_layers_that_its_disk_stands_on(home):
    image = twin_disk(home, 3000)
    for n in range(3):
        home.amber("snapshot", "create", "twin", f"s{n}")
    home.amber("snapshot", "restore", "twin", "s0")
    home.amber("snapshot", "create", "twin", "branch", "--pin")
    home.amber("stop", "twin")
    home.amber("delete", "-f", "twin")
    chain = [layer["filename"] for layer in judge(image)]
    equal(len(chain), 3)
    left = sorted(f"{home.dir}/{n}" for n in os.listdir(home.dir) if n.endswith(".qcow2"))
    equal(left, sorted(chain))


def disk_on_a_base_elsewhere_starts_after_a_snapshot(home):
    os.mkdir(f"{home.dir}/bases")
    base, image = f"{home.dir}/bases/base.qcow2", f"{home.dir}/top.qcow2"
    home.amber("disk", "create", base, "8M")
    home.amber("disk", "create", image, "--backing", base, "--backing-format", "qcow2",
               "--allow-backing", f"{home.dir}/bases")
    create(home, "twin", "blk-twin", "steps=2000", "--disk",
           f"{image},allow_backing={home.dir}/bases", ends="exit")
    home.amber("start", "twin")
    home.amber("snapshot", "create", "twin", "one")
    await_end(home)
    home.amber("snapshot", "verify", "twin")
    home.amber("snapshot", "restore", "twin", "one")
    await_end(home)
    equal([layer["filename"] for layer in judge(image)][-1], base)


if __name__ == "__main__":
    run([disk_on_a_base_elsewhere_starts_after_a_snapshot,
         deleted_vm_leaves_the_layers_that_its_disk_stands_on,
         disk_and_memory_go_back_together,
         snapshot_of_the_disk_alone_boots_from_it,
         stopped_vm_has_its_disks_kept,
         stopped_vm_whose_process_waits_has_its_disks_kept,
         start_waits_while_the_disks_are_being_kept,
         vm_is_started_from_a_snapshot_warm_or_cold,
         parts_come_back_alone,
         damage_anywhere_is_found_by_verify,
         increment_has_what_devices_wrote,
         memory_alone_is_refused_when_disks_have_changed,
         raw_disk_is_refused_with_what_helps,
         killed_while_it_goes_back_disks_are_of_one_moment,
         disk_that_can_t_go_back_costs_no_guest])
