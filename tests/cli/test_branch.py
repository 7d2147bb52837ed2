# SPDX-License-Identifier: Apache-2.0
"""A VM that begins at another one's snapshot: to stay (restore --as), or to be
thrown away (start --peek)."""

import hashlib
import os
import subprocess
import time

from harness import check, equal, run
from processes import kill
from snapshot_rig import await_count, await_end, await_true, create, judge, lines, twin_disk


def tree(where):
    """Each file by its content, and when it was changed."""
    found = {}
    for at, _, names in os.walk(where):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as f:
                found[path] = (hashlib.sha256(f.read()).hexdigest(), os.stat(path).st_mtime_ns)
    return found


def vms(home):
    return sorted(os.listdir(home.path()))


def is_gone(home, name):
    await_true(lambda: not os.path.exists(home.path(name)), f"{name} is still there")


def another_vm_goes_on_from_a_snapshot(home):
    create(home)
    home.amber("start", "web")
    nonce, count = await_count(home, "web", 20)[-1]
    home.amber("snapshot", "create", "web", "one")
    done = home.amber("snapshot", "restore", "web", "one", "--as", "two")
    check("two: running from snapshot one (" in done.out and ") of web" in done.out, done)
    first = await_count(home, "two", count + 10)
    equal(first[0][0], nonce)
    check(first[0][1] >= count, "it began anew")
    await_count(home, "web", count + 30)
    equal(home.state("web"), "running")
    uuids = [home.amber("info", "--json", n).json()["uuid"] for n in ("web", "two")]
    check(uuids[0] != uuids[1], "they have one identity")
    home.amber("snapshot", "rewind", "two")
    equal(home.amber("snapshot", "list", "two", "--json").json()["snapshots"][0]["vm"], "two")


def new_vm_outlives_the_one_it_came_from(home):
    twin_disk(home, 8000)
    home.amber("snapshot", "create", "twin", "one")
    home.amber("snapshot", "create", "twin", "two", "--incremental")
    done = home.amber("snapshot", "restore", "twin", "two", "--as", "new", "--json").json()
    equal((done["layers_linked"], done["disks_copied"], done["warm"]), (2, 0, True))
    home.amber("delete", "-f", "twin")
    for name in os.listdir(home.dir):
        if name.endswith(".qcow2"):
            os.unlink(f"{home.dir}/{name}")
    home.amber("snapshot", "verify", "new")
    home.amber("wait", "new", "--for", "stopped", "--timeout", "60")
    log = home.console("new")
    check("bad=0" in log and "OK" in log and "FAIL" not in log, log[-2000:])
    home.amber("snapshot", "restore", "new", "one", "--no-safety", "--paused")
    home.amber("stop", "new")
    equal(len(judge(home.path("new", "disks", "disk0", "twin.qcow2"))), 2)


def new_vm_s_deleted_layers_stay_for_the_other(home):
    image = twin_disk(home, 8000)
    for name in ("one", "two"):
        home.amber("snapshot", "create", "twin", name)
    home.amber("snapshot", "restore", "twin", "two", "--as", "new")
    for name in ("one", "two"):
        home.amber("snapshot", "delete", "twin", name)
    home.amber("snapshot", "verify", "new")
    home.amber("delete", "-f", "new")
    await_end(home)
    home.amber("start", "twin")
    home.amber("stop", "twin")
    judge(image)


def it_boots_from_the_disks_with_other_options(home):
    twin_disk(home, 3000, ends="exit")
    home.amber("snapshot", "create", "twin", "one")
    await_end(home)
    home.amber("snapshot", "restore", "twin", "one", "--as", "new", "--only", "disk",
               "--set", "memory=32M", "--set", "append=steps=1000", "--set", "label=a=b")
    home.amber("wait", "new", "--for", "stopped", "--timeout", "60")
    log = home.console("new")
    check("steps=1000 bad=0" in log and "steps=2000" not in log, log)
    config = home.amber("config", "new", "--json").json()
    equal((config["memory"], config["labels"]), (32 << 20, {"a": "b"}))
    judge(home.path("new", "disks", "disk0", "twin.qcow2"))


def what_can_not_be_is_refused_and_leaves_nothing(home):
    twin_disk(home, 8000)
    home.amber("snapshot", "create", "twin", "one")
    home.amber("snapshot", "create", "twin", "mem", "--kind", "memory")
    base = ["snapshot", "restore", "twin"]
    for words, status, text in (
            (["one", "--as", "twin"], 1, "a VM named twin exists already"),
            (["nope", "--as", "new"], 1, "no snapshot 'nope'"),
            (["mem", "--as", "new"], 1, "but not the disks that belong to it"),
            (["one", "--as", "../x"], 2, "--as"),
            (["one", "--as", "new", "--only", "ram"], 2, "or --only disk"),
            (["one", "--as", "new", "--no-safety"], 2, "means nothing with --as"),
            (["one", "--as", "new", "--set", "memory"], 2, "is not KEY=VALUE"),
            (["one", "--as", "new", "--set", "disk=x"], 2, "is not to be set"),
            (["one", "--as", "new", "--set", "cpus=0"], 2, "cpus"),
            (["one", "--set", "cpus=1"], 2, "needs --as"),
            (["one", "--as", "new", "--set", "memory=32M"], 1, "memory"),
            (["one", "--as", "new", "--set", "rng=on"], 1, "")):
        done = home.amber(*base, *words, status=status)
        check(text in done.err and done.err.count("\n") == 1, done)
        equal(vms(home), ["twin"])
    home.amber("start", "twin", "--set", "cpus=1", status=2)


def base_elsewhere_is_shared_and_a_relative_one_copied(home):
    os.mkdir(f"{home.dir}/bases")
    os.mkdir(f"{home.dir}/vm")
    base = f"{home.dir}/bases/base.qcow2"
    home.amber("disk", "create", base, "8M")
    for n, (backing, copied) in enumerate(((base, 0), ("../bases/base.qcow2", 1))):
        name, image = f"vm{n}", f"{home.dir}/vm/{n}.qcow2"
        home.amber("disk", "create", image, "--backing", backing, "--backing-format", "qcow2",
                   "--allow-backing", f"{home.dir}/bases", cwd=f"{home.dir}/vm")
        create(home, name, "blk-twin", "steps=8000", "--disk",
               f"{image},allow_backing={home.dir}/bases", ends="exit")
        home.amber("start", name)
        home.amber("snapshot", "create", name, "one")
        done = home.amber("snapshot", "restore", name, "one", "--as", f"new{n}", "--json").json()
        equal(done["disks_copied"], copied)
        home.amber("delete", "-f", name)
        home.amber("wait", f"new{n}", "--for", "stopped", "--timeout", "60")
        log = home.console(f"new{n}")
        check("OK" in log and "FAIL" not in log, log)
        home.amber("start", f"new{n}", "--paused")
        home.amber("stop", f"new{n}")
        chain = judge(home.path(f"new{n}", "disks", "disk0", f"{n}.qcow2"))
        equal([layer["filename"] == base for layer in chain][-1], not copied)


def base_that_the_vm_may_not_read_the_new_one_may_not_either(home):
    for name in ("vm", "secret"):
        os.mkdir(f"{home.dir}/{name}")
    with open(f"{home.dir}/secret/key", "wb") as f:
        f.truncate(1 << 20)
    image = f"{home.dir}/vm/d.qcow2"
    home.amber("disk", "create", image, "1M")
    create(home, "vm", "blk-twin", "steps=8000", "--disk", image, ends="exit")
    home.amber("start", "vm")
    home.amber("snapshot", "create", "vm", "one", "--kind", "disk")
    home.amber("stop", "vm")
    layer = [n for n in os.listdir(f"{home.dir}/vm") if n != "d.qcow2"][0]
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", f"{home.dir}/secret/key",
                    f"{home.dir}/vm/{layer}"], check=True)
    for words in (["start", "vm"], ["snapshot", "restore", "vm", "one", "--as", "new"]):
        done = home.amber(*words, status=1)
        check(f"its backing file {home.dir}/secret/key is not in an allowed" in done.err, done)
        equal(vms(home), ["vm"])


def peek_writes_nothing_and_is_gone_when_it_ends(home):
    image = twin_disk(home, 3000, ends="exit")
    home.amber("snapshot", "create", "twin", "one")
    await_end(home)
    disks = [n for n in os.listdir(home.dir) if n.endswith(".qcow2")]
    before = tree(home.path("twin")), [tree(f"{home.dir}/{n}") for n in disks]
    done = home.amber("start", "twin", "--peek")
    check("twin-peek-1: running from snapshot one (" in done.out, done)
    check("it is gone when it ends" in done.out, done)
    is_gone(home, "twin-peek-1")
    for more in (["--cold"], ["--from", "one", "--paused"]):
        home.amber("start", "twin", "--peek", *more)
    done = home.amber("start", "twin", "--peek", "--paused", "--json").json()
    check(done["throwaway"] and done["name"].startswith("twin-peek-"), done)
    home.amber("stop", done["name"])
    is_gone(home, done["name"])
    for name in vms(home):
        if name != "twin":
            home.amber("stop", name, status=None)
            is_gone(home, name)
    equal((tree(home.path("twin")), [tree(f"{home.dir}/{n}") for n in disks]), before)
    equal(len(judge(image)), 2)


def peek_of_a_running_vm_has_no_network(home):
    create(home, "web", "net-echo", "", "--net", "hub=lan", "--net", "hub=lan,queues=1")
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    name = home.amber("start", "web", "--peek", "--json").json()["name"]
    nets = home.amber("config", name, "--json").json()["nets"]
    equal([n["kind"] for n in nets], ["isolated"] * 2)
    check(nets[0]["mac"] != nets[1]["mac"], nets)
    equal(home.state("web"), "running")
    equal(len(os.listdir(f"{home.dir}/run/.hubs/lan")), 2)


def what_a_kill_leaves_goes_with_the_next_one(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    name = home.amber("start", "web", "--peek", "--json").json()["name"]
    pid = home.amber("info", "--json", name).json()["pid"]
    await_true(lambda: os.path.exists(home.path(name, "state.json")), "it writes nothing")
    kill(pid)
    equal(home.amber("info", "--json", name).json()["alive"], False)
    check(name in vms(home), "it was removed by itself")
    os.mkdir(home.path(".new-12345678"))
    os.mkdir(home.path(".new-abcdef01"))
    os.utime(home.path(".new-12345678"), (time.time() - 100,) * 2)
    after = home.amber("start", "web", "--peek", "--json").json()["name"]
    equal(vms(home), sorted([".new-abcdef01", "web", after]))
    equal([n.split()[0] for n in home.amber("list").lines()[1:]], sorted(["web", after]))


def what_comes_from_a_throwaway_is_none(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    name = home.amber("start", "web", "--peek", "--json").json()["name"]
    home.amber("snapshot", "create", name, "two")
    home.amber("snapshot", "restore", name, "two", "--as", "web-peek-keep")
    equal(home.amber("config", "web-peek-keep", "--json").json().get("labels", {}), {})
    pid = home.amber("info", "--json", "web-peek-keep").json()["pid"]
    kill(pid)
    home.amber("start", "web", "--peek")
    check("web-peek-keep" in vms(home), vms(home))


def many_at_once_take_names_of_their_own(home):
    create(home)
    home.amber("start", "web")
    nonce = await_count(home, "web", 5)[-1][0]
    home.amber("snapshot", "create", "web", "one")
    going = [home.start("start", "web", "--peek", "--json") for _ in range(6)]
    equal([p.wait(60) for p in going], [0] * 6)
    names = [n for n in vms(home) if n != "web"]
    equal(len(names), 6)
    for name in names:
        await_true(lambda n=name: lines(home, n), "it counts nothing")
        equal(lines(home, name)[0][0], nonce)


def layers_on_another_file_system_are_copied(home):
    where = subprocess.run(["mktemp", "-d", "/dev/shm/amber-XXXXXX"], check=True,
                           capture_output=True, text=True).stdout.strip()
    try:
        if os.stat(where).st_dev == os.stat(home.dir).st_dev:
            print("skip layers_on_another_file_system_are_copied: there is only one here")
            return
        home.amber("disk", "create", f"{where}/d.qcow2", "8M")
        create(home, "twin", "blk-twin", "steps=8000", "--disk", f"{where}/d.qcow2")
        home.amber("start", "twin")
        home.amber("snapshot", "create", "twin", "one")
        done = home.amber("snapshot", "restore", "twin", "one", "--as", "new")
        check("; 1 disk copied" in done.out, done)
        home.amber("delete", "-f", "twin")
        home.amber("wait", "new", "--for", "stopped", "--timeout", "60")
        check("OK" in home.console("new"), home.amber("log", "new"))
        home.amber("start", "new", "--paused")
        home.amber("stop", "new")
        equal(len(judge(home.path("new", "disks", "disk0", "d.qcow2"))), 2)
    finally:
        subprocess.run(["rm", "-rf", where], check=True)


if __name__ == "__main__":
    run([another_vm_goes_on_from_a_snapshot,
         new_vm_outlives_the_one_it_came_from,
         new_vm_s_deleted_layers_stay_for_the_other,
         it_boots_from_the_disks_with_other_options,
         what_can_not_be_is_refused_and_leaves_nothing,
         base_elsewhere_is_shared_and_a_relative_one_copied,
         base_that_the_vm_may_not_read_the_new_one_may_not_either,
         peek_writes_nothing_and_is_gone_when_it_ends,
         peek_of_a_running_vm_has_no_network,
         what_a_kill_leaves_goes_with_the_next_one,
         what_comes_from_a_throwaway_is_none,
         many_at_once_take_names_of_their_own,
         layers_on_another_file_system_are_copied])
