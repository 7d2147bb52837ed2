# SPDX-License-Identifier: Apache-2.0
"""VMs whose snapshots are measured: amber's with their directories, and QEMU's
microvm over QMP. Files are beside the build, on the disk that is measured."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time

from fleet import Socket
from peers import BENCH, OUT, QEMU, CantMeasure, guest, qemu_command

LIMIT_S = 120


class Home:
    """A directory for VMs and files."""

    def __enter__(self):
        os.makedirs(BENCH, exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="snap-", dir=BENCH)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __call__(self, name):
        return os.path.join(self.dir, name)

    def create(self, name, kernel, mib, append):
        done = subprocess.run(
            [os.path.join(OUT, "amber"), "create", "--name", name, "--memory", f"{mib}M",
             "--append", append, guest(kernel)], capture_output=True, text=True,
            env={**os.environ, "AMBER_HOME": self.dir}, timeout=LIMIT_S)
        if done.returncode:
            raise CantMeasure(f"amber create: {done.stderr.strip()}")
        return self(f"vms/{name}")


def vmm(where, *more):
    """Starts the VM of that directory; the socket's path is short enough there."""
    return [os.path.join(OUT, "amber-vmm"), "--dir", where, "--socket",
            os.path.join(where, "api.sock"), *more]


def restores(where, snapshot):
    """For `launch`: the first byte comes when the VM runs. It ends by itself, should
    `launch` be killed before it."""
    return vmm(where, "--from", snapshot, "--notify-fd", "1", "--console", "none", "--timeout",
               str(LIMIT_S))


def said(ready):
    """What a VMM wrote to --notify-fd."""
    if not select.select([ready], [], [], LIMIT_S)[0]:
        raise CantMeasure(f"amber-vmm: nothing in {LIMIT_S} s")
    return os.read(ready, 200).decode()


class Process:
    """A VMM and the console on its standard output; killed when it is closed."""

    def __init__(self, command, **more):
        self.text, self.began = "", time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def why(self):
        self.process.kill()
        return self.process.stderr.read().decode(errors="replace").strip()

    def until(self, pattern):
        """Reads the console until it has shown this; the match. What is behind it
        is kept for the next time."""
        due = time.monotonic() + LIMIT_S
        while not (found := re.search(pattern, self.text)):
            out = self.process.stdout.fileno()
            left = due - time.monotonic()
            piece = left > 0 and select.select([out], [], [], left)[0] and os.read(out, 65536)
            if not piece:
                raise CantMeasure(f"{self.process.args[0]}: no {pattern} in {self.text[-200:]!r} "
                                  f"{self.why()}")
            self.text += piece.decode(errors="replace")
        self.text = self.text[found.end():]
        return found

    def forget(self):
        """Drops what the console has shown up to now."""
        out = self.process.stdout.fileno()
        while select.select([out], [], [], 0)[0] and os.read(out, 65536):
            pass
        self.text = ""

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Amber(Process):
    """A VM of a directory, which runs."""

    def __init__(self, where, *more):
        self.dir, self.sock = where, os.path.join(where, "api.sock")
        self.connection = Socket(self.sock)
        ready, theirs = os.pipe()
        try:
            try:
                super().__init__(vmm(where, "--console", "stdio", "--notify-fd", str(theirs),
                                     *more), pass_fds=[theirs])
            finally:
                os.close(theirs)
            self._must_run(ready)
        finally:
            os.close(ready)

    def _must_run(self, ready):
        try:
            if not (line := said(ready)).startswith("running"):
                raise CantMeasure(f"amber-vmm: {line.strip()} {self.why()}")
        except BaseException:
            self.close()
            raise

    def ask(self, method, target, body=None):
        """(the answer, milliseconds); the connection is kept."""
        began = time.monotonic()
        self.connection.request(method, target, json.dumps(body) if body is not None else None)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        took = (time.monotonic() - began) * 1e3
        if answer.status != 200:
            raise CantMeasure(f"{target}: {answer.status} {text}")
        return json.loads(text), took

    def command(self, what, **arguments):
        return self.ask("POST", f"/v1/vm/{what}", arguments or None)

    def take(self, **arguments):
        """(the set that was taken, milliseconds)"""
        done, took = self.command("snapshot", **arguments)
        return done["snapshot"], took

    def drop(self, taken):
        self.command("snapshot/delete", snapshot=taken["id"])

    def stills(self, count):
        """Microseconds of the moments that the guest stood still, once so many are
        in the journal, which is written behind the replies."""
        due = time.monotonic() + LIMIT_S
        while time.monotonic() < due:
            with open(os.path.join(self.dir, "logs/journal.jsonl"), encoding="utf-8") as f:
                lines = [line for line in f if '"kind":"still"' in line]
            if len(lines) >= count and lines[-1].endswith("\n"):
                return [json.loads(line)["duration_us"] for line in lines]
            time.sleep(0.01)
        raise CantMeasure(f"the journal has not {count} moments of stillness")

    def close(self):
        self.connection.close()
        super().close()


class Qemu(Process):
    """microvm; it connects to our monitor, so that nothing has to wait for its."""

    def __init__(self, home, kernel, mib, append, *more, machine=""):
        if not QEMU:
            raise CantMeasure("qemu-system-x86_64 is not installed")
        path = home("qmp.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(LIMIT_S)
            command = qemu_command(kernel, mib, append, "-qmp", f"unix:{path}", *more)
            command[2] += machine
            super().__init__(command)
            self.connection = self.qmp = None
            try:
                self._accept(listener)
            except BaseException:
                self.close()
                raise
            finally:
                os.unlink(path)

    def _accept(self, listener):
        while not select.select([listener], [], [], 0.05)[0]:
            if self.process.poll() is not None:
                raise CantMeasure(f"QEMU: {self.why()}")
        self.connection = listener.accept()[0]
        self.connection.settimeout(LIMIT_S)
        self.qmp = self.connection.makefile("rw", encoding="utf-8")
        self.events = []
        self._read()  # the greeting
        self.ask("qmp_capabilities")

    def _read(self):
        line = self.qmp.readline()
        if not line:
            raise CantMeasure(f"QEMU has ended: {self.why()}")
        return json.loads(line)

    def ask(self, command, **arguments):
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp.flush()
        return self._answer(command)

    def _answer(self, command):
        while True:
            line = self._read()
            if "return" in line:
                return line["return"]
            if "error" in line:
                raise CantMeasure(f"QEMU {command}: {line['error']['desc']}")
            self.events.append(line)

    def until_event(self, name, **data):
        """Waits for it: {name: microseconds} of it and what came before."""
        seen = {}
        while True:
            e = self.events.pop(0) if self.events else self._read()
            if "event" not in e:
                raise CantMeasure(f"QEMU says {e}")
            at = e["timestamp"]
            seen[e["event"]] = at["seconds"] * 10**6 + at["microseconds"]
            if e.get("data", {}).get("status") == "failed":
                raise CantMeasure("QEMU: the migration has failed")
            if e["event"] == name and data.items() <= e.get("data", {}).items():
                return seen

    def can(self, *names):
        self.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.ask("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in ("events", *names)])

    def human(self, line):
        """Milliseconds of a command of the human monitor, which says only errors."""
        began = time.monotonic()
        text = self.ask("human-monitor-command", **{"command-line": line})
        if text:
            raise CantMeasure(f"QEMU {line}: {text.strip()}")
        return (time.monotonic() - began) * 1e3

    def migrate(self, path):
        """Into a file, and onto the disk: (milliseconds, events meanwhile). QEMU
        writes it itself: a `cat` may not be done when the migration is."""
        if os.path.exists(path):
            os.unlink(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            socket.send_fds(self.connection, [b'{"execute": "getfd", "arguments": '
                                              b'{"fdname": "out"}}\n'], [fd])
            self._answer("getfd")
            self.events = []
            began = time.monotonic()
            self.ask("migrate", uri="fd:out")
            seen = self.until_event("MIGRATION", status="completed")
            os.fsync(fd)
            return (time.monotonic() - began) * 1e3, seen
        finally:
            os.close(fd)

    def incoming(self, path):
        """Milliseconds from its start until it runs; it was started with
        -incoming defer."""
        self.events = []
        self.ask("migrate-incoming", uri=f"exec:cat {path}")
        self.until_event("RESUME")
        return (time.monotonic() - self.began) * 1e3

    def close(self):
        for f in (self.qmp, self.connection):
            if f:
                f.close()
        super().close()


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
