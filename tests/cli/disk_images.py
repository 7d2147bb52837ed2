# SPDX-License-Identifier: Apache-2.0
"""Images for the tests of `amber disk`, and their judges."""

import os
import random
import subprocess

from harness import equal


def sh(home, *command, status=0):
    done = subprocess.run(command, cwd=home.dir, text=True, capture_output=True, timeout=120)
    equal(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def disk(home, *args, status=0, **more):
    return home.amber("disk", *args, status=status, cwd=home.dir, **more)


def names(home):
    return sorted(n for n in os.listdir(home.dir) if os.path.isfile(f"{home.dir}/{n}"))


def flat(home, mib=8, seed=1):
    """A raw file with data, zeroes and holes."""
    r = random.Random(seed)
    with open(f"{home.dir}/flat.raw", "wb") as f:
        for i in range(mib * 16):
            kind = r.randrange(3)
            if kind == 0:
                f.write(r.randbytes(65536))
            elif kind == 1:
                f.write(bytes(65536))
            else:
                f.seek(65536, os.SEEK_CUR)
        f.truncate(mib << 20)


def stack(home, options=()):
    """base <- mid <- top, and flat.raw with what top shows."""
    flat(home, 4)
    sh(home, "qemu-img", "convert", "-O", "qcow2", "flat.raw", "base.qcow2")
    for name, below, size in (("mid", "base", "5M"), ("top", "mid", "6M")):
        disk(home, "create", *options, "-b", f"{below}.qcow2", "-F", "qcow2", f"{name}.qcow2",
             size)
        sh(home, "qemu-io", "-c", "write -P 3 100k 300k", "-c", "write -z 1M 256k",
           "-c", f"write -P {len(name) + len(below)} 3000k 500k", "-c", "write -P 5 4700k 33k",
           f"{name}.qcow2")
    os.unlink(f"{home.dir}/flat.raw")
    sh(home, "qemu-img", "convert", "-O", "raw", "top.qcow2", "flat.raw")


def shows_the_same(home, name="top.qcow2"):
    sh(home, "qemu-img", "check", "-q", name)
    disk(home, "check", name)
    disk(home, "compare", name, "flat.raw")
    sh(home, "qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", name, "flat.raw")


KINDS = ([], ["-o", "cluster_size=1k"], ["-o", "extended_l2=on"])


def unstack(home):
    for name in names(home):
        os.unlink(f"{home.dir}/{name}")
