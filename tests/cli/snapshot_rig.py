# SPDX-License-Identifier: Apache-2.0
"""What tests of snapshots share: guests that count, a disk with a twin in the
guest's memory, and what is to be found afterwards."""

import json
import os
import re
import subprocess
import time

from harness import check, equal, guest


def lines(home, name):
    """Whole ones: going back may cut one short, and another is appended."""
    text = home.console(name)
    return [(m[1], int(m[2])) for m in
            re.finditer(r"nonce=(\w{16}) count=(\d+)\r?\n", text)]


def await_true(what, text="it does not happen"):
    due = time.monotonic() + 120
    while not what():
        check(time.monotonic() < due, text)
        time.sleep(0.01)


def await_count(home, name, count, after=0):
    await_true(lambda: any(c >= count for _, c in lines(home, name)[after:]), f"no count {count}")
    return lines(home, name)


def after_going_back(home, name, known):
    """What was counted since the count last went back, behind line `known`."""
    counts = [c for _, c in lines(home, name)]
    for i in range(len(counts) - 1, known, -1):
        if counts[i] <= counts[i - 1]:
            return counts[i:]
    return []


def create(home, name="web", kernel="nonce", append="period_ms=10", *more, ends="stop",
           memory="64M"):
    home.amber("create", "--name", name, "--append", append, "--memory", memory,
               "--on-poweroff", ends, *more, guest(kernel))


def snapshots(home, name="web"):
    return home.amber("snapshot", "list", name, "--json").json()


def memory_of(home, name, snap):
    found = [s for s in snapshots(home, name)["snapshots"] if s["name"] == snap][0]
    return found, os.stat(home.path(name, "snapshots", found["id"], "memory")).st_blocks * 512


def judge(image):
    """QEMU's word on every layer, and on the chain."""
    chain = json.loads(subprocess.run(
        ["qemu-img", "info", "-U", "--backing-chain", "--output=json", image],
        check=True, capture_output=True, text=True).stdout)
    for layer in chain:
        done = subprocess.run(["qemu-img", "check", "-q", "-U", layer["filename"]],
                              capture_output=True, text=True)
        equal(done.returncode, 0, layer["filename"] + done.stdout + done.stderr)
    return chain


def twin_disk(home, steps, ends="stop"):
    image = f"{home.dir}/twin.qcow2"
    home.amber("disk", "create", image, "8M")
    create(home, "twin", "blk-twin", f"steps={steps}", "--disk", image, ends=ends)
    home.amber("start", "twin")
    return image


def await_end(home):
    home.amber("wait", "twin", "--for", "stopped", "--timeout", "60")
    log = home.console("twin")
    check("bad=0" in log and "OK" in log and "FAIL" not in log, log[-2000:])
