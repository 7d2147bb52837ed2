# SPDX-License-Identifier: Apache-2.0
"""Snapshots beside QEMU's: taken live, saved, restored, rewound, as increments,
and as many machines from one. Both write to the same disk, and what they wrote
is on it when the clock stops. Each figure has a VM of its own at a time."""

import json
import mmap
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import uuid

from figure import Figure
from peers import CantMeasure, bare_command
from snapvm import LIMIT_S, Amber, Home, Qemu, restores, said, sync, vmm
from tools import launch, talk

MIB = 1 << 20
PAGE = 4096
TURNS = 3
SIZES = ((128, "128 MiB"), (8192, "8 GiB"))
WORK = "mib=64 rounds=0"
GUESTS = (("idle", "nonce", "x"), ("dirtying", "ring3", WORK))
CHAIN = 16
CROWD = 100


def each(rounds):
    """How often in each turn: nine times in all at least."""
    return max(3, rounds // 10)


def theirs(what, measure, *arguments):
    """A peer's values, or none, and why: ours are shown all the same."""
    try:
        return measure(*arguments)
    except CantMeasure as error:
        print(f"bench: {what}: {error}", file=sys.stderr)
        return None


# --- live ------------------------------------------------------------------

def work_began(vm, kernel):
    """All that the guest uses is there."""
    vm.until("round=1 .*\n" if kernel == "ring3" else "count=1")


def live_amber(kernel, mib, append, count):
    """[(microseconds that the guest stood, milliseconds in all)]"""
    found = []
    with Home() as home, Amber(home.create("live", kernel, mib, append)) as vm:
        work_began(vm, kernel)
        for _ in range(count):
            taken, took = vm.take()
            found.append((taken["pause_ns"] / 1e3, took))
            vm.drop(taken)
    return found


def live_qemu(kernel, mib, append, count):
    """Stood: between its events STOP and RESUME, which leave out the parking that
    ours have; query-migrate has only whole milliseconds."""
    found = []
    with Home() as home, Qemu(home, kernel, mib, append) as vm:
        work_began(vm, kernel)
        vm.can("background-snapshot")
        for _ in range(count):
            took, seen = vm.migrate(home("background"))
            if not {"STOP", "RESUME"} <= seen.keys():
                raise CantMeasure("QEMU did not say when it stopped and went on")
            found.append((seen["RESUME"] - seen["STOP"], took))
    return found


def column(rows, i):
    return [r[i] for r in rows] if rows else None


def live(rounds):
    for mib, size in SIZES:
        for word, kernel, append in GUESTS:
            mine, his = [], []
            for _ in range(TURNS):
                mine += live_amber(kernel, mib, append, each(rounds))
                if his is not None:
                    got = theirs("background-snapshot", live_qemu, kernel, mib, append,
                                 each(rounds) if mib == 128 else 1)
                    his = his + got if got else None
            name, peer = f"{size}, guest {word}", "QEMU background-snapshot" if his else ""
            yield Figure(f"live snapshot, {name}: it stood", "us", column(mine, 0),
                         column(his, 0), peer, limit=1000)
            yield Figure(f"live snapshot, {name}: in all", "ms", column(mine, 1),
                         column(his, 1), peer, 1 / 4)


# --- saved -----------------------------------------------------------------

def write_file(path, memory):
    """Milliseconds to write those bytes to a new file and onto the disk."""
    if os.path.exists(path):
        os.unlink(path)
    began, done = time.monotonic(), 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while done < len(memory):
            done += os.write(fd, memory[done:done + 16 * MIB])
        os.fsync(fd)
    finally:
        os.close(fd)
    return (time.monotonic() - began) * 1e3


class Noise:
    """Bytes in memory that nothing compresses."""

    def __init__(self, size):
        self.map = mmap.mmap(-1, size)
        noise = os.urandom(MIB)
        for at in range(0, size, MIB):
            self.map[at:at + MIB] = noise[:size - at]
        self.view = memoryview(self.map)

    def __enter__(self):
        return self.view

    def __exit__(self, *_):
        self.view.release()
        self.map.close()


def vmstate_disk(home):
    """QEMU keeps what savevm saves in a qcow2 image; the guest doesn't use it."""
    path = home("vmstate.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "16G"], check=True,
                   timeout=LIMIT_S)
    return path, ["-drive", f"if=none,id=vm,format=qcow2,file={path}"]


def save_amber(append, count):
    """Of a paused VM."""
    found = []
    with Home() as home, Amber(home.create("save", "ring3", 640, append)) as vm:
        vm.until("round=1 .*\n")
        vm.command("pause")
        for _ in range(count):
            taken, took = vm.take()
            if taken["pages"] * PAGE < 512 * MIB:
                raise CantMeasure(f"only {taken['pages']} pages were saved")
            found.append(took)
            vm.drop(taken)
    return found


def save_qemu(append, count):
    """Milliseconds to migrate to a file, and of savevm."""
    migrated, saved = [], []
    with Home() as home:
        path, disk = vmstate_disk(home)
        with Qemu(home, "ring3", 640, append, *disk) as vm:
            vm.until("round=1 .*\n")
            vm.can()
            for _ in range(count):
                vm.ask("stop")
                took = vm.human("savevm one")
                began = time.monotonic()
                sync(path)
                saved.append(took + (time.monotonic() - began) * 1e3)
                vm.human("delvm one")
                migrated.append(vm.migrate(home("saved"))[0])
                vm.ask("cont")
    return migrated, saved


def save_plain(count):
    with Home() as home, Noise(512 * MIB) as noise:
        return [write_file(home("plain"), noise) for _ in range(count)]


def save(rounds):
    mine, migrated, saved, plain, append = [], [], [], [], "mib=512 rounds=0"
    for _ in range(TURNS):
        mine += save_amber(append, max(1, each(rounds) // 3))
        plain += save_plain(max(1, each(rounds) // 3))
        for kept, found in zip((migrated, saved), save_qemu(append, max(1, each(rounds) // 3))):
            kept += found
    yield Figure("save of 512 MiB", "ms", mine, migrated, "QEMU migrate to a file", 0.45)
    yield Figure("save of 512 MiB", "ms", mine, saved, "QEMU savevm", 0.3)
    yield Figure("write + fsync of 512 MiB", "ms", plain, migrated, "QEMU migrate to a file")
    yield Figure("save of 512 MiB", "MiB/s", [512e3 / ms for ms in mine],
                 [512e3 / ms for ms in plain], "write + fsync", 0.8, more=True)


# --- restored --------------------------------------------------------------

DEFER = ("-incoming", "defer")


def save_for_qemu(home, mib, path, capabilities, more):
    with Qemu(home, "nonce", mib, "x", *more[0], machine=more[1]) as vm:
        vm.until("count=1")
        vm.can(*capabilities)
        vm.migrate(path)


def restore_qemu(home, mib, count):
    save_for_qemu(home, mib, home("file"), (), ((), ""))
    found = []
    for _ in range(count):
        with Qemu(home, "nonce", mib, "x", *DEFER) as vm:
            found.append(vm.incoming(home("file")))
    return found


def restore_qemu_shared(home, mib, count):
    """Its memory is a file, which it goes on in: it gets a fresh copy each time."""
    ram, found = home("ram"), []
    more = (("-object", f"memory-backend-file,id=m,share=on,size={mib}M,mem-path={ram}"),
            ",memory-backend=m")
    save_for_qemu(home, mib, home("state"), ("x-ignore-shared",), more)
    os.rename(ram, home("ram.saved"))
    for _ in range(count):
        subprocess.run(["cp", "--sparse=always", home("ram.saved"), ram], check=True,
                       timeout=LIMIT_S)
        with Qemu(home, "nonce", mib, "x", *more[0], *DEFER, machine=more[1]) as vm:
            vm.can("x-ignore-shared")
            found.append(vm.incoming(home("state")))
    return found


def restore(rounds):
    """Ours: from the exec to the line of --notify-fd, beside bare's, to the first
    byte of a guest that has just booted."""
    found = {}
    with Home() as home:
        for mib, _ in SIZES:
            with Amber(home.create(f"r{mib}", "nonce", mib, "x")) as vm:
                vm.until("count=1")
                vm.take(name="one")
        commands = [restores(home(f"vms/r{mib}"), "one") for mib, _ in SIZES]
        commands += [bare_command("hello", mib) for mib in (128, 3072)]
        for _ in range(TURNS):
            for key, (first, _) in enumerate(launch(each(rounds), *commands, stay=True)):
                found.setdefault(key, []).extend(first)
            for mib, size in SIZES:
                for what in (restore_qemu, restore_qemu_shared):
                    if found.get((what, mib), ()) is not None:
                        got = theirs(f"QEMU's restore, {size}", what, home, mib, 3)
                        found[what, mib] = found.get((what, mib), []) + got if got else None
                        clear(home, "file", "state", "ram", "ram.saved")
    for i, (mib, size) in enumerate(SIZES):
        name = f"restore to running, {size}"
        yield Figure(name, "ms", found[i], limit=10)
        yield Figure(name, "ms", found[i], found[2 + i],
                     f"bare start, {'128 MiB' if i == 0 else '3 GiB'}", 2)
        yield Figure(name, "ms", found[i], found[restore_qemu, mib], "QEMU -incoming", 1 / 15)
        yield Figure(name, "ms", found[i], found[restore_qemu_shared, mib],
                     "QEMU, shared RAM file", 1 / 15)
    yield Figure("restore to running, 8 GiB", "ms", found[1], found[0], "itself, 128 MiB", 1.1)


def clear(home, *names):
    for name in names:
        if os.path.exists(home(name)):
            os.unlink(home(name))


def touch(rounds):
    """The guest's second round of work, on memory that the first one left: in a
    machine restored to its rest in between, and in bare's on a private mapping
    of the same file."""
    mine, plain = [], []
    with Home() as home:
        where = home.create("touch", "ring3", 128, WORK + " rest_ms=500")
        with Amber(where) as vm:
            vm.until("round=1 .*\n")
            vm.command("pause")
            taken, _ = vm.take(name="one")
        for _ in range(max(5, each(rounds))):
            with Amber(where, "--from", "one") as vm:
                mine.append(int(vm.until(r"round=2 sum=\w+ bad=0 ms=(\d+)\s").group(1)))
            done = subprocess.run(
                bare_command("ring3", 128, "mib=64 first=2 rounds=2 rest_ms=10",
                             "--ram",
                             os.path.join(where, "snapshots", taken["id"], "memory")),
                capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT_S)
            said = re.search(r"round=2 sum=\w+ bad=0 ms=(\d+)\s", done.stdout)
            if not said:
                raise CantMeasure(f"bare: {done.stdout} {done.stderr}")
            plain.append(int(said.group(1)))
    yield Figure("first work on 64 MiB when restored", "ms", mine, plain,
                 "bare on MAP_PRIVATE", 1.15)


def evict(path):
    """From the page cache, of a file that is on the disk."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_use(where):
    """(milliseconds to running, of the guest's first round) when it is restored."""
    began = time.monotonic()
    with Amber(where, "--from", "one") as vm:
        ran = (time.monotonic() - began) * 1e3
        took = int(vm.until(r"round=2 sum=\w+ bad=0 ms=(\d+)\s").group(1))
        vm.command("stop")
    return ran, took


def working_set(rounds):
    """Each 32nd page of 512 MiB from a cold disk: 50 ms after the restore, with what
    the restore before has remembered and without; the others are there, too."""
    warm, cold, cached = [], [], []
    with Home() as home:
        where = home.create("ws", "ring3", 640, "mib=512 every=32 rounds=0 rest_ms=50")
        with Amber(where) as vm:
            vm.until("round=1 .*\n")
            vm.command("pause")
            taken, _ = vm.take(name="one")
        files = [os.path.join(where, "snapshots", taken["id"], name)
                 for name in ("memory", "working-set")]
        for _ in range(max(3, each(rounds))):
            cached.append(first_use(where))
            clear(home, *files[1:])
            for kept in (cold, warm):
                evict(files[0])
                kept.append(first_use(where))
    yield Figure("working set of 16 MiB, cold disk: used", "ms", column(warm, 1), column(cold, 1),
                 "itself, not remembered", 0.5)
    yield Figure("working set of 16 MiB, page cache: used", "ms", column(cached, 1))
    yield Figure("working set of 16 MiB, cold disk: to running", "ms", column(warm, 0),
                 column(cold, 0), "itself, not remembered", 1.1)


# --- rewound ---------------------------------------------------------------

# Where it goes on it may be in the middle of one.
WHOLE_ROUND = r"round=\d+ .*\n(.*\n)*round=\d+ .*\n"


def rewind_clean(rounds):
    """The guest halts. (until the reply, stillness), microseconds."""
    with Home() as home, Amber(home.create("rewind", "idle", 128, "x")) as vm:
        vm.until("ready")
        vm.take(name="one")
        reply = talk(max(2, rounds // 5), f"http:{vm.sock}:POST /v1/vm/rewind")["0.0"]
        return reply, vm.stills(1 + len(reply))[1:]  # without the snapshot's


def rewind_dirty(count):
    """The same when the guest has worked for a whole round."""
    reply = []
    with Home() as home, Amber(home.create("rewind", "ring3", 128, WORK)) as vm:
        vm.until("round=1 .*\n")
        vm.take(name="one")
        for _ in range(count):
            vm.until(WHOLE_ROUND)
            reply.append(vm.command("rewind")[1] * 1e3)
            vm.forget()
        return reply, vm.stills(1 + count)[1:]


def loadvm(kernel, append, ready, worked, count):
    """Microseconds; each time behind what the guest says when it has worked."""
    found = []
    with Home() as home:
        _, disk = vmstate_disk(home)
        with Qemu(home, kernel, 128, append, *disk) as vm:
            vm.until(ready)
            vm.human("savevm one")
            for _ in range(count):
                vm.forget()
                vm.until(worked)
                found.append(vm.human("loadvm one") * 1e3)
    return found


def rewind(rounds):
    clean, still, dirty, still_dirty, his, his_dirty = [], [], [], [], [], []
    for _ in range(TURNS):
        for kept, got in zip((clean, still), rewind_clean(rounds)):
            kept += got
        for kept, got in zip((dirty, still_dirty), rewind_dirty(each(rounds))):
            kept += got
        his += loadvm("idle", "x", "ready", "", each(rounds))
        his_dirty += loadvm("ring3", WORK, "round=1 .*\n", WHOLE_ROUND, each(rounds))
    pages = 64 * MIB // PAGE
    yield Figure("rewind, nothing dirty, p50", "us", clean, his, "QEMU loadvm", limit=300)
    yield Figure("rewind, nothing dirty: it stood", "us", still)
    yield Figure("rewind, nothing dirty", "/s", [1e6 / statistics.mean(clean)],
                 [1e6 / statistics.mean(his)], "QEMU loadvm", more=True)
    yield Figure("rewind, 64 MiB dirty, p50", "us", dirty, his_dirty, "QEMU loadvm",
                 limit=300 + pages)
    yield Figure("rewind, 64 MiB dirty: it stood", "us", still_dirty)


# --- increments ------------------------------------------------------------

def increment(rounds):
    """The guest works its way through 512 MiB; it is paused when about 64 have
    changed, and the same number of bytes is written beside."""
    mine, stood, plain = [], [], []
    with Home() as home, Noise(160 * MIB) as noise, Amber(
            home.create("inc", "ring3", 640, "mib=512 rounds=0 rate=256")) as vm:
        vm.until("round=1 .*\n")
        vm.command("pause")
        vm.take()
        for _ in range(4 * each(rounds)):
            vm.command("resume")
            time.sleep(0.25)
            vm.command("pause")
            taken, took = vm.take(incremental=True)
            size = taken["pages"] * PAGE
            if not taken["base"]:
                raise CantMeasure("the snapshot was not incremental")
            if not 32 * MIB <= size <= len(noise):
                continue  # the guest was summing up, or slow
            mine.append(took)
            stood.append(taken["pause_ns"] / 1e3)
            plain.append(write_file(home("plain"), noise[:size]))
            if len(mine) == TURNS * each(rounds) // 2:
                break
    if not mine:
        raise CantMeasure("the guest never changed about 64 MiB")
    yield Figure("increment of 64 in 512 MiB", "ms", mine, plain, "write + fsync", 1.3)
    yield Figure("increment of 64 in 512 MiB: it stood", "us", stood)


def chain(rounds):
    with Home() as home:
        where = home.create("chain", "ring3", 128, "mib=64 rounds=0 rate=64")
        with Amber(where) as vm:
            vm.until("round=1 .*\n")
            vm.take()
            for i in range(1, CHAIN + 1):
                time.sleep(0.1)
                taken, _ = vm.take(name=f"i{i}", incremental=True)
                if not taken["base"]:
                    raise CantMeasure("the snapshot was not incremental")
            vm.take(name="flat")
        found = launch(3 * each(rounds), restores(where, f"i{CHAIN}"), restores(where, "flat"),
                       stay=True)
    yield Figure(f"restore of {CHAIN} increments", "ms", found[0][0], found[1][0],
                 "itself, one layer", 1.2)


# --- many ------------------------------------------------------------------

def rewrite(path, **values):
    with open(path, encoding="utf-8") as f:
        content = json.load(f)
    content.update(values)
    os.unlink(path)  # it may be a link
    with open(path, "w", encoding="utf-8") as f:
        json.dump(content, f)


def clone(home, n, snapshot):
    """A VM of its own, whose set is the first one's: memory is a hard link."""
    where, name, own = home(f"vms/c{n}"), f"c{n}", str(uuid.uuid4())
    shutil.copytree(home("vms/c"), where, copy_function=os.link,
                    ignore=shutil.ignore_patterns("logs", "lock", "api.sock", "state.json"))
    os.mkdir(os.path.join(where, "logs"), 0o700)
    rewrite(os.path.join(where, "config.json"), name=name, uuid=own)
    rewrite(os.path.join(where, "snapshots", snapshot, "meta.json"), vm=name, uuid=own)
    current = os.path.join(where, "snapshots", "current")
    os.unlink(current)
    with open(current, "w", encoding="ascii") as f:
        f.write(snapshot)
    return where


def beyond_mib(pid):
    """What the process has alone, without the guest's own pages."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as f:
        parts = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", f.read())
    kib = 0
    for part in parts:
        kib += int(re.search(r"^Pss:\s+(\d+)", part, re.M).group(1))
        if part.split("\n", 1)[0].endswith("/memory"):
            kib -= int(re.search(r"^Private_Dirty:\s+(\d+)", part, re.M).group(1))
    return kib / 1024


def spawn(where, snapshot):
    """(process, where it says that it runs)"""
    ready, theirs_end = os.pipe()
    command = vmm(where, "--from", snapshot, "--console", "none", "--notify-fd", "3")
    null = os.open("/dev/null", os.O_RDWR)
    try:
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)] + [
            (os.POSIX_SPAWN_DUP2, theirs_end, 3)])
    except OSError:
        os.close(ready)
        raise
    finally:
        os.close(null)
        os.close(theirs_end)
    return pid, ready


def crowd_once(places, snapshot):
    """(seconds until all run, MiB of each)"""
    processes = []
    try:
        began = time.monotonic()
        for where in places:
            processes.append(spawn(where, snapshot))
        for _, ready in processes:
            if not (line := said(ready)).startswith("running"):
                raise CantMeasure(f"a machine of many said {line!r}")
        took = time.monotonic() - began
        return took, statistics.mean(beyond_mib(pid) for pid, _ in processes)
    finally:
        for pid, ready in processes:
            os.kill(pid, 9)
            os.close(ready)
        for pid, _ in processes:
            os.waitpid(pid, 0)


def crowd(rounds):
    with Home() as home:
        with Amber(home.create("c", "nonce", 128, "x")) as vm:
            vm.until("count=1")
            taken, _ = vm.take(name="one")
        places = [clone(home, n, taken["id"]) for n in range(CROWD)]
        found = [crowd_once(places, "one") for _ in range(each(rounds))]
    yield Figure(f"{CROWD} machines from one snapshot: all run", "s", column(found, 0), limit=0.5)
    yield Figure(f"{CROWD} machines from one snapshot: beyond dirty pages", "MiB",
                 column(found, 1), limit=2)


PARTS = (live, save, restore, touch, working_set, rewind, increment, chain, crowd)


def sets(rounds):
    """A part that can't be measured is said at the end; the others are shown."""
    failed = []
    for part in PARTS:
        try:
            yield from part(rounds)
        except (CantMeasure, OSError, subprocess.SubprocessError) as error:
            failed.append(f"{part.__name__}: {error}")
    if failed:
        raise CantMeasure("; ".join(failed))
