# SPDX-License-Identifier: Apache-2.0
"""The programs that are measured side by side: how each is started, and what
it costs in memory. A Running one is killed and reaped when it is closed."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, "build")
BENCH = os.path.join(OUT, "bench")
QEMU = shutil.which("qemu-system-x86_64")
LKVM = shutil.which("lkvm") or shutil.which("kvmtool")
START_S = 20


class CantMeasure(Exception):
    pass


def guest(name):
    return os.path.join(OUT, "guests", name + ".elf")


def amber_command(kernel, mib=128, append="", *more):
    return [os.path.join(OUT, "amber-vmm"), "--kernel", guest(kernel), "--memory",
            f"{mib}M", "--append", append or "x", *more]


def amber_once(kernel, mib=128, append=""):
    return amber_command(kernel, mib, append, "--once", "--console", "stdio")


def bare_command(kernel, mib=128, append="", *more):
    return [os.path.join(BENCH, "bare"), "--memory", str(mib), "--append",
            append or "x", *more, guest(kernel)]


def qemu_command(kernel, mib=128, append="", *more):
    """QEMU's smallest x86 machine; the CPU flag is for hosts that lack it."""
    return [QEMU, "-M", "microvm,isa-serial=on", "-accel", "kvm", "-cpu",
            "host,-arch-capabilities", "-m", str(mib), "-smp", "1", "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", guest(kernel),
            "-append", append or "x", *more]


class Running:
    """A VM that stays: its process, and its control socket if it has one."""

    def __init__(self, command, sock=None, ready=b"ready"):
        self.sock = sock
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        try:
            self._wait(ready)
        except BaseException:
            self.close()
            raise

    def _wait(self, ready):
        due = time.monotonic() + START_S
        text = b""
        while ready and ready not in text:
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                raise CantMeasure(f"{self.process.args[0]} ended early")
            text += piece
        while self.sock and not _answers(self.sock):
            if time.monotonic() > due or self.process.poll() is not None:
                raise CantMeasure(f"{self.process.args[0]}: no control socket")
            time.sleep(0.005)

    def pss_kib(self, ram_mib):
        """(all of the process, the part that is guest memory)."""
        with open(f"/proc/{self.process.pid}/smaps", encoding="ascii") as f:
            text = f.read()
        total = ram = 0
        for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
            span = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", part)
            pss = int(re.search(r"^Pss:\s+(\d+)", part, re.M).group(1))
            total += pss
            if int(span.group(2), 16) - int(span.group(1), 16) == ram_mib << 20:
                ram += pss
        return total, ram

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return True
        except OSError:
            return False


class Place:
    """A temporary directory for sockets."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="amber-bench-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)


def run_amber(place, kernel, mib=128, name="amber"):
    sock = place.path(name + ".sock")
    return Running(amber_command(kernel, mib, "", "--console", "stdio", "--socket",
                                 sock), sock)


def run_qemu(place, kernel, mib=128):
    if not QEMU:
        raise CantMeasure("qemu-system-x86_64 is not installed")
    sock = place.path("qmp.sock")
    return Running(qemu_command(kernel, mib, "", "-qmp",
                                f"unix:{sock},server=on,wait=off"), sock)
