# SPDX-License-Identifier: Apache-2.0
"""`amber disk`: images without a VM, judged by qemu-img."""

import json
import os
import signal
import subprocess
import time

from disk_images import KINDS, disk, flat, names, sh, shows_the_same, stack, unstack
from harness import check, equal, run


def an_image_is_made_as_it_was_asked_for(home):
    for options, said in ((["-o", "cluster_size=4k,refcount_bits=8"],
                           {"cluster-size": 4096}),
                          (["-o", "compat=0.10"], {"cluster-size": 65536}),
                          (["-o", "extended_l2=on,compression_type=zstd"], {}),
                          (["-o", "cluster_size=512", "-o", "lazy_refcounts=on"], {}),
                          (["-o", "cluster_size=2M"], {})):
        disk(home, "create", *options, "a.qcow2", "1G")
        theirs = json.loads(sh(home, "qemu-img", "info", "--output=json", "a.qcow2"))
        ours = disk(home, "info", "--json", "a.qcow2").json()
        for key in ("virtual-size", "cluster-size", "format-specific", "dirty-flag", "format"):
            equal(ours[key], theirs[key], f"{options} {key}")
        for key, value in said.items():
            equal(ours[key], value)
        sh(home, "qemu-img", "check", "-q", "a.qcow2")
        os.unlink(f"{home.dir}/a.qcow2")
    disk(home, "create", "-f", "raw", "b.raw", "3M")
    equal(os.path.getsize(f"{home.dir}/b.raw"), 3 << 20)


def an_image_that_exists_is_never_replaced(home):
    disk(home, "create", "a.qcow2", "1M")
    with open(f"{home.dir}/a.qcow2", "rb") as f:
        before = f.read()
    done = disk(home, "create", "a.qcow2", "2M", status=1)
    check("exists already" in done.err and len(done.err.splitlines()) == 1, done)
    flat(home, 1)
    disk(home, "convert", "flat.raw", "a.qcow2", status=1)
    with open(f"{home.dir}/a.qcow2", "rb") as f:
        equal(f.read(), before)


def a_mistake_is_one_line_and_leaves_nothing(home):
    for args, status, words in (
            (["create", "a.qcow2"], 2, "SIZE is missing"),
            (["create", "a.qcow2", "1X"], 2, "1X"),
            (["create", "a.qcow2", "1000"], 2, "512"),
            (["create", "-o", "cluster_size=1000", "a.qcow2", "1M"], 2, "power of two"),
            (["create", "-o", "clutser_size=4k", "a.qcow2", "1M"], 2, "cluster_size"),
            (["create", "-o", "compat=0.10,extended_l2=on", "a.qcow2", "1M"], 2, "version 2"),
            (["create", "-b", "none.raw", "a.qcow2"], 2, "-F"),
            (["create", "-b", "none.raw", "-F", "raw", "a.qcow2"], 1, "none.raw"),
            (["create", "-f", "vmdk", "a.qcow2", "1M"], 2, "vmdk"),
            (["create", "no/a.qcow2", "1M"], 1, "No such file"),
            (["create", "-o", "cluster_size=512", "a.qcow2", "1T"], 2, "larger clusters"),
            (["chekc", "a.qcow2"], 2, "did you mean check?"),
            (["info"], 2, "usage: amber disk info"),
            (["info", "a.qcow2"], 1, "No such file"),
            (["check", "-f", "raw", "a.qcow2"], 2, "nothing to check"),
            (["convert", "none.raw", "a.qcow2"], 1, "none.raw")):
        done = disk(home, *args, status=status)
        check(words in done.err and len(done.err.splitlines()) == 1, f"{args}: {done}")
        equal(names(home), [])


def what_is_converted_is_the_same(home):
    flat(home)
    for i, options in enumerate(([], ["--no-sync"], ["-o", "cluster_size=512"], ["-o", "extended_l2=on"],
                                 ["-o", "compat=0.10"], ["-o", "cluster_size=2M"])):
        disk(home, "convert", *options, "flat.raw", f"{i}.qcow2")
        sh(home, "qemu-img", "check", "-q", f"{i}.qcow2")
        sh(home, "qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", f"{i}.qcow2", "flat.raw")
        check(os.stat(f"{home.dir}/{i}.qcow2").st_blocks * 512 < 7 << 20, "it is not sparse")
        disk(home, "convert", "-O", "raw", f"{i}.qcow2", f"{i}.raw")
        sh(home, "cmp", f"{i}.raw", "flat.raw")
    for options in (["-c"], ["-c", "-o", "compression_type=zstd"], ["-o", "refcount_bits=1"]):
        sh(home, "qemu-img", "convert", *options, "-O", "qcow2", "flat.raw", "q.qcow2")
        disk(home, "compare", "q.qcow2", "flat.raw")
        disk(home, "check", "q.qcow2")
        disk(home, "convert", "-O", "raw", "q.qcow2", "q.raw")
        sh(home, "cmp", "q.raw", "flat.raw")
        os.unlink(f"{home.dir}/q.raw")


def a_conversion_that_is_stopped_leaves_nothing(home):
    flat(home, 512)
    before = names(home)
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        child = home.start("disk", "convert", "-o", "cluster_size=512", "flat.raw", "new.qcow2",
                           cwd=home.dir)
        time.sleep(0.1)  # in the middle of it, wherever that is
        child.send_signal(sign)
        status = child.wait(60)
        check(status != 0, f"it was done before {sign}")
        equal(names(home), before)


def a_difference_is_found_where_it_is(home):
    flat(home, 2)
    disk(home, "convert", "flat.raw", "a.qcow2")
    sh(home, "qemu-io", "-f", "qcow2", "-c", "write -P 77 1049088 512", "a.qcow2")
    done = disk(home, "compare", "a.qcow2", "flat.raw", status=1)
    equal(done.out, "Content mismatch at offset 1049088.\n")
    equal(disk(home, "compare", "--json", "a.qcow2", "flat.raw", status=1).json(),
          {"identical": False, "offset": 1049088})


def the_map_is_what_qemu_img_says(home):
    flat(home, 4)
    sh(home, "qemu-img", "convert", "-O", "qcow2", "flat.raw", "base.qcow2")
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2",
       "top.qcow2", "5M")
    sh(home, "qemu-io", "-c", "write 100k 300k", "-c", "write -z 1M 256k", "top.qcow2")
    theirs = json.loads(sh(home, "qemu-img", "map", "--output=json", "top.qcow2"))
    ours = disk(home, "map", "--json", "top.qcow2").json()

    def data(runs):
        return [(r["start"], r["length"], r["depth"], r["offset"]) for r in runs if r["data"]]
    equal(data(ours), data(theirs))
    equal(sum(r["length"] for r in ours), 5 << 20)


def a_size_changes_and_nothing_else(home):
    flat(home, 2)
    for options in ([], ["-o", "cluster_size=512"], ["-o", "extended_l2=on"]):
        disk(home, "convert", *options, "flat.raw", "a.qcow2")
        disk(home, "resize", "a.qcow2", "+300M")
        sh(home, "qemu-img", "check", "-q", "a.qcow2")
        disk(home, "compare", "a.qcow2", "flat.raw")
        done = disk(home, "resize", "a.qcow2", "1M", status=2)
        check("--shrink" in done.err, done)
        disk(home, "resize", "--shrink", "a.qcow2", "1049088")
        sh(home, "qemu-img", "check", "-q", "a.qcow2")
        disk(home, "resize", "a.qcow2", "4M")
        sh(home, "qemu-img", "check", "-q", "a.qcow2")
        sh(home, "cp", "flat.raw", "cut.raw")
        os.truncate(f"{home.dir}/cut.raw", 1049088)
        disk(home, "compare", "a.qcow2", "cut.raw")
        os.unlink(f"{home.dir}/a.qcow2")


def what_a_larger_backing_file_has_behind_the_end_stays_hidden(home):
    with open(f"{home.dir}/base.raw", "wb") as f:
        f.write(b"\x55" * (4 << 20))
    disk(home, "create", "-b", "base.raw", "-F", "raw", "a.qcow2", "1M")
    disk(home, "resize", "a.qcow2", "3M")
    sh(home, "qemu-img", "check", "-q", "a.qcow2")
    os.truncate(f"{home.dir}/base.raw", 1 << 20)
    with open(f"{home.dir}/want.raw", "wb") as f:
        f.write(b"\x55" * (1 << 20))
        f.truncate(3 << 20)
    disk(home, "compare", "a.qcow2", "want.raw")


def poke(home, name, at, data):
    with open(f"{home.dir}/{name}", "r+b") as f:
        f.seek(at)
        f.write(data)


def a_check_finds_and_repairs_what_is_wrong(home):
    flat(home, 2)
    disk(home, "convert", "flat.raw", "a.qcow2")
    equal(disk(home, "check", "--json", "a.qcow2").json()["corruptions"], 0)
    end = disk(home, "check", "--json", "a.qcow2").json()["image-end-offset"] // 65536
    os.truncate(f"{home.dir}/a.qcow2", (end + 4) * 65536)
    poke(home, "a.qcow2", 0x20000 + 2 * (end + 2), b"\0\1")
    done = disk(home, "check", "a.qcow2", status=3)
    check("Leaked" in done.out and "1 leaked cluster" in done.out, done)
    disk(home, "check", "--repair", "a.qcow2")
    sh(home, "qemu-img", "check", "-q", "a.qcow2")
    poke(home, "a.qcow2", 0x20000 + 2 * (end - 1), b"\0\0")
    done = disk(home, "check", "a.qcow2", status=1)
    check("ERROR" in done.out, done)
    done = disk(home, "check", "--repair", "a.qcow2", status=1)
    check("--yes" in done.err, done)
    disk(home, "check", "--repair", "--yes", "a.qcow2")
    sh(home, "qemu-img", "check", "-q", "a.qcow2")
    disk(home, "compare", "a.qcow2", "flat.raw")
    # A block of refcounts for clusters that the file does not have.
    poke(home, "a.qcow2", 0x10000 + 8 * 8191, b"\0\0\0\0\0\0\1\0")
    done = disk(home, "check", "a.qcow2", status=1)
    check("refcount block 8191" in done.out, done)
    disk(home, "compare", "a.qcow2", "flat.raw")


def snapshots_that_people_bring_are_listed_and_kept(home):
    flat(home, 2)
    sh(home, "qemu-img", "convert", "-O", "qcow2", "flat.raw", "a.qcow2")
    sh(home, "qemu-img", "snapshot", "-c", "before", "a.qcow2")
    sh(home, "qemu-io", "-c", "write -P 9 0 1M", "a.qcow2")
    check("before" in disk(home, "info", "a.qcow2").out, "it is not listed")
    equal(disk(home, "info", "--json", "a.qcow2").json()["snapshots"][0]["name"], "before")
    disk(home, "check", "a.qcow2")
    disk(home, "bench", "-w", "--count", "500", "--random", "a.qcow2")
    sh(home, "qemu-img", "check", "-q", "a.qcow2")
    disk(home, "check", "a.qcow2")
    sh(home, "qemu-img", "snapshot", "-a", "before", "a.qcow2")
    disk(home, "compare", "a.qcow2", "flat.raw")


def a_commit_moves_the_top_s_data_into_the_one_behind(home):
    for options in KINDS:
        stack(home, options)
        disk(home, "commit", "top.qcow2")
        shows_the_same(home)
        shows_the_same(home, "mid.qcow2")
        equal(disk(home, "check", "--json", "top.qcow2").json()["allocated-clusters"], 0)
        disk(home, "commit", "mid.qcow2")
        shows_the_same(home, "base.qcow2")
        done = disk(home, "commit", "base.qcow2", status=1)
        check("no backing file" in done.err, done)
        unstack(home)


def a_streamed_image_stands_alone(home):
    for options in KINDS:
        stack(home, options)
        disk(home, "stream", "top.qcow2")
        os.unlink(f"{home.dir}/mid.qcow2")
        os.unlink(f"{home.dir}/base.qcow2")
        shows_the_same(home)
        check("backing file" not in disk(home, "info", "top.qcow2").out, "it names one")
        unstack(home)


def a_rebased_image_shows_what_it_showed(home):
    for options in KINDS:
        stack(home, options)
        disk(home, "rebase", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2")
        os.unlink(f"{home.dir}/mid.qcow2")
        shows_the_same(home)
        equal(json.loads(sh(home, "qemu-img", "info", "--output=json", "top.qcow2"))
              ["backing-filename"], "base.qcow2")
        disk(home, "rebase", "top.qcow2")
        os.unlink(f"{home.dir}/base.qcow2")
        shows_the_same(home)
        unstack(home)
    flat(home, 1)
    disk(home, "create", "-b", "flat.raw", "-F", "raw", "a.qcow2")
    os.rename(f"{home.dir}/flat.raw", f"{home.dir}/moved.raw")
    disk(home, "info", "a.qcow2")
    disk(home, "info", "--chain", "a.qcow2", status=1)
    disk(home, "rebase", "-u", "-b", "moved.raw", "-F", "raw", "a.qcow2")
    disk(home, "compare", "a.qcow2", "moved.raw")


def a_rebase_keeps_zeroes_zero(home):
    with open(f"{home.dir}/old.raw", "wb") as f:
        f.truncate(1 << 20)
    with open(f"{home.dir}/new.raw", "wb") as f:
        f.write(b"\x77" * (1 << 20))
    for options in (["1M"], ["-b", "old.raw", "-F", "raw"]):
        for kind in ([], ["-o", "compat=0.10"], ["-o", "extended_l2=on"]):
            disk(home, "create", *kind, *options[:-1 if len(options) == 1 else None], "a.qcow2",
                 *(options if len(options) == 1 else []))
            sh(home, "qemu-io", "-c", "write -P 5 64k 10k", "a.qcow2")
            sh(home, "qemu-img", "convert", "-O", "raw", "a.qcow2", "flat.raw")
            disk(home, "rebase", "-b", "new.raw", "-F", "raw", "a.qcow2")
            shows_the_same(home, "a.qcow2")
            os.unlink(f"{home.dir}/a.qcow2")


def a_large_commit_leaks_nothing(home):
    disk(home, "create", "base.qcow2", "64M")
    disk(home, "create", "-o", "cluster_size=512", "-b", "base.qcow2", "-F", "qcow2", "a.qcow2")
    disk(home, "bench", "-w", "-r", "-s", "512", "--count", "90000", "a.qcow2")
    disk(home, "commit", "a.qcow2")
    sh(home, "qemu-img", "check", "-q", "a.qcow2")
    sh(home, "qemu-img", "check", "-q", "base.qcow2")


def a_raw_file_may_end_inside_a_sector(home):
    with open(f"{home.dir}/odd.raw", "wb") as f:
        f.write(b"\x11" * 1000)
    sh(home, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "odd.raw", "-F", "raw", "a.qcow2",
       "64K")
    disk(home, "convert", "a.qcow2", "b.qcow2")
    disk(home, "compare", "a.qcow2", "b.qcow2")
    sh(home, "qemu-img", "compare", "-q", "a.qcow2", "b.qcow2")


def a_resize_that_can_not_be_is_refused_at_once(home):
    disk(home, "create", "-o", "cluster_size=512", "a.qcow2", "100M")
    done = disk(home, "resize", "a.qcow2", "1G", status=2)
    check("larger clusters" in done.err, done)
    sh(home, "qemu-img", "check", "-q", "a.qcow2")


def snapshots_keep_the_backing_file_they_show(home):
    stack(home)
    sh(home, "qemu-img", "snapshot", "-c", "s", "top.qcow2")
    for operation in (["commit"], ["stream"], ["rebase"]):
        done = disk(home, *operation, "top.qcow2", status=1)
        check("internal snapshots" in done.err, done)
    shows_the_same(home)
    done = disk(home, "rebase", "-u", "-b", "mid.qcow2", "-F", "bogus", "top.qcow2", status=1)
    check("bogus" in done.err, done)


def a_job_on_layers_that_is_killed_loses_nothing(home):
    for operation in ("commit", "stream"):
        for delay in (0.002, 0.006, 0.012, 0.03):
            stack(home, ["-o", "cluster_size=512"])
            child = home.start("disk", operation, "top.qcow2", cwd=home.dir)
            time.sleep(delay)  # in the middle of it, wherever that is
            child.kill()
            child.wait()
            due = time.monotonic() + 60
            while any(subprocess.run(["qemu-img", "info", "--backing-chain", f"{n}.qcow2"],
                                     cwd=home.dir, capture_output=True).returncode
                      for n in ("top", "mid")):  # the kernel's workers let go
                check(time.monotonic() < due, "the killed process's lock stays")
            for name in ("top.qcow2", "mid.qcow2"):
                done = subprocess.run(["qemu-img", "check", "-q", name], cwd=home.dir,
                                      capture_output=True)
                check(done.returncode in (0, 3), f"{operation}, {delay}, {name}")
            disk(home, "compare", "top.qcow2", "flat.raw")
            disk(home, operation, "top.qcow2", status=None)
            disk(home, "check", "--repair", "top.qcow2")
            shows_the_same(home)
            unstack(home)


def a_bench_says_how_fast_it_is(home):
    flat(home, 2)
    done = disk(home, "bench", "--count", "1000", "-d", "4", "flat.raw")
    check("1000 requests of 4096 bytes" in done.out, done)
    equal(disk(home, "bench", "--json", "--count", "100", "-s", "512", "flat.raw").json()["requests"],
          100)


if __name__ == "__main__":
    run([an_image_is_made_as_it_was_asked_for,
         an_image_that_exists_is_never_replaced,
         a_mistake_is_one_line_and_leaves_nothing,
         what_is_converted_is_the_same,
         a_conversion_that_is_stopped_leaves_nothing,
         a_difference_is_found_where_it_is,
         the_map_is_what_qemu_img_says,
         a_size_changes_and_nothing_else,
         what_a_larger_backing_file_has_behind_the_end_stays_hidden,
         a_check_finds_and_repairs_what_is_wrong,
         snapshots_that_people_bring_are_listed_and_kept,
         a_commit_moves_the_top_s_data_into_the_one_behind,
         a_streamed_image_stands_alone,
         a_rebased_image_shows_what_it_showed,
         a_rebase_keeps_zeroes_zero,
         a_large_commit_leaks_nothing,
         a_raw_file_may_end_inside_a_sector,
         a_resize_that_can_not_be_is_refused_at_once,
         snapshots_keep_the_backing_file_they_show,
         a_job_on_layers_that_is_killed_loses_nothing,
         a_bench_says_how_fast_it_is], needs_kvm=False)
