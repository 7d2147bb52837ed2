# SPDX-License-Identifier: Apache-2.0
"""Images that were kept: good ones show what they showed, bad ones are
refused; and ones that chance has damaged, of which qemu-img says what they
are. DIFFER_CASES and DIFFER_SEED: how many, and which."""

import collections
import hashlib
import os
import random
import re
import shutil
import subprocess

from disk_images import disk, sh
from harness import AMBER, check, equal, run

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "qcow2")
CASES = int(os.environ.get("DIFFER_CASES", 150))
SEED = int(os.environ.get("DIFFER_SEED", 1))

# Where amber is stricter than QEMU, which reads what is not in the file as
# zeroes and cuts sizes; it says so, each time.
STRICTER = re.compile("is not inside the file|is damaged: |is not a multiple of (512|8) |"
                      "does not say which format|is not in the first cluster|"
                      "its backing file .* is not|has a NUL in it")
# Where QEMU is: what amber neither reads nor keeps.
LAXER = re.compile("[Bb]itmap|data-file-raw|Header extension too large|extra metadata")


def lines(name):
    with open(os.path.join(GOLDEN, name)) as f:
        return [line.strip().split(maxsplit=2) for line in f if line.strip() and line[0] != "#"]


def bring(home):
    """Copies, for no test may change the kept ones."""
    for name in os.listdir(GOLDEN):
        if name.endswith(".qcow2"):
            shutil.copy(os.path.join(GOLDEN, name), home.dir)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def kept_images_show_what_they_showed(home):
    bring(home)
    for total, name, *snapshot in lines("SUMS"):
        how = ["--snapshot", snapshot[0]] if snapshot else []
        disk(home, "convert", *how, "-O", "raw", f"{name}.qcow2", "out.raw")
        equal(sha256(f"{home.dir}/out.raw"), total, name)
        os.unlink(f"{home.dir}/out.raw")
        disk(home, "check", f"{name}.qcow2")
        disk(home, "convert", *how, "-c", f"{name}.qcow2", "out.qcow2")
        sh(home, "qemu-img", "convert", "-O", "raw", "out.qcow2", "out.raw")
        equal(sha256(f"{home.dir}/out.raw"), total, f"{name}, compressed")
        os.unlink(f"{home.dir}/out.raw")
        os.unlink(f"{home.dir}/out.qcow2")


def bad_images_are_refused_with_the_reason(home):
    bring(home)
    for name, patches, words in lines("bad.txt"):
        with open(f"{GOLDEN}/{name}.qcow2", "rb") as f:
            image = bytearray(f.read())
        for patch in patches.split(","):
            at, new = int(patch.split("=")[0]), bytes.fromhex(patch.split("=")[1])
            image[at:at + len(new)] = new
        with open(f"{home.dir}/bad.qcow2", "wb") as f:
            f.write(image)
        done = disk(home, "convert", "-f", "qcow2", "-O", "raw", "bad.qcow2", "out.raw",
                    status=None)
        check(done.status in (1, 2) and words.strip() in done.err,
              f"{name} {patches}: {words.strip()!r} is not said: {done}")
        check(not os.path.exists(f"{home.dir}/out.raw"), "something is left")


def damaged(r, names):
    name = r.choice(names)
    with open(os.path.join(GOLDEN, name), "rb") as f:
        image = bytearray(f.read())
    changes = []
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        at = r.randrange(r.choice((112, 112, len(image), len(image))))
        n = r.choice((1, 1, 2, 4, 8))
        k = r.randrange(len(image))
        new = r.choice((r.randbytes(n), bytes(n), bytes([image[at] ^ (1 << r.randrange(8))]),
                        bytes(image[k:k + n])))
        image[at:at + len(new)] = new
        changes.append(f"{at}={new.hex()}")
    return name, image, f"{name} {' '.join(changes)}"


def attempt(home, name, *command):
    path = f"{home.dir}/{name}"
    if os.path.exists(path):
        os.unlink(path)
    return subprocess.run([*command, name], cwd=home.dir, capture_output=True, text=True,
                          timeout=60)


def differ(home, what, theirs, ours):
    """What they and we made of one image, as a word for the statistics."""
    check(ours.returncode in (0, 1, 2), f"{what}: {ours}")
    if theirs.returncode == 0 and ours.returncode == 0:
        a, b = f"{home.dir}/theirs.raw", f"{home.dir}/ours.raw"
        equal(os.path.getsize(a), os.path.getsize(b), what)
        check(os.path.getsize(a) > 64 << 20 or sha256(a) == sha256(b), f"{what}: content differs")
        return "both read it"
    if theirs.returncode and ours.returncode:
        return "both refuse it"
    if ours.returncode:
        check(STRICTER.search(ours.stderr), f"{what}: only we refuse it: {ours.stderr}")
        return "stricter"
    check(LAXER.search(theirs.stderr), f"{what}: only they refuse it: {theirs.stderr}")
    return "laxer"


def damaged_images_are_what_qemu_says_they_are(home):
    bring(home)
    r = random.Random(SEED)
    names = sorted(n for n in os.listdir(GOLDEN) if n.endswith(".qcow2"))
    said = collections.Counter()
    for _ in range(CASES):
        _, image, what = damaged(r, names)
        with open(f"{home.dir}/m.qcow2", "wb") as f:
            f.write(image)
        theirs = attempt(home, "theirs.raw", "qemu-img", "convert", "-f", "qcow2", "-O", "raw",
                         "m.qcow2")
        ours = attempt(home, "ours.raw", AMBER, "disk", "convert", "-f", "qcow2", "-O", "raw",
                       "m.qcow2")
        said[differ(home, what, theirs, ours)] += 1
    print(f"     {CASES} images: {', '.join(f'{k} {v}' for k, v in said.most_common())}")
    check(said["both read it"] and said["both refuse it"], "chance made only one kind")


if __name__ == "__main__":
    run([kept_images_show_what_they_showed,
         bad_images_are_refused_with_the_reason,
         damaged_images_are_what_qemu_says_they_are], needs_kvm=False)
