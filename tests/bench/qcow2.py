# SPDX-License-Identifier: Apache-2.0
"""The qcow2 layer without a guest: `amber disk bench` beside `qemu-img bench`,
the better of its two ways to do I/O, on the same images; and amber's own raw
disk through the same queue. Then whole images: convert, check, deep chains."""

import json
import mmap
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time

from figure import Figure, turns
from peers import BENCH, CantMeasure, ROOT

AMBER = os.path.join(ROOT, "build", "amber")
MIB = 1 << 20
DATA_MIB = 256
WRITTEN_MIB = 512  # at most, by one measurement of writes
COPIED_MIB = 1024
REST_S = 1  # of the storage, between two copies: it gives up the one before
STRIDE = MIB + 4096  # visits every 4 KiB block of a 256 MiB disk, never two in a row
CACHED = (["-i", "threads"], ["-i", "io_uring"])
DIRECT = (["-i", "native", "-t", "none"], ["-i", "io_uring", "-t", "none"])


def sh(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise CantMeasure(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def child_cpu():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


class Images:
    def __enter__(self):
        os.makedirs(BENCH, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="qcow2-", dir=BENCH)
        noise = os.urandom(MIB)
        with open(self("data.raw"), "wb") as f:
            for _ in range(DATA_MIB):
                f.write(noise)
        sh("qemu-img", "convert", "-f", "raw", "-O", "qcow2", self("data.raw"), self("data.qcow2"))
        sh("sync", self("data.raw"), self("data.qcow2"))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __call__(self, name):
        return os.path.join(self.dir, name)

    def new(self, *options):
        """An empty image of 4 GiB, or what the options say."""
        path = self("new.qcow2")
        if os.path.exists(path):
            os.unlink(path)
        sh("qemu-img", "create", "-q", "-f", "qcow2", *options, path,
           *([] if "-b" in options else ["4G"]))
        return path

    def own(self, *options):
        """As `amber disk create` makes it."""
        path = self("new.qcow2")
        if os.path.exists(path):
            os.unlink(path)
        sh(AMBER, "disk", "create", *options, path)
        return path

    def new_raw(self):
        path = self("new.raw")
        with open(path, "wb") as f:
            f.truncate(4 << 30)
        return path

    def warm(self, name):
        with open(self(name), "rb") as f:
            while f.read(MIB):
                pass


def touch_memory(mib):
    """Where this is a guest whose host takes back what is free, it is given
    again page by page, and who comes first pays for it: nobody is to. In a
    process of its own: who is started from here would be said to have had as
    much as this one had at most."""
    pid = os.fork()
    if not pid:
        mmap.mmap(-1, mib * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        os._exit(0)
    os.waitpid(pid, 0)


def begin(options):
    """The CPU time before a measurement, for which all is ready."""
    if "-w" in options:
        touch_memory(WRITTEN_MIB)
    return child_cpu()


def ours(path, *options):
    """(requests per second, seconds of CPU for each)"""
    cpu = begin(options)
    done = json.loads(sh(AMBER, "disk", "bench", "--json", *options, path))
    return done["requests_per_second"], (child_cpu() - cpu) / done["requests"]


def theirs(path, count, *options):
    cpu = begin(options)
    text = sh("qemu-img", "bench", "-f", "qcow2", "-c", str(count), *options, path)
    seconds = float(re.search(r"in ([\d.]+) seconds", text).group(1))
    return count / seconds, (child_cpu() - cpu) / count


def best(results, column, least=False):
    values = {k: [r[column] for r in v] for k, v in results.items()}
    pick = min if least else max
    name = pick(values, key=lambda k: sorted(values[k])[len(values[k]) // 2])
    return name, values[name]


def beside(name, mine, his, target, cpu_target=None):
    who, values = best(his, 0)
    yield Figure(name, "op/s", [m[0] for m in mine], values, f"qemu-img {who}", target, more=True)
    if cpu_target:
        who, values = best(his, 1, least=True)
        yield Figure(name, "us CPU/op", [m[1] * 1e6 for m in mine], [v * 1e6 for v in values],
                     f"qemu-img {who}", cpu_target)


def reads(images, rounds):
    for direct in (False, True):
        for depth, target in ((1, 3), (32, 2)):
            mine, raw, his = [], [], {}
            for _ in range(rounds):
                images.warm("data.qcow2")
                how = ["-d", str(depth), "--step", str(STRIDE), "-t", "0.7"]
                how += ["--direct"] if direct else []
                mine.append(ours(images("data.qcow2"), *how))
                # The same file: another one's page cache may be made of other folios.
                raw.append(ours(images("data.qcow2"), "-f", "raw", *how))
                for aio in DIRECT if direct else CACHED:
                    his.setdefault(aio[1], []).append(theirs(
                        images("data.qcow2"), 30000, "-d", str(depth), "-s", "4096", "-S",
                        str(STRIDE), *aio))
            name = f"{'O_DIRECT' if direct else 'cached'} 4 KiB read, depth {depth}"
            yield from beside(name, mine, his, 1 if direct else target, 0.5 if direct else 0.4)
            yield Figure(name, "op/s", [m[0] for m in mine], [m[0] for m in raw], "amber raw",
                         0.95, more=True)


OVER = ["-b", "data.qcow2", "-F", "qcow2"]
WRITES = [  # name, qemu-img create's options, step, requests, against QEMU, against raw
    ("allocating 4 KiB write, depth 32", [], 65536, 30000, 4, 0.7),
    ("the same, extended L2, 128 KiB", ["-o", "extended_l2=on,cluster_size=128k"], 131072, 20000,
     1, None),
    ("copy-on-write of 4 KiB in 64 KiB", ["-b", "data.qcow2", "-F", "qcow2"], 65536, 4000, None,
     None),
    ("the same, the overlay that each makes", OVER, 65536, 4000, 2.5, None),
    ("allocating 64 KiB write, depth 32", [], 65536, 4000, 1, 0.95),
]


def writes(images, rounds):
    for name, options, step, count, target, raw_target in WRITES:
        size = "65536" if "64 KiB write" in name else "4096"
        mine, raw, his = [], [], {}
        for _ in range(rounds):
            how = ["-w", "-d", "32", "-s", size, "--step", str(step), "--count", str(count)]
            mine.append(ours(images.own(*options) if options is OVER else images.new(*options),
                             *how))
            if raw_target:
                raw.append(ours(images.new_raw(), "-f", "raw", *how))
            for aio in CACHED:
                his.setdefault(aio[1], []).append(theirs(
                    images.new(*options), count, "-w", "-d", "32", "-s", size, "-S", str(step),
                    *aio))
        yield from beside(name, mine, his, target)
        if raw_target:
            yield Figure(name, "op/s", [m[0] for m in mine], [m[0] for m in raw], "amber raw",
                         raw_target, more=True)


def chains(images, rounds):
    below = "data.qcow2"
    for i in range(1, 64):
        sh("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2",
           images(f"l{i}.qcow2"))
        below = f"l{i}.qcow2"
    how = ["-d", "1", "--step", str(STRIDE), "-t", "0.7"]
    theirs_how = [20000, "-d", "1", "-s", "4096", "-S", str(STRIDE), "-i", "io_uring"]
    paths = {1: images("data.qcow2"), **{n: images(f"l{n - 1}.qcow2") for n in (16, 64)}}
    mine, his = {n: [] for n in paths}, {n: [] for n in paths}
    for _ in range(rounds):
        images.warm("data.qcow2")
        for n, path in paths.items():
            mine[n].append(ours(path, *how)[0])
        for n, path in paths.items():
            his[n].append(theirs(path, *theirs_how)[0])
    for n in (16, 64):
        yield Figure(f"read through {n} layers", "op/s", mine[n], mine[1], "itself, 1 layer", 0.95,
                     more=True)
        yield Figure(f"qemu-img through {n} layers", "op/s", his[n], his[1], "itself, 1 layer")


def seconds(*command):
    began = time.monotonic()
    sh(*command)
    return (time.monotonic() - began) * 1e3


def whole(images, rounds):
    """A copy that is on the disk, and one that may still be in the page cache:
    what qemu-img does if -t does not tell it otherwise. Each is the first of a
    round now and then."""
    source, new = images("copied.raw"), images("copy.qcow2")
    theirs_is = ("qemu-img", "convert", "-m", "16", "-W", "-O", "qcow2")
    commands = [(AMBER, "disk", "convert"), (*theirs_is, "-t", "writeback"),
                (AMBER, "disk", "convert", "--no-sync"), theirs_is]
    took = {c: [] for c in commands}
    with open(images("data.raw"), "rb") as data, open(source, "wb") as f:
        for _ in range(COPIED_MIB // DATA_MIB):
            shutil.copyfileobj(data, f)
            data.seek(0)
    for i in range(max(rounds, len(commands))):
        first = i % len(commands)
        for command in commands[first:] + commands[:first]:
            os.sync()
            time.sleep(REST_S)
            images.warm("copied.raw")
            touch_memory(2 * COPIED_MIB)
            took[command].append(seconds(*command, "-f", "raw", source, new))
            os.unlink(new)
    os.unlink(source)
    synced, his_synced, cached, his_cached = took.values()
    what = f"convert of {COPIED_MIB} MiB"
    yield Figure(what, "ms", synced, his_synced, "qemu-img -m16 -W -t writeback", 1)
    yield Figure(what + ", --no-sync", "ms", cached, his_cached, "qemu-img -m16 -W", 1)
    yield Figure(what, "ms", synced, his_cached, "qemu-img -m16 -W")
    path = images.new("-o", "cluster_size=4k")
    ours(path, "-w", "-s", "4096", "--step", "8192", "--count", "200000")
    mine = [seconds(AMBER, "disk", "check", path) for _ in range(rounds)]
    his = [seconds("qemu-img", "check", "-q", path) for _ in range(rounds)]
    yield Figure("check of 200,000 clusters", "ms", mine, his, "qemu-img", 0.333)


class Snapshots:
    """QEMU's external snapshots, over its monitor."""

    def __init__(self, directory, size):
        self.dir, path = directory, os.path.join(directory, "s.raw")
        with open(path, "wb") as f:
            f.truncate(size)
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-M", "q35", "-S",
             "-qmp", "stdio", "-drive", f"if=virtio,id=d0,format=raw,file={path}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.qemu.stdout.readline()
        self.ask("qmp_capabilities")
        self.taken = 0

    def ask(self, command, **arguments):
        self.qemu.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qemu.stdin.flush()
        for line in self.qemu.stdout:
            if '"return"' in line:
                return
            if '"error"' in line:
                raise CantMeasure(f"{command}: {line}")
        raise CantMeasure(f"{command}: QEMU has ended")

    def take(self):
        """Milliseconds: all of it, with the making of the image."""
        self.taken += 1
        began = time.monotonic()
        self.ask("blockdev-snapshot-sync", **{
            "device": "d0", "format": "qcow2",
            "snapshot-file": os.path.join(self.dir, f"s{self.taken}.qcow2")})
        return (time.monotonic() - began) * 1e3

    def close(self):
        self.qemu.kill()
        self.qemu.wait()


def pushes(images, rounds):
    sizes = {"1 GiB": 1 << 30, "100 GiB": 100 << 30}
    found = {name: [] for name in sizes}
    for i in range(rounds):
        for name, size in sizes.items():
            where = images(f"push{i}-{size}")
            os.mkdir(where)
            found[name].append(json.loads(sh(os.path.join(ROOT, "build", "bench", "overlay"),
                                             where, str(size), "64")))
    large, small = found["100 GiB"], found["1 GiB"]
    where = images("theirs")
    os.mkdir(where)
    peer = Snapshots(where, 100 << 30)
    try:
        theirs_ms = [peer.take() for _ in range(20)]
    finally:
        peer.close()
    yield Figure("freeze + overlay of 100 GiB, without fsync", "us",
                 [f["push_us"] for f in large], [f["push_us"] for f in small], "itself, 1 GiB",
                 1.5)
    yield Figure("freeze + overlay of 100 GiB, without fsync", "ms",
                 [f["push_us"] / 1e3 for f in large], limit=1)
    yield Figure("the same, all of it", "ms",
                 [(f["push_us"] + f["prepare_us"]) / 1e3 for f in large], theirs_ms,
                 "qemu snapshot-sync", 1)
    yield Figure("open of 64 layers", "ms", [f["open_us"] / 1e3 for f in large], limit=5)
    yield Figure("memory with 64 layers", "MiB", [f["rss_kib"] / 1024 for f in large], limit=64)


def layer(rounds):
    if not shutil.which("qemu-img"):
        raise CantMeasure("qemu-img is not installed")
    rounds = max(2, turns(rounds))
    with Images() as images:
        for part in (reads, writes, chains, pushes, whole):
            yield from part(images, rounds)
