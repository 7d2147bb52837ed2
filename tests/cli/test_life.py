# SPDX-License-Identifier: Apache-2.0
"""VMs through their life by the command line, on /dev/kvm."""

import json
import os
import signal
import time

from harness import check, equal, guest, run
from processes import kill


def boot(home, name, kernel="button", *options):
    home.amber("run", "--detach", "--name", name, *options, guest(kernel))
    home.amber("wait", name, "--timeout", "30")


def a_vm_goes_through_its_life(home):
    boot(home, "web")
    equal(home.state("web"), "running")
    check("paused" in home.amber("pause", "web", "--reason", "backup").out)
    equal(home.state("web"), "paused")
    check("already paused" in home.amber("pause", "web").out)
    home.amber("resume", "web")
    equal(home.state("web"), "running")
    check("reset" in home.amber("reset", "web").out)
    home.amber("wait", "web", "--timeout", "30")
    check("rebooted" in home.amber("reboot", "web").out)
    home.amber("wait", "web", "--timeout", "30")
    equal(home.amber("info", "--json", "web").json()["boots"], 3)
    check("powerbutton" in home.amber("shutdown", "web").out)
    equal(home.state("web"), "stopped")
    check("already stopped" in home.amber("stop", "web").out)
    home.amber("start", "web")
    equal(home.state("web"), "running")
    home.amber("stop", "web")
    home.amber("delete", "web")
    equal(home.amber("list", "-q").out, "")
    home.await_no_vmm()


def a_wrong_time_is_refused_with_what_would_help(home):
    boot(home, "web")
    home.amber("stop", "web")
    check("amber start web" in home.amber("resume", "web", status=1).err)
    check("amber start web" in home.amber("reset", "web", status=1).err)
    home.amber("start", "--paused", "web")
    equal(home.state("web"), "paused")
    refused = home.amber("delete", "web", status=1)
    check("delete --force" in refused.err, refused)
    equal(home.state("web"), "paused")


def the_journal_names_who_did_what_and_why(home):
    boot(home, "web")
    home.amber("pause", "web", "--reason", "nightly backup")
    home.amber("resume", "web")
    home.amber("stop", "web", "-r", "done")
    records = home.amber("journal", "--json", "web").json()
    moves = [(r["from"], r["to"]) for r in records if r["kind"] == "state"]
    equal(moves, [("defined", "starting"), ("starting", "running"),
                  ("running", "pausing"), ("pausing", "paused"),
                  ("paused", "running"), ("running", "stopping"),
                  ("stopping", "stopped")])
    paused = next(r for r in records if r.get("to") == "paused")
    equal(paused["reason"], "nightly backup")
    equal((paused["actor"]["kind"], paused["actor"]["uid"]), ("api", os.getuid()))
    check(paused["actor"]["pid"] > 0 and paused["duration_us"] > 0, paused)
    started = next(r for r in records if r.get("to") == "starting")
    equal(started["actor"]["kind"], "cli")
    seqs = [r["seq"] for r in records]
    equal(seqs, sorted(set(seqs)), "sequence numbers")
    home.amber("start", "web")
    again = home.amber("journal", "--json", "web").json()
    equal((again[len(records)]["from"], again[len(records)]["to"]),
          ("stopped", "starting"))
    equal(again[:len(records)], records, "kept across restarts")
    check(again[len(records)]["seq"] > seqs[-1])


def await_listed(home, state, names):
    """One that answers nobody for a second, on a busy machine, is listed as
    unresponsive."""
    due = time.monotonic() + 60
    while (seen := home.amber("list", "-q", "--state", state).lines()) != names:
        check(time.monotonic() < due, f"{state}: {seen}")


def many_are_steered_at_once(home):
    for n in range(6):
        tier = "ci" if n % 2 else "prod"
        home.amber("create", "--name", f"vm-{n}", "--label", f"tier={tier}",
                   guest("button"))
    home.amber("start", "--all", "-j", "3")
    await_listed(home, "running", [f"vm-{n}" for n in range(6)])
    home.amber("pause", "-l", "tier=ci")
    await_listed(home, "paused", ["vm-1", "vm-3", "vm-5"])
    answers = home.amber("stop", "vm-0", "vm-1", "vm-2", "--json").lines()
    equal([json.loads(a)["name"] for a in answers], ["vm-0", "vm-1", "vm-2"])
    home.amber("delete", "--all", "--force")
    equal(home.amber("list", "-q").out, "")


def one_failure_hides_no_other_result(home):
    boot(home, "a")
    boot(home, "c")
    result = home.amber("pause", "a", "b", "c", status=1)
    check("a: paused" in result.out and "c: paused" in result.out, result)
    check("b: no such VM" in result.err, result)


def an_ignored_power_button_is_followed_by_ctrl_alt_del(home):
    boot(home, "web", "button", "--append", "powerbutton=ignore")
    answer = home.amber("shutdown", "web", "--timeout", "0.5", "--json").json()
    equal((answer["state"], answer["rung"]), ("stopped", "ctrl-alt-del"))


def a_deaf_guest_is_left_running_unless_forced(home):
    boot(home, "web", "idle")
    result = home.amber("shutdown", "web", "--timeout", "0.2", status=1)
    check("ctrl-alt-del" in result.err or "Ctrl-Alt-Del" in result.err, result)
    equal(home.state("web"), "running")
    answer = home.amber("shutdown", "web", "--timeout", "0.2", "--force",
                        "--json").json()
    equal((answer["state"], answer["rung"]), ("stopped", "forced"))


def an_emergency_pause_stops_at_once(home):
    boot(home, "web", "spin")
    home.amber("pause", "--emergency", "web", "--reason", "break-in")
    equal(home.state("web"), "paused")
    home.amber("resume", "web")
    equal(home.state("web"), "running")


def a_crash_is_kept_for_inspection(home):
    home.amber("run", "--detach", "--name", "web", guest("junk"))
    home.amber("wait", "web", "--for", "crashed", "--timeout", "30")
    report = home.amber("log", "--crash", "web").out
    for part in ("rip", "internal", "bytes"):
        check(part in report.lower(), f"no {part} in {report}")
    equal(home.state("web"), "crashed")
    check("amber reset web" in home.amber("resume", "web", status=1).err)
    home.amber("stop", "web")


def a_panicked_guest_is_paused_and_runs_after_a_reset(home):
    home.amber("run", "-d", "--name", "web", guest("panic"))
    home.amber("wait", "web", "--for", "paused", "--timeout", "30")
    equal(home.amber("info", "--json", "web").json()["cause"], "guest-panic")
    home.amber("reset", "web")
    home.amber("wait", "web", "--for", "paused", "--timeout", "30")
    boots = home.amber("info", "--json", "web").json()["boots"]
    equal(boots, 2)


def a_reset_leaves_a_paused_vm_paused(home):
    boot(home, "web")
    home.amber("pause", "web")
    home.amber("reset", "web")
    equal(home.state("web"), "paused")
    home.amber("resume", "web")
    home.amber("wait", "web", "--timeout", "30")


def a_killed_process_is_told_from_a_stopped_vm(home):
    boot(home, "web")
    due = time.monotonic() + 60  # state.json is written behind the start
    while not os.path.exists(home.path("web", "state.json")):
        check(time.monotonic() < due, "no state.json")
    kill(home.vmm_pids()[0])
    home.amber("wait", "web", "--for", "stopped", "--timeout", "10", status=None)
    row = home.amber("list", "--json").json()[0]
    equal(row["alive"], False)
    equal((row["state"], row["cause"]), ("stopped", "vmm-died"))
    home.amber("start", "web")
    equal(home.state("web"), "running")


def a_stopped_process_holds_nobody_up(home):
    boot(home, "hung")
    boot(home, "web")
    pid = int(home.amber("info", "--json", "hung").json()["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        await_listed(home, "unresponsive", ["hung"])
        await_listed(home, "running", ["web"])
    finally:
        os.kill(pid, signal.SIGCONT)
    home.amber("stop", "--all")


def a_vm_is_started_only_once(home):
    boot(home, "web")
    result = home.amber("start", "web")
    check("already running" in result.out, result)
    equal(len(home.vmm_pids()), 1)


def stats_count_exits_and_time(home):
    boot(home, "web", "tick")
    stats = home.amber("stats", "--json", "web").json()
    check(stats["exits_total"] > 0 and stats["exits"]["io"] > 0, stats)
    check(stats["cpu_ns"] > 0 and stats["resident_bytes"] > 0, stats)
    first = home.amber("top", "-n", "2", "-i", "0.2", "--json").lines()
    equal(len(first), 2)
    equal(json.loads(first[1])[0]["name"], "web")


def events_follow_a_vm_to_its_end(home):
    boot(home, "web")
    watcher = home.start("events", "--json", "--since", "0", "web")
    first = watcher.stdout.readline()  # it listens: a VM that has ended has no events
    home.amber("pause", "web")
    home.amber("stop", "web")
    kinds = [json.loads(line) for line in [first, *watcher.stdout]]
    equal((watcher.wait(30), watcher.stderr.read()), (0, ""))
    moves = [k.get("to") for k in kinds if k["kind"] == "state"]
    equal(moves, ["starting", "running", "pausing", "paused", "stopping", "stopped"])


def nothing_is_left_in_the_run_directory(home):
    """Sockets of devices, a start that failed after they were made."""
    run_dir = os.path.join(home.dir, "run")
    boot(home, "web", "button", "--port", "log", "--vsock", "3")
    check(os.path.exists(f"{run_dir}/web/log.sock"))
    home.amber("stop", "web")
    home.amber("create", "--name", "bad", "--vsock", "3", "--net", "hub=h", "--net", "tap=lo",
               guest("button"))
    home.amber("start", "bad", status=1)
    due = time.monotonic() + 60
    while os.listdir(run_dir) != [".hubs"] and time.monotonic() < due:
        time.sleep(0.01)
    equal(os.listdir(run_dir), [".hubs"])
    equal(os.listdir(f"{run_dir}/.hubs"), [])


def what_a_killed_vm_left_goes_with_it(home):
    boot(home, "web", "button", "--port", "log", "--vsock", "3")
    kill(home.vmm_pids()[0])
    check(os.path.exists(f"{home.dir}/run/web/log.sock"))
    with open(f"{home.dir}/run/web/mine", "w", encoding="ascii"):
        pass
    home.amber("delete", "web")
    equal(os.listdir(f"{home.dir}/run/web"), ["mine"], "what is no socket stays")
    os.unlink(f"{home.dir}/run/web/mine")
    boot(home, "web", "button", "--port", "log", "--vsock", "3")
    kill(home.vmm_pids()[0])
    home.amber("delete", "web")
    check(not os.path.exists(f"{home.dir}/run/web"))


if __name__ == "__main__":
    run([a_vm_goes_through_its_life,
         a_wrong_time_is_refused_with_what_would_help,
         the_journal_names_who_did_what_and_why,
         many_are_steered_at_once,
         one_failure_hides_no_other_result,
         an_ignored_power_button_is_followed_by_ctrl_alt_del,
         a_deaf_guest_is_left_running_unless_forced,
         an_emergency_pause_stops_at_once,
         a_crash_is_kept_for_inspection,
         a_panicked_guest_is_paused_and_runs_after_a_reset,
         a_reset_leaves_a_paused_vm_paused,
         a_killed_process_is_told_from_a_stopped_vm,
         a_stopped_process_holds_nobody_up,
         a_vm_is_started_only_once,
         stats_count_exits_and_time,
         events_follow_a_vm_to_its_end,
         nothing_is_left_in_the_run_directory,
         what_a_killed_vm_left_goes_with_it])
