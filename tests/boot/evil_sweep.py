# SPDX-License-Identifier: Apache-2.0
"""Guests that attack, with one seed after the other, on raw and on qcow2
disks, one CPU and two: the device comes back each time, amber ends as it
should, and qemu-img finds the image whole whatever was made of it.

  evil_sweep.py [--seconds N] [--seed N]
"""

import argparse
import os
import random
import subprocess
import sys
import time

from test_disks import Image, good

# Those that have seeds; the others do the same each time (test_disks.py).
GUESTS = (("evil-regs", "strict=1 count=20000"), ("evil-flip", "count=400"))


def disk(image, kind):
    """16 MiB of that kind; the option that names it."""
    if kind == "raw":
        return image.option()
    path = os.path.join(image.dir, "disk.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "16M"], check=True)
    return ("--disk", f"{path},format=qcow2")


def judge(image):
    path = os.path.join(image.dir, "disk.qcow2")
    if os.path.exists(path):
        done = subprocess.run(["qemu-img", "check", path], capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)


def attack(name, append, seed):
    choice = random.Random(seed)
    with Image() as image:
        options = disk(image, choice.choice(("raw", "qcow2")))
        good(name, f"{append} seed={seed}", *options, "--cpus", choice.choice("12"))
        judge(image)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, help="the first one; default: any")
    options = parser.parse_args()
    seed = options.seed
    if seed is None:
        seed = random.randrange(1 << 31)
    due = time.monotonic() + options.seconds
    done = 0
    while time.monotonic() < due:
        for name, append in GUESTS:
            try:
                attack(name, append, seed + done)
            except Exception as e:  # whatever went wrong is a finding
                print(f"FAIL {name}, seed {seed + done}: {e}", flush=True)
                return 1
        done += 1
    print(f"ok   seeds {seed} to {seed + done - 1}, {len(GUESTS)} guests each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
