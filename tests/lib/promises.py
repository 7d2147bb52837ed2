# SPDX-License-Identifier: Apache-2.0
"""What tests with a real amber-vmm share: small checks, questions that all of
them ask a VM, and the runner that prints a line for each promise."""

import os
import sys
import time
import traceback

import storm
from vmm import ROOT, has_kvm


def guest(name):
    return os.path.join(ROOT, "build", "guests", name + ".elf")


def check(what, text):
    if not what:
        raise AssertionError(text)


def await_true(what, text, limit_s=60):
    due = time.monotonic() + storm.patience(limit_s)
    while not what():
        check(time.monotonic() < due, text)
        time.sleep(0.005)


def state(vmm):
    return vmm.ask("GET", "/v1/vm")[1]["state"]


def console(vmm):
    vmm.connection.request("GET", "/v1/vm/console")
    return vmm.connection.getresponse().read().decode(errors="replace")


def run_tests(tests, only=()):
    """A test fails by an exception; what it returns is why it was skipped."""
    failed = 0
    for test in tests:
        name = test.__name__
        if only and name not in only:
            continue
        if not has_kvm():
            print(f"skip {name}: /dev/kvm is missing or not writable", flush=True)
            continue
        try:
            why = test()
            print(f"skip {name}: {why}" if why else f"ok   {name}", flush=True)
        except Exception as e:  # whatever went wrong is a failed test
            failed = 1
            print(f"FAIL {name}: {e}", flush=True)
            if not isinstance(e, AssertionError):
                traceback.print_exc(file=sys.stdout)
    return failed
