# SPDX-License-Identifier: Apache-2.0
"""`amber snapshot export` and `import`: a snapshot as one stream."""

import io
import json
import os
import signal
import subprocess
import tarfile
import time
import zlib

from harness import AMBER, check, equal, run, skip
from snapshot_rig import await_end, judge, snapshots, twin_disk
from test_snapshot_store import end, named


def export(home, name, vm="twin"):
    file = f"{home.dir}/{name}.tar"
    home.amber("snapshot", "export", vm, name, file)
    return file


def tree(home, vm="twin"):
    """All files of the VM and beside its disk, but for what a guest changes."""
    found = {}
    for where in (home.path(vm, "snapshots"), home.dir):
        for at, _, files in os.walk(where):
            found.update({os.path.join(at, f): os.stat(os.path.join(at, f)).st_size
                          for f in files if where != home.dir or at == where})
    return {n: s for n, s in found.items() if not n.endswith((".tar", "twin.qcow2", "raw"))}


def export_can_be_looked_into_with_tar(home):
    twin_disk(home, 10000000)
    time.sleep(0.2)
    home.amber("snapshot", "create", "twin", "one", "-l", "tier=ci")
    file = export(home, "one")
    s = named(home, "one", "twin")
    names = subprocess.run(["tar", "tf", file], check=True, capture_output=True,
                           text=True).stdout.split()
    equal(names, ["meta.json", "config", "vmstate", "memory", "disk-disk0.qcow2", "checksums"])
    where = f"{home.dir}/out"
    os.mkdir(where)
    subprocess.run(["tar", "xf", file, "-C", where], check=True)
    store = home.path("twin", "snapshots", s["id"])
    for name in ("config", "vmstate", "memory"):
        with open(f"{where}/{name}", "rb") as a, open(f"{store}/{name}", "rb") as b:
            check(a.read() == b.read(), name)
    check(os.stat(f"{where}/memory").st_blocks * 512 < 8 << 20, "memory is not sparse")
    with open(f"{where}/meta.json", encoding="utf-8") as f:
        equal(json.load(f)["labels"], {"tier": "ci"})
    image = f"{where}/disk-disk0.qcow2"
    equal(len(judge(image)), 1)
    subprocess.run(["qemu-img", "compare", "-U", "-q", image, s["disks"][0]["layer"]], check=True)
    with open(f"{where}/checksums", encoding="utf-8") as f:
        sums = [line.split() for line in f]
    equal([name for _, _, name in sums], names[:-1])
    for crc, size, name in sums:
        with open(f"{where}/{name}", "rb") as f:
            data = f.read()
        equal((f"{zlib.crc32(data):08x}", str(len(data))), (crc, size), name)
    # Packed anew, without holes: tar's own way.
    subprocess.run(["tar", "--format=ustar", "-cf", f"{home.dir}/again.tar", "-C", where, *names],
                   check=True)
    home.amber("snapshot", "import", "twin", f"{home.dir}/again.tar", "--name", "again")
    got = home.amber("snapshot", "diff", "twin", "one", "again", "--json").json()
    equal((got["memory"]["pages"], got["disks"][0]["clusters"]), (0, 0))
    shown = named(home, "again", "twin")
    check(shown["size"]["memory"] <= s["size"]["memory"] + (1 << 20), "zeroes were written")


def exporting_disturbs_nothing(home):
    twin_disk(home, 10000000)
    home.amber("wait", "twin", "--for", "ready")  # no line more of the guest's in the journal
    home.amber("snapshot", "create", "twin", "one")
    before = tree(home), snapshots(home, "twin")
    seen = len(home.amber("journal", "--json", "twin").json())
    for _ in range(3):
        export(home, "one")
        os.unlink(f"{home.dir}/one.tar")
    done = subprocess.run([AMBER, "snapshot", "export", "twin", "one"], env=home.env,
                          capture_output=True, check=True)
    equal((tree(home), snapshots(home, "twin")), before)
    equal(len(home.amber("journal", "--json", "twin").json()), seen)
    equal(home.state("twin"), "running")
    again = subprocess.run([AMBER, "snapshot", "export", "twin", "one", "-"], env=home.env,
                           capture_output=True, check=True)
    check(done.stdout == again.stdout, "two exports of one snapshot differ")


def imported_snapshot_is_gone_back_to(home):
    image = twin_disk(home, 4000)
    time.sleep(0.1)
    home.amber("snapshot", "create", "twin", "one")
    file = export(home, "one")
    time.sleep(0.1)
    home.amber("snapshot", "create", "twin", "two")
    with open(file, "rb") as f:  # through a pipe, into a running one
        done = subprocess.run(f"cat | {AMBER} snapshot import twin --name piped", env=home.env,
                              shell=True, stdin=f, capture_output=True, text=True, check=True)
    check(done.stdout.startswith("twin: snapshot piped (") and "imported" in done.stdout, done)
    s, one = named(home, "piped", "twin"), named(home, "one", "twin")
    equal(os.stat(s["disks"][0]["layer"]).st_mode & 0o777, 0o444)
    same = ("kind", "created_ns", "labels", "memory_bytes", "pages", "purpose", "uuid")
    equal({k: s[k] for k in same}, {k: one[k] for k in same})
    got = home.amber("snapshot", "diff", "twin", "one", "piped", "--json").json()
    equal((got["memory"]["pages"], got["disks"][0]["clusters"]), (0, 0))
    home.amber("snapshot", "delete", "twin", "one")
    home.amber("snapshot", "restore", "twin", "piped", "--no-safety")
    home.amber("snapshot", "rewind", "twin")
    await_end(home)
    equal(len(judge(image)), 2)
    end(home, "twin")
    home.amber("snapshot", "import", "twin", file)
    home.amber("snapshot", "delete", "twin", "piped")
    home.amber("snapshot", "restore", "twin", "one")
    await_end(home)
    judge(image)


def snapshots_of_each_kind_come_back(home):
    twin_disk(home, 10000000)
    for kind in ("disk", "memory"):
        home.amber("snapshot", "create", "twin", kind, "--kind", kind)
        file = export(home, kind)
        with tarfile.open(file) as t:
            equal([m.name for m in t.getmembers() if m.name not in
                   ("meta.json", "config", "checksums")],
                  {"disk": ["disk-disk0.qcow2"], "memory": ["vmstate", "memory"]}[kind])
        home.amber("snapshot", "import", "twin", file, "--name", f"{kind}2")
        equal(named(home, f"{kind}2", "twin")["kind"], kind)
    home.amber("snapshot", "restore", "twin", "disk2", "--no-safety")
    equal(home.state("twin"), "running")


def increment_is_exported_with_what_it_stands_on(home):
    twin_disk(home, 10000000)
    home.amber("snapshot", "create", "twin", "full")
    time.sleep(0.1)
    home.amber("snapshot", "create", "twin", "more", "--incremental")
    check(named(home, "more", "twin").get("base"), "it is no increment")
    home.amber("snapshot", "import", "twin", export(home, "more"), "--name", "alone")
    got = home.amber("snapshot", "diff", "twin", "more", "alone", "--json").json()
    equal((got["memory"]["pages"], got["disks"][0]["clusters"]), (0, 0))
    check(got["memory"]["same"] > 0, got)
    check(not named(home, "alone", "twin").get("base"), "it stands on something")
    home.amber("snapshot", "verify", "twin", "alone")
    home.amber("snapshot", "restore", "twin", "alone", "--no-safety")
    equal(home.state("twin"), "running")


def refused(home, file, *texts, before, more=()):
    done = home.amber("snapshot", "import", "twin", file, "--name", "bad", *more, status=1)
    check(done.err.count("\n") == 1 and not done.out, done)
    check(any(t in done.err for t in texts) if texts else True, f"{texts}: {done}")
    equal(tree(home), before)


def damaged_stream_leaves_nothing(home):
    twin_disk(home, 10000000)
    home.amber("snapshot", "create", "twin", "one")
    file = export(home, "one")
    with open(file, "rb") as f:
        good = f.read()
    before = tree(home)
    bad = f"{home.dir}/bad.tar"
    heads = [at for at in range(0, len(good), 512) if good[at + 257:at + 262] == b"ustar"]
    places = [at + n for at in heads for n in (0, 124, 148, 156, 257, 512, 600)]
    places += range(1000, len(good), len(good) // 20)
    for at in places:
        with open(bad, "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1:])
        done = home.amber("snapshot", "import", "twin", bad, "--name", f"n{at}", status=None)
        if done.status == 0:  # behind a member's data
            home.amber("snapshot", "delete", "twin", f"n{at}")
            check(good[at] == 0, at)
        check(done.status in (0, 1) and done.err.count("\n") == done.status, done)
        equal(tree(home), before)
    for cut in (0, 100, 512, 700, heads[3] + 300, heads[-1], len(good) - 1500):
        with open(bad, "wb") as f:
            f.write(good[:cut])
        refused(home, bad, "damaged", "kind that amber", "missing", before=before)
    equal(home.state("twin"), "running")


def rebuilt(home, good, change):
    """The stream with members (name, bytes) as change() leaves them, checksums made right."""
    with tarfile.open(good) as t:
        members = [[m.name, t.extractfile(m).read()] for m in t.getmembers()]
    out = io.BytesIO()
    change(members)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        sums = ""
        for name, data in members:
            if name == "checksums":
                data = sums.encode() if data[:1] != b"!" else data
            sums += f"{zlib.crc32(data):08x} {len(data)} {name}\n"
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    file = f"{home.dir}/bad.tar"
    with open(file, "wb") as f:
        f.write(out.getvalue())
    return file


def at(members, name):
    return next(m for m in members if m[0] == name)


def meta(**changes):
    def change(members):
        m = json.loads(at(members, "meta.json")[1])
        m.update(changes)
        at(members, "meta.json")[1] = json.dumps(m).encode()
    return change


def backing(path):
    """The image names something behind it."""
    def change(members):
        member = at(members, "disk-disk0.qcow2")
        image = bytearray(member[1])
        image[8:20] = (512).to_bytes(8, "big") + len(path).to_bytes(4, "big")
        image[512:512 + len(path)] = path.encode()
        member[1] = bytes(image)
    return change


def replace(name, data):
    def change(members):
        at(members, name)[1] = data
    return change


def rename(name, to):
    def change(members):
        at(members, name)[0] = to
    return change


def hostile_stream_is_refused_by_name(home):
    twin_disk(home, 10000000)
    home.amber("snapshot", "create", "twin", "one")
    good = export(home, "one")
    before = tree(home)
    # Memory that is not sparse is fine: this is how tar and Python make it.
    home.amber("snapshot", "import", "twin", rebuilt(home, good, lambda m: None), "--name", "ok")
    got = home.amber("snapshot", "diff", "twin", "one", "ok", "--json").json()
    equal((got["memory"]["pages"], got["disks"][0]["clusters"]), (0, 0))
    home.amber("snapshot", "delete", "twin", "ok")
    equal(tree(home), before)
    disk = snapshots(home, "twin")["snapshots"][0]["disks"][0]
    for change, text in (
            (meta(uuid="x"), "is of VM twin (x)"),
            (meta(name="../x"), "name: is not"),
            (meta(id="../../../x"), "id: is not"),
            (meta(format=2), "format 2"),
            (meta(labels={"a": "\x1b[2J"}), "printable"),
            (meta(purpose="\x1b[2J"), "printable"),
            (meta(memory_bytes=4096), "memory: "),
            (meta(disks=[]), "0 disks"),
            (meta(disks=[dict(disk, id="../x")]), "a disk '../x', the VM has none"),
            (meta(disks=[dict(disk, bytes=512)]), "is of 8388608 bytes"),
            (meta(disks=[dict(disk, bytes=1 << 62)]), "meta.json says"),
            (meta(disks=[disk, disk]), "2 disks"),
            (replace("config", b"[1]"), "config"),
            (replace("config", b"{" * 1000), "config"),
            (replace("config", b" " * (1 << 21)), "config: is larger"),
            (replace("vmstate", b"x" * 100), "state"),
            (replace("disk-disk0.qcow2", b"x" * 65536), "disk disk0"),
            (replace("disk-disk0.qcow2", b""), "disk disk0"),
            (backing("/etc/shadow"), "shadow"),
            (backing("twin.qcow2"), "twin.qcow2"),
            (replace("checksums", b"!"), "meta.json: the checksum is wrong"),
            (rename("vmstate", "/etc/passwd"), "path"),
            (rename("vmstate", "memory"), "where vmstate has to be"),
            (lambda m: m.reverse(), "where meta.json has to be"),
            (lambda m: m.insert(1, ["more", b""]), "'more' where config has to be"),
            (lambda m: m.append(["more", b""]), "more: is behind the end"),
            (lambda m: m.pop(), "checksums: is missing")):
        refused(home, rebuilt(home, good, change), text, before=before)
    equal(home.state("twin"), "running")


def mistakes_get_one_line(home):
    twin_disk(home, 10000000)
    home.amber("snapshot", "create", "twin", "one")
    file = export(home, "one")
    for line, status, text in (
            (("export", "twin", "one", file), 1, "exists already"),
            (("export", "twin", "x", "new.tar"), 1, "no snapshot 'x'"),
            (("export", "twin", "one", "/nowhere/x.tar"), 1, "No such file"),
            (("export", "twin"), 2, "NAME SNAPSHOT [FILE|-]"),
            (("import", "twin", "/nowhere/x.tar"), 1, "No such file"),
            (("import", "twin", file), 1, "'one' already"),
            (("import", "twin", file, "--name", "../x"), 2, "--name"),
            (("import", "twin", "/dev/null"), 1, "ends too early"),
            (("import", "twin", home.dir), 1, "directory")):
        done = home.amber("snapshot", *line, status=status, cwd=home.dir)
        check(text in done.err and done.err.count("\n") == 1, f"{line}: {done}")
    check(not os.path.exists(f"{home.dir}/new.tar"), "a file is left")
    t = home.terminal("snapshot", "export", "twin", "one")
    t.await_text("is a terminal")


def killed_import_leaves_nothing_that_counts(home):
    image = twin_disk(home, 10000000)
    home.amber("snapshot", "create", "twin", "one")
    with open(export(home, "one"), "rb") as f:
        good = f.read()
    before = snapshots(home, "twin")
    for cut in (600, len(good) // 3, len(good) // 2, len(good) - 1024, len(good)):
        child = home.start("snapshot", "import", "twin", "--name", f"n{cut}",
                           stdin=subprocess.PIPE)
        child.stdin.buffer.write(good[:cut])
        child.stdin.flush()
        time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        child.stdin.close()
        there = snapshots(home, "twin")
        equal(there["damaged"], 0)
        known = {s["name"] for s in before["snapshots"]}
        check({s["name"] for s in there["snapshots"]} - known <= {f"n{len(good)}"}, there)
    end(home, "twin")
    home.amber("start", "twin")
    check(not [n for n in os.listdir(home.path("twin", "snapshots")) if "." in n])
    home.amber("snapshot", "restore", "twin", "one", "--no-safety")
    home.amber("stop", "twin")
    judge(image)


def full_disk_is_said_and_cleaned_up(home):
    where = f"{home.dir}/small"
    twin_disk(home, 10000000)
    time.sleep(0.2)
    home.amber("snapshot", "create", "twin", "one")
    os.mkdir(where)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", where],
                      capture_output=True).returncode:
        skip("no tmpfs can be mounted")
    try:
        done = home.amber("snapshot", "export", "twin", "one", f"{where}/one.tar", status=1)
        check("No space left" in done.err and done.err.count("\n") == 1, done)
        equal(os.listdir(where), [])
        equal(os.statvfs(where).f_bfree, os.statvfs(where).f_blocks)
    finally:
        subprocess.run(["umount", "-l", where], check=False)


if __name__ == "__main__":
    run([export_can_be_looked_into_with_tar,
         exporting_disturbs_nothing,
         imported_snapshot_is_gone_back_to,
         snapshots_of_each_kind_come_back,
         increment_is_exported_with_what_it_stands_on,
         damaged_stream_leaves_nothing,
         hostile_stream_is_refused_by_name,
         mistakes_get_one_line,
         killed_import_leaves_nothing_that_counts,
         full_disk_is_said_and_cleaned_up])
