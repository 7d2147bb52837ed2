# SPDX-License-Identifier: Apache-2.0
"""Disks: the guest blk-bench under amber and under QEMU, on the same file; and
the device without a guest (inject.c) beside fio, which shows what the storage
can do. A disk's file is written in full: nothing measures holes."""

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile

from figure import Figure, turns
from peers import BENCH, CantMeasure
from watch import Working, amber, qemu

MIB = 1 << 20
FILE_MIB = 128
WINDOW_S = 0.65
WORKLOADS = [
    ("random 4 KiB read, depth 1", "op=read random=1 depth=1"),
    ("random 4 KiB read, depth 32", "op=read random=1 depth=32"),
    ("random 4 KiB write, depth 1", "op=write random=1 depth=1"),
    ("random 4 KiB write, depth 32", "op=write random=1 depth=32"),
    ("sequential 1 MiB read, depth 4", "op=read bytes=1048576 depth=4"),
    ("sequential 1 MiB write, depth 4", "op=write bytes=1048576 depth=4"),
    ("4 KiB write + flush, depth 1", "op=sync random=1 depth=1"),
    ("4 KiB write + flush, depth 32", "op=sync random=1 depth=32"),
    ("flush of nothing, depth 1", "op=flush depth=1"),
]
CACHES = {"writeback": ["aio=io_uring", "aio=threads"],
          "none": ["aio=io_uring,cache.direct=on", "aio=threads,cache.direct=on"]}
# More per second of CPU than the better of QEMU's engines, and never slower.
CPU_TARGET, SPEED_TARGET, STORAGE_TARGET = 1.3, 1.0, 0.9


class Image:
    """A file of noise beside the build: /tmp may not know direct I/O."""

    def __enter__(self):
        os.makedirs(BENCH, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="disk-", dir=BENCH)
        self.path = os.path.join(self.dir, "x.raw")
        noise = os.urandom(MIB)
        with open(self.path, "wb") as f:
            for _ in range(FILE_MIB):
                f.write(noise)
            os.fsync(f.fileno())
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def settle(self, cached):
        """All of it on the disk, and in the page cache or not."""
        fd = os.open(self.path, os.O_RDONLY)
        os.fsync(fd)
        if cached:
            while os.read(fd, MIB):
                pass
        else:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def run(command):
    """(operations per second, per second of CPU, per second of the VMM's own CPU)"""
    with Working(command) as vmm:
        whole, own, _ = vmm.measure(WINDOW_S)
        found = re.search(r"operations=(\d+) ns=(\d+) failed=0", vmm.rest())
    if not found:
        raise CantMeasure(f"{command[0]}: {vmm.text}")
    speed = int(found.group(1)) * 1e9 / int(found.group(2))
    return speed, speed / whole, speed / own


def ours(image, cache, append):
    return amber("blk-bench", append, "--disk", f"{image.path},cache={cache}")


def theirs(image, engine, append):
    return qemu("blk-bench", append, "-drive",
                f"id=d0,file={image.path},format=raw,if=none,discard=unmap,{engine}",
                "-device", "virtio-blk-device,drive=d0")


def best(engines, column):
    """Of the engines the one that is better in this: (its name, its values)."""
    name = max(engines, key=lambda e: statistics.median(r[column] for r in engines[e]))
    return name.split(",")[0], [r[column] for r in engines[name]]


def compare(name, mine, engines):
    for column, unit, target in ((0, "op/s", SPEED_TARGET), (1, "op/CPU s", CPU_TARGET),
                                 (2, "op/own CPU s", CPU_TARGET)):
        engine, values = best(engines, column)
        yield Figure(name, unit, [r[column] for r in mine], values, f"QEMU {engine}", target,
                     more=True)


def beside_qemu(rounds):
    """`own CPU` is the VMM's without its vCPU thread, which runs the guest."""
    with Image() as image:
        for cache, engines in CACHES.items():
            for name, append in WORKLOADS:
                mine, his = [], {e: [] for e in engines}
                for _ in range(turns(rounds)):
                    image.settle(cache == "writeback")
                    mine.append(run(ours(image, cache, append)))
                    for engine in engines:
                        image.settle(cache == "writeback")
                        his[engine].append(run(theirs(image, engine, append)))
                yield from compare(f"{name}, cache={cache}", mine, his)


def fio(path, op, depth):
    done = subprocess.run(
        ["fio", "--name=x", f"--filename={path}", "--ioengine=io_uring", "--direct=1",
         f"--iodepth={depth}", "--bs=4k", f"--rw=rand{op}", "--runtime=1", "--time_based",
         "--output-format=json"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise CantMeasure(f"fio: {done.stderr.strip()}")
    return json.loads(done.stdout)["jobs"][0][op]["iops"]


def inject(path, driver, op, depth):
    done = subprocess.run([os.path.join(BENCH, "inject"), path, driver, op, str(depth), "1"],
                          capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise CantMeasure(f"inject: {done.stderr.strip()}")
    operations, ns = map(int, re.findall(r"(?:operations|ns)=(\d+)", done.stdout)[:2])
    return operations * 1e9 / ns


def injected(rounds):
    """Two drivers: a thread that waits for answers by looking, as a guest's CPU
    would, and one that asks for more from the interrupt, which leaves only the
    device between the two rings."""
    if not shutil.which("fio"):
        raise CantMeasure("fio is not installed")
    with Image() as image:
        for op in ("read", "write"):
            for depth in (1, 32):
                got = {"thread": [], "interrupt": [], "fio": []}
                for _ in range(turns(rounds)):
                    image.settle(False)
                    for driver in ("thread", "interrupt"):
                        got[driver].append(inject(image.path, driver, op, depth))
                    got["fio"].append(fio(image.path, op, depth))
                for driver in ("thread", "interrupt"):
                    yield Figure(f"injected random {op}, depth {depth}, by {driver}", "op/s",
                                 got[driver], got["fio"], "fio io_uring", STORAGE_TARGET,
                                 more=True)
