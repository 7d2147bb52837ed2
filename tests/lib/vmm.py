# SPDX-License-Identifier: Apache-2.0
"""A real amber-vmm with a tiny guest, steered over its socket by a test. Its
process is killed and its files are removed when it is closed."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

import storm

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, os.environ.get("OUT", "build"))
TIMEOUT_S = 60
IDLE_S = 2


def has_kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


class _Connection(http.client.HTTPConnection):
    """A new one when it was not used for long: the server ends it after 5 s."""

    def __init__(self, path):
        super().__init__("amber", timeout=TIMEOUT_S)
        self._path = path
        self._used = time.monotonic()

    def request(self, *args, **more):
        if time.monotonic() - self._used > IDLE_S:
            self.close()
        super().request(*args, **more)

    def getresponse(self):
        answer = super().getresponse()
        self._used = time.monotonic()
        return answer

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def run_once(command, **more):
    """subprocess.run() of an amber-vmm that ends with its guest; in a storm, if
    there is one."""
    if not storm.now():
        return subprocess.run(command, **more)
    more["timeout"] = storm.patience(more.get("timeout", TIMEOUT_S))
    where = tempfile.mkdtemp(prefix="amber-once-")
    path = os.path.join(where, "api.sock")
    ready, theirs = os.pipe()

    def connect():
        os.read(ready, 200)  # ends with the process, too
        return _Connection(path)

    try:
        squall = storm.now().over(connect)
        try:
            return subprocess.run([*storm.with_words(command), "--socket", path, "--notify-fd", str(theirs)],
                                  pass_fds=[theirs], **more)
        finally:
            os.close(theirs)
            wrong = squall.end()
            if wrong:
                raise AssertionError(wrong)
    finally:
        os.close(ready)
        shutil.rmtree(where, ignore_errors=True)


class Vmm:
    """options: more of amber-vmm's; the VM waits for its start command. A storm
    (storm.py) begins over it when it is made."""

    def __init__(self, guest, *options):
        self.dir = tempfile.mkdtemp(prefix="amber-model-")
        self.path = os.path.join(self.dir, "api.sock")
        ready, theirs = os.pipe()
        if storm.now():
            options = storm.with_words(options)
        self.process = subprocess.Popen(
            [os.path.join(OUT, "amber-vmm"), "--kernel",
             os.path.join(ROOT, "build", "guests", guest + ".elf"), "--socket", self.path,
             "--no-start", "--console", "none", "--on-poweroff", "stop",
             "--notify-fd", str(theirs), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, pass_fds=[theirs])
        os.close(theirs)
        os.read(ready, 200)
        os.close(ready)
        self.connection = _Connection(self.path)
        self.squall = None
        if storm.now():
            self.squall = storm.now().over(lambda: _Connection(self.path))

    def ask(self, method, target, body=None):
        """(status, parsed answer); the connection is kept."""
        self.connection.request(method, target,
                                json.dumps(body) if body is not None else None)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text)

    def attach(self, query=""):
        """The console as a raw socket, behind the answer's head."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(TIMEOUT_S)
        s.connect(self.path)
        s.sendall(f"GET /v1/vm/console/attach{query} HTTP/1.1\r\nHost: amber\r\n"
                  "Connection: Upgrade\r\nUpgrade: amber-console\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1)
        if b" 101 " not in head:
            raise AssertionError(head)
        return s

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
        return 0

    def calm(self):
        """The storm over it ends; fails with what it found."""
        wrong = self.squall.end() if self.squall else None
        self.squall = None
        if wrong:
            raise AssertionError(wrong)

    def close(self):
        self.connection.close()
        self.process.kill()
        if self.squall:
            self.squall.end()
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.calm()
        finally:
            self.close()
