# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a guest with two disks, whose process is killed at each named
point while it takes one, goes back to one or deletes one. The guest checks
both disks against a model in its memory: after a restore it finds out when
disks and memory aren't of one moment."""

import json
import os
import re
import sys
import tempfile
import time

import test_kill_points as kit
import processes

NAMES = ("a", "b")
LEFT = re.compile(r"\.(new|was|old|gone|tmp)(\.|$)|^restoring$")


class Twin:
    """Its VM."""

    def __init__(self, where):
        self.where = where
        self.vm = kit.Vm(where)
        for name in NAMES:
            self.vm.amber("disk", "create", self.disk(name), "8M")
        self.vm.amber("create", "--name", "web", "--memory", "64M", "--append",
                      "steps=0 disks=2 sectors=512",
                      *[w for n in NAMES for w in ("--disk", self.disk(n))],
                      os.path.join(kit.ROOT, "build", "guests", "blk-twin.elf"))
        self.store = f"{where}/home/vms/web/snapshots"
        self.vm.amber("start", "web")
        self.goes_on()
        self.vm.amber("snapshot", "create", "web", "base")
        self.vm.amber("stop", "web")

    def disk(self, name):
        return f"{self.where}/{name}.qcow2"

    def tops(self):
        return [os.stat(self.disk(n)).st_ino for n in NAMES]

    def sets(self):
        there = json.loads(self.vm.amber("snapshot", "list", "web", "--json"))
        kit.check(not there["damaged"], "half a set is there")
        return {s["name"]: s for s in there["snapshots"]}

    def await_layers(self):
        """Until unused ones are gone, or the VM's process is."""
        due = time.monotonic() + 60
        while os.path.exists(f"{self.store}/unused") and self.vm.state() == "running":
            kit.check(time.monotonic() < due, "layers stay")
            time.sleep(0.02)

    def left(self):
        """What stays: its process may be about to rename a list of layers."""
        due = time.monotonic() + 30
        while True:
            found = [n for d in (self.where, self.store) for n in os.listdir(d) if LEFT.search(n)]
            if not found or time.monotonic() > due:
                return found
            time.sleep(0.02)

    def goes_on(self):
        """Another thousand steps, and none of them found a difference."""
        def lines():
            return re.findall(r"^steps=\d+ bad=(\d+)", self.vm.look("log", "web"), re.M)
        known, due = len(lines()), time.monotonic() + 60
        while len(found := lines()) <= known:
            kit.check(time.monotonic() < due, "the guest stands")
            time.sleep(0.02)
        kit.check(set(found[known:]) == {"0"}, "disks and memory aren't of one moment")

    def images_are_whole(self):
        kit.wait_for_locks(self.where)
        for name in os.listdir(self.where):
            if name.endswith(".qcow2"):
                kit.whole(self.where, name)

    def is_whole(self, before, changes):
        """changes: the disks' tops may be others now, both or none."""
        self.images_are_whole()
        sets = self.sets()
        kit.check("base" in sets, "a set is lost")
        self.vm.amber("start", "web")
        same = [a == b for a, b in zip(before, self.tops())]
        kit.check(not changes or len(set(same)) == 1, f"disks of two moments: {same}")
        kit.check(self.vm.state() == "running", "it can't be started")
        kit.check(not self.left(), f"left behind: {self.left()}")
        for name in sorted(sets, key=lambda n: n == "base"):
            self.vm.amber("snapshot", "restore", "web", name, "--no-safety")
            self.goes_on()
        for name in sets:
            if name != "base":
                self.vm.amber("snapshot", "delete", "web", name)
        self.await_layers()
        self.vm.amber("stop", "web")
        images = [n for n in os.listdir(self.where) if n.endswith(".qcow2")]
        kit.check(len(images) == 2 * len(NAMES), f"layers: {images}")
        kit.check(not self.left(), f"left behind in the end: {self.left()}")
        self.images_are_whole()


class Create:
    """Of a guest that runs."""
    changes = False  # the disks' tops
    times = 2        # passings of a point: one for each disk
    points = ""      # only those that begin so

    def before(self, twin, **env):
        twin.vm.amber("start", "web", status=None, **env)

    def run(self, twin):
        twin.vm.amber("snapshot", "create", "web", "new", status=None)


class CreateDisk(Create):
    times = 1
    points = "snapshot-"

    def run(self, twin):
        twin.vm.amber("snapshot", "create", "web", "new", "--kind", "disk", status=None)


class Restore(Create):
    changes = True

    def run(self, twin):
        twin.vm.amber("snapshot", "restore", "web", "base", "--no-safety", status=None)


class RestoreSafely(Create):
    """Two layers change: what is between them is a set of its own."""
    times = 1
    points = "restore-"

    def run(self, twin):
        twin.vm.amber("snapshot", "restore", "web", "base", status=None)


class RestoreStopped:
    changes = True
    times = 1
    points = "restore-"

    def before(self, twin, **env):
        self.env = env

    def run(self, twin):
        twin.vm.amber("snapshot", "restore", "web", "base", "--no-safety", status=None, **self.env)


class Rewind(Create):
    changes = True

    def run(self, twin):
        twin.vm.amber("snapshot", "rewind", "web", status=None)


class Delete(Create):
    """And its layers, with one that goes into the next."""
    times = 1
    points = ("snapshot-", "remove-", "layer-", "merge-", "stream-")

    def before(self, twin, **env):
        twin.vm.amber("snapshot", "restore", "web", "base", "--no-safety")
        twin.vm.amber("snapshot", "create", "web", "one")
        twin.vm.amber("snapshot", "create", "web", "two")
        twin.vm.amber("stop", "web")
        super().before(twin, **env)

    def run(self, twin):
        twin.vm.amber("snapshot", "delete", "web", "one", status=None)
        twin.await_layers()


class DeleteStopped(Delete):
    def before(self, twin, **env):
        super().before(twin)
        twin.vm.amber("stop", "web")
        self.env = env

    def run(self, twin):
        twin.vm.amber("snapshot", "delete", "web", "one", status=None, **self.env)


class Branch(RestoreStopped):
    """Another VM from it: of which nothing is seen, or all."""
    changes = False
    times = 2
    points = "branch-"

    def run(self, twin):
        twin.vm.amber("snapshot", "restore", "web", "base", "--as", "two", status=None, **self.env)
        there = [n for n in os.listdir(f"{twin.where}/home/vms") if not n.startswith(".new-")]
        kit.check(there == ["web"] or sorted(there) == ["two", "web"], f"there: {there}")
        if "two" in there:
            twin.vm.amber("snapshot", "verify", "two")
            twin.vm.amber("delete", "-f", "two")


SCENARIOS = (Create, CreateDisk, Restore, RestoreSafely, RestoreStopped, Rewind, Delete,
             DeleteStopped, Branch)


def once(twin, scenario, **env):
    scenario.before(twin, **env)
    before = twin.tops()
    scenario.run(twin)
    twin.vm.amber("stop", "web", status=None)
    twin.vm.await_end()
    return before


def passes(twin, scenario):
    """The points that it passes."""
    log = f"{twin.where}/log"
    open(log, "w").close()
    before = once(twin, scenario, AMBER_KILL_LOG=log)
    with open(log) as f:
        seen = f.read().split()
    twin.is_whole(before, False)
    return seen


def kill(twin, scenario, point):
    before = once(twin, scenario, AMBER_KILL_AT=point)
    try:
        twin.is_whole(before, scenario.changes)
    except kit.Failed as e:
        raise kit.Failed(f"killed at {point}: {e}") from e


def is_tried(scenario, point):
    """What the guest's own writes pass is no other in each scenario."""
    return point.startswith(scenario.points) and (
        scenario is Create or not point.startswith("qcow2-"))


def kill_scenario(scenario):
    kills = 0
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
        try:
            twin = Twin(where)
            points = passes(twin, scenario())
            for point in [p for p in points if is_tried(scenario, p)]:
                for times in range(1, scenario.times + 1):
                    kill(twin, scenario(), f"{point}:{times}")
                    kills += 1
        finally:
            end_processes(where)
    return kills, points


def end_processes(where):
    """Of a scenario that failed."""
    for pid in processes.vmms(where):
        processes.kill(pid)


def main():
    failed, seen = 0, set()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skip killed_snapshots: /dev/kvm is missing or not writable")
        return 0
    for scenario in SCENARIOS:
        name = f"killed_{scenario.__name__.lower()}_leaves_all_or_nothing"
        try:
            kills, points = kill_scenario(scenario)
            seen.update(points)
            print(f"ok   {name} ({kills} kills at {len(points)} points)", flush=True)
        except kit.Failed as e:
            failed = 1
            print(f"FAIL {name}: {e}", flush=True)
    # suspend's are test_kill_points.py's
    missed = {p for p in (kit.points("snapshot") | kit.points("clone")) - seen if not p.startswith("suspend-")}
    print(f"FAIL every_point_is_passed: not {', '.join(sorted(missed))}" if missed else
          f"ok   every_point_is_passed ({len(seen)})")
    return failed or bool(missed)


if __name__ == "__main__":
    sys.exit(main())
