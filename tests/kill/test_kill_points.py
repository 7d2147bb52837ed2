# SPDX-License-Identifier: Apache-2.0
"""Killed at every named point (base/kill_point.h), at its first passing and
at later ones: the images are whole, nothing that was acknowledged is missing,
and doing it again finishes it. Every point in the source is passed by some
scenario."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from processes import await_end_of  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
OUT = os.path.join(ROOT, os.environ.get("OUT", "build/asan"))
AMBER = os.path.join(OUT, "amber")
# Who only looks, again and again, needs no sanitizer, if there is such a build.
LOOKER = os.path.join(ROOT, "build", "amber")
if not os.path.exists(LOOKER):
    LOOKER = AMBER
LAYERS = os.path.join(OUT, "kill_layers")
SMALL = ("-o", "cluster_size=512")


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(truth, text):
    if not truth:
        raise Failed(text)


def points(*layers):
    """All that are in the source."""
    found = set()
    for layer in layers:
        for name in os.listdir(os.path.join(ROOT, layer)):
            if name.endswith(".c"):
                with open(os.path.join(ROOT, layer, name)) as f:
                    found.update(re.findall(r'KILL_POINT\("([^"]+)"\)', f.read()))
    return found


def sh(where, *command, status=(0,)):
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=120)
    check(done.returncode in status, f"{command}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def amber(where, *args, kill=None, log=None, status=0):
    env = dict(os.environ)
    if kill:
        env["AMBER_KILL_AT"] = kill
    if log:
        env["AMBER_KILL_LOG"] = log
    done = subprocess.run([AMBER, "disk", *args], cwd=where, env=env, capture_output=True,
                          text=True, timeout=120)
    if status is not None:
        check(done.returncode == status, f"amber disk {args}: {done.returncode} {done.stderr}")
    return done.returncode


def flat(where, name, seed):
    with open(f"{where}/{name}", "wb") as f:
        for i in range(24):
            f.seek(i * 131072)
            f.write(bytes([seed + i]) * (40000 + 512 * i))
        f.truncate(4 << 20)


def stack(where, options=SMALL):
    """base <- mid <- top; flat.raw is what top shows."""
    flat(where, "b.raw", 1)
    sh(where, "qemu-img", "convert", "-O", "qcow2", *options, "b.raw", "base.qcow2")
    for name, below in (("mid", "base"), ("top", "mid")):
        sh(where, "qemu-img", "create", "-q", "-f", "qcow2", *options, "-b", f"{below}.qcow2",
           "-F", "qcow2", f"{name}.qcow2")
        sh(where, "qemu-io", "-c", f"write -P {len(below)} 100k 900k", "-c",
           f"write -P 9 {len(below)}00k 2M", f"{name}.qcow2")
    sh(where, "qemu-img", "convert", "-O", "raw", "top.qcow2", "flat.raw")


def wait_for_locks(where):
    """The kernel's workers let go a moment after the process is gone."""
    due = time.monotonic() + 60
    images = [n for n in os.listdir(where) if n.endswith(".qcow2")]
    while any(subprocess.run(["qemu-img", "info", n], cwd=where, capture_output=True).returncode
              for n in images):
        check(time.monotonic() < due, "the killed process's lock stays")


def whole(where, name, like=None):
    sh(where, "qemu-img", "check", "-q", "-f", "qcow2", name, status=(0, 3))
    if like:
        sh(where, "qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", name, like)


# Each: what is there before, the command, and what is true after a kill of it
# and after it was done again.

class Convert:
    command = ("convert", "-o", "cluster_size=512", "b.raw", "new.qcow2")

    def before(self, where):
        flat(where, "b.raw", 1)

    def after(self, where):
        names = set(os.listdir(where)) - {"b.raw", "new.qcow2", "log"}
        check(not names, f"left behind: {names}")
        if os.path.exists(f"{where}/new.qcow2"):
            whole(where, "new.qcow2", "b.raw")
            os.unlink(f"{where}/new.qcow2")

    def again(self, where):
        whole(where, "new.qcow2", "b.raw")


class Compress(Convert):
    command = ("convert", "-c", "b.raw", "new.qcow2")


class Commit:
    command = ("commit", "top.qcow2")

    def before(self, where):
        stack(where)

    def after(self, where):
        for name in ("base.qcow2", "mid.qcow2"):
            whole(where, name)
        whole(where, "top.qcow2", "flat.raw")

    def again(self, where):
        self.after(where)


class Stream(Commit):
    command = ("stream", "top.qcow2")

    def again(self, where):
        check("backing file" not in sh(where, "qemu-img", "info", "top.qcow2"), "it is not over")
        self.after(where)


class Rebase(Commit):
    command = ("rebase", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2")


class Resize:
    command = ("resize", "top.qcow2", "+90M")

    def before(self, where):
        flat(where, "b.raw", 3)
        sh(where, "qemu-img", "convert", "-O", "qcow2", *SMALL, "b.raw", "top.qcow2")

    def after(self, where):
        whole(where, "top.qcow2", "b.raw")

    def again(self, where):
        self.after(where)


class GrowOverLonger(Resize):
    """Its backing file is longer: nothing of it may show."""
    command = ("resize", "top.qcow2", "3M")

    def before(self, where):
        flat(where, "b.raw", 3)
        sh(where, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-b",
           "b.raw", "-F", "raw", "top.qcow2", "1M")
        with open(f"{where}/b.raw", "rb") as f, open(f"{where}/want.raw", "wb") as g:
            g.write(f.read(1 << 20))
            g.truncate(3 << 20)

    def after(self, where):
        whole(where, "top.qcow2")
        sh(where, "qemu-img", "convert", "-O", "raw", "top.qcow2", "now.raw")
        with open(f"{where}/now.raw", "rb") as f, open(f"{where}/want.raw", "rb") as g:
            now, want = f.read(), g.read()
        check(len(now) in (1 << 20, 3 << 20) and now == want[:len(now)], "the backing file shows")

    def again(self, where):
        whole(where, "top.qcow2", "want.raw")


class Write(Resize):
    """Data is the crash tests' business: here the tables are."""
    command = ("bench", "-w", "--block", "64K", "--count", "64", "top.qcow2")

    def before(self, where):
        sh(where, "qemu-img", "create", "-q", "-f", "raw", "b.raw", "9M")
        sh(where, "qemu-img", "create", "-q", "-f", "qcow2", *SMALL, "top.qcow2", "9M")

    def after(self, where):
        whole(where, "top.qcow2")


class Grow(Write):
    command = ("bench", "-w", "--block", "64K", "--count", "700", "top.qcow2")

    def before(self, where):
        sh(where, "qemu-img", "create", "-q", "-f", "qcow2", "-o",
           "cluster_size=512,refcount_bits=64", "top.qcow2", "45M")


class Apply:
    command = ("apply", "top.qcow2", "one")

    def before(self, where):
        flat(where, "b.raw", 3)
        sh(where, "qemu-img", "convert", "-O", "qcow2", *SMALL, "b.raw", "top.qcow2")
        sh(where, "qemu-img", "snapshot", "-c", "one", "top.qcow2")
        sh(where, "qemu-io", "-c", "write -P 77 500k 2M", "top.qcow2")
        sh(where, "qemu-img", "convert", "-O", "raw", "top.qcow2", "now.raw")

    def after(self, where):
        whole(where, "top.qcow2")
        same = [subprocess.run(["qemu-img", "compare", "-q", "-F", "raw", "top.qcow2", name],
                               cwd=where, capture_output=True).returncode == 0
                for name in ("now.raw", "b.raw")]
        check(any(same), "it is neither what it was nor what it is to be")
        sh(where, "qemu-img", "convert", "-l", "snapshot.name=one", "-O", "raw", "top.qcow2",
           "one.raw")
        sh(where, "cmp", "one.raw", "b.raw")

    def again(self, where):
        whole(where, "top.qcow2", "b.raw")


class Repair:
    command = ("check", "--repair", "--yes", "top.qcow2")

    def before(self, where):
        flat(where, "b.raw", 3)
        sh(where, "qemu-img", "convert", "-O", "qcow2", "b.raw", "top.qcow2")
        with open(f"{where}/top.qcow2", "r+b") as f:
            f.seek(48)
            table = int.from_bytes(f.read(8), "big")
            f.seek(table)
            f.write(bytes(8))

    def after(self, where):
        sh(where, "qemu-img", "compare", "-q", "-F", "raw", "top.qcow2", "b.raw")

    def again(self, where):
        whole(where, "top.qcow2", "b.raw")


SCENARIOS = (Convert, Compress, Commit, Stream, Rebase, Resize, GrowOverLonger, Write, Grow, Apply, Repair)


def passes(scenario, before):
    """The points that it passes."""
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
        shutil.copytree(before, where, dirs_exist_ok=True)
        amber(where, *scenario.command, log=f"{where}/log")
        with open(f"{where}/log") as f:
            found = f.read().split()
        scenario.again(where)
    return found


def kill_one(scenario, before, point):
    """False: it isn't passed so often."""
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
        shutil.copytree(before, where, dirs_exist_ok=True)
        status = amber(where, *scenario.command, kill=point, status=None)
        if status == 0:
            return False
        check(status == -signal.SIGKILL, f"status {status}")
        wait_for_locks(where)
        scenario.after(where)
        # What is done already has nothing left to do, and may say so.
        amber(where, *scenario.command, status=None)
        scenario.again(where)
    return True


def kill_at_each(scenario, before):
    kills, seen = 0, passes(scenario, before)
    for point in seen:
        for times in (1, 2, 5):
            try:
                if not kill_one(scenario, before, f"{point}:{times}"):
                    break
            except Failed as e:
                raise Failed(f"killed at {point}:{times}: {e}") from e
            kills += 1
    check(kills >= len(seen), f"{kills} kills at {len(seen)} points")
    return kills, seen


def kill_scenario(kind):
    """What is there before is made once, and copied for each kill."""
    scenario = kind()
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as before:
        scenario.before(before)
        return kill_at_each(scenario, before)


# --- layers that come and go -------------------------------------------------

def run_layers(where, *args, **env):
    return subprocess.run([LAYERS, where, *args], env=dict(os.environ, **env), capture_output=True,
                          text=True, timeout=120)


def judge_layers(where, said):
    """What it said is there, in the top it named and in one it may have put
    there without the time to say so."""
    model, top = bytearray(4 << 20), None
    for line in said.splitlines():
        word, *rest = line.split()
        if word == "wrote":
            at = int(rest[0]) * 512
            model[at:at + 65536] = bytes([int(rest[1])]) * 65536
        elif word == "top":
            top = rest[0]
    with open(f"{where}/model.raw", "wb") as f:
        f.write(model)
    images = [n for n in os.listdir(where) if n.endswith(".qcow2")]
    for name in images:
        whole(where, name)
    tops = {top} | {n for n in images if f"{n}" > f"{top}" or top == "base.raw"}
    for name in tops - {None}:
        # The write under way when it was killed may be there in part.
        shown = f"{where}/shown.raw"
        sh(where, "qemu-img", "convert", "-O", "raw", "-f", name.split(".")[1], name, shown)
        with open(shown, "rb") as f:
            got = f.read()
        last = max([int(v.split()[2]) for v in said.splitlines() if v.startswith("wrote")],
                   default=0) + 1
        wrong = [i for i in range(0, len(model), 512)
                 if got[i:i + 512] not in (bytes(model[i:i + 512]), bytes([last]) * 512)]
        check(not wrong, f"{name}: sectors {[w // 512 for w in wrong[:5]]} of {said}")


def judge_name(where, said):
    """The one name shows all that was said to be there; where a rewind was
    under way, that or the layer."""
    model, layers, other, last = bytearray(4 << 20), {}, None, 0
    for line in said.splitlines():
        word, *rest = line.split()
        if word == "wrote":
            at, last = int(rest[0]) * 512, int(rest[1])
            model[at:at + 65536] = bytes([last]) * 65536
        elif word == "push":
            layers[rest[0]] = bytes(model)
        elif word == "rewind":
            other = layers[rest[0]]
        elif word == "rewound":
            model, other = bytearray(other), None
    if "top" not in said:
        return
    for name in [n for n in layers if os.path.exists(f"{where}/{n}")]:
        whole(where, name)
    for name in re.findall("^pushed (.*)$", said, re.M):
        check(os.stat(f"{where}/{name}").st_mode & 0o777 == 0o444, f"{name} is not frozen")
    check(os.stat(f"{where}/disk.qcow2").st_mode & 0o200, "it can't be written")
    whole(where, "disk.qcow2")
    sh(where, "qemu-img", "convert", "-O", "raw", "disk.qcow2", "shown.raw")
    with open(f"{where}/shown.raw", "rb") as f:
        got = f.read()
    # The write under way when it was killed may be there in part.
    new = bytes([last + 1]) * 512
    wrong = [[i for i in range(0, len(m), 512) if got[i:i + 512] not in (m[i:i + 512], new)]
             for m in (bytes(model), other) if m]
    check(not min(wrong, key=len), f"sectors {[w[:3] for w in wrong]} of {said}")


def kill_layers(judge, *args):
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
        done = run_layers(where, *args, AMBER_KILL_LOG=f"{where}/log")
        check(done.returncode == 0 and "done" in done.stdout, done.stderr)
        judge(where, done.stdout)
        left = [n for n in os.listdir(where) if ".new." in n or ".old." in n]
        check(not left, f"left behind: {left}")
        with open(f"{where}/log") as f:
            seen = f.read().split()
    kills = 0
    for point in seen:
        for times in range(1, 30):
            with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
                done = run_layers(where, *args, AMBER_KILL_AT=f"{point}:{times}")
                if done.returncode == 0:
                    break
                check(done.returncode == -signal.SIGKILL, f"{point}: {done.stderr}")
                try:
                    judge(where, done.stdout)
                except Failed as e:
                    raise Failed(f"killed at {point}:{times}: {e}") from e
                kills += 1
    return kills, seen


# --- a VM that is put away ---------------------------------------------------

class Vm:
    """A tiny guest with a disk, whose amber-vmm is started with env."""

    def __init__(self, where):
        self.where = where
        self.env = dict(os.environ, AMBER_HOME=f"{where}/home", AMBER_RUN=f"{where}/run")

    def amber(self, *args, status=0, program=AMBER, **env):
        done = subprocess.run([program, *args], env=dict(self.env, **env), capture_output=True,
                              text=True, timeout=120)
        if status is not None:
            check(done.returncode == status, f"amber {args}: {done.returncode} {done.stderr}")
        return done.stdout

    def create(self):
        self.amber("disk", "create", f"{self.where}/d.qcow2", "8M")
        self.amber("create", "--name", "web", "--append", "period_ms=20", "--memory", "64M",
                   "--disk", f"{self.where}/d.qcow2",
                   os.path.join(ROOT, "build", "guests", "nonce.elf"))

    def look(self, *args):
        return self.amber(*args, program=LOOKER)

    def state(self):
        return json.loads(self.look("info", "--json", "web"))["state"]

    def await_end(self):
        """Killed, suspended or stopped."""
        await_end_of(f"{self.where}/home/vms/web")

    def is_whole(self):
        """Suspended in full or not at all, and it can be started."""
        state = self.state()
        check(state in ("suspended", "stopped"), state)
        whole(self.where, "d.qcow2")
        self.amber("start", "web")
        check(self.state() == "running", "it can't be started")
        left = [n for n in os.listdir(f"{self.where}/home/vms/web") if n == "suspend"]
        check(not left, "what was suspended is not used up")
        self.amber("stop", "web")
        return state


def kill_suspend():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skipped("/dev/kvm is missing or not writable")
    with tempfile.TemporaryDirectory(prefix="amber-kill-") as where:
        vm = Vm(where)
        vm.create()
        vm.amber("start", "web", AMBER_KILL_LOG=f"{where}/log")
        vm.amber("suspend", "web")
        with open(f"{where}/log") as f:
            seen = f.read().split()
        vm.is_whole()
        kills, states = 0, set()
        for point in seen:
            for times in (1, 2, 3):
                vm.amber("start", "web", AMBER_KILL_AT=f"{point}:{times}", status=None)
                vm.amber("suspend", "web", status=None)
                vm.await_end()
                states.add(vm.is_whole())
                kills += 1
    check(states == {"suspended", "stopped"}, f"only {states}")
    return kills, seen


def main():
    failed, skipped, seen = 0, False, set()
    tests = [(f"killed_{k.__name__.lower()}_loses_nothing", lambda k=k: kill_scenario(k))
             for k in SCENARIOS]
    tests.append(("killed_layers_lose_nothing", lambda: kill_layers(judge_layers)))
    tests.append(("killed_layers_below_a_name_lose_nothing",
                  lambda: kill_layers(judge_name, "under")))
    tests.append(("killed_vmm_has_suspended_in_full_or_not_at_all", kill_suspend))
    for name, test in tests:
        try:
            kills, passed = test()
            seen.update(passed)
            print(f"ok   {name} ({kills} kills at {len(passed)} points)", flush=True)
        except Skipped as e:
            skipped = True
            print(f"skip {name}: {e}", flush=True)
        except Failed as e:
            failed = 1
            print(f"FAIL {name}: {e}", flush=True)
    # Those of snapshots but suspend's are test_kill_snapshots.py's.
    missed = points("disk") - seen - {"restore-kept", "restore-named", "layer-merged"}
    if missed and not skipped:
        failed = 1
        print(f"FAIL every_point_is_passed: not {', '.join(sorted(missed))}")
    else:
        print(f"ok   every_point_is_passed ({len(seen)})")
    sys.exit(failed)


if __name__ == "__main__":
    shutil.which("qemu-img") or sys.exit("qemu-img is missing")
    main()
