# SPDX-License-Identifier: Apache-2.0
"""Runs the command line `amber` for tests: a home of its own for each test,
whose VMs are stopped and removed whatever happens. A test is a function
that takes a Home; its name is its promise."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from processes import kill, vmms  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, os.environ.get("OUT", "build"))
AMBER = os.path.join(OUT, "amber")
# Who only looks, again and again, needs no sanitizer, if there is such a build.
LOOKER = os.path.join(ROOT, "build", "amber")
if not os.path.exists(LOOKER):
    LOOKER = AMBER
TIMEOUT = 60


class Failed(Exception):
    pass


def check(what, text=""):
    if not what:
        raise Failed(text or "not true")


def equal(got, want, text=""):
    check(got == want, f"{text}: {got!r} is not {want!r}" if text else
          f"{got!r} is not {want!r}")


def guest(name):
    return os.path.join(ROOT, "build", "guests", name + ".elf")


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return self.out.splitlines()

    def __repr__(self):
        return f"status {self.status}\n{self.out}{self.err}"


class Home:
    """AMBER_HOME and AMBER_RUN in a new directory."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="amber-cli-")
        self.env = dict(os.environ, AMBER_HOME=self.dir + "/home",
                        AMBER_RUN=self.dir + "/run", TERM="xterm")
        self.children = []

    def amber(self, *args, status=0, stdin=None, timeout=TIMEOUT, cwd=None,
              preexec=None, program=AMBER):
        done = subprocess.run([program, *args], env=self.env, text=True,
                              input=stdin, capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL if stdin is None else None,
                              cwd=cwd, errors="replace", preexec_fn=preexec)
        result = Result(done)
        if status is not None:
            equal(result.status, status, f"amber {' '.join(args)}: {result}")
        return result

    def start(self, *args, **more):
        """A process of amber that goes on; ended with the home."""
        child = subprocess.Popen([AMBER, *args], env=self.env, text=True,
                                 stdin=more.pop("stdin", subprocess.DEVNULL),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.children.append(child)
        return child

    def terminal(self, *args):
        return Terminal(self, args)

    def path(self, *parts):
        return os.path.join(self.dir, "home", "vms", *parts)

    def state(self, name):
        return self.amber("info", "--json", name, program=LOOKER).json()["state"]

    def console(self, name):
        return self.amber("log", name, program=LOOKER).out

    def vmm_pids(self):
        return vmms(self.dir)

    def await_no_vmm(self):
        """The lock is let go before the process is gone: a sanitizer looks for
        leaks then, which takes its time on a busy machine."""
        due = time.monotonic() + 60
        while pids := self.vmm_pids():
            check(time.monotonic() < due, f"processes {pids} don't end")
            time.sleep(0.01)

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
        for pid in self.vmm_pids():
            kill(pid)
        shutil.rmtree(self.dir, ignore_errors=True)


class Terminal:
    """A process of amber on a terminal of its own."""

    def __init__(self, home, args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(AMBER, [AMBER, *args], home.env)
        self.text = ""
        self.status = None

    def read_some(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += piece.decode(errors="replace")
        return bool(piece)

    def await_text(self, text):
        due = time.monotonic() + TIMEOUT
        while text not in self.text:
            check(time.monotonic() < due, f"never saw {text!r}: {self.text!r}")
            if not self.read_some(1) and self.ended():
                raise Failed(f"ended without {text!r}: {self.text!r}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self):
        due = time.monotonic() + TIMEOUT
        while not self.ended():
            check(time.monotonic() < due, f"did not end: {self.text!r}")
            self.read_some(0.2)
        while self.read_some(0):
            pass
        return self.status

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Skipped(Exception):
    """The test can't be made here; says why."""


def skip(why):
    raise Skipped(why)


def has_kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def run(tests, needs_kvm=True):
    """Runs the tests, prints a line each; exits with 1 if one failed."""
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for test in tests:
        if needs_kvm and not has_kvm():
            print(f"skip {test.__name__}: /dev/kvm is missing or not writable",
                  flush=True)
            continue
        home = Home()
        try:
            test(home)
            print(f"ok   {test.__name__}", flush=True)
        except Skipped as e:
            print(f"skip {test.__name__}: {e}", flush=True)
        except Exception as e:  # whatever went wrong is a failed test
            failed = 1
            print(f"FAIL {test.__name__}: {e}", flush=True)
            if not isinstance(e, Failed):
                traceback.print_exc(file=sys.stdout)
        finally:
            home.close()
    sys.exit(failed)
