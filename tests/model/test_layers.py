# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a running VM, taken, gone back to and deleted at random, its
process killed in between, against a model of what there must be: no file is
lost, none is missing, every snapshot can be gone back to, and in the end one
file per disk is left.

  test_layers.py [--seconds N] [--seed N]
"""

import argparse
import os
import random
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "cli"))
from harness import Failed, Home, check, equal, has_kvm  # noqa: E402
from layers import Twin  # noqa: E402
from processes import kill  # noqa: E402

NAME = "layers_are_what_the_model_says"
MOST = 6  # snapshots at a time


class Model:
    """Names and parents, by name."""

    def __init__(self):
        self.parent, self.current = {}, None

    def create(self, name):
        self.parent[name] = self.current
        self.current = name

    def restore(self, name):
        self.current = name

    def delete(self, name):
        for other, parent in self.parent.items():
            if parent == name:
                self.parent[other] = self.parent[name]
        if self.current == name:
            self.current = self.parent[name]
        del self.parent[name]

    def tree(self, name):
        """It and all that came from it."""
        found = {name}
        while True:
            more = {n for n, p in self.parent.items() if p in found} | found
            if more == found:
                return found
            found = more

    def read(self, twin):
        """After a kill: what there is is what there is."""
        there = twin.snapshot("list", "--json").json()
        by_id = {s["id"]: s["name"] for s in there["snapshots"]}
        self.parent = {s["name"]: by_id.get(s["parent"]) for s in there["snapshots"]}
        self.current = by_id.get(there["current"])

    def check(self, twin, decided=None):
        """decided: where a restore may have led that was killed."""
        mine = (dict(self.parent), self.current)
        self.read(twin)
        if decided and self.current == decided:
            mine = (mine[0], decided)
        equal((self.parent, self.current), mine)
        twin.check_layers()


class Run:
    def __init__(self, home, seed):
        self.home, self.dice = home, random.Random(seed)
        self.twin, self.model = Twin(home, 24), Model()
        self.count, self.log, self.known = 0, [], set()

    def name(self):
        self.count += 1
        return f"s{self.count}"

    def any(self):
        return self.dice.choice(sorted(self.model.parent))

    def choose(self):
        """Arguments of `amber snapshot`, and what the model makes of them."""
        model, dice = self.model, self.dice
        what = dice.choice(["create"] * 4 + ["restore"] * 2 + ["rewind", "children"] +
                           ["delete"] * 4)
        if not model.parent or (what == "create" and len(model.parent) < MOST):
            name = self.name()
            return ("create", name), lambda: model.create(name)
        if what == "rewind" and model.current:
            # A layer of a snapshot that went may be between.
            return ("rewind",), lambda: None
        name = self.any()
        if what == "restore":
            return ("restore", name, "--no-safety"), lambda: model.restore(name)
        if what == "children":
            def forget():
                for n in model.tree(name):
                    model.delete(n)
            return ("delete", name, "--children"), forget
        return ("delete", name), lambda: model.delete(name)

    def do(self):
        args, then = self.choose()
        self.log.append(args)
        done = self.twin.snapshot(*args, status=None)
        if args[0] == "rewind" and done.status == 1:
            check("is not what" in done.err or "has no memory" in done.err, done)
            return
        equal(done.status, 0, f"{args}: {done}")
        then()
        self.model.check(self.twin)

    def kill(self):
        before = set(self.model.parent)
        args, _ = self.choose()
        gone = self.model.tree(args[1]) if args[0] == "delete" else set()
        self.log.append((*args, "kill -9"))
        pid = self.twin.pid()
        child = self.home.start("snapshot", args[0], "twin", *args[1:])
        time.sleep(self.dice.random() * 0.15)
        check(kill(pid), "its process is gone")
        child.wait(30)
        self.model.read(self.twin)
        names = set(self.model.parent)
        check(before - gone <= names <= before | set(args[1:2]), f"{args}: {before} became {names}")
        self.twin.check_layers()
        # It is finished by the start when it was decided before the kill.
        self.twin.start()
        self.model.check(self.twin, args[1] if args[0] == "restore" else None)

    def stop(self):
        self.log.append(("stop",))
        self.twin.stop()
        if self.model.parent and self.dice.random() < 0.5:
            name = self.any()
            self.log.append(("delete", name))
            self.twin.snapshot("delete", name)
            self.model.delete(name)
        self.twin.judge()
        self.twin.start()

    def step(self):
        dice = self.dice.random()
        if dice < 0.12:
            self.kill()
        elif dice < 0.17:
            self.stop()
        else:
            self.do()

    def end(self):
        """All that is left can be gone back to; then nothing is left."""
        for name in sorted(self.model.parent):
            self.twin.snapshot("restore", name, "--no-safety")
            self.twin.run_on()
        for name in self.dice.sample(sorted(self.model.parent), len(self.model.parent)):
            self.twin.snapshot("delete", name)
        self.twin.await_layers(0)
        self.twin.run_on()
        self.twin.stop()
        self.twin.judge()
        self.twin.check_guest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not has_kvm():
        print(f"skip {NAME}: /dev/kvm is missing or not writable")
        return 0
    home = Home()
    run = Run(home, options.seed)
    due = time.monotonic() + options.seconds
    try:
        run.twin.start()
        while time.monotonic() < due:
            run.step()
        run.end()
    except Exception as e:
        print(f"FAIL {NAME}: seed {options.seed}: {e}")
        print("\n".join(" ".join(args) for args in run.log))
        for words in (("log", "twin"), ("log", "twin", "--crash"), ("journal", "-n", "25", "twin")):
            done = home.amber(*words, status=None)
            print(f"amber {' '.join(words)}: {done.out[-4000:]}{done.err}")
        if not isinstance(e, Failed):
            traceback.print_exc(file=sys.stdout)
        return 1
    finally:
        home.close()
    print(f"ok   {NAME} ({len(run.log)} steps, seed {options.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
