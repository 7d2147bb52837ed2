# SPDX-License-Identifier: Apache-2.0
"""A snapshot that an early version took: later ones list, show and restore
it."""

import os
import re
import struct
import tarfile
import time
import zlib

from harness import ROOT, check, equal, run

KEPT = os.path.join(ROOT, "tests", "golden", "snapshot", "twin-v1.tar.xz")
ID = "678ab99d"
SECTIONS = {"facts", "cpuid", "irqchips", "clock", "vcpu", "serial", "i8042", "power",
            "reset_port", "pvpanic", "debug_exit", "milestone", "virtio-blk", "virtio-balloon"}


def write_sparse(path, data, mode):
    with open(path, "wb") as f:
        for at in range(0, len(data), 4096):
            if data[at:at + 4096].strip(b"\0"):
                f.seek(at)
                f.write(data[at:at + 4096])
        f.truncate(len(data))
    os.chmod(path, mode)


def unpack(home):
    """The VM, whose disk's own file is empty again."""
    vm = home.path("golden")
    os.makedirs(f"{vm}/snapshots/{ID}", mode=0o700)
    os.makedirs(f"{vm}/logs", mode=0o700)
    with tarfile.open(KEPT) as tar:
        for member in tar:
            data = tar.extractfile(member).read()
            for mark, there in (("@DIR@", home.dir), ("@GUESTS@", f"{ROOT}/build/guests")):
                if member.name.endswith(("json", "config")):
                    data = data.replace(mark.encode(), there.encode())
            where = {"qcow2": home.dir, "json": vm}.get(member.name.rpartition(".")[2])
            if member.name.startswith(ID):
                where = f"{vm}/snapshots"
            write_sparse(f"{where}/{member.name}", data, member.mode)
    home.amber("disk", "create", f"{home.dir}/d.qcow2", "1M")
    return vm


def sections(state):
    """The container as it was documented, by other code than amber's."""
    equal(state[:16], b"AMBERVM\n" + struct.pack("<II", 0x8664, 1))
    found, at = set(), 16
    while at < len(state):
        name, _, version, length, crc = struct.unpack_from("<16s4I", state, at)
        head, at = state[at:at + 28], at + 32
        equal(zlib.crc32(state[at:at + length], zlib.crc32(head)), crc)
        equal(version, 1)
        found.add(name.rstrip(b"\0").decode())
        at += length
    return found


def kept_snapshot_is_listed_and_shown(home):
    unpack(home)
    there = home.amber("snapshot", "list", "golden", "--json").json()
    equal((there["damaged"], [s["id"] for s in there["snapshots"]]), (0, [ID]))
    shown = home.amber("snapshot", "show", "golden", "first").out
    for text in (ID, "to be read for ever", "kept=yes", "full", "16 MiB",
                 "2026-11-26T09:58:19.636Z", f"d.{ID}.qcow2"):
        check(text in shown, shown)


def kept_state_has_all_its_sections(home):
    vm = unpack(home)
    with open(f"{vm}/snapshots/{ID}/vmstate", "rb") as f:
        equal(sections(f.read()), SECTIONS)


def kept_snapshot_is_restored(home):
    """Where the CPU is another one it is refused with both values, which
    comes after all sections have been read."""
    unpack(home)
    done = home.amber("snapshot", "restore", "golden", "first", status=None)
    if done.status:
        check(re.search(r"CPUID leaf .* was 0x\w+ .* is 0x\w+", done.err), done)
        return
    due = time.monotonic() + 30
    while not (steps := re.findall(r"^steps=\d+ bad=(\d+)", home.amber("log", "golden").out,
                                   re.M)):
        check(time.monotonic() < due, "the guest stands")
        time.sleep(0.02)
    equal(set(steps), {"0"})
    home.amber("snapshot", "rewind", "golden")
    home.amber("snapshot", "create", "golden", "second")
    home.amber("stop", "golden")


if __name__ == "__main__":
    run([kept_snapshot_is_listed_and_shown,
         kept_state_has_all_its_sections,
         kept_snapshot_is_restored])
