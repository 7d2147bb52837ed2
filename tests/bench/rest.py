# SPDX-License-Identifier: Apache-2.0
"""Devices at rest: CPU time and wake-ups of a VM that has one of each, and
whose guest has just worked with one of them."""

import os
import time

from disk import Image
from figure import Figure
from peers import Place
from watch import Working, amber, threads
import tap as taps
from threads import is_kernels, spent

SECONDS = 6  # the kernel's own workers look around every 5
SETTLE_S = 0.5
GUESTS = [("nobody drives them", "idle", "x", b"ready"),
          ("after disk reads", "blk-bench", "op=read random=1 then=idle", b"operations"),
          ("after disk flushes", "blk-bench", "op=sync random=1 then=idle", b"operations"),
          ("net listens", "net-echo", "x", b"mac="),
          ("console listens", "console", "x", b"hello"),
          ("vsock listens", "vsock", "mode=listen", b"cid=")]


def measure(kernel, append, last, image, place, more):
    with Working(amber(kernel, append, "--disk", image.path, "--virtio-console", "on",
                       "--balloon", "on", "--rng", "on", "--vsock", "3", "--socket",
                       place.path("api.sock"), *more)) as vmm:
        while last not in vmm.text:
            vmm.text += os.read(vmm.process.stdout.fileno(), 4096)
        time.sleep(SETTLE_S)
        before = threads(vmm.process.pid)
        time.sleep(SECONDS)
        ran = spent(before, threads(vmm.process.pid))
    own = [v for name, v in ran.items() if not is_kernels(name)]
    return sum(ns for ns, _ in own), sum(n for _, n in own), sum(
        n for name, (_, n) in ran.items() if is_kernels(name))


def at_rest(_):
    """A worker that io_uring made for a flush stays, and looks around every 5 s."""
    for what, kernel, append, last in GUESTS:
        with Image() as image, Place() as place:
            if taps.why_not():
                ns, times, workers = measure(kernel, append, last, image, place, [])
            else:
                with taps.Tap() as tap:
                    ns, times, workers = measure(kernel, append, last, image, place,
                                                 ["--net", f"tap={tap.name}"])
        yield Figure(f"at rest, {what}: wake-ups", "/s", [times / SECONDS], limit=0)
        yield Figure(f"at rest, {what}: CPU", "us/s", [ns / SECONDS / 1e3], limit=0)
        if workers:
            yield Figure(f"at rest, {what}: of io_uring's worker", "/s", [workers / SECONDS])
