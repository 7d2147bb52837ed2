# SPDX-License-Identifier: Apache-2.0
"""`amber snapshot`: taken while the guest runs, gone back to, rewound."""

import json
import os
import re
import subprocess
import time

from harness import check, equal, guest, run, skip
from processes import kill
from snapshot_rig import (after_going_back, await_count, await_true, create, lines, memory_of,
                          snapshots, twin_disk)


def guest_does_not_notice_its_snapshot(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 3)
    for n in range(5):
        done = home.amber("snapshot", "create", "web", f"s{n}")
        check(re.search(rf"web: snapshot s{n} \(\w{{8}}\): \d+ KiB of memory, guest stopped "
                        r"for \d+ us", done.out), done)
        equal(home.state("web"), "running")
    seen = await_count(home, "web", lines(home, "web")[-1][1] + 5)
    equal([count for _, count in seen], list(range(1, len(seen) + 1)))
    there = snapshots(home)
    equal([s["name"] for s in there["snapshots"]], [f"s{n}" for n in range(5)])
    for before, s in zip(there["snapshots"], there["snapshots"][1:]):
        equal(s["parent"], before["id"])
    equal(there["current"], there["snapshots"][-1]["id"])


def restored_guest_goes_on_from_there(home):
    create(home)
    home.amber("start", "web")
    before = await_count(home, "web", 3)
    count = before[-1][1]
    home.amber("snapshot", "create", "web", "one")
    latest = lines(home, "web")[-1][1] + 1  # its moment is between the two looks
    await_count(home, "web", latest + 20)
    pid = home.vmm_pids()
    for turn in range(3):
        known = len(lines(home, "web"))
        home.amber("snapshot", "restore", "web", "one")
        await_true(lambda: len(after_going_back(home, "web", known - 1)) > 3, "it stands")
        after = after_going_back(home, "web", known - 1)
        equal(after, list(range(after[0], after[0] + len(after))))
        check(count <= after[0] <= latest, f"from {after[0]}, not {count} to {latest}")
        equal({nonce for nonce, _ in lines(home, "web")}, {before[0][0]})
    equal(home.vmm_pids(), pid)
    names = [s["name"] for s in snapshots(home)["snapshots"]]
    equal(len([n for n in names if "pre-restore" in n]), 3)


def what_was_before_a_restore_comes_back(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 3)
    home.amber("snapshot", "create", "web", "one")
    late = await_count(home, "web", lines(home, "web")[-1][1] + 50)[-1][1]
    home.amber("snapshot", "restore", "web", "one")
    undo = [s["name"] for s in snapshots(home)["snapshots"] if s["purpose"] == "pre-restore"]
    equal(len(undo), 1)
    await_true(lambda: lines(home, "web")[-1][1] < late)
    home.amber("snapshot", "restore", "web", undo[0], "--no-safety")
    await_true(lambda: lines(home, "web")[-1][1] >= late + 3)
    equal(len([s for s in snapshots(home)["snapshots"] if s["purpose"] == "pre-restore"]), 1)


def stopped_vm_is_started_by_a_restore(home):
    create(home)
    home.amber("start", "web")
    first = await_count(home, "web", 5)[0][0]
    home.amber("snapshot", "create", "web", "one")
    home.amber("stop", "web")
    home.amber("delete", "-f", "other", status=None)
    done = home.amber("snapshot", "restore", "web", "one", "--paused")
    check("web: restored snapshot one" in done.out, done)
    equal(home.state("web"), "paused")
    known = len(lines(home, "web"))
    home.amber("resume", "web")
    equal(await_count(home, "web", 6, known)[-1][0], first)


def guest_is_rewound_in_place_a_hundred_times(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 3)
    home.amber("snapshot", "create", "web", "one")
    top = lines(home, "web")[-1][1]
    pid = home.vmm_pids()
    for _ in range(100):
        done = home.amber("snapshot", "rewind", "web")
        check("rewound to snapshot one" in done.out, done)
    equal(home.vmm_pids(), pid)
    await_true(lambda: len(after_going_back(home, "web", 0)) > 3, "it stands")
    first = after_going_back(home, "web", 0)[0]
    check(first <= top + 1, f"from {first}, not {top}")
    equal(len({nonce for nonce, _ in lines(home, "web")}), 1)


def rewound_again_it_is_to_the_snapshot_that_is_current_then(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 3)

    def rewound():
        """To which one, twice: read, then at hand."""
        told = {home.amber("snapshot", "rewind", "web").out.split(" (")[0] for _ in range(2)}
        equal(len(told), 1)
        return told.pop()
    for name in ("one", "two"):
        home.amber("snapshot", "create", "web", name)
        equal(rewound(), f"web: rewound to snapshot {name}")
    home.amber("snapshot", "restore", "web", "one", "--no-safety")
    equal(rewound(), "web: rewound to snapshot one")
    home.amber("snapshot", "delete", "web", "one")
    done = home.amber("snapshot", "rewind", "web", status=1)
    check("no snapshot to go back to" in done.err, done)
    home.amber("snapshot", "create", "web", "three")
    equal(rewound(), "web: rewound to snapshot three")
    known = len(lines(home, "web"))
    await_count(home, "web", 0, known)


def ended_guest_is_rewound_for_run_after_run(home):
    twin_disk(home, 1500, ends="pause")
    home.amber("snapshot", "create", "twin", "warm")
    done = home.amber("snapshot", "rewind", "twin", "--count", "5")
    equal([line.split(" (")[0] for line in done.lines()],
          [f"run {n}: debug-exit 0" for n in range(1, 6)])
    equal(home.state("twin"), "paused")
    log = home.console("twin")
    check(log.count("bad=0\nOK") >= 5 or log.count("OK") >= 5, log)
    done = home.amber("snapshot", "rewind", "twin", "--paused")
    equal(home.state("twin"), "paused")


def crashed_guest_is_rewound(home):
    create(home, "web", "triple", "delay=1")
    home.amber("start", "web", "--paused")
    home.amber("snapshot", "create", "web", "one")
    home.amber("resume", "web")
    await_true(lambda: home.state("web") == "crashed")
    for _ in range(3):
        home.amber("snapshot", "rewind", "web", "--paused")
        equal(home.state("web"), "paused")
        home.amber("resume", "web")
        await_true(lambda: home.state("web") == "crashed")
    home.amber("snapshot", "restore", "web", "one", "--paused")
    equal([s["purpose"] for s in snapshots(home)["snapshots"]], ["manual", "pre-restore"])
    done = home.amber("snapshot", "rewind", "web", "-n", "2", status=1)
    equal([line.split(" (")[0] for line in done.lines()],
          [f"run {n}: triple-fault" for n in (1, 2)])


def memory_under_change_is_saved_as_it_was_at_one_moment(home):
    create(home, "web", "ring3", "mib=32 rounds=0", "--cpus", "1")
    home.amber("start", "web")
    await_true(lambda: "round=" in home.console("web"))
    for n in range(3):
        home.amber("snapshot", "create", "web", f"s{n}")
    for n in (1, 0, 2):
        known = len(home.console("web"))
        home.amber("snapshot", "restore", "web", f"s{n}", "--no-safety")
        await_true(lambda: home.console("web")[known:].count("round=") >= 3)
        home.amber("snapshot", "rewind", "web")
    log = home.console("web")
    check("bad=0" in log and not re.search(r"bad=[1-9]", log), log[-2000:])


def increments_are_small_and_go_back_as_a_chain(home):
    create(home, "web", "ring3", "mib=32 rounds=0 rate=1")
    home.amber("start", "web")
    await_true(lambda: "ready" in home.console("web"))
    home.amber("snapshot", "create", "web", "s0", "--incremental")
    full, _ = memory_of(home, "web", "s0")
    equal(full["base"], "")
    for n in range(1, 6):
        time.sleep(0.3)
        home.amber("snapshot", "create", "web", f"s{n}", "--incremental")
        inc, taken = memory_of(home, "web", f"s{n}")
        equal(inc["base"], snapshots(home)["snapshots"][n - 1]["id"])
        check(taken < 16 << 20, f"{taken} bytes")
        if n == 3:  # and of memory that shows a chain itself
            home.amber("snapshot", "rewind", "web")
    done = home.amber("snapshot", "delete", "web", "s2", status=1)
    check("s3 is an increment of it" in done.err, done)
    for n in (5, 1, 4, 0, 3):
        home.amber("snapshot", "restore", "web", f"s{n}", "--no-safety")
        time.sleep(0.1)
        home.amber("snapshot", "rewind", "web")
    home.amber("stop", "web")
    for n in (5, 4):
        home.amber("snapshot", "delete", "web", f"s{n}")
    home.amber("snapshot", "restore", "web", "s3")
    time.sleep(0.3)
    log = home.console("web")
    check("FAIL" not in log and not re.search(r"bad=[1-9]", log), log[-2000:])


def snapshot_is_finished_though_the_guest_has_ended(home):
    create(home, "web", "ring3", "mib=300 rounds=0", memory="512M", ends="exit")
    home.amber("start", "web")
    await_true(lambda: "round=1" in home.console("web"))
    child = home.start("snapshot", "create", "web", "one")
    await_true(lambda: any(n.endswith(".new") for n in
                           os.listdir(home.path("web", "snapshots")))
               if os.path.isdir(home.path("web", "snapshots")) else False)
    time.sleep(0.05)
    home.amber("stop", "web")
    child.wait(60)
    home.await_no_vmm()
    done = home.amber("snapshot", "verify", "web")
    check("one" in done.out or not snapshots(home)["snapshots"], done)
    equal([n for n in os.listdir(home.path("web", "snapshots")) if "." in n], [])


def mistakes_get_one_line(home):
    create(home)
    for line, status, text in (
            (("create", "web"), 1, "no disks"),
            (("create", "nobody"), 1, "no such VM"),
            (("restore", "web", "x"), 1, "no snapshot 'x'"),
            (("delete", "web", "x"), 1, "no snapshot 'x'"),
            (("show", "web", "x"), 1, "no snapshot 'x'"),
            (("restore", "web"), 2, "NAME SNAPSHOT"),
            (("rewnid", "web"), 2, "rewind")):
        done = home.amber("snapshot", *line, status=status)
        check(text in done.err and done.err.count("\n") == 1, f"{line}: {done}")
    home.amber("start", "web")
    for line, text in ((("create", "web", "../x"), "is not a letter or a digit"),
                       (("create", "web", "-k", "some"), "full, disk or memory"),
                       (("create", "web", "-l", "=x"), "KEY=VALUE"),
                       (("rewind", "web"), "no snapshot to go back to")):
        done = home.amber("snapshot", *line, status=1)
        check(text in done.err and done.err.count("\n") == 1, f"{line}: {done}")
    home.amber("snapshot", "create", "web", "one")
    done = home.amber("snapshot", "create", "web", "one", status=1)
    check("'one' already" in done.err, done)
    equal(len(os.listdir(home.path("web", "snapshots"))), 2)


def snapshot_is_described_listed_and_deleted(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 2)
    home.amber("snapshot", "create", "web", "one", "--purpose", "try it", "-l", "tier=ci", "--pin")
    home.amber("snapshot", "create", "web")
    shown = home.amber("snapshot", "show", "web", "one").out
    for text in ("one", "try it", "tier=ci", "pinned", "full", "64 MiB"):
        check(text in shown, shown)
    tree = home.amber("snapshot", "list", "web", "--tree").lines()
    check(re.match(r"one ", tree[1]) and re.match(r"  - web-manual-\w+Z \*", tree[2]), tree)
    done = home.amber("snapshot", "delete", "web", "one", status=1)
    check("pinned" in done.err, done)
    home.amber("snapshot", "delete", "web", "one", "--force")
    equal(len(snapshots(home)["snapshots"]), 1)
    home.amber("stop", "web")
    home.amber("snapshot", "delete", "web", snapshots(home)["current"])
    equal(snapshots(home), {"current": "", "damaged": 0, "snapshots": []})
    equal(os.listdir(home.path("web", "snapshots")), [])


def damaged_snapshot_leaves_the_guest_running(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 2)
    home.amber("snapshot", "create", "web", "one")
    where = home.path("web", "snapshots", snapshots(home)["current"])
    with open(f"{where}/vmstate", "rb") as f:
        good = f.read()
    for at in range(0, len(good), len(good) // 8):
        with open(f"{where}/vmstate", "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1:])
        for line in (("restore", "web", "one"), ("rewind", "web")):
            done = home.amber("snapshot", *line, status=1)
            check(done.err.count("\n") == 1, done)
            equal(home.state("web"), "running")
    with open(f"{where}/vmstate", "wb") as f:
        f.write(good)
    with open(f"{where}/meta.json", "r+", encoding="utf-8") as f:
        meta = json.load(f)
        f.seek(0)
        f.truncate()
        json.dump(dict(meta, format=99), f)
    done = home.amber("snapshot", "list", "web")
    check("format 99" in done.err, done)
    done = home.amber("snapshot", "restore", "web", "one", status=1)
    check("format 99, this amber knows 1" in done.err, done)
    equal(home.state("web"), "running")


def killed_while_it_is_taken_it_is_there_or_not(home):
    create(home)
    for turn in range(12):
        home.amber("start", "web")
        await_count(home, "web", 1)
        known = {s["name"] for s in snapshots(home)["snapshots"]}
        pid = home.vmm_pids()[0]
        child = home.start("snapshot", "create", "web", f"s{turn}")
        time.sleep(0.001 * turn)  # at any point of it
        kill(pid)
        child.wait(30)
        there = snapshots(home)
        equal(there["damaged"], 0)
        names = {s["name"] for s in there["snapshots"]}
        check(names - known <= {f"s{turn}"} and known <= names, names)
        home.amber("start", "web")
        there = home.path("web", "snapshots")
        left = os.listdir(there) if os.path.isdir(there) else []
        check(not [n for n in left if "." in n], left)
        for name in names:
            home.amber("snapshot", "restore", "web", name, "--no-safety")
        home.amber("stop", "web")


def full_disk_lets_the_guest_run_on(home):
    where = f"{home.dir}/small"
    os.mkdir(where)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", where],
                      capture_output=True).returncode:
        skip("no tmpfs can be mounted")
    home.env["AMBER_HOME"] = where
    try:
        home.amber("create", "--name", "web", "--append", "period_ms=20", "--memory", "64M",
                   guest("nonce"))
        home.amber("start", "web")
        await_count(home, "web", 3)
        free = os.statvfs(where)
        with open(f"{where}/filler", "wb") as f:
            f.write(bytes((free.f_bavail - 12) * free.f_frsize))
        done = home.amber("snapshot", "create", "web", "one", status=1)
        check("No space left" in done.err and done.err.count("\n") == 1, done)
        equal(home.state("web"), "running")
        equal(os.listdir(f"{where}/vms/web/snapshots"), [])
        os.unlink(f"{where}/filler")
        home.amber("snapshot", "create", "web", "one")
        home.amber("snapshot", "rewind", "web")
        home.amber("stop", "web")
    finally:
        home.amber("stop", "web", status=None)
        subprocess.run(["umount", "-l", where], check=False)


if __name__ == "__main__":
    run([guest_does_not_notice_its_snapshot,
         restored_guest_goes_on_from_there,
         what_was_before_a_restore_comes_back,
         stopped_vm_is_started_by_a_restore,
         guest_is_rewound_in_place_a_hundred_times,
         rewound_again_it_is_to_the_snapshot_that_is_current_then,
         ended_guest_is_rewound_for_run_after_run,
         crashed_guest_is_rewound,
         memory_under_change_is_saved_as_it_was_at_one_moment,
         increments_are_small_and_go_back_as_a_chain,
         snapshot_is_finished_though_the_guest_has_ended,
         mistakes_get_one_line,
         snapshot_is_described_listed_and_deleted,
         damaged_snapshot_leaves_the_guest_running,
         killed_while_it_is_taken_it_is_there_or_not,
         full_disk_lets_the_guest_run_on])
