# SPDX-License-Identifier: Apache-2.0
"""A VM with two disks whose layers come and go, and what must be true of its
files: for tests of `amber snapshot delete`."""

import json
import os
import re
import subprocess
import time

from harness import Failed, check, equal, guest

GUEST_BYTES = 1 << 20  # what blk-twin writes to, of each disk
MIB = 1 << 20


class Twin:
    """blk-twin on a.qcow2 and b.qcow2, with bytes of their own above what the
    guest writes."""

    def __init__(self, home, mib=8, name="twin"):
        self.home, self.name = home, name
        self.disks = [f"{home.dir}/{n}.qcow2" for n in "ab"]
        for disk in self.disks:
            raw = disk.replace(".qcow2", ".raw")
            with open(raw, "wb") as f:
                f.write(os.urandom(mib * MIB // 2))
                f.truncate(mib * MIB)
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
        home.amber("create", "--name", name, "--append", "steps=0 disks=2", "--memory", "64M",
                   *(w for d in self.disks for w in ("--disk", d)),
                   guest("blk-twin"))

    def snapshot(self, *args, **more):
        return self.home.amber("snapshot", args[0], self.name, *args[1:], **more)

    def start(self):
        self.home.amber("start", self.name)

    def stop(self):
        self.home.amber("stop", self.name)

    def sets(self):
        there = self.snapshot("list", "--json").json()
        equal(there["damaged"], 0)
        return there["snapshots"]

    def unused(self):
        try:
            with open(self.home.path(self.name, "snapshots", "unused"), encoding="utf-8") as f:
                return {one["layer"] for one in json.load(f)["layers"]}
        except FileNotFoundError:
            return set()

    def layers(self):
        """Files with names of layers that are there."""
        return {f"{self.home.dir}/{n}" for n in os.listdir(self.home.dir)
                if re.fullmatch(r"[ab]\.[0-9a-f]{8}\.qcow2", n)}

    def check_layers(self):
        """Each that a set names is there; each that is there is known."""
        named = {d["layer"] for s in self.sets() for d in s["disks"] if "layer" in d}
        there = self.layers()
        check(named <= there, f"missing: {named - there}")
        check(there <= named | self.unused(), f"lost: {there - named - self.unused()}")

    def await_layers(self, count, seconds=60):
        """Of each disk: as many layers beside its own file."""
        due = time.monotonic() + seconds
        while len(self.layers()) != count * len(self.disks) or (not count and self.unused()):
            if time.monotonic() > due:
                raise Failed(f"{sorted(self.layers())}, unused {self.unused()}: "
                             f"not {count} each; {self.journal()[-5:]}")
            time.sleep(0.02)

    def journal(self, kind="layers"):
        """What it says of this kind; a line that is being written doesn't count."""
        with open(self.home.path(self.name, "logs", "journal.jsonl"), encoding="utf-8") as f:
            lines = [line for line in f if line.endswith("\n")]
        return [r["text"] for r in map(json.loads, lines) if r["kind"] == kind]

    def check_guest(self):
        log = self.home.console(self.name)
        check("FAIL" not in log and not re.search("bad=[1-9]", log), log[-2000:])

    def run_on(self, lines=1):
        """The guest compares some more, and finds nothing wrong."""
        known = self.home.console(self.name).count("bad=0")
        due = time.monotonic() + 60
        while self.home.console(self.name).count("bad=0") < known + lines:
            check(time.monotonic() < due, "the guest stands")
            self.check_guest()
            time.sleep(0.02)
        self.check_guest()

    def judge(self):
        """QEMU's word on all files; what nobody wrote to is what it was."""
        for disk in self.disks:
            for image in [disk, *(n for n in self.layers() if n.startswith(disk[:-5]))]:
                done = subprocess.run(["qemu-img", "check", "-q", image], capture_output=True,
                                      text=True)
                if done.returncode not in (0, 3):  # 3: leaked, by a kill
                    raise Failed(f"{image}: {done.stdout}{done.stderr}")
            shown, raw = f"{disk}.shown", disk.replace(".qcow2", ".raw")
            subprocess.run(["qemu-img", "convert", "-O", "raw", disk, shown], check=True)
            equal(subprocess.run(["cmp", "-i", str(GUEST_BYTES), shown, raw]).returncode, 0, disk)
            os.unlink(shown)

    def pid(self):
        found = self.home.vmm_pids()
        return found[0] if found else None
