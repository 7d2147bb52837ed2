# SPDX-License-Identifier: Apache-2.0
"""Guests under load, whose machines are saved, reset and loaded in place at
random moments: what they promise otherwise they promise here.

  test_reload.py [--seed N] [--rounds N] [TEST]...
"""

import argparse
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import storm  # noqa: E402
import test_disks  # noqa: E402
import test_qcow2  # noqa: E402
import test_virtio  # noqa: E402
from promises import await_true, check, console, run_tests, state  # noqa: E402
from vmm import Vmm  # noqa: E402

TRIES = 5 if storm.kvm_forgets() else 1
# Of these modules: all but those that are about connections of a vsock, which
# end with a reload, about storage that hangs, for which a reload waits, and
# about the process's memory, which a state takes as well.
LEFT_OUT = (test_virtio.a_flood_costs_the_host_a_bounded_amount,
            test_virtio.the_guest_reaches_a_host_program,
            test_virtio.a_host_program_reaches_the_guest,
            test_disks.storage_that_hangs_delays_nobody_s_answer)
BORROWED = [t for m in (test_virtio, test_disks, test_qcow2) for t in m.TESTS
            if t not in LEFT_OUT]


def several_tries(test):
    """Where KVM itself forgets something now and then (storm.py) a promise is
    broken when it is five times in a row: what amber forgets it always does."""
    def tried():
        for left in range(TRIES - 1, -1, -1):
            try:
                return test()
            except Exception as e:  # whatever went wrong is a failed test
                if not left:
                    raise
                test_virtio.remove_hubs()
                # Not at the start of a line: a guest's FAIL is none of ours.
                why = str(e)[-300:].replace("\n", "\n  | ")
                print(f"again, {test.__name__}: {why}", flush=True)
        return None
    tried.__name__ = test.__name__
    return tried


def a_guest_of_several_cpus_counts_on():
    with Vmm("smp", "--cpus", "4") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: state(vmm) != "running", "it does not end")
        check("sum=40000" in console(vmm), console(vmm))


def a_paused_guest_stays_paused():
    with Vmm("spin") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: "ready" in console(vmm), "no guest")
        vmm.ask("POST", "/v1/vm/pause")
        before = storm.now().reloads
        await_true(lambda: storm.now().reloads > before + 2, "no reload")
        check(state(vmm) == "paused", state(vmm))


def nothing_is_counted_twice_or_left_out():
    with Vmm("nonce", "--append", "period_ms=2") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: "count=50" in console(vmm), "it does not count on")
        vmm.calm()
        lines = [l for l in console(vmm).splitlines() if l.startswith("nonce=")]
        nonce = lines[0].split()[0]
        for n, line in enumerate(lines[:-1], 1):
            check(line == f"{nonce} count={n}", f"line {n}: {line}")
        kinds = {r["kind"] for r in vmm.ask("GET", "/v1/journal?limit=200")[1]["records"]}
        check(not kinds & {"crash", "device-broken", "io-error", "snapshot-failed"}, kinds)


TESTS = (*5 * (a_guest_of_several_cpus_counts_on,), a_paused_guest_stays_paused,
         nothing_is_counted_twice_or_left_out, *BORROWED)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("test", nargs="*")
    options = parser.parse_args()
    seed = options.seed
    if seed is None:
        seed = random.randrange(1 << 32)
    failed = 0
    for n in range(options.rounds):
        print(f"reloads: seed {seed + n}", flush=True)
        blows = storm.begin(seed + n)
        failed |= run_tests([several_tries(t) for t in TESTS], options.test)
        print(f"reloads: {blows.reloads}", flush=True)
        test_virtio.remove_hubs()
    return failed


if __name__ == "__main__":
    sys.exit(main())
