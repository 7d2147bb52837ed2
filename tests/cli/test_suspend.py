# SPDX-License-Identifier: Apache-2.0
"""`amber suspend` and what `amber start` makes of it."""

import os
import subprocess
import time

from harness import check, equal, guest, run, skip
from processes import kill
from snapshot_rig import await_count, lines


def create(home, name="web", kernel="nonce", append="period_ms=20", *more):
    home.amber("create", "--name", name, "--append", append, "--memory", "64M", *more,
               guest(kernel))


def suspended(home, name="web"):
    equal(home.state(name), "suspended")
    home.await_no_vmm()


def guest_goes_on_where_it_was(home):
    create(home)
    home.amber("start", "web")
    for turn in range(5):
        await_count(home, "web", 5 * turn + 3)
        done = home.amber("suspend", "web")
        check("web: suspended (" in done.out and "written" in done.out, done)
        suspended(home)
        check(home.amber("suspend", "web").out.startswith("web: already suspended"), "twice")
        home.amber("start", "web")
        equal(home.state("web"), "running")
        check(not os.path.exists(home.path("web", "suspend")), "it was not used up")
    seen = await_count(home, "web", 30)
    equal(len({nonce for nonce, _ in seen}), 1)
    equal([count for _, count in seen], list(range(1, len(seen) + 1)))


def paused_guest_is_suspended_and_comes_back_paused_if_asked(home):
    create(home)
    home.amber("start", "web")
    before = await_count(home, "web", 3)
    home.amber("pause", "web")
    home.amber("suspend", "web")
    suspended(home)
    home.amber("start", "--paused", "web")
    equal(home.state("web"), "paused")
    count = lines(home, "web")[-1][1]
    home.amber("resume", "web")
    after = await_count(home, "web", count + 3)
    equal(after[0], before[0])


def suspended_vm_says_what_would_help(home):
    create(home)
    home.amber("start", "web")
    home.amber("suspend", "web")
    for command in ("pause", "resume", "reset", "reboot"):
        done = home.amber(command, "web", status=None)
        check(done.status == 1 and "amber start web" in done.err, f"{command}: {done}")
    for command in ("stop", "shutdown"):
        check("already suspended" in home.amber(command, "web").out, command)
    check("suspended" in home.amber("list").out, "list")
    home.amber("delete", "web")
    check(not os.path.exists(home.path("web")), "it is there still")


def cold_start_drops_what_was_suspended(home):
    create(home)
    home.amber("start", "web")
    first = await_count(home, "web", 3)[0][0]
    home.amber("suspend", "web")
    home.amber("start", "--cold", "web")
    due = time.monotonic() + 30
    while len({nonce for nonce, _ in lines(home, "web")}) < 2:
        check(time.monotonic() < due, "no fresh boot")
    check(lines(home, "web")[-1][0] != first, "it is the same one")
    check(not os.path.exists(home.path("web", "suspend")), "it is there still")


def disk_and_memory_agree_afterwards(home):
    for kind in ("raw", "qcow2"):
        image = f"{home.dir}/twin.{kind}"
        home.amber("disk", "create", "-f", kind, image, "8M")
        name = f"twin-{kind}"
        create(home, name, "blk-twin", "steps=6000", "--disk", image, "--on-poweroff", "exit")
        home.amber("start", name)
        for _ in range(4):
            time.sleep(0.15)  # in the middle of it, wherever that is
            if home.amber("suspend", name, status=None).status:
                break  # it has ended
            if kind == "qcow2":
                subprocess.run(["qemu-img", "check", "-q", image], check=True)
            home.amber("start", name)
        home.amber("wait", name, "--for", "stopped", "--timeout", "60")
        log = home.console(name)
        check("bad=0" in log and "OK" in log, log)


def changed_disk_is_refused_until_cold(home):
    image = f"{home.dir}/disk.raw"
    home.amber("disk", "create", "-f", "raw", image, "8M")
    create(home, "web", "nonce", "period_ms=20", "--disk", image)
    home.amber("start", "web")
    await_count(home, "web", 2)
    home.amber("suspend", "web")
    with open(image, "r+b") as f:
        f.write(b"other")
    done = home.amber("start", "web", status=1)
    check("was changed since the VM was suspended" in done.err and "--cold" in done.err, done)
    suspended(home)
    home.amber("start", "--cold", "web")
    equal(home.state("web"), "running")


def damaged_state_is_refused_and_kept(home):
    create(home)
    home.amber("start", "web")
    await_count(home, "web", 2)
    home.amber("suspend", "web")
    where = home.path("web", "suspend", "vmstate")
    with open(where, "rb") as f:
        good = f.read()
    for at in range(0, len(good), len(good) // 12):
        with open(where, "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1:])
        done = home.amber("start", "web", status=1)
        check(done.err.count("\n") == 1, done)
        suspended(home)
    with open(where, "wb") as f:
        f.write(good[:-100])
    home.amber("start", "web", status=1)
    os.truncate(home.path("web", "suspend", "memory"), 4096)
    with open(where, "wb") as f:
        f.write(good)
    done = home.amber("start", "web", status=1)
    check("memory image" in done.err, done)
    os.truncate(home.path("web", "suspend", "memory"), 64 << 20)


def killed_while_it_is_suspended_it_is_there_or_not(home):
    create(home)
    outcomes = set()
    for turn in range(12):
        home.amber("start", "--cold", "web")
        seen = len(lines(home, "web"))
        pid = home.vmm_pids()[0]
        child = home.start("suspend", "web")
        time.sleep(0.001 * turn)  # at any point of it
        kill(pid)
        child.wait(30)
        state = home.state("web")
        outcomes.add(state)
        # Before anything was written about a start it was never started.
        check(state in ("suspended", "stopped") or (turn == 0 and state == "defined"), state)
        home.amber("start", "web")
        equal(home.state("web"), "running")
        check(not os.path.exists(home.path("web", "suspend.new")) or state == "stopped",
              "half of it is left")
        await_count(home, "web", 1)
        home.amber("stop", "web")
        check(len(lines(home, "web")) >= seen, "the log is shorter")
    check("stopped" in outcomes, outcomes)


def full_disk_lets_the_guest_run_on(home):
    where = f"{home.dir}/small"
    os.mkdir(where)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", where],
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
            f.write(bytes((free.f_bavail - 10) * free.f_frsize))
        done = home.amber("suspend", "web", status=1)
        check("No space left" in done.err and done.err.count("\n") == 1, done)
        equal(home.state("web"), "running")
        vm = os.listdir(f"{where}/vms/web")
        check("suspend" not in vm and "suspend.new" not in vm, vm)
        os.unlink(f"{where}/filler")
        home.amber("suspend", "web")
        home.amber("start", "web")
        home.amber("stop", "web")
    finally:
        home.amber("stop", "web", status=None)
        subprocess.run(["umount", "-l", where], check=False)


if __name__ == "__main__":
    run([guest_goes_on_where_it_was,
         paused_guest_is_suspended_and_comes_back_paused_if_asked,
         suspended_vm_says_what_would_help,
         cold_start_drops_what_was_suspended,
         disk_and_memory_agree_afterwards,
         changed_disk_is_refused_until_cold,
         damaged_state_is_refused_and_kept,
         killed_while_it_is_suspended_it_is_there_or_not,
         full_disk_lets_the_guest_run_on])
