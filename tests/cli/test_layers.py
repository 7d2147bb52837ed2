# SPDX-License-Identifier: Apache-2.0
"""Deleting snapshots: their layers go, and nothing that anybody needs."""

import itertools
import os
import random
import time

from harness import check, equal, run
from layers import Twin
from processes import kill
from snapshot_rig import await_true


def make(home, names, mib=8):
    twin = Twin(home, mib)
    twin.start()
    for name in names:
        twin.run_on()
        twin.snapshot("create", name)
    twin.run_on()
    return twin


def deleted_in_any_order_while_it_runs_they_leave_one_file_per_disk(home):
    twin = Twin(home)
    twin.start()
    for order in random.sample(list(itertools.permutations("pqr")), 3):
        for name in "pqr":
            twin.snapshot("create", name)
            time.sleep(0.05)
        for left, name in enumerate(order):
            twin.snapshot("delete", name)
            equal(len(twin.sets()), 2 - left)
            twin.check_layers()
            if left != 1:  # once without waiting
                twin.await_layers(2 - left)
        twin.run_on()
    twin.stop()
    twin.judge()
    check(any("merged" in text for text in twin.journal()), twin.journal())


def deleted_in_any_order_when_it_is_stopped_they_leave_one_file_per_disk(home):
    twin = Twin(home)
    for order in random.sample(list(itertools.permutations("pqr")), 3):
        twin.start()
        for name in "pqr":
            twin.snapshot("create", name)
            time.sleep(0.05)
        twin.stop()
        for left, name in enumerate(order):
            twin.snapshot("delete", name)
            equal(len(twin.layers()), 2 * (2 - left))
            twin.judge()
        equal(twin.unused(), set())
    twin.check_guest()


def what_is_left_can_be_gone_back_to(home):
    twin = make(home, "pqrst")
    for name in "qs":
        twin.snapshot("delete", name)
    twin.await_layers(3)
    for name in "rptr":
        twin.snapshot("restore", name, "--no-safety")
        twin.run_on(2)
    twin.stop()
    twin.judge()


def branches_keep_what_both_stand_on_until_one_is_left(home):
    twin = make(home, "p")
    twin.snapshot("create", "q")
    twin.snapshot("restore", "p", "--no-safety")
    twin.snapshot("create", "r")
    twin.snapshot("create", "s")
    done = twin.snapshot("delete", "p")
    check("2 layers still needed" in done.out, done)
    twin.snapshot("delete", "s")
    twin.await_layers(3)
    for name in "qrq":
        twin.snapshot("restore", name, "--no-safety")
        twin.run_on()
    twin.snapshot("delete", "r")
    twin.await_layers(1)
    twin.snapshot("restore", "q", "--no-safety")
    twin.run_on()
    twin.snapshot("delete", "q")
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def branch_that_no_disk_is_on_is_merged_while_the_vm_runs(home):
    twin = make(home, "pqrs")
    twin.snapshot("restore", "p", "--no-safety")
    twin.snapshot("delete", "q")
    twin.snapshot("delete", "r")
    twin.await_layers(2)
    twin.run_on()
    twin.snapshot("restore", "s", "--no-safety")
    twin.run_on()
    twin.stop()
    twin.judge()


def abandoned_branch_goes_when_it_is_left(home):
    twin = make(home, "pq")
    twin.snapshot("delete", "q")
    twin.snapshot("restore", "p", "--no-safety")
    twin.await_layers(1)
    twin.run_on()
    twin.stop()
    twin.judge()


def children_go_with_what_they_came_from(home):
    twin = make(home, "p")
    for name, *more in (("q", "--incremental"), ("r", "--incremental"), ("s", "--pin")):
        twin.snapshot("create", name, *more)
    twin.snapshot("restore", "p", "--no-safety")
    twin.snapshot("create", "t")
    done = twin.snapshot("delete", "q", status=1)
    check("increment" in done.err, done)
    done = twin.snapshot("delete", "q", "--children", status=1)
    check("snapshot s is pinned" in done.err, done)
    equal([s["name"] for s in twin.sets()], list("pqrst"))
    done = twin.snapshot("delete", "q", "--children", "--force")
    check("snapshot q" in done.out and "and 2 that came from it deleted" in done.out, done)
    equal([s["name"] for s in twin.sets()], list("pt"))
    twin.await_layers(2)
    twin.snapshot("rewind")
    twin.run_on()
    twin.snapshot("delete", "p", "--children")
    equal(twin.sets(), [])
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def merging_makes_way_for_operations_and_goes_on(home):
    twin = make(home, "p", 256)
    twin.snapshot("delete", "p")
    for turn in range(5):
        twin.snapshot("create", f"s{turn}")
        if turn % 2:
            twin.snapshot("rewind")
        twin.snapshot("delete", f"s{turn}")
    home.amber("pause", "twin")
    home.amber("resume", "twin")
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def suspended_vm_finds_its_disks_as_they_were(home):
    twin = make(home, "pq", 64)
    for turn, name in enumerate("pq"):
        twin.snapshot("delete", name)
        time.sleep(0.01 * turn)
        home.amber("suspend", "twin")
        twin.start()
        twin.run_on()
    twin.await_layers(0)
    twin.snapshot("create", "r")
    home.amber("suspend", "twin")
    done = twin.snapshot("delete", "r")  # the top is remembered: it waits
    equal(len(twin.layers()), 2, done)
    twin.start()
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def no_merge_leaves_it_to_the_next_start(home):
    twin = make(home, "p")
    twin.stop()
    twin.snapshot("delete", "p", "--no-merge")
    equal(len(twin.unused()), 2)
    equal(len(twin.layers()), 2)
    twin.start()
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def bar_is_shown_on_a_terminal_and_ctrl_c_leaves_the_rest(home):
    twin = make(home, "p", 256)
    twin.stop()
    terminal = home.terminal("snapshot", "delete", "twin", "p")
    terminal.await_text("merging layers [")
    terminal.type("\x03")
    equal(terminal.wait(), 0)
    terminal.close()
    if twin.unused():
        check("next start" in terminal.text, terminal.text)
    twin.start()
    twin.await_layers(0)
    twin.stop()
    twin.judge()


def layer_that_a_clone_stands_on_is_not_written_to(home):
    twin = make(home, "pq")
    layers = {s["name"]: [d["layer"] for d in s["disks"]] for s in twin.sets()}
    clone = f"{home.dir}/clone"
    os.mkdir(clone)
    for path in layers["q"]:
        os.link(path, f"{clone}/{os.path.basename(path)}")
    before = [os.stat(path) for path in layers["q"]]
    twin.snapshot("delete", "p")
    time.sleep(0.5)
    equal([(s.st_size, s.st_mtime_ns) for s in map(os.stat, layers["q"])],
          [(s.st_size, s.st_mtime_ns) for s in before])
    equal(len(twin.layers()), 4)
    for path in layers["q"]:
        os.unlink(f"{clone}/{os.path.basename(path)}")
    twin.stop()
    twin.start()
    twin.await_layers(1)
    twin.run_on()
    twin.stop()
    twin.judge()


def files_that_no_snapshot_named_stay(home):
    twin = make(home, "p")
    strange = [f"{home.dir}/a.{name}" for name in
               ("01234567.qcow2", "qcow2.old.7", "qcow2.new.backup", "qcow2.bak")]
    for path in strange:
        with open(path, "wb") as f:
            f.write(b"notes")
    twin.snapshot("delete", "p")
    twin.stop()
    twin.start()
    time.sleep(0.3)
    twin.stop()
    for path in strange:
        check(os.path.exists(path), path)


def damaged_snapshot_keeps_all_layers_and_says_so(home):
    twin = make(home, "pq")
    where = home.path("twin", "snapshots", twin.sets()[1]["id"], "meta.json")
    with open(where, encoding="utf-8") as f:
        good = f.read()
    with open(where, "w", encoding="utf-8") as f:
        f.write(good.replace('"format": 1', '"format": 99'))
    twin.snapshot("delete", "p")
    await_true(lambda: any("format 99" in text for text in twin.journal()))
    equal(len(twin.layers()), 4)
    with open(where, "w", encoding="utf-8") as f:
        f.write(good)
    twin.snapshot("delete", "q")
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def pruned_when_it_is_stopped_no_layer_waits(home):
    twin = make(home, "pqr")
    twin.stop()
    home.amber("snapshot", "prune", "twin", "--keep-last", "1", "--no-merge")
    check(len(twin.layers()) > len(twin.disks), "none was left to be merged")
    twin.start()
    twin.await_layers(1)
    twin.run_on()
    for name in "st":
        twin.snapshot("create", name)
        twin.run_on()
    twin.stop()
    done = home.amber("snapshot", "prune", "twin", "--keep-last", "1", "--json").json()
    equal(done["prune"]["removed"], 2)
    twin.await_layers(1, seconds=0)
    twin.start()
    twin.run_on()
    twin.stop()
    twin.judge()


def is_verified(home, name):
    done = home.amber("snapshot", "verify", "twin", name, status=None)
    check(done.status == 0 or "can't be verified now" in done.err, done)
    return done.status == 0


def damaged_snapshot_can_be_deleted_by_its_id(home):
    twin = make(home, "pqr")
    sets = {s["name"]: s["id"] for s in twin.sets()}
    where = home.path("twin", "snapshots", sets["q"], "meta.json")
    with open(where, "w", encoding="utf-8") as f:
        f.write("{")
    done = home.amber("snapshot", "list", "twin")
    check("amber snapshot delete twin ID --force" in done.err, done)
    for words in ([sets["q"]], ["q", "--force"], ["../../ab", "--force"]):
        home.amber("snapshot", "delete", "twin", *words, status=1)
    done = home.amber("snapshot", "delete", "twin", sets["q"], "--force")
    check(f"snapshot {sets['q']} ({sets['q']}) deleted" in done.out, done)
    twin.await_layers(2)
    equal([s["name"] for s in twin.sets()][-2:], ["p", "r"])
    for name in "pr":
        await_true(lambda n=name: is_verified(home, n), "its layers stay in use")
        twin.snapshot("delete", name)
    twin.await_layers(0)
    twin.run_on()
    twin.stop()
    twin.judge()


def killed_while_layers_go_it_goes_on_at_the_next_start(home):
    twin = Twin(home, 128)
    dice = random.Random(os.environ.get("SEED"))
    for turn in range(6):
        if twin.pid() is None:
            twin.start()
        for name in "pqr":
            twin.snapshot("create", name)
        pid = twin.pid()
        children = [home.start("snapshot", "delete", "twin", name)
                    for name in dice.sample("pqr", 2)]
        time.sleep(dice.random() * (0.4 if turn % 2 else 0.05))
        check(kill(pid), "its process is gone")
        for child in children:
            child.wait(30)
        twin.check_layers()
        twin.start()
        twin.check_layers()
        for s in twin.sets():
            twin.snapshot("restore", s["name"], "--no-safety")
            twin.run_on()
        for s in twin.sets():
            twin.snapshot("delete", s["name"])
        if turn % 3 == 0:
            twin.await_layers(0)
    twin.await_layers(0)
    twin.stop()
    twin.judge()
    twin.check_guest()


def start_removes_what_a_kill_has_left_and_says_so(home):
    twin = make(home, "p")
    twin.stop()
    left = [f"{twin.disks[0]}.was.0123abcd", f"{twin.disks[1]}.new.aB3dE6"]
    for path in left:
        with open(path, "wb"):
            pass
    os.link(twin.disks[0], f"{home.dir}/a.89abcdef.qcow2")
    os.mkdir(home.path("twin", "snapshots", "0123abcd.new"))
    os.mkdir(home.path("twin", "snapshots", "76543210"))
    twin.start()
    twin.run_on()  # the journal is written beside
    equal(twin.journal("swept"), ["2 unfinished snapshots; 3 leftover disk files"])
    check(not any(map(os.path.exists, left)), left)
    equal(len(twin.layers()), 2)
    twin.stop()
    twin.judge()


if __name__ == "__main__":
    run([deleted_in_any_order_while_it_runs_they_leave_one_file_per_disk,
         deleted_in_any_order_when_it_is_stopped_they_leave_one_file_per_disk,
         what_is_left_can_be_gone_back_to,
         branches_keep_what_both_stand_on_until_one_is_left,
         branch_that_no_disk_is_on_is_merged_while_the_vm_runs,
         abandoned_branch_goes_when_it_is_left,
         children_go_with_what_they_came_from,
         merging_makes_way_for_operations_and_goes_on,
         suspended_vm_finds_its_disks_as_they_were,
         no_merge_leaves_it_to_the_next_start,
         bar_is_shown_on_a_terminal_and_ctrl_c_leaves_the_rest,
         layer_that_a_clone_stands_on_is_not_written_to,
         files_that_no_snapshot_named_stay,
         damaged_snapshot_keeps_all_layers_and_says_so,
         pruned_when_it_is_stopped_no_layer_waits,
         damaged_snapshot_can_be_deleted_by_its_id,
         killed_while_layers_go_it_goes_on_at_the_next_start,
         start_removes_what_a_kill_has_left_and_says_so])
