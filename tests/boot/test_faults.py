# SPDX-License-Identifier: Apache-2.0
"""Floods, signals and a missing /dev/kvm: what a hostile guest, a clumsy user
and a poor host do to amber-vmm."""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from promises import await_true, check, guest, run_tests, state  # noqa: E402
from vmm import OUT, Vmm  # noqa: E402

VMM = os.path.join(OUT, "amber-vmm")
LIMIT_S = 60
# AddressSanitizer keeps freed memory for a while.
MEMORY_KIB = (96 if "asan" in OUT else 8) << 10


def run(*options, **more):
    return subprocess.run([VMM, *options], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=LIMIT_S, **more)


def unknown_accesses_by_the_thousand_leave_no_log():
    for kernel in ("pio", "mmio"):
        done = run("--kernel", guest(kernel), "--once", "--console", "stdio",
                   "--append", "count=50000")
        check(done.returncode == 0, done)
        check(len(done.stderr.splitlines()) <= 10, done.stderr)


def a_flood_of_output_with_a_stopped_reader_delays_nobody():
    with Vmm("flood", "--append", "kib=192") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        reader = vmm.attach("?history=1")  # takes nothing
        while state(vmm) != "stopped":
            began = time.monotonic()
            vmm.ask("GET", "/v1/vm")
            check(time.monotonic() - began < 5, "status waited for the reader")
        written = vmm.ask("GET", "/v1/vm/stats")[1]["console"]["out_bytes"]
        check(written >= 192 << 10, f"{written} bytes came")
        check(vmm.rss_kib() < MEMORY_KIB, f"{vmm.rss_kib()} KiB of memory")
        reader.close()


def pasted_megabytes_are_bounded():
    with Vmm("echo") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        vmm.ask("GET", "/v1/vm/ready?wait=30")
        writer = vmm.attach()
        writer.setblocking(False)
        sent, due = 0, time.monotonic() + 2
        line = b"x" * 4095 + b"\n"
        while sent < 10 << 20 and time.monotonic() < due:
            try:
                sent += writer.send(line)
            except BlockingIOError:
                time.sleep(0.01)
        check(state(vmm) == "running", "not running")
        check(vmm.rss_kib() < MEMORY_KIB, f"{vmm.rss_kib()} KiB of memory")
        writer.close()


def a_halted_guest_without_interrupts_can_be_paused():
    with Vmm("haltoff") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        vmm.ask("GET", "/v1/vm/ready?wait=30")
        status, answer = vmm.ask("POST", "/v1/vm/pause")
        check(status == 200 and answer["state"] == "paused", answer)
        vmm.ask("POST", "/v1/vm/resume")
        status, answer = vmm.ask("POST", "/v1/vm/shutdown", {"timeout_ms": 50})
        check(status == 504 and "power" in answer["detail"], answer)
        check(vmm.ask("POST", "/v1/vm/stop")[0] == 200, "can't be stopped")


def signals_end_it_in_good_order():
    for number, text in ((signal.SIGTERM, "powerbutton=1"), (signal.SIGINT, "powerbutton=1"),
                         (signal.SIGHUP, "powerbutton=1"), (signal.SIGQUIT, "")):
        child = subprocess.Popen([VMM, "--kernel", guest("button"), "--console", "stdio"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            check(child.stdout.readline() == "ready\n", "not ready")
            child.send_signal(number)
            out, _ = child.communicate(timeout=LIMIT_S)
            check(child.returncode == 0, f"{number}: status {child.returncode}")
            check(text in out, f"{number}: {out}")
        finally:
            child.kill()
            child.wait()


def signals_that_mean_nothing_are_survived():
    with Vmm("tick", "--append", "period_ms=20") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGWINCH, signal.SIGCHLD):
            vmm.process.send_signal(number)
            check(state(vmm) == "running", number)
        vmm.process.send_signal(signal.SIGSTOP)
        vmm.process.send_signal(signal.SIGCONT)
        before = vmm.ask("GET", "/v1/vm/stats")[1]["console"]["out_bytes"]
        await_true(lambda: vmm.ask("GET", "/v1/vm/stats")[1]["console"]["out_bytes"] > before,
                   "does not go on after SIGSTOP and SIGCONT")


def a_reader_that_left_does_not_stop_the_guest():
    child = subprocess.Popen([VMM, "--kernel", guest("flood"), "--append", "kib=64",
                              "--console", "stdio", "--once"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child.stdout.close()
        check(child.wait(timeout=LIMIT_S) == 0, f"status {child.returncode}")
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def _without_kvm(script, wanted):
    done = subprocess.run(["unshare", "--mount", "sh", "-c",
                           f'{script} && exec "{VMM}" --kernel "{guest("hello")}" --once'],
                          capture_output=True, text=True, timeout=LIMIT_S,
                          stdin=subprocess.DEVNULL)
    check(done.returncode == 1, done)
    lines = done.stderr.splitlines()
    check(len(lines) == 1 and wanted in lines[0], done.stderr)


def a_missing_or_wrong_kvm_device_is_said_with_the_cure():
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"],
                                           stderr=subprocess.DEVNULL).returncode:
        return "needs root and mount namespaces"
    _without_kvm("mount -t tmpfs none /dev", "load the kvm_intel or kvm_amd module")
    _without_kvm("mount --bind /dev/null /dev/kvm", "API version")
    return None


def bad_boot_files_are_one_line_and_leave_nothing():
    cases = ((b"", "empty"), (b"\x7fELF" + bytes(60), "ELF"), (b"MZ" + bytes(2000), ""),
             (bytes(4096), ""))
    path = f"/tmp/amber-bad-{os.getpid()}"
    try:
        for content, wanted in cases:
            with open(path, "wb") as f:
                f.write(content)
            done = run("--kernel", path, "--once")
            check(done.returncode == 1 and len(done.stderr.splitlines()) == 1, done)
            check(path in done.stderr and wanted in done.stderr, done.stderr)
    finally:
        os.unlink(path)
    for option, value, status in (("--initrd", "/no/such/file", 1), ("--cpus", "0", 2),
                                  ("--memory", "16E", 2), ("--krnel", "x", 2)):
        done = run("--kernel", guest("hello"), "--once", option, value)
        check(done.returncode == status and len(done.stderr.splitlines()) == 1, done)


TESTS = (unknown_accesses_by_the_thousand_leave_no_log,
         a_flood_of_output_with_a_stopped_reader_delays_nobody,
         pasted_megabytes_are_bounded,
         a_halted_guest_without_interrupts_can_be_paused,
         signals_end_it_in_good_order,
         signals_that_mean_nothing_are_survived,
         a_reader_that_left_does_not_stop_the_guest,
         a_missing_or_wrong_kvm_device_is_said_with_the_cure,
         bad_boot_files_are_one_line_and_leave_nothing)

if __name__ == "__main__":
    sys.exit(run_tests(TESTS))
