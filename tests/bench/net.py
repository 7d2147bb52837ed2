# SPDX-License-Identifier: Apache-2.0
"""Network cards: the guest net-bench at a tap interface, under amber and under
QEMU. Frames are counted by the interface, which is made for each run."""

import os
import statistics
import subprocess

from figure import Figure, turns
from peers import BENCH, CantMeasure
from watch import Working, amber, qemu
import tap as taps

WINDOW_S = 0.8
FOR_EVER = 10**12
CPU_TARGET, SPEED_TARGET = 1.3, 1.0
MAC = "52:54:00:00:00:01"


class Flood:
    """frames at work, until it is closed."""

    def __init__(self, tap, size):
        self.process = subprocess.Popen([os.path.join(BENCH, "frames"), tap.name, str(size)],
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.stdin.close()
        self.process.wait()


def ours(tap, append):
    return amber("net-bench", append, "--net", f"tap={tap.name}")


def theirs(tap, append):
    return qemu("net-bench", append, "-netdev",
                f"tap,id=n0,ifname={tap.name},script=no,downscript=no,vhost=off", "-device",
                f"virtio-net-device,netdev=n0,mac={MAC}")


def run(command, mode, size):
    """(frames per second, per second of CPU, per second of the VMM's own CPU)"""
    append = f"mode={mode} frames={FOR_EVER} bytes={size} quiet_ms=20000"
    counter = "tx_packets" if mode == "rx" else "rx_packets"
    with taps.Tap() as tap, Working(command(tap, append)) as vmm:
        if mode == "rx":
            with Flood(tap, size):
                got = vmm.measure(WINDOW_S, lambda: tap.count(counter))
        else:
            got = vmm.measure(WINDOW_S, lambda: tap.count(counter))
    whole, own, speed = got
    if not speed:
        raise CantMeasure(f"{vmm.process.args[0]}: no frames")
    return speed, speed / whole, speed / own


def beside_qemu(rounds):
    why = taps.why_not()
    if why:
        raise CantMeasure(why)
    for mode, way in (("rx", "host to guest"), ("tx", "guest to host")):
        for size in (60, 1514):
            mine, his = [], []
            for _ in range(turns(rounds)):
                mine.append(run(ours, mode, size))
                his.append(run(theirs, mode, size))
            name = f"{way}, {size} bytes"
            mib = size / (1 << 20)
            for column, unit, target in ((0, "frames/s", SPEED_TARGET),
                                         (1, "frames/CPU s", CPU_TARGET),
                                         (2, "frames/own CPU s", CPU_TARGET)):
                yield Figure(name, unit, [r[column] for r in mine], [r[column] for r in his],
                             "QEMU vhost=off", target, more=True)
            yield Figure(name, "MiB/s", [r[0] * mib for r in mine],
                         [statistics.median(r[0] for r in his) * mib], "QEMU vhost=off",
                         SPEED_TARGET, more=True)
