# SPDX-License-Identifier: Apache-2.0
"""make bench: amber beside its peers, in one run, as ratios.

  bench.py [--json] [--quick] [--rig] [FIGURE...]

Each figure is measured in turns (ours, theirs, ours, theirs), so that what
else the machine does falls on both. The minimum and the median are printed;
a ratio is that of the medians. Exit status 0 unless something could not be
measured; a target that was missed is said, not punished: the machine may be
busy.

"op/CPU s" counts operations per second of CPU time of the whole process with
its kernel workers, "op/own CPU s" leaves the vCPU's thread out, which runs the
guest: that is the same for both, and most of it where KVM emulates."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys

from peers import (BENCH, LKVM, QEMU, ROOT, CantMeasure, Place, amber_once,
                   bare_command, guest, qemu_command, run_amber, run_qemu)
import disk
import fleet
import net
import qcow2
import rest
import snapshot
from figure import Figure
from tools import launch, talk, tool

NS = 1e9


def need_qemu():
    if not QEMU:
        raise CantMeasure("qemu-system-x86_64 is not installed")


def start(rounds):
    """The guest is hello; QEMU boots it by the only entry it has, PVH."""
    need_qemu()
    commands = [amber_once("hello"), bare_command("hello"), qemu_command("pvh"),
                amber_once("hello", 1024), bare_command("hello", 1024),
                amber_once("hello", 3072), bare_command("hello", 3072),
                amber_once("hello", 4096)]
    if LKVM:
        commands.append([LKVM, "run", "--console", "serial", "-m", "128", "-k",
                         guest("hello")])
    a128, b128, q128, a1g, b1g, a3g, b3g, a4g, *k = launch(rounds, *commands)
    q1g, = launch(max(3, rounds // 4), qemu_command("pvh", 1024))
    yield Figure("first guest byte, 128 MiB", "ms", a128[0], q128[0], "QEMU microvm", 1 / 15)
    yield Figure("first guest byte, 128 MiB", "ms", a128[0], b128[0], "bare ioctls", 1.5)
    yield Figure("first guest byte, 1 GiB", "ms", a1g[0], q1g[0], "QEMU microvm", 1 / 15)
    yield Figure("first guest byte, 1 GiB", "ms", a1g[0], b1g[0], "bare ioctls", 1.5)
    yield Figure("first guest byte, 3 GiB", "ms", a3g[0], b3g[0], "bare ioctls", 1.5)
    yield Figure("first guest byte, 4 GiB", "ms", a4g[0], a128[0], "itself, 128 MiB", 1.1)
    if k:
        yield Figure("first guest byte, 128 MiB", "ms", a128[0], k[0][0], "kvmtool", 1 / 3)
    yield Figure("exec to reaped, 128 MiB", "ms", a128[1], q128[1], "QEMU microvm", 1 / 3)
    yield Figure("exec to reaped, 128 MiB", "ms", a128[1], b128[1], "bare ioctls")


def memory(_):
    with Place() as place:
        with run_amber(place, "idle") as ours, run_qemu(place, "idle") as theirs:
            mine, his = ours.pss_kib(128), theirs.pss_kib(128)
    own, other = [(mine[0] - mine[1]) / 1024], [(his[0] - his[1]) / 1024]
    yield Figure("idle VM beyond guest memory", "MiB", own, limit=2.2)
    yield Figure("idle VM beyond guest memory", "MiB", own, other, "QEMU microvm", 1 / 15)


def status(rounds):
    with Place() as place, run_amber(place, "idle") as a, run_qemu(place, "idle") as q:
        got = talk(rounds, f"http:{a.sock}:GET /v1/vm", f"qmp:{q.sock}:query-status")
        yield Figure("status, p50", "us", got["0.0"], got["1.0"], "QMP query-status", 1 / 8)
        yield Figure("status, p99", "us", got["0.0"], got["1.0"], "QMP query-status",
                     percentile=99)
        rates = [float(tool("talk", "flood", 0.5, c, a.sock)) for c in (4, 8, 16, 32)]
        yield Figure("status, answers per second", "/s", [max(rates)], limit=20000,
                     more=True)


def pauses(rounds):
    """One VM at a time: a guest that spins would take the other's CPU."""
    for kernel in ("idle", "spin"):
        got = {}
        for _ in range(4):
            for run, words in ((run_amber, "http:{}:POST /v1/vm/pause,POST /v1/vm/resume"),
                               (run_qemu, "qmp:{}:stop,cont")):
                with Place() as place, run(place, kernel) as vm:
                    for key, values in talk(max(2, rounds // 4),
                                            words.format(vm.sock)).items():
                        got.setdefault((run, key), []).extend(values)
        for key, word, peer in (("0.0", "pause", "QMP stop"), ("0.1", "resume", "QMP cont")):
            for percentile in (50, 99):
                yield Figure(f"{word}, guest {kernel}s, p{percentile}", "us",
                             got[run_amber, key], got[run_qemu, key], peer, 1 / 5,
                             percentile=percentile)


def guest_says(command, pattern):
    done = subprocess.run(command, capture_output=True, timeout=120, text=True,
                          stdin=subprocess.DEVNULL)
    found = re.search(pattern, done.stdout + done.stderr)
    if not found:
        raise CantMeasure(f"{command[0]}: {done.stdout}{done.stderr}")
    return float(found.group(1))


def exits(rounds):
    for kind, kernel in (("PIO", "bench-pio"), ("MMIO", "bench-mmio")):
        mine, his = [], []
        for _ in range(max(5, rounds // 2)):
            append = "count=20000"
            mine.append(guest_says(amber_once(kernel, 128, append), r"ns_per_exit=(\d+)"))
            his.append(guest_says(bare_command(kernel, 128, append, "--loop"),
                                  r"(?m)^ns_per_exit=(\d+)"))
        yield Figure(f"{kind} exit", "ns", mine, his, "bare KVM_RUN loop", 1.05)


def crowd(_):
    for name, unit, value in fleet.measure(300):
        yield Figure(name, unit, [value])


def rig(_):
    """Instructions, not time: the rig counts them."""
    path = os.path.join(BENCH, "figures.json")
    done = subprocess.run([os.path.join(ROOT, "tests/rig/run_rig_tests.py"), "--only",
                           "instructions", "--figures", path], text=True,
                          capture_output=True, timeout=1800)
    if done.returncode:
        raise CantMeasure(done.stdout.strip().splitlines()[-1] if done.stdout else "rig")
    with open(path, encoding="ascii") as f:
        figures = json.load(f)
    for name, value in figures.items():
        yield Figure(name.replace("_", " "), "instructions", [value])
    small, large = (figures[f"instructions_of_a_tiny_run_{size}"]
                    for size in ("128_mib", "4_gib"))
    yield Figure("tiny run, 4 GiB", "instructions", [large], [small],
                 "itself, 128 MiB", 1.1)


FIGURES = {"start": start, "memory": memory, "status": status, "pauses": pauses, "exits": exits,
           "fleet": crowd, "disk": disk.beside_qemu, "inject": disk.injected, "qcow2": qcow2.layer,
           "net": net.beside_qemu, "idle": rest.at_rest, "snapshot": snapshot.sets, "rig": rig}
TITLES = ["figure", "ours", "least", "theirs", "unit", "beside", "ratio", "target", ""]


def print_table(rows):
    rows = [TITLES] + rows
    width = [max(len(r[i]) for r in rows) for i in range(len(TITLES))]
    for r in rows:
        cells = [c.rjust(width[i]) if i in (1, 2, 3, 6) else c.ljust(width[i])
                 for i, c in enumerate(r)]
        print("  ".join(cells).rstrip(), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measure amber beside its peers.")
    parser.add_argument("--json", action="store_true", help="one object per figure")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--rig", action="store_true", help="count instructions, too")
    parser.add_argument("figure", nargs="*", choices=[[], *FIGURES])
    options = parser.parse_args()
    wanted = options.figure or [f for f in FIGURES if f != "rig" or options.rig]
    # VMs and directories are cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rounds, failed, rows = (10 if options.quick else 50), False, []
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        sys.exit("bench: /dev/kvm is missing or not writable")
    for name in wanted:
        try:
            for figure in FIGURES[name](rounds):
                rows.append(figure.row())
                if options.json:
                    print(json.dumps(dict(zip(TITLES, rows[-1]))), flush=True)
        except (CantMeasure, OSError, subprocess.SubprocessError) as error:
            print(f"bench: {name} can't be measured: {error}", file=sys.stderr)
            failed = True
    if not options.json:
        print_table(rows)
        if not LKVM:
            print("\nkvmtool is not installed: it is left out.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
