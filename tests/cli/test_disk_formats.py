# SPDX-License-Identifier: Apache-2.0
"""What `amber disk` makes and mends: compressed images, space in advance,
internal snapshots, refcounts; judged by qemu-img."""

import json
import os
import struct
import subprocess

from disk_images import disk, flat, names, sh, shows_the_same, stack
from harness import check, equal, run, skip

SHAPES = ([], ["-o", "compression_type=zstd"], ["-o", "cluster_size=4k"], ["-o", "cluster_size=2M"],
          ["-o", "cluster_size=512,refcount_bits=1"], ["-o", "compat=0.10"],
          ["-o", "extended_l2=on,cluster_size=16k"], ["-o", "refcount_bits=2,cluster_size=32k"])


def text(home):
    """A raw disk that can be compressed, with noise and holes."""
    with open(f"{home.dir}/flat.raw", "wb") as f:
        for i in range(40):
            f.seek(i * 300000 // 512 * 512)
            f.write(os.urandom(90000) if i % 5 == 0 else b"line %d of a text\n" % i * 6000)
        f.truncate((12 << 20) + 1536)


def compressed_image_is_smaller_and_shows_the_same(home):
    text(home)
    for i, options in enumerate(SHAPES):
        disk(home, "convert", "-c", *options, "flat.raw", f"{i}.qcow2")
        shows_the_same(home, f"{i}.qcow2")
        taken = os.stat(f"{home.dir}/{i}.qcow2").st_blocks * 512
        check(taken < (6 << 20), f"{options}: {taken} bytes")
        packed = disk(home, "check", "--json", f"{i}.qcow2").json()["compressed-clusters"]
        check(packed > 0, f"{options}: nothing is compressed")
        sh(home, "qemu-io", "-c", "write -P 4 1M 600k", f"{i}.qcow2")
        sh(home, "qemu-img", "check", "-q", f"{i}.qcow2")
    done = disk(home, "convert", "-c", "-O", "raw", "flat.raw", "x.raw", status=2)
    check("qcow2" in done.err, done)


def space_is_there_before_it_is_written(home):
    for options in ([], ["-o", "cluster_size=4k"], ["-o", "extended_l2=on"], ["-o", "compat=0.10"]):
        taken = {}
        for how in ("off", "metadata", "falloc", "full"):
            disk(home, "create", *options, "-o", f"preallocation={how}", "a.qcow2", "12M")
            sh(home, "qemu-img", "check", "-q", "a.qcow2")
            taken[how] = os.stat(f"{home.dir}/a.qcow2").st_blocks * 512
            mapped = json.loads(sh(home, "qemu-img", "map", "--output=json", "a.qcow2"))
            equal(all(run["data"] for run in mapped), how != "off", f"{options} {how}")
            sh(home, "qemu-img", "create", "-q", "-f", "raw", "zero.raw", "12M")
            disk(home, "compare", "a.qcow2", "zero.raw")
            sh(home, "qemu-io", "-c", "write -P 4 1M 600k", "a.qcow2")
            sh(home, "qemu-img", "check", "-q", "a.qcow2")
            os.unlink(f"{home.dir}/a.qcow2")
        check(taken["metadata"] < 2 << 20, taken)
        check(taken["falloc"] >= 12 << 20 and taken["full"] >= 12 << 20, taken)
    for how, least in (("off", 0), ("falloc", 4 << 20), ("full", 4 << 20)):
        disk(home, "create", "-f", "raw", "-o", f"preallocation={how}", f"{how}.raw", "4M")
        st = os.stat(f"{home.dir}/{how}.raw")
        equal(st.st_size, 4 << 20)
        check(st.st_blocks * 512 >= least, st)
    before = names(home)
    done = disk(home, "create", "-b", "off.raw", "-F", "raw", "-o", "preallocation=metadata",
                "b.qcow2", status=2)
    check("hides the backing file" in done.err, done)
    disk(home, "create", "-o", "preallocation=some", "b.qcow2", "1M", status=2)
    equal(names(home), before)


def new_layer_has_subclusters_unless_they_are_not_wanted(home):
    flat(home, 1)
    for options, extended in (([], True), (["-o", "extended_l2=off"], False),
                              (["-o", "compat=0.10"], False), (["-o", "cluster_size=4k"], False)):
        disk(home, "create", *options, "-b", "flat.raw", "-F", "raw", "a.qcow2")
        info = json.loads(sh(home, "qemu-img", "info", "--output=json", "a.qcow2"))
        equal(info["format-specific"]["data"].get("extended-l2", False), extended)
        os.unlink(f"{home.dir}/a.qcow2")
    disk(home, "create", "a.qcow2", "1M")
    info = json.loads(sh(home, "qemu-img", "info", "--output=json", "a.qcow2"))
    equal(info["format-specific"]["data"]["extended-l2"], False)


def with_snapshots(home, options):
    """s.qcow2 with snapshots one and two; one.raw, two.raw and now.raw."""
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", *options, "s.qcow2", "12M")
    sh(home, "qemu-io", "-c", "write -P 1 0 5M", "s.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "one", "s.qcow2")
    sh(home, "qemu-io", "-c", "write -P 2 1M 3M", "-c", "discard 4M 1M", "s.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "two", "s.qcow2")
    sh(home, "qemu-io", "-c", "write -P 3 0 10M", "s.qcow2")
    for name in ("one", "two"):
        sh(home, "qemu-img", "convert", "-l", f"snapshot.name={name}", "-O", "raw", "s.qcow2",
           f"{name}.raw")
    sh(home, "qemu-img", "convert", "-O", "raw", "s.qcow2", "now.raw")


def is_like(home, name, snapshot=None):
    how = ["--snapshot", snapshot] if snapshot else []
    disk(home, "compare", *how, "s.qcow2", name)
    sh(home, "qemu-img", "check", "-q", "s.qcow2")
    if not snapshot:
        sh(home, "qemu-img", "compare", "-q", "s.qcow2", name)


def internal_snapshot_is_shown_and_gone_back_to(home):
    for options in ([], ["-o", "cluster_size=512"], ["-o", "compat=0.10,cluster_size=4k"],
                    ["-o", "extended_l2=on"]):
        with_snapshots(home, options)
        is_like(home, "one.raw", "one")
        is_like(home, "two.raw", "2")  # by its id
        is_like(home, "now.raw")
        disk(home, "convert", "--snapshot", "one", "-O", "raw", "s.qcow2", "out.raw")
        sh(home, "cmp", "out.raw", "one.raw")
        disk(home, "apply", "s.qcow2", "two")
        is_like(home, "two.raw")
        sh(home, "qemu-io", "-c", "write -P 7 2M 2M", "s.qcow2")
        is_like(home, "two.raw", "two")
        disk(home, "apply", "s.qcow2", "1")
        is_like(home, "one.raw")
        is_like(home, "two.raw", "two")
        for name in ("s.qcow2", "out.raw"):
            os.unlink(f"{home.dir}/{name}")
    with_snapshots(home, [])
    sh(home, "qemu-img", "snapshot", "-d", "one", "s.qcow2")
    for command in (["apply", "s.qcow2", "one"], ["compare", "--snapshot", "one", "s.qcow2", "x"]):
        done = disk(home, *command, status=None)
        check(done.status in (1, 2) and "no internal snapshot one" in done.err, done)
    is_like(home, "now.raw")
    done = disk(home, "info", "--snapshot", "x", "one.raw", status=None)
    check(done.status in (1, 2), done)


def snapshot_of_another_size_is_gone_back_to(home):
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "s.qcow2", "6M")
    sh(home, "qemu-io", "-c", "write -P 1 0 5M", "s.qcow2")
    sh(home, "qemu-img", "convert", "-O", "raw", "s.qcow2", "one.raw")
    sh(home, "qemu-img", "snapshot", "-c", "one", "s.qcow2")
    sh(home, "qemu-img", "resize", "-q", "s.qcow2", "700M")
    sh(home, "qemu-io", "-c", "write -P 1 600M 5M", "s.qcow2")
    disk(home, "apply", "s.qcow2", "one")
    equal(disk(home, "info", "--json", "s.qcow2").json()["virtual-size"], 6 << 20)
    is_like(home, "one.raw")


def numbers(home, name):
    """Reads and writes big-endian numbers of an image."""
    f = open(f"{home.dir}/{name}", "r+b")

    def number(at, new=None):
        f.seek(at)
        if new is not None:
            f.write(struct.pack(">Q", new))
            f.flush()
            return new
        return struct.unpack(">Q", f.read(8))[0]
    return number


def gone_back_to_snapshot_shares_what_its_tables_claim_for_themselves(home):
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "s.qcow2", "1M")
    sh(home, "qemu-io", "-c", "write -P 1 0 64k", "s.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "a", "s.qcow2")
    sh(home, "qemu-io", "-c", "write -P 2 0 64k", "s.qcow2")
    sh(home, "qemu-img", "convert", "-l", "a", "-O", "raw", "s.qcow2", "a.raw")
    number = numbers(home, "s.qcow2")
    l2 = number(number(number(64))) & 0xfffffffffffe00
    number(l2, number(l2) | 1 << 63)  # a bit that nobody checks in a snapshot
    disk(home, "apply", "s.qcow2", "a")
    is_like(home, "a.raw")
    disk(home, "create", "-b", "s.qcow2", "-F", "qcow2", "over.qcow2")
    sh(home, "qemu-io", "-c", "write -P 9 0 64k", "over.qcow2")
    disk(home, "commit", "over.qcow2")
    is_like(home, "a.raw", "a")


def apply_that_is_refused_changes_no_count(home):
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "refcount_bits=2", "s.qcow2", "4M")
    sh(home, "qemu-io", "-c", "write 0 1M", "s.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "a", "s.qcow2")
    sh(home, "qemu-io", "-c", "write 1M 1M", "-c", "write 2M 1M", "s.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "b", "s.qcow2")
    for name in ("b", "a", "b", "a"):
        done = disk(home, "apply", "s.qcow2", name, status=None)
        check(done.status == 0 or "no room" in done.err, done)
        sh(home, "qemu-img", "check", "-q", "s.qcow2")


def snapshot_with_one_table_many_times_is_refused(home):
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M,refcount_bits=64",
       "s.qcow2", "1M")
    sh(home, "qemu-io", "-c", "write 0 64k", "s.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "a", "s.qcow2")
    number = numbers(home, "s.qcow2")
    entry, end = number(number(number(64))), os.path.getsize(f"{home.dir}/s.qcow2")
    end = (end + (2 << 20) - 1) >> 21 << 21
    with open(f"{home.dir}/s.qcow2", "r+b") as f:
        f.seek(end)
        f.write(struct.pack(">Q", entry) * (4 << 20))
        f.seek(number(64))
        f.write(struct.pack(">QI", end, 4 << 20))
    done = disk(home, "apply", "s.qcow2", "a", status=1)
    check("twice" in done.err, done)


def preallocated_image_is_zero_and_leaks_nothing(home):
    for options in ("cluster_size=512", "cluster_size=1k", "cluster_size=512,refcount_bits=64"):
        disk(home, "create", "-o", f"preallocation=metadata,{options}", "p.qcow2", "200M")
        sh(home, "qemu-img", "check", "-q", "p.qcow2")
        sh(home, "qemu-img", "create", "-q", "-f", "raw", "zero.raw", "200M")
        disk(home, "compare", "p.qcow2", "zero.raw")
        os.unlink(f"{home.dir}/p.qcow2")
    disk(home, "create", "-f", "raw", "-o", "preallocation=falloc", "e.raw", "0")


def frozen_layer_is_not_repaired(home):
    flat(home, 1)
    disk(home, "convert", "flat.raw", "a.qcow2")
    break_counts(home, "counts are noise")
    os.chmod(f"{home.dir}/a.qcow2", 0o444)
    with open(f"{home.dir}/a.qcow2", "rb") as f:
        before = f.read()
    done = disk(home, "check", "--repair", "--yes", "a.qcow2", status=1)
    check("may not be written" in done.err, done)
    with open(f"{home.dir}/a.qcow2", "rb") as f:
        check(f.read() == before, "it was written to")


def mistakes_with_images_are_named(home):
    flat(home, 1)
    disk(home, "convert", "flat.raw", "a.qcow2")
    for command, words in ((["create", "-f", "raw", "-o", "cluster_size=4k", "x.raw", "1M"],
                            "preallocation only"),
                           (["create", "-f", "raw", "x.raw", "100"], "multiple of 512"),
                           (["resize", "a.qcow2", "-512K"], "--shrink"),
                           (["rebase", "-b", "a.qcow2", "-F", "qcow2", "a.qcow2"],
                            "stand on itself")):
        done = disk(home, *command, status=None)
        check(done.status in (1, 2) and words in done.err and done.err.count("\n") == 1,
              f"{command}: {done}")
    disk(home, "resize", "--shrink", "a.qcow2", "-512K")
    os.rename(f"{home.dir}/a.qcow2", os.fsencode(f"{home.dir}/q") + b"\xff.qcow2")
    done = home.amber("disk", "check", "--json", "q\udcff.qcow2", cwd=home.dir)
    equal(done.json()["filename"], "(not UTF-8)")


def break_counts(home, what):
    """Damages the refcount structures of a.qcow2, and nothing else."""
    with open(f"{home.dir}/a.qcow2", "r+b") as f:
        def number(at):
            f.seek(at)
            return struct.unpack(">Q", f.read(8))[0]
        table, l1 = number(48), number(40)
        block = number(table)
        at, value = {"entry is 0": (table, 0), "entry is far away": (table, 1 << 40),
                     "entry is not aligned": (table, block + 8), "entry is the L1's": (table, l1),
                     "entry has a low bit": (table, block | 1),
                     "counts are noise": (block, 0x1234567890abcdef)}[what]
        f.seek(at)
        f.write(struct.pack(">Q", value))


def refcounts_are_made_anew_from_what_is_referred_to(home):
    for options in ([], ["-o", "cluster_size=512"], ["-o", "cluster_size=4k,refcount_bits=1"],
                    ["-o", "cluster_size=4k,refcount_bits=64"]):
        for what in ("entry is 0", "entry is far away", "entry is not aligned",
                     "entry is the L1's", "entry has a low bit", "counts are noise"):
            flat(home, 3)
            disk(home, "convert", *options, "flat.raw", "a.qcow2")
            break_counts(home, what)
            done = disk(home, "check", "a.qcow2", status=None)
            check(done.status in (1, 3), f"{what}: not found")
            disk(home, "check", "--repair", "--yes", "a.qcow2")
            shows_the_same(home, "a.qcow2")
            sh(home, "qemu-io", "-c", "write -P 4 1M 600k", "a.qcow2")
            sh(home, "qemu-img", "check", "-q", "a.qcow2")
            os.unlink(f"{home.dir}/a.qcow2")


def marks_go_with_the_repair(home):
    flat(home, 1)
    for bit in (1, 2):
        disk(home, "convert", "flat.raw", "a.qcow2")
        with open(f"{home.dir}/a.qcow2", "r+b") as f:
            f.seek(79)
            f.write(bytes([bit]))
        disk(home, "bench", "-w", "--count", "1", "a.qcow2", status=1)
        disk(home, "check", "--repair", "a.qcow2")
        disk(home, "bench", "-w", "--count", "1", "a.qcow2")
        sh(home, "qemu-img", "check", "-q", "a.qcow2")
        os.unlink(f"{home.dir}/a.qcow2")


def stream_stops_where_it_is_told_to(home):
    stack(home)
    disk(home, "stream", "--base", "base.qcow2", "top.qcow2")
    os.unlink(f"{home.dir}/mid.qcow2")
    shows_the_same(home)
    info = json.loads(sh(home, "qemu-img", "info", "--output=json", "top.qcow2"))
    equal(info["backing-filename"], "base.qcow2")
    disk(home, "stream", "--base", "base.qcow2", "top.qcow2")
    done = disk(home, "stream", "--base", "flat.raw", "top.qcow2", status=1)
    check("is not behind" in done.err, done)
    shows_the_same(home)


def block_device_holds_an_image_to_its_last_cluster(home):
    sh(home, "truncate", "-s", "40M", "device.img")
    made = subprocess.run(["losetup", "-f", "--show", "device.img"], cwd=home.dir,
                          capture_output=True, text=True)
    if made.returncode:
        skip(f"no loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        with open(f"{home.dir}/device.img", "r+b") as f:
            f.write(os.urandom(40 << 20))  # what was there before is not zero
        subprocess.run(["blockdev", "--flushbufs", device], check=True)
        sh(home, "qemu-img", "create", "-q", "-f", "qcow2", device, "200M")
        done = disk(home, "bench", "-f", "qcow2", "-w", "-s", "1M", "--count", "60", device,
                    status=1)
        check("No space left" in done.err, done)
        disk(home, "check", device)
        sh(home, "qemu-img", "check", "-q", "-f", "qcow2", device)
        sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", device, "30M")
        disk(home, "bench", "-f", "qcow2", "-w", "-r", "-s", "512", "--count", "900", device)
        sh(home, "qemu-img", "check", "-q", "-f", "qcow2", device)
        sh(home, "qemu-img", "create", "-q", "-f", "raw", "zero.raw", "30M")
        disk(home, "convert", "-f", "qcow2", "-O", "raw", device, "out.raw")
        sh(home, "qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", device, "out.raw")
    finally:
        subprocess.run(["losetup", "-d", device], check=False)


def copy_shares_what_the_file_system_can_share(home):
    where = f"{home.dir}/xfs"
    os.mkdir(where)
    sh(home, "truncate", "-s", "400M", "xfs.img")
    sh(home, "mkfs.xfs", "-q", "xfs.img")
    mounted = subprocess.run(["mount", "-o", "loop", "xfs.img", where], cwd=home.dir,
                             capture_output=True, text=True)
    if mounted.returncode:
        skip(f"no loop mount of xfs: {mounted.stderr.strip()}")
    try:
        with open(f"{where}/a.raw", "wb") as f:
            f.write(os.urandom(64 << 20))
            f.truncate(100 << 20)
        os.sync()
        before = os.statvfs(where)
        disk(home, "convert", "-O", "raw", "xfs/a.raw", "xfs/b.raw")
        os.sync()
        after = os.statvfs(where)
        taken = (before.f_bfree - after.f_bfree) * after.f_frsize
        check(taken < 8 << 20, f"{taken} bytes were copied")
        sh(home, "cmp", "xfs/a.raw", "xfs/b.raw")
        disk(home, "convert", "xfs/a.raw", "xfs/c.qcow2")
        disk(home, "compare", "xfs/c.qcow2", "xfs/b.raw")
    finally:
        subprocess.run(["umount", where], check=False)


if __name__ == "__main__":
    run([compressed_image_is_smaller_and_shows_the_same,
         space_is_there_before_it_is_written,
         new_layer_has_subclusters_unless_they_are_not_wanted,
         internal_snapshot_is_shown_and_gone_back_to,
         snapshot_of_another_size_is_gone_back_to,
         gone_back_to_snapshot_shares_what_its_tables_claim_for_themselves,
         apply_that_is_refused_changes_no_count,
         snapshot_with_one_table_many_times_is_refused,
         preallocated_image_is_zero_and_leaks_nothing,
         frozen_layer_is_not_repaired,
         mistakes_with_images_are_named,
         refcounts_are_made_anew_from_what_is_referred_to,
         marks_go_with_the_repair,
         stream_stops_where_it_is_told_to,
         block_device_holds_an_image_to_its_last_cluster,
         copy_shares_what_the_file_system_can_share], needs_kvm=False)
