# SPDX-License-Identifier: Apache-2.0
"""A VM's process killed at random times while it takes snapshots, goes back to
them, deletes them, is suspended: what was there is there, what was being made
is there in full or not at all, what was said to be done is, the VM starts again,
and its guest, which checks two disks against its memory, finds nothing wrong.

  test_kill_storm.py [--kills N] [--seed N]"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import test_kill_points as kit
from processes import kill
from test_kill_snapshots import Twin, end_processes

MOST = 5      # snapshots
LOOK = 4      # kills between two looks of the guest
JUDGE = 40    # and between two of qemu-img, and of all checksums
START_S = 60
UNTIL_S = 0.02  # a first guess at what takes how long


class Storm:
    def __init__(self, where, seed):
        self.twin = Twin(where)
        self.vm = self.twin.vm
        self.dice = random.Random(seed)
        self.took, self.log, self.names, self.outcomes = {}, [], 0, {}
        self.is_suspended = False  # that was said

    def start(self):
        """Again, as long as the kernel has not let go of the disks."""
        due = time.monotonic() + START_S
        if self.is_suspended:
            kit.check(self.vm.state() == "suspended", "it was suspended, and is not")
        self.is_suspended = False
        while True:
            done = subprocess.run([kit.AMBER, "start", "web"], env=self.vm.env, text=True,
                                  capture_output=True, timeout=120)
            if not done.returncode:
                break
            kit.check("in use" in done.stderr and time.monotonic() < due,
                      f"it can't be started: {done.stderr}")
            time.sleep(0.01)
        return json.loads(self.vm.amber("info", "--json", "web"))["pid"]

    def list(self):
        """{name: (ID, its parent's)}, the current one's name"""
        told = json.loads(self.vm.amber("snapshot", "list", "web", "--json"))
        kit.check(not told["damaged"], "half a set is there")
        names = {s["id"]: s["name"] for s in told["snapshots"]}
        return ({s["name"]: (s["id"], s["parent"]) for s in told["snapshots"]},
                names.get(told["current"], ""))

    @staticmethod
    def tree(there, name):
        """It and all that came from it."""
        found, more = set(), {name} & set(there)
        while more:
            found |= more
            ids = {there[n][0] for n in found}
            more = {n for n, (_, parent) in there.items() if parent in ids} - found
        return found

    def choose(self, there):
        """(command, names that may come, names that may go, name in it)"""
        self.names += 1
        new, old = f"s{self.names}", self.dice.choice(sorted(there))
        words = ["create"] * 4 + ["restore", "safely", "rewind", "suspend"] + ["delete"] * 2
        word = self.dice.choice(words if len(there) < MOST else ["delete"])
        if word == "create":
            how = self.dice.choice(((), ("--incremental",), ("--kind", "disk")))
            return ("snapshot", "create", "web", new, *how), {new}, set(), new
        if word in ("restore", "safely"):
            how = ("--no-safety",) if word == "restore" else ()
            return ("snapshot", "restore", "web", old, *how), {"web-pre-restore"}, set(), old
        if word == "delete":
            names = sorted(set(there) - {"base"}) or [new]
            name = self.dice.choice(names)
            return (("snapshot", "delete", "web", name, "--children"), set(),
                    self.tree(there, name), name)
        return (("snapshot", "rewind", "web") if word == "rewind" else ("suspend", "web"),
                set(), set(), "")

    def run(self, pid, command):
        """What it was, and True: it has said that it is done."""
        word = command[1] if command[0] == "snapshot" else command[0]
        usual = self.took.get(word, UNTIL_S)
        began = time.monotonic()
        child = subprocess.Popen([kit.AMBER, *command], env=self.vm.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(self.dice.random() * 1.3 * usual)
        except subprocess.TimeoutExpired:
            pass
        is_over = child.poll() is not None
        if is_over:
            self.took[word] = 0.9 * usual + 0.1 * (time.monotonic() - began)
        else:
            self.took[word] = 1.02 * usual
        kit.check(kill(pid) or word == "suspend", f"{command}: its process is gone")
        child.wait(60)
        self.outcomes.setdefault(word, [0, 0])[is_over] += 1
        return word, child.returncode == 0

    def kill(self, pid, before):
        """What is there then."""
        command, come, go, name = self.choose(before)
        self.log.append(" ".join(command))
        word, is_done = self.run(pid, command)
        after, current = self.list()
        gone, new = set(before) - set(after), set(after) - set(before)
        new = {n for n in new if not any(n.startswith(c) for c in come)}
        kit.check(gone <= go, f"lost: {gone - go}")
        kit.check(not new, f"where do {new} come from?")
        if is_done and word == "create":
            kit.check(current == name, f"{name} was taken, and is not there: {current}")
        if is_done and word == "restore":
            kit.check(current == name, f"went back to {name}, and is at {current}")
        if is_done and word == "delete":
            kit.check(not go & set(after), f"deleted, and there: {go & set(after)}")
        self.is_suspended = is_done and word == "suspend"
        return after

    def look(self):
        """The guest goes on where it is, and from one of the snapshots."""
        self.twin.goes_on()
        sets = self.twin.sets()
        name = self.dice.choice(sorted(sets))
        self.log.append(f"look {name}")
        self.vm.amber("snapshot", "restore", "web", name, "--no-safety")
        self.twin.goes_on()

    def judge(self):
        self.vm.amber("snapshot", "verify", "web")
        self.twin.await_layers()
        kit.check(not self.twin.left(), f"left behind: {self.twin.left()}")
        self.vm.amber("stop", "web")
        self.twin.images_are_whole()

    def blow(self, kills):
        names, _ = self.list()
        for n in range(1, kills + 1):
            pid = self.start()
            if n % LOOK == 0:
                self.look()
            if n % JUDGE == 0:
                self.judge()
                pid = self.start()
            names = self.kill(pid, names)
            if sys.stdout.isatty() or n % 500 == 0:
                print(f"{n} kills", end="\r" if sys.stdout.isatty() else "\n", flush=True)
        self.start()
        self.look()
        self.judge()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skip killed_at_any_time: /dev/kvm is missing or not writable")
        return 0
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
        storm = None
        try:
            storm = Storm(where, options.seed)
            storm.blow(options.kills)
        except (kit.Failed, subprocess.TimeoutExpired) as e:
            print(f"FAIL killed_at_any_time_it_lost_nothing: {e} (seed {options.seed}); before: " +
                  "; ".join(storm.log[-8:] if storm else []), flush=True)
            return 1
        finally:
            end_processes(where)
    told = ", ".join(f"{w} {sum(n)} ({n[0]} in the middle)" for w, n in storm.outcomes.items())
    print(f"ok   killed_at_any_time_it_lost_nothing ({options.kills} kills, seed "
          f"{options.seed}: {told})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
