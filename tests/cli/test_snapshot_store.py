# SPDX-License-Identifier: Apache-2.0
"""`amber snapshot`: what is done with snapshots that are there."""

import json
import os
import re
import signal
import subprocess
import time

from harness import Skipped, check, equal, run
from snapshot_rig import await_true, create, snapshots


def named(home, name, vm="web"):
    found = [s for s in snapshots(home, vm)["snapshots"] if s["name"] == name]
    equal(len(found), 1)
    return found[0]


def take(home, *names):
    for name in names:
        home.amber("snapshot", "create", "web", name)


def end(home, vm="web"):
    """The VM is stopped, and has no process any more."""
    home.amber("stop", vm)
    for pid in home.vmm_pids():
        os.kill(pid, signal.SIGTERM)
    home.await_no_vmm()


def both_ways(home, promise):
    """By the VM's process, and by the command under the lock."""
    create(home)
    home.amber("start", "web")
    take(home, "one", "two")
    promise(home)
    end(home)
    home.amber("snapshot", "unpin", "web", "one")
    promise(home)


def pins_and_labels(home):
    for verb, text in (("pin", "pinned"), ("pin", "pinned already"),
                       ("unpin", "no longer pinned"), ("unpin", "not pinned"), ("pin", "pinned")):
        done = home.amber("snapshot", verb, "web", "one")
        check(done.out.startswith("web: snapshot one (") and done.out.endswith(f") {text}\n"), done)
        equal(named(home, "one")["pinned"], verb == "pin")
    done = home.amber("snapshot", "delete", "web", "one", status=1)
    check("one is pinned" in done.err and done.err.count("\n") == 1, done)
    home.amber("snapshot", "label", "web", "one", "tier=ci", "a=b=c")
    equal(named(home, "one")["labels"], {"tier": "ci", "a": "b=c"})
    before = named(home, "one")
    done = home.amber("snapshot", "label", "web", "one", "tier-", "gone-", "a=b=c", "--json").json()
    check(done["changed"] and done["snapshot"]["labels"] == {"a": "b=c"}, done)
    done = home.amber("snapshot", "label", "web", "one", "a=b=c", "--json").json()
    equal(done["changed"], False)
    equal(named(home, "one"), dict(before, labels={"a": "b=c"}))
    home.amber("snapshot", "label", "web", "one", "a-")


def snapshot_is_pinned_and_labelled_whether_it_runs_or_not(home):
    both_ways(home, pins_and_labels)


def labels_have_a_limit(home):
    create(home)
    home.amber("start", "web")
    take(home, "one")
    home.amber("snapshot", "label", "web", "one", *(f"k{n}=v" for n in range(16)))
    done = home.amber("snapshot", "label", "web", "one", "more=1", status=1)
    check("no more fit" in done.err and done.err.count("\n") == 1, done)
    home.amber("snapshot", "label", "web", "one", "more=1", "k3-")
    equal(len(named(home, "one")["labels"]), 16)
    for text in ("plain", "=x", "-", "k" * 64 + "=x", "k=" + "x" * 64, "k=\x1b[2J"):
        done = home.amber("snapshot", "label", "web", "one", "--", text, status=2)
        check("KEY=VALUE nor KEY-" in done.err and done.err.count("\n") == 1, done)
    done = home.amber("snapshot", "pin", "web", "x" * 80, status=1)
    check("no snapshot" in done.err and done.err.count("\n") == 1, done)


def changes_are_in_the_journal(home):
    create(home)
    home.amber("start", "web")
    take(home, "one")
    home.amber("snapshot", "pin", "web", "one", "--reason", "keep it")
    records = home.amber("journal", "--json", "web").json()
    found = [r for r in records if "pinned" in r.get("text", "")]
    equal([r["reason"] for r in found], ["keep it"])


def occupied(home, s, vm="web"):
    """By the file system, not by amber."""
    where = home.path(vm, "snapshots", s["id"])
    files = [os.path.join(where, n) for n in os.listdir(where)]
    files += [d["layer"] for d in s["disks"] if "layer" in d]
    return sum(os.stat(f).st_blocks * 512 for f in files)


def list_tells_what_sets_take_up_and_sorts(home):
    image = f"{home.dir}/root.qcow2"
    home.amber("disk", "create", image, "8M")
    create(home, "web", "blk-twin", "steps=10000000", "--disk", image)
    home.amber("start", "web")
    for name, kind in (("b", "full"), ("c", "disk"), ("a", "memory"), ("d", "full")):
        home.amber("snapshot", "create", "web", name, "--kind", kind)
    there = snapshots(home)["snapshots"]
    for s in there:
        equal(s["size"]["total"], occupied(home, s))
        equal(s["size"]["total"], sum(v for k, v in s["size"].items() if k != "total"))
        equal(s["size"]["memory"] > 0, s["kind"] != "disk")
        equal(s["size"]["layers"] > 0, s["kind"] != "memory")

    def order(by):
        found = home.amber("snapshot", "list", "web", "--sort", by, "--json").json()
        table = home.amber("snapshot", "list", "web", "--sort", by).lines()
        names = [s["name"] for s in found["snapshots"]]
        equal([line.split()[0] for line in table[1:]], names)
        return names

    equal(order("age"), ["b", "c", "a", "d"])
    equal(order("name"), ["a", "b", "c", "d"])
    equal(order("kind"), ["b", "d", "c", "a"])
    sizes = {s["name"]: s["size"]["total"] for s in there}
    equal([sizes[n] for n in order("size")], sorted(sizes.values(), reverse=True))
    done = home.amber("snapshot", "list", "web", "--sort", "colour", status=2)
    check("age, size, name or kind" in done.err and done.err.count("\n") == 1, done)
    shown = home.amber("snapshot", "show", "web", "b").out
    check("on disk:" in shown, shown)


HOUR = 3600 * 10**9  # ns


def backdate(home, name, hours, since=None):
    """As if it had been taken so many hours before (than it was, or than since)."""
    s = named(home, name)
    file = home.path("web", "snapshots", s["id"], "meta.json")
    with open(file, "r+", encoding="utf-8") as f:
        meta = json.load(f)
        meta["created_ns"] = (meta["created_ns"] if since is None else since) - hours * HOUR
        f.seek(0)
        f.truncate()
        json.dump(meta, f)


def pruning_keeps_what_rules_pins_and_the_present_need(home):
    create(home)
    home.amber("start", "web")
    take(home, "oldest", "pinned", "gone", "other", "now")
    home.amber("snapshot", "pin", "web", "pinned")
    for name, hours in (("oldest", 24 * 9), ("pinned", 24 * 8 + 1), ("gone", 24 * 8),
                        ("other", 24 * 7)):
        backdate(home, name, hours)
    home.amber("snapshot", "delete", "web", "other")
    take(home, "day")
    backdate(home, "day", 0)
    home.amber("snapshot", "restore", "web", "now", "--no-safety")
    home.amber("snapshot", "delete", "web", "day")
    take(home, "more")
    home.amber("snapshot", "restore", "web", "now", "--no-safety")
    home.amber("snapshot", "label", "web", "more", "keep=1")
    done = home.amber("snapshot", "prune", "web", "--keep-last", "1", "--dry-run")
    check(re.search(r"now .* keep .* current\n", done.out), done)
    check(re.search(r"more .* keep .* last snapshot\n", done.out), done)
    done = home.amber("snapshot", "prune", "web", "--max-bytes", "1", "-l", "keep")
    equal([s["name"] for s in snapshots(home)["snapshots"]], ["oldest", "pinned", "gone", "now"])
    check(re.search(r"oldest .* keep .* not asked about\n", done.out), done)
    done = home.amber("snapshot", "prune", "web", "--max-bytes", "1", "--purpose", "none")
    check("0 snapshots removed, 4 kept" in done.out, done)
    equal([s["name"] for s in snapshots(home)["snapshots"]], ["oldest", "pinned", "gone", "now"])


def pruned_alike_whether_it_runs_or_not(home):
    create(home)
    home.amber("start", "web")
    for running in (True, False):
        if not running:
            home.amber("start", "web", status=None)
        take(home, "gone")
        if running:
            take(home, "oldest", "pinned", "day", "now")
            home.amber("snapshot", "pin", "web", "pinned")
            for name, hours in (("oldest", 24 * 9), ("pinned", 24 * 6), ("day", 24 * 3)):
                backdate(home, name, hours)
        backdate(home, "gone", 0, named(home, "pinned")["created_ns"] - 1)
        home.amber("snapshot", "restore", "web", "now", "--no-safety")
        if not running:
            end(home)
        rules = ("snapshot", "prune", "web", "--keep-last", "1", "--keep-daily", "4", "--json")
        done = home.amber(*rules).json()
        verdicts = {v["name"]: v for v in done["prune"]["snapshots"]}
        equal({n for n, v in verdicts.items() if not v["keep"]}, {"gone"})
        check("pinned" in verdicts["pinned"]["reasons"], verdicts)
        check("current" in verdicts["now"]["reasons"], verdicts)
        check("last snapshot" in verdicts["now"]["reasons"], verdicts)
        again = home.amber(*rules).json()
        equal((again["changed"], again["prune"]["removed"], again["prune"]["kept"]), (False, 0, 4))


def pruning_without_sense_is_refused(home):
    create(home)
    for line, text in ((("prune", "web"), "which are kept?"),
                       (("prune", "web", "--keep-last", "0"), "a number from 1"),
                       (("prune", "web", "--keep-last", "-1"), "a number from 1"),
                       (("prune", "web", "--keep-within", "2w"), "1y5m7d2h"),
                       (("prune", "web", "--max-bytes", "0"), "nothing would stay"),
                       (("prune", "web", "--max-bytes", "much"), "max-bytes"),
                       (("prune", "web", "--keep-last", "1", "-l", "=x"), "KEY[=VALUE]")):
        done = home.amber("snapshot", *line, status=2)
        check(text in done.err and done.err.count("\n") == 1, f"{line}: {done}")
    done = home.amber("snapshot", "prune", "web", "--keep-last", "unlimited")
    check("0 snapshots removed, 0 kept" in done.out, done)


def memory_by_hand(home, a, b):
    """Page by page: same, changed, only in a, only in b."""
    found = {"same": 0, "changed": 0, "only_a": 0, "only_b": 0}
    zero = bytes(4096)
    with open(home.path("web", "snapshots", a["id"], "memory"), "rb") as fa, \
            open(home.path("web", "snapshots", b["id"], "memory"), "rb") as fb:
        while True:
            pa, pb = fa.read(4096), fb.read(4096)
            if not pa and not pb:
                return found
            if pa != zero or pb != zero:
                found["only_b" if pa == zero else "only_a" if pb == zero else
                      "same" if pa == pb else "changed"] += 1


def raw(home, image):
    """What a chain shows, by QEMU."""
    out = f"{home.dir}/raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", image, out], check=True)
    with open(out, "rb") as f:
        return f.read()


def clusters_by_hand(home, a, b):
    da, db = (raw(home, s["disks"][0]["layer"]) for s in (a, b))
    return sum(da[at:at + 65536] != db[at:at + 65536]
               for at in range(0, max(len(da), len(db)), 65536))


def diff_tells_what_pages_and_clusters_differ(home):
    image = f"{home.dir}/root.qcow2"
    home.amber("disk", "create", image, "8M")
    create(home, "web", "blk-twin", "steps=10000000", "--disk", image)
    home.amber("start", "web")
    for name in ("a", "b", "c"):
        take(home, name)
        time.sleep(0.1)
    for x, y in (("a", "b"), ("a", "c"), ("c", "b"), ("b", "b")):
        a, b = named(home, x), named(home, y)
        got = home.amber("snapshot", "diff", "web", x, y, "--json").json()
        memory = memory_by_hand(home, a, b)
        equal({k: got["memory"][k] for k in memory}, memory)
        equal(got["memory"]["pages"], memory["changed"] + memory["only_a"] + memory["only_b"])
        equal(got["disks"][0]["clusters"], clusters_by_hand(home, a, b))
        equal(got["config"], {})
        own = {n: s["size"]["memory"] + s["size"]["state"] for n, s in ((x, a), (y, b))}
        check(got["space"]["only_a"] >= own[x] and got["space"]["only_b"] >= own[y], got)
    got = home.amber("snapshot", "diff", "web", "a", "b", "--json").json()
    equal(got["space"]["shared"], named(home, "a")["size"]["layers"])
    check(got["disks"][0]["clusters"] > 0 and got["memory"]["pages"] > 0, got)
    text = home.amber("snapshot", "diff", "web", "a", "b").out
    check(f"disk:      disk0: {got['disks'][0]['clusters']} clusters of 64 KiB differ" in text, text)
    equal(home.state("web"), "running")
    by_api = subprocess.run(
        ["curl", "-sS", "--unix-socket", f"{home.dir}/run/web/api.sock", "-d",
         '{"snapshot":"a","with":"b"}', "http://x/v1/vm/snapshot/diff"],
        check=True, capture_output=True, text=True).stdout
    check("diff" in by_api, by_api)
    equal(json.loads(by_api)["diff"], got)


def diff_names_what_only_one_has(home):
    image = f"{home.dir}/root.qcow2"
    home.amber("disk", "create", image, "8M")
    create(home, "web", "blk-twin", "steps=10000000", "--disk", image)
    home.amber("start", "web")
    for kind in ("full", "disk", "memory"):
        home.amber("snapshot", "create", "web", kind, "--kind", kind)
    file = home.path("web", "snapshots", named(home, "disk")["id"], "config")
    with open(file, encoding="utf-8") as f:
        config = json.load(f)
    config.update(memory=1 << 30, added=[1, "\x1b"])
    del config["append"]
    os.chmod(file, 0o600)
    with open(file, "w", encoding="utf-8") as f:
        json.dump(config, f)
    got = home.amber("snapshot", "diff", "web", "full", "disk").out
    for text in ("memory:    not in both", 'config:    append: "steps=10000000" -> null',
                 "config:    memory: 67108864 -> 1073741824", "config:    added: null -> [1,"):
        check(text in got and "\x1b" not in got, got)
    got = home.amber("snapshot", "diff", "web", "full", "memory").out
    check("disk:      disk0: not in both" in got, got)
    os.unlink(named(home, "disk")["disks"][0]["layer"])
    for line, text in ((("full", "disk"), "disk disk0: "), (("full", "x"), "no snapshot 'x'")):
        done = home.amber("snapshot", "diff", "web", *line, status=1)
        check(text in done.err and done.err.count("\n") == 1, done)
    done = home.amber("snapshot", "diff", "web", "full", status=2)
    check("NAME SNAPSHOT SNAPSHOT" in done.err, done)


def working_set_is_beside_the_set_and_no_part_of_it(home):
    create(home)
    home.amber("start", "web")
    await_true(lambda: "count=2" in home.console("web"))
    take(home, "one")
    where = home.path("web", "snapshots", named(home, "one")["id"], "working-set")
    end(home)
    check(not os.path.exists(where), "nothing was restored yet")

    def content(*more):
        known = home.console("web").count("count=") if more else 0
        home.amber("start", "web", "--from", "one")
        for command in more:
            home.amber("snapshot", command, "web")
        await_true(lambda: home.console("web").count("count=") > known)
        end(home)
        if not os.path.exists(where):
            raise Skipped("this kernel does not know what is used")
        with open(where, "rb") as f:
            return f.read()

    first = content()
    equal(os.stat(where).st_mode & 0o777, 0o600)
    home.amber("snapshot", "verify", "web", "one")
    for damaged in (b"", b"no working set", first[:-1], first[:-1] + b"!"):
        with open(where, "wb") as f:
            f.write(damaged)
        home.amber("snapshot", "verify", "web", "one")
        check(content() != damaged, "it was not written anew")
    known = os.stat(where).st_ino
    content()
    equal(os.stat(where).st_ino, known)  # it is recent
    os.utime(where, (10 ** 9, 10 ** 9))
    content()
    check(os.stat(where).st_mtime > 10 ** 9, "an old one is not made anew")
    with open(where, "wb") as f:
        f.write(b"as it was")
    equal(content("rewind"), b"as it was")
    archive = f"{home.dir}/one.tar"
    home.amber("snapshot", "export", "web", "one", archive)
    names = subprocess.run(["tar", "tf", archive], check=True, capture_output=True, text=True)
    check("memory" in names.stdout and "working-set" not in names.stdout, names)
    home.amber("snapshot", "delete", "web", "one")
    check(not os.path.exists(os.path.dirname(where)), "the set is there still")


def spoil(where, how):
    meta = f"{where}/meta.json"
    with open(meta, encoding="utf-8") as f:
        good = json.load(f)
    os.unlink(meta)
    if how == "link":
        os.symlink("/etc/hostname", meta)
    elif how == "directory":
        os.mkdir(meta)
    elif how != "nothing":
        with open(meta, "w", encoding="utf-8") as f:
            f.write({"empty": "", "large": " " * (1 << 20), "newer": '{"format": 99}',
                     "its own base": json.dumps(dict(good, base=good["id"]))}[how])


def one_that_can_not_be_read_goes_by_its_id_whatever_is_wrong(home):
    create(home)
    home.amber("start", "web")
    for how in ("nothing", "empty", "large", "newer", "link", "directory", "its own base"):
        take(home, "one")
        which = named(home, "one")["id"]
        spoil(home.path("web", "snapshots", which), how)
        done = home.amber("snapshot", "list", "web")
        check("(amber snapshot delete web ID --force removes it)" in done.err, f"{how}: {done}")
        check("line -1" not in done.err, done)
        home.amber("snapshot", "delete", "web", which, status=1)
        home.amber("snapshot", "delete", "web", which, "--force")
        equal(snapshots(home)["damaged"], 0)
        check(not os.path.exists(home.path("web", "snapshots", which)), how)


if __name__ == "__main__":
    run([snapshot_is_pinned_and_labelled_whether_it_runs_or_not,
         labels_have_a_limit,
         changes_are_in_the_journal,
         list_tells_what_sets_take_up_and_sorts,
         pruning_keeps_what_rules_pins_and_the_present_need,
         pruned_alike_whether_it_runs_or_not,
         pruning_without_sense_is_refused,
         diff_tells_what_pages_and_clusters_differ,
         diff_names_what_only_one_has,
         working_set_is_beside_the_set_and_no_part_of_it,
         one_that_can_not_be_read_goes_by_its_id_whatever_is_wrong])
