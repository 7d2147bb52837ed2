# SPDX-License-Identifier: Apache-2.0
"""A VMM whose guest works: what it costs the host while it does. The CPU time
of each thread is read twice with the guest at work, so that neither start
nor end counts. Workers of the kernel for a process (io_uring's) are threads
of it."""

import os
import subprocess
import sys
import time

from peers import OUT, QEMU, ROOT, CantMeasure, guest

sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from threads import threads  # noqa: E402

SETTLE_S = 0.15
LIMIT_S = 30
QEMU_DEVICES = "mmio=0xfeb00000,512,16,8"


def amber(kernel, append, *more):
    return [os.path.join(OUT, "amber-vmm"), "--kernel", guest(kernel), "--memory", "64M",
            "--append", append, "--once", "--console", "stdio", *more]


def qemu(kernel, append, *more):
    """Its smallest machine, with virtio-mmio as ours: for guests of both."""
    if not QEMU:
        raise CantMeasure("qemu-system-x86_64 is not installed")
    machine = ("microvm,x-option-roms=off,pit=off,pic=off,rtc=off,ioapic2=off,"
               "auto-kernel-cmdline=off,isa-serial=on")
    return [QEMU, "-M", machine, "-accel", "kvm", "-cpu", "host,-arch-capabilities", "-m",
            "64", "-smp", "1", "-nodefaults", "-no-user-config", "-no-reboot", "-display",
            "none", "-serial", "stdio", "-name", "bench,debug-threads=on", "-global",
            "virtio-mmio.force-legacy=false", "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4", *more, "-kernel", guest(kernel),
            "-append", f"{QEMU_DEVICES} {append}"]


def is_vcpu(pid, tid, name):
    """Ours have the process's name, but are not its first thread."""
    return name.startswith("CPU ") or (name == "amber-vmm" and tid != pid)


class Working:
    """A VMM, from its guest's `ready` on; killed when it is closed."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""
        while b"ready" not in self.text:
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                errors = self.process.stderr.read().decode(errors="replace")
                self.close()
                raise CantMeasure(f"{command[0]}: {self.text} {errors.strip()}")
            self.text += piece

    def measure(self, seconds, counter=lambda: 0):
        """Over that time: (CPUs of the whole process, CPUs without the vCPUs,
        counts per second)."""
        pid = self.process.pid
        time.sleep(SETTLE_S)
        before, count, began = threads(pid), counter(), time.monotonic()
        time.sleep(seconds)
        after, count, took = threads(pid), counter() - count, time.monotonic() - began
        ran = {tid: (is_vcpu(pid, tid, name), ns - before.get(tid, ("", 0))[1])
               for tid, (name, ns, _) in after.items()}
        if not ran:
            raise CantMeasure(f"{self.process.args[0]} ended early: {self.text}")
        whole = sum(ns for _, ns in ran.values())
        own = sum(ns for vcpu, ns in ran.values() if not vcpu)
        return whole / took / 1e9, own / took / 1e9, count / took

    def rest(self):
        """All the guest says until it ends."""
        out, errors = self.process.communicate(timeout=LIMIT_S)
        self.text += out
        if b"\nOK" not in self.text:
            raise CantMeasure(f"{self.process.args[0]}: {self.text} {errors}")
        return self.text.decode()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
