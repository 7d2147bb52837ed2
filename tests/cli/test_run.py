# SPDX-License-Identifier: Apache-2.0
"""`amber run`: the runner for scripts, policies, boot lists, signals."""

import os
import resource
import signal
import subprocess

from harness import AMBER, check, equal, guest, run


def once(home, *line, status):
    result = home.amber("run", "--once", "--timeout", "40", *line, status=status)
    equal(home.amber("list", "-q").out, "", "left behind")
    return result


def every_ending_has_its_status(home):
    for line, status in (
            (["hello"], 0), (["exit", "--append", "code=7"], 7),
            (["exit", "--append", "code=255"], 255), (["poweroff"], 0),
            (["reboot", "--append", "by=acpi"], 121),
            (["reboot", "--append", "by=cf9"], 121),
            (["reboot", "--append", "by=kbd"], 121), (["panic"], 122),
            (["triple"], 123), (["junk"], 123), (["junk", "--append", "kind=jump"], 123)):
        once(home, guest(line[0]), *line[1:], status=status)


def the_console_is_standard_output(home):
    out = once(home, guest("hello"), "--memory", "32M", status=0).out
    check(out.startswith("hello=amber\n") and out.endswith("\nOK\n"), out)
    check("ram_mib=32" in out, out)


def what_was_expected_decides(home):
    once(home, guest("idle"), "--expect", "^ready", status=0)
    once(home, guest("hello"), "--expect", "login:", status=120)
    once(home, guest("panic"), "--expect", "login:", status=122)


def time_is_limited(home):
    for kernel in ("spin", "haltoff", "idle"):
        result = home.amber("run", "--once", "--timeout", "1", guest(kernel), status=124)
        check("1 s" in result.err or "time" in result.err, result)


def a_crash_is_reported_on_standard_error(home):
    result = once(home, guest("junk"), status=123)
    check("rip" in result.err.lower(), result)


def a_named_run_stays_and_rm_removes_it(home):
    home.amber("run", "--once", "--name", "kept", guest("hello"))
    equal(home.amber("list", "-q").out, "kept\n")
    check("OK" in home.amber("log", "kept").out)
    home.amber("run", "--once", "--name", "gone", "--rm", guest("hello"))
    equal(home.amber("list", "-q").out, "kept\n")


def a_vm_that_cannot_be_written_leaves_nothing_behind(home):
    def no_byte_fits():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    for line in (["create"], ["run"], ["run", "--once"]):
        result = home.amber(*line, "--name", "torn", guest("hello"),
                            preexec=no_byte_fits, status=1)
        check("config.json: can't write" in result.err, result)
        equal(os.listdir(home.path()), [])


def the_first_kernel_that_can_be_loaded_is_used(home):
    bad = home.dir + "/bad"
    with open(bad, "wb") as f:
        f.write(b"\x7fELF" + bytes(60))
    home.amber("run", "--once", "--name", "a", "--kernel", bad, "--kernel",
               guest("hello"))
    log = home.amber("log", "--boot", "a").out
    check(guest("hello") in log and bad in log, log)
    result = home.amber("run", "--once", "--kernel", bad, status=1)
    check(bad in result.err, result)
    result = home.amber("run", "--detach", "--kernel", bad, status=1)
    check(bad in result.err, result)
    equal(home.amber("list", "-q").out, "a\n", "left behind")


def a_guest_that_reboots_comes_back_in_the_same_process(home):
    home.amber("run", "-d", "--name", "web", guest("button"))
    home.amber("wait", "web", "--timeout", "30")
    pid = home.vmm_pids()
    home.amber("reset", "web")
    home.amber("wait", "web", "--timeout", "30")
    equal(home.vmm_pids(), pid)
    check(home.amber("log", "web").out.count("ready") == 2)


def restarts_end_in_giving_up(home):
    home.amber("run", "-d", "--name", "web", "--on-panic", "restart",
               "--restart-max", "2", guest("panic"))
    home.amber("wait", "web", "--for", "stopped", "--timeout", "50", status=None)
    records = home.amber("journal", "--json", "web").json()
    kinds = [r["kind"] for r in records]
    equal(kinds.count("boot"), 3, "boots")
    check(any(r.get("cause") == "gave-up" or r["kind"] == "gave-up" for r in records),
          records[-3:])


def a_users_stop_never_restarts(home):
    home.amber("run", "-d", "--name", "web", "--on-poweroff", "restart",
               guest("button"))
    home.amber("wait", "web", "--timeout", "30")
    home.amber("shutdown", "web")
    equal(home.state("web"), "stopped")
    equal(home.amber("info", "--json", "web").json()["boots"], 1)


def not_ready_in_time_is_told(home):
    home.amber("run", "-d", "--name", "web", "--ready", "login:", "--ready-timeout",
               "1", guest("idle"))
    home.amber("wait", "web", "--for", "paused", "--timeout", "20")
    result = home.amber("wait", "web", "--for", "ready", "--timeout", "1", status=None)
    check(result.status != 0, result)
    records = home.amber("journal", "--json", "web").json()
    check(any("ready-timeout" in (r["kind"], r.get("cause")) for r in records),
          [r["kind"] for r in records])


def a_kernel_through_the_console_is_ready_by_pattern(home):
    home.amber("run", "-d", "--name", "web", "--ready", "count=3", guest("tick"))
    home.amber("wait", "web", "--timeout", "30")
    check("count=3" in home.amber("log", "web").out)


def a_signal_ends_a_foreground_run_gracefully(home):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        child = home.start("run", "--name", "web", "--rm", guest("button"))
        check("ready" in child.stdout.readline())
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
        check("powerbutton=1" in out, (number, out, err))
        equal(child.returncode, 0, f"signal {number}: {err}")
        equal(home.amber("list", "-q").out, "")


def a_second_signal_does_not_wait(home):
    child = home.start("run", "--name", "web", "--shutdown-timeout", "600", "--rm",
                       guest("idle"))
    check("ready" in child.stdout.readline())
    child.send_signal(signal.SIGTERM)
    events = home.start("events", "--since", "0", "web")
    for line in events.stdout:
        if "rung" in line:
            break
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    home.await_no_vmm()


def a_signal_to_a_single_run_is_no_success(home):
    child = home.start("run", "--once", "--shutdown-timeout", "1", guest("idle"))
    check("ready" in child.stdout.readline())
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    equal(child.returncode, 128 + signal.SIGTERM)
    equal(home.amber("list", "-q").out, "")


def a_gone_reader_of_the_console_ends_the_run(home):
    child = home.start("run", "--name", "web", "--rm", "--shutdown-timeout", "1",
                       guest("flood"), "--append", "mib=64 ring=3")
    child.stdout.readline()
    child.stdout.close()
    child.stdout = None
    child.wait(timeout=40)
    home.await_no_vmm()


def standard_streams_may_be_closed(home):
    done = subprocess.run(["bash", "-c", f'exec "{AMBER}" run --once --timeout 20 '
                           f'"{guest("exit")}" --append code=9 <&- >&- 2>&-'],
                          env=home.env, timeout=40)
    check(done.returncode in (1, 9), done.returncode)
    equal(home.amber("list", "-q").out, "")
    home.await_no_vmm()


def input_reaches_the_guest(home):
    child = home.start("run", "--once", "--timeout", "30", guest("echo"),
                       stdin=subprocess.PIPE)
    equal(child.stdout.readline(), "ready\n")
    out, err = child.communicate("one\ntwo\nquit\n", timeout=30)
    equal(child.returncode, 0, err)
    check("echo=one\necho=two\n" in out, out)


def a_vm_can_be_run_from_its_printed_configuration(home):
    home.amber("create", "--name", "a", "--append", "code=5", guest("exit"))
    path = home.dir + "/c.json"
    with open(path, "w", encoding="utf-8") as f:
        f.write(home.amber("config", "a").out)
    home.amber("run", "--once", "--config", path, "--name", "b", status=5)


def files_are_private(home):
    home.amber("run", "-d", "--name", "web", guest("idle"))
    for path in (home.path("web"), home.dir + "/run/web"):
        equal(os.stat(path).st_mode & 0o777, 0o700, path)
    for path in (home.path("web", "config.json"), home.dir + "/run/web/api.sock"):
        equal(os.stat(path).st_mode & 0o777, 0o600, path)
    home.amber("stop", "web")
    check(not os.path.exists(home.dir + "/run/web/api.sock"), "socket is left")


if __name__ == "__main__":
    run([every_ending_has_its_status,
         the_console_is_standard_output,
         what_was_expected_decides,
         time_is_limited,
         a_crash_is_reported_on_standard_error,
         a_named_run_stays_and_rm_removes_it,
         the_first_kernel_that_can_be_loaded_is_used,
         a_guest_that_reboots_comes_back_in_the_same_process,
         restarts_end_in_giving_up,
         a_users_stop_never_restarts,
         not_ready_in_time_is_told,
         a_kernel_through_the_console_is_ready_by_pattern,
         a_signal_ends_a_foreground_run_gracefully,
         a_second_signal_does_not_wait,
         a_signal_to_a_single_run_is_no_success,
         a_gone_reader_of_the_console_ends_the_run,
         standard_streams_may_be_closed,
         input_reaches_the_guest,
         a_vm_can_be_run_from_its_printed_configuration,
         files_are_private])
