# SPDX-License-Identifier: Apache-2.0
"""Snapshots that are tried out: verify --boot starts each as a VM of its own,
waits for what it has to show, and throws it away."""

import os
import re
import signal

from harness import check, equal, run
from snapshot_rig import await_count, await_end, await_true, create, snapshots, twin_disk


def only(home, *names):
    equal(sorted(os.listdir(home.path())), sorted(names))


def verdict(home, name="web"):
    return snapshots(home, name)["snapshots"][0]["verdict"]


def snapshot_that_comes_back_is_told_so(home):
    create(home)
    home.amber("start", "web")
    count = await_count(home, "web", 5)[-1][1]
    home.amber("snapshot", "create", "web", "one")
    done = home.amber("snapshot", "verify", "web", "one", "--boot", "--expect",
                      f"count={count + 3}[0-9]*")
    check(re.search(r"comes back: running after [0-9.]+ ms, good \(console\) after", done.out), done)
    said = verdict(home)
    equal((said["passed"], said["how"], said["text"]), (True, "console", ""))
    check(0 < said["start_us"] <= said["good_us"], said)
    check("came back" in home.amber("snapshot", "show", "web", "one").out, "show does not tell")
    equal(home.state("web"), "running")
    only(home, "web")
    home.amber("stop", "web")
    done = home.amber("snapshot", "verify", "web", "--boot")
    check("nothing more was asked of it" in done.out, done)
    equal(verdict(home)["how"], "started")
    only(home, "web")


def snapshot_that_does_not_show_it_has_failed(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    done = home.amber("snapshot", "verify", "web", "one", "--boot", "--expect", "^never$",
                      "--timeout", "0.3", status=1)
    check("does not come back: its console did not show '^never$'" in done.err, done)
    said = verdict(home)
    equal((said["passed"], said["how"]), (False, "console"))
    check("FAILED (console)" in home.amber("snapshot", "show", "web", "one").out, "not in show")
    done = home.amber("snapshot", "verify", "web", "one", "--boot", "--probe", "true", status=1,
                      timeout=20)
    check("it has none (--agent on)" in done.err, done)
    only(home, "web")


def guest_that_ends_at_once_shows_it_all_the_same(home):
    create(home, "web", "hello", "", ends="exit")
    home.amber("snapshot", "create", "web", "one", status=1)
    twin_disk(home, 2000, ends="exit")
    home.amber("snapshot", "create", "twin", "one")
    await_end(home)
    home.amber("snapshot", "verify", "twin", "one", "--boot", "--expect", "OK")
    home.amber("snapshot", "verify", "twin", "one", "--boot", "--expect", "nothing", status=1)
    check("it ended before" in verdict(home, "twin")["text"], verdict(home, "twin"))
    only(home, "twin", "web")


def damaged_one_is_not_started(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 5)
    home.amber("snapshot", "create", "web", "one")
    where = home.path("web", "snapshots", snapshots(home)["snapshots"][0]["id"], "memory")
    with open(where, "r+b") as f:
        f.seek(0x100000)
        f.write(b"damage")
    done = home.amber("snapshot", "verify", "web", "one", "--boot", "--json", status=1).json()
    equal(done["whole"], False)
    check("boot" not in done and "verdict" not in snapshots(home)["snapshots"][0], done)


def set_can_be_read_whatever_was_not_shown(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    for words, told in (("a\tb", "'a?b'"), ("a\nb", "'a?b'"), ("\udcff\udcfe", "'??'"),
                        ("x" + 40 * "\u00e4", "x" + 31 * "\u00e4" + "?'")):
        done = home.amber("snapshot", "verify", "web", "one", "--boot", "--json", "--timeout",
                          "0.2", "--expect", words, status=1).json()
        check(told in done["boot"]["error"], done)
        equal(verdict(home)["text"], done["boot"]["error"])
    home.amber("snapshot", "create", "web", "two", "--purpose", "a\tb", status=1)
    equal(len(snapshots(home)["snapshots"]), 1)
    home.amber("snapshot", "create", "web", "three", "--expires", "9999y")
    listed = snapshots(home)
    equal((len(listed["snapshots"]), listed["damaged"]), (2, 0))


def memory_that_was_copied_without_its_holes_is_whole(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 5)
    home.amber("snapshot", "create", "web", "one")
    where = home.path("web", "snapshots", snapshots(home)["snapshots"][0]["id"], "memory")
    with open(where, "rb") as f:
        content = f.read()
    with open(where, "r+b") as f:
        f.write(content)
    check(os.stat(where).st_blocks * 512 >= len(content), "it has holes")
    home.amber("snapshot", "verify", "web", "one", "--boot", "--expect", "count=")


def many_are_tried_at_once(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 5)
    home.amber("snapshot", "create", "web", "one")
    going = [home.start("snapshot", "verify", "web", "one", "--boot", "--expect", "count=")
             for _ in range(8)]
    for child in going:
        equal((child.wait(60), child.stderr.read()), (0, ""))
    only(home, "web")


def guest_that_crashes_is_over(home):
    """In the copy, whatever the VM itself is to do then: while its console is
    looked at, or before anybody could."""
    for name, delay in (("web", 300), ("hasty", 0)):
        create(home, name, "triple", f"delay_ms={delay}", "--on-crash", "restart")
        home.amber("start", name, "--paused")
        home.amber("snapshot", "create", name, "one")
        done = home.amber("snapshot", "verify", name, "one", "--boot", "--expect", "never",
                          "--timeout", "30", status=1)
        check("it ended before" in done.err, done)
    only(home, "hasty", "web")


def interrupted_it_is_thrown_away(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    child = home.start("snapshot", "verify", "web", "one", "--boot", "--expect", "never")
    await_true(lambda: catches(child.pid, signal.SIGINT), "it waits for nothing")
    child.send_signal(signal.SIGINT)
    equal(child.wait(30), -signal.SIGINT)
    await_true(lambda: not os.path.exists(home.path("web-verify-1")), "it stays")
    only(home, "web")


def catches(pid, number):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        caught = [line.split()[1] for line in f if line.startswith("SigCgt")][0]
    return int(caught, 16) >> (number - 1) & 1


def words_that_can_not_be_are_wrong_usage(home):
    create(home)
    for words in (["--expect", "x"], ["--probe", "x"], ["--boot", "--expect", "("],
                  ["--boot", "--timeout", "soon"]):
        home.amber("snapshot", "verify", "web", *words, status=2)


def one_that_nobody_waits_for_ends_by_itself(home):
    """Its time is told to its own process."""
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    child = home.start("snapshot", "verify", "web", "one", "--boot", "--expect", "never",
                       "--timeout", "1")
    await_true(lambda: os.path.exists(home.path("web-verify-1", "state.json")), "it is not there")
    child.kill()
    pid = home.amber("info", "--json", "web-verify-1").json()["pid"]
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        words = f.read().split(b"\0")
    equal(words[words.index(b"--timeout") + 1], b"31")
    check(b"--rm" in words, words)
    home.amber("stop", "web-verify-1")
    await_true(lambda: not os.path.exists(home.path("web-verify-1")), "it stays")


if __name__ == "__main__":
    run([snapshot_that_comes_back_is_told_so,
         snapshot_that_does_not_show_it_has_failed,
         guest_that_ends_at_once_shows_it_all_the_same,
         damaged_one_is_not_started,
         set_can_be_read_whatever_was_not_shown,
         interrupted_it_is_thrown_away,
         memory_that_was_copied_without_its_holes_is_whole,
         many_are_tried_at_once,
         guest_that_crashes_is_over,
         words_that_can_not_be_are_wrong_usage,
         one_that_nobody_waits_for_ends_by_itself])
