# SPDX-License-Identifier: Apache-2.0
"""A machine that stands still: runs tests while processes of amber are stopped
for a moment and continued, one after the other, at random, and die late when
they are killed. What counts on a thing to happen in time, in a test or in
amber, fails here and not in CI.

  stall.py [--jobs N] [--longest S] [--seed N] SCRIPT..."""

import argparse
import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, os.environ.get("OUT", "build"))
LATE = os.path.join(ROOT, "tests", "late")  # what is killed dies late
SHORTEST_S = 0.05
PAUSE_S = 0.3  # at most, between two
LIMIT_S = 1800


def is_stopped(pid):
    """By a test, which will continue it itself."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        return f.read().rsplit(")", 1)[1].split()[0] in "Tt"


def is_ours(pid):
    exe = os.readlink(f"/proc/{pid}/exe")
    return exe.startswith(OUT + "/") and os.path.basename(exe) in ("amber", "amber-vmm")


class Stall(threading.Thread):
    """Stops and continues until it is told to end; none stays stopped."""

    def __init__(self, longest, dice):
        super().__init__()
        self.longest, self.dice = longest, dice
        self.over = threading.Event()
        self.held = {}  # pid: its descriptor, and until when
        self.count = 0

    def hold(self, pid):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if is_ours(pid) and not is_stopped(pid):
                signal.pidfd_send_signal(fd, signal.SIGSTOP)
                self.held[pid] = fd, time.monotonic() + self.dice.uniform(SHORTEST_S, self.longest)
                self.count += 1
                return
        except OSError:  # it has ended
            pass
        os.close(fd)

    def let_go(self, pid):
        fd, _ = self.held.pop(pid)
        try:
            signal.pidfd_send_signal(fd, signal.SIGCONT)
        except ProcessLookupError:
            pass
        os.close(fd)

    def candidates(self):
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and int(name) not in self.held and is_ours(name):
                    yield int(name)
            except OSError:  # it has ended, or is none of ours
                pass

    def run(self):
        try:
            while not self.over.wait(self.dice.uniform(0, PAUSE_S)):
                found = list(self.candidates())
                if found:
                    self.hold(self.dice.choice(found))
                for pid in [p for p, (_, until) in self.held.items() if time.monotonic() >= until]:
                    self.let_go(pid)
        finally:
            for pid in list(self.held):
                self.let_go(pid)


def run_script(script):
    """True if it passed; what it says of failures is printed in one piece."""
    child = subprocess.Popen([sys.executable, "-B", script], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace",
                             env=dict(os.environ, PYTHONPATH=LATE))
    why = ""
    try:
        said, _ = child.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        why = f", not done after {LIMIT_S} s"
        child.terminate()  # it ends its VMs
        said, _ = child.communicate()
    lines = said.splitlines()
    if child.returncode == 0 and not why:
        kept = sum(line.startswith("ok ") for line in lines)
        print(f"ok   {script} ({kept} kept)", flush=True)
        return True
    print("\n".join([f"FAIL {script}: exit status {child.returncode}{why}"] +
                    [line for line in lines if not line.startswith("ok ")]), flush=True)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2 * os.cpu_count(), help="scripts side by side")
    parser.add_argument("--longest", type=float, default=0.8, help="seconds that one stands still")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("scripts", nargs="+", metavar="SCRIPT")
    options = parser.parse_args()
    print(f"stall: seed {options.seed}", flush=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # none stays stopped
    stall = Stall(options.longest, random.Random(options.seed))
    stall.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            passed = list(pool.map(run_script, options.scripts))
    finally:
        stall.over.set()
        stall.join()
    print(f"stall: {stall.count} times a process stood still", flush=True)
    if not stall.count:
        print("FAIL stall: nothing was ever stopped")
    return 0 if all(passed) and stall.count else 1


if __name__ == "__main__":
    sys.exit(main())
