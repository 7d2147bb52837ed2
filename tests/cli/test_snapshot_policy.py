# SPDX-License-Identifier: Apache-2.0
"""Policies of snapshots: by the VM's process, and by `amber policy`. Nothing
waits for a schedule: what is overdue at a start comes soon after it."""

import json
import os
import re
import shutil
import subprocess

from harness import AMBER, ROOT, check, equal, guest, run, skip
from snapshot_rig import await_count, await_true, create, judge, lines, snapshots
from test_snapshot_limits import OVER, names, rewrite
from test_snapshot_store import backdate, end, named, take


def policy_file(home, vm="web"):
    with open(home.path(vm, "policy.json"), encoding="utf-8") as f:
        return json.load(f)


def make_overdue(home, vm="web", **more):
    with open(home.path(vm, "policy.json"), "w", encoding="utf-8") as f:
        json.dump({"since": "2026-01-01T00:00:00Z", **more}, f)


def give_policy(home, vm="web", **policy):
    """To a VM without a process: what comes before is none of the policy's."""
    with open(home.path(vm, "config.json"), "r+", encoding="utf-8") as f:
        config = dict(json.load(f), snapshots=policy)
        f.seek(0)
        f.truncate()
        json.dump(config, f)


def journal(home, vm="web", kind="snapshot"):
    records = home.amber("journal", "--json", vm).json()
    return [r for r in records if r["kind"].startswith(kind)]


def by_policy(home):
    return [r for r in journal(home) if r["actor"]["kind"] == "policy"]


def scheduled(home, vm="web"):
    return [s for s in snapshots(home, vm)["snapshots"] if s["purpose"] == "scheduled"]


def what_is_overdue_at_a_start_is_done_once_soon_after_it(home):
    create(home)
    home.amber("start", "web")
    for name, purpose in (("s1", "scheduled"), ("s2", "scheduled"), ("s3", "scheduled"),
                          ("mine", "manual"), ("over", "manual"), ("now", "manual")):
        home.amber("snapshot", "create", "web", name, "--purpose", purpose)
    end(home)
    for name in ("s1", "s2", "s3"):
        backdate(home, name, 1000)
    rewrite(home, "over", expires=OVER)
    give_policy(home, every="@hourly", keep_last=2, expires="3d", verify=True,
                name="{vm}.{purpose}.{utc}")
    make_overdue(home, failures=2, failed="2026-01-01T00:00:00Z")
    equal(home.amber("policy", "show", "web", "--json").json()["overdue"], True)
    home.amber("start", "web")
    await_true(lambda: len(names(home)) == 4, "nothing is taken, or removed")
    new = scheduled(home)
    equal([s["name"] for s in new][:1], ["s3"])
    equal(len(new), 2)
    check(re.fullmatch(r"web\.scheduled\.\d{8}T\d{6}Z", new[1]["name"]), new)
    check("expires" in new[1] and new[1]["kind"] == "full", new)
    check("mine" in names(home) and "now" in names(home), names(home))
    await_true(lambda: policy_file(home).get("failures") == 0, "no record of it")
    shown = home.amber("policy", "show", "web", "--json").json()
    equal((shown["overdue"], shown["failures"]), (False, 0))
    check(new[1]["name"] in shown["text"] and shown["ran"] <= shown["due"], shown)
    equal(sum(not s["keep"] for s in shown["prune"]["snapshots"]), 0)
    await_true(lambda: len(by_policy(home)) == 2, "two events were expected")
    mine = by_policy(home)
    check("guest stopped for" in mine[0]["text"] and "3 snapshots removed" in mine[1]["text"], mine)
    text = home.amber("policy", "show", "web").out
    for piece in ("every=@hourly", "keep_last=2", "next: ", " (in ", "last: ", "taken up:"):
        check(piece in text, text)
    counted = lines(home, "web")[-1][1]
    await_count(home, "web", counted + 3)


def a_run_that_fails_is_told_tried_later_and_harms_nobody(home):
    image = f"{home.dir}/root.raw"
    with open(image, "wb") as f:
        f.truncate(8 << 20)
    create(home, "web", "nonce", "period_ms=10", "--disk", image, "--snapshots",
           "every=@hourly,kind=disk")
    make_overdue(home)
    home.amber("start", "web")
    await_true(lambda: policy_file(home).get("failures") == 1, "it does not fail")
    failed = journal(home, kind="snapshot-failed")
    equal(len(failed), 1)
    equal(failed[0]["actor"]["kind"], "policy")
    shown = home.amber("policy", "show", "web", "--json").json()
    equal((shown["failures"], shown["overdue"]), (1, False))
    check(shown["text"] in failed[0]["text"], shown)
    await_count(home, "web", lines(home, "web")[-1][1] + 3)
    equal(home.state("web"), "running")
    end(home)
    done = home.amber("policy", "run", "web", "--dry-run")
    check(done.out.startswith("web: is due at "), done)


def with_disk(home, policy, vm="web", kernel="blk-twin", append="steps=10000000", **more):
    image = f"{home.dir}/{vm}.qcow2"
    home.amber("disk", "create", image, "8M")
    create(home, vm, kernel, append, "--disk", image, "--snapshots", policy, **more)
    return image


def a_stopped_vm_gets_what_is_due_by_policy_run(home):
    image = with_disk(home, "every=@hourly,keep_last=2,only_if_changed,verify")
    done = home.amber("policy", "run", "web")
    check(done.out.startswith("web: is due at "), done)
    equal(names(home), [])
    make_overdue(home)
    done = home.amber("policy", "run", "web", "--dry-run")
    check("would be taken: it is due since 2026-01-01T01:00:00.000Z" in done.out, done)
    equal((names(home), policy_file(home)), ([], {"since": "2026-01-01T00:00:00Z"}))
    done = home.amber("policy", "run", "--all", "--json").json()
    equal((done["name"], done["outcome"]), ("web", "taken"))
    equal([(s["kind"], s["purpose"]) for s in scheduled(home)], [("disk", "scheduled")])
    equal(home.amber("policy", "run", "--all").out, "")
    home.amber("start", "web")
    done = home.amber("policy", "run", "web")
    equal(done.out, "web: has a process, which does that itself\n")
    await_true(lambda: os.stat(image).st_blocks * 512 > 200 << 10, "the guest does not write")
    end(home)
    for step in ("taken", "unchanged"):
        for s in snapshots(home)["snapshots"]:
            backdate(home, s["name"], 5)
        make_overdue(home)
        done = home.amber("policy", "run", "web", "--json").json()
        equal(done["outcome"], step, done)
    equal(len(scheduled(home)), 2)
    records = journal(home)
    equal([r["actor"]["kind"] for r in records], ["policy", "policy"])
    equal(journal(home, kind="policy")[0]["text"], "no disk has changed since the current snapshot")
    numbers = [r["seq"] for r in home.amber("journal", "--json", "web").json()]
    equal(numbers, sorted(set(numbers)))
    equal(len(judge(image)), 3)


def a_process_that_waits_without_a_machine_does_what_is_due(home):
    """Its guest powers off at once, and has written nothing since the first."""
    image = with_disk(home, "every=@hourly,only_if_changed,verify", "web", "poweroff", "x",
                      ends="stop")
    for text in ("disks only", "nothing has changed since snapshot "):
        make_overdue(home)
        home.amber("start", "web")
        await_true(lambda: "ran" in policy_file(home), "it stays due")
        equal(home.state("web"), "stopped")
        last = journal(home) + journal(home, kind="policy")
        check(text in last[-1]["text"], last)
        end(home)
        backdate(home, scheduled(home)[0]["name"], 5)
    equal([s["kind"] for s in scheduled(home)], ["disk"])
    equal(len(judge(image)), 2)


def policy_run_leaves_alone_what_is_none_of_its_business(home):
    with_disk(home, "every=@hourly", "web")
    create(home, "plain")
    create(home, "diskless", "nonce", "period_ms=10", "--snapshots", "every=@hourly")
    home.amber("start", "web")
    home.amber("suspend", "web")
    home.await_no_vmm()
    for vm in ("web", "diskless"):
        make_overdue(home, vm)
    equal(home.amber("policy", "run", "--all").out, "")
    for vm, text in (("web", "is suspended"), ("diskless", "has no disks"),
                     ("plain", "has no policy")):
        done = home.amber("policy", "run", vm)
        check(text in done.out and done.out.count("\n") == 1, done)
    equal(scheduled(home), [])
    done = home.amber("policy", "show", "plain", status=1)
    check("has no policy" in done.err and done.err.count("\n") == 1, done)
    for line, text in ((("run",), "which VMs?"), (("show", "a", "b"), "takes NAME"),
                       (("run", "a", "--all"), "not both"), (("walk",), "no \"walk\""),
                       (("run", "../x"), "character"), (("show", "web", "--all"), "takes NAME")):
        done = home.amber("policy", *line, status=2)
        check(text in done.err and done.err.count("\n") == 1, f"{line}: {done}")


def a_lost_or_damaged_file_costs_no_snapshot_twice(home):
    with_disk(home, "every=@hourly")
    make_overdue(home)
    home.amber("policy", "run", "web")
    os.unlink(home.path("web", "policy.json"))
    home.amber("policy", "run", "web")
    for text in ("{\"ran\": \"never\"}", " " * 20000, None):
        os.unlink(home.path("web", "policy.json"))
        if text is None:
            os.symlink("/etc/hostname", home.path("web", "policy.json"))
        else:
            with open(home.path("web", "policy.json"), "w", encoding="utf-8") as f:
                f.write(text)
        done = home.amber("policy", "run", "web")
        check("policy.json" in done.err, done)
        equal(len(scheduled(home)), 1)
        check("ran" in policy_file(home))


def a_full_quota_refuses_before_the_guest_stands(home):
    create(home, "web", "nonce", "period_ms=10", "--snapshots", "quota=150K,quota_warn=50K")
    home.amber("start", "web")
    await_count(home, "web", 5)  # its memory is what it will be
    done = home.amber("snapshot", "create", "web", "one")
    check("more than 50.0 KiB" in done.err and done.err.count("\n") == 1, done)
    warned = journal(home, kind="snapshot-quota")
    equal(len(warned), 1)
    check(re.search(r"take up \d+\.\d KiB, more than 50\.0 KiB", warned[0]["text"]), warned)
    stood = len(journal(home, kind="still"))
    done = home.amber("snapshot", "create", "web", "two", status=1)
    check(re.search(r"take up \d+\.\d KiB, one more about \d+\.\d KiB, the quota is 150\.0 KiB: "
                    r"remove some \(amber snapshot prune", done.err), done)
    equal(done.err.count("\n"), 1)
    equal((len(journal(home, kind="still")), names(home)), (stood, ["one"]))
    home.amber("snapshot", "restore", "web", "one")
    equal(len(names(home)), 2, "the snapshot before going back")
    home.amber("snapshot", "delete", "web", "one", "--children")
    take(home, "three")
    equal(names(home), ["three"])


def a_quota_holds_for_a_stopped_vm_too(home):
    image = with_disk(home, "every=@hourly,keep_last=1,quota=128K")
    home.amber("start", "web")
    await_true(lambda: os.stat(image).st_blocks * 512 > 200 << 10, "the guest does not write")
    end(home)
    done = home.amber("snapshot", "create", "web", "one", status=1)
    check("the quota is 128.0 KiB" in done.err and done.err.count("\n") == 1, done)
    make_overdue(home)
    done = home.amber("policy", "run", "web", status=1)
    check("the quota is 128.0 KiB" in done.err, done)
    equal(policy_file(home)["failures"], 1)
    equal(journal(home, kind="snapshot-failed")[0]["actor"]["kind"], "policy")


def names_follow_a_template_and_a_pattern(home):
    create(home, "web", "nonce", "period_ms=10", "--snapshots",
           "name={kind}-{utc},pattern=(full|disk|keep)-.*")
    home.amber("start", "web")
    home.amber("snapshot", "create", "web")
    check(re.fullmatch(r"full-\d{8}T\d{6}Z", names(home)[0]), names(home))
    done = home.amber("snapshot", "create", "web", "my-own", status=1)
    check("'my-own' does not match '(full|disk|keep)-.*'" in done.err and
          done.err.count("\n") == 1, done)
    take(home, "keep-this")
    home.amber("snapshot", "restore", "web", "keep-this")
    equal(len(names(home)), 3)
    home.amber("create", "--name", "copy", "--config", home.path("web", "config.json"),
               guest("nonce"))
    equal(home.amber("config", "copy").json()["snapshots"],
          home.amber("config", "web").json()["snapshots"])
    for text, why in (("every=61 * * * *", "'61' (character 1) is not in 0..59"),
                      ("nmae=x", "did you mean 'name'?"),
                      ("every=@daily,every=@hourly", "every: is there twice"),
                      ("verify,verify=off", "verify: is there twice"),
                      ("every=@daily,pattern=x", "does not match 'x'")):
        done = home.amber("create", "--name", "bad", "--snapshots", text, guest("nonce"), status=2)
        check(why in done.err and done.err.count("\n") == 1, done)


def systemd_takes_the_units(home):
    if not shutil.which("systemd-analyze"):
        skip("systemd-analyze is not there")
    units = []
    for name in ("amber-policy.service", "amber-policy.timer"):
        with open(os.path.join(ROOT, "docs", "systemd", name), encoding="utf-8") as f:
            text = f.read().replace("/usr/local/bin/amber", AMBER)
        units.append(os.path.join(home.dir, name))
        with open(units[-1], "w", encoding="utf-8") as f:
            f.write(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units],
                          capture_output=True, text=True, timeout=60)
    equal((done.returncode, done.stdout + done.stderr), (0, ""))


if __name__ == "__main__":
    run([what_is_overdue_at_a_start_is_done_once_soon_after_it,
         a_run_that_fails_is_told_tried_later_and_harms_nobody,
         a_stopped_vm_gets_what_is_due_by_policy_run,
         a_process_that_waits_without_a_machine_does_what_is_due,
         policy_run_leaves_alone_what_is_none_of_its_business,
         a_lost_or_damaged_file_costs_no_snapshot_twice,
         a_full_quota_refuses_before_the_guest_stands,
         a_quota_holds_for_a_stopped_vm_too,
         names_follow_a_template_and_a_pattern,
         systemd_takes_the_units])
