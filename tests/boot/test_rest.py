# SPDX-License-Identifier: Apache-2.0
"""What devices cost the host while nothing happens: nothing."""

import contextlib
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from promises import run_tests  # noqa: E402
from tap import Tap, why_not  # noqa: E402
from threads import is_kernels, spent, threads  # noqa: E402
from vmm import Vmm  # noqa: E402

REST_S = 2
QUIET_S = 0.3
LIMIT_S = 60
DISK_BYTES = 8 << 20
# Each drives one of the devices, and then waits for what never comes. (The
# guest balloon looks at its target by the clock: its own wake-ups.)
GUESTS = [("idle", "x"), ("blk-bench", "op=read count=1000 then=idle"),
          ("blk-bench", "op=sync random=1 count=100 then=idle"), ("net-echo", "x"),
          ("console", "x"), ("vsock", "mode=listen")]


def own(before, after):
    """What was spent by threads of ours: io_uring's worker is the kernel's."""
    return {name: what for name, what in spent(before, after).items()
            if not is_kernels(name)}


def await_quiet(vmm):
    due = time.monotonic() + LIMIT_S
    while True:
        before = threads(vmm.process.pid)
        time.sleep(QUIET_S)
        if len(before) > 1 and not own(before, threads(vmm.process.pid)):
            return
        if time.monotonic() > due:
            raise AssertionError("its guest doesn't come to rest")


def start(stack, kernel, append):
    disk = stack.enter_context(tempfile.NamedTemporaryFile(prefix="amber-rest-"))
    disk.truncate(DISK_BYTES)
    options = ["--append", append, "--disk", disk.name, "--virtio-console", "on",
               "--balloon", "on", "--rng", "on", "--vsock", "3"]
    if not why_not():
        options += ["--net", f"tap={stack.enter_context(Tap()).name}"]
    vmm = stack.enter_context(Vmm(kernel, *options))
    answer = vmm.ask("POST", "/v1/vm/start")
    if answer[0] != 200:
        raise AssertionError(answer)
    vmm.connection.close()  # an open one is closed by a timer
    return vmm


def devices_at_rest_cost_no_wakeups():
    with contextlib.ExitStack() as stack:
        vmms = [start(stack, *guest) for guest in GUESTS]
        for vmm in vmms:
            await_quiet(vmm)
        before = [threads(vmm.process.pid) for vmm in vmms]
        time.sleep(REST_S)
        for guest, vmm, was in zip(GUESTS, vmms, before):
            ran = own(was, threads(vmm.process.pid))
            if ran:
                raise AssertionError(f"{guest}: {ran} (ns, times) in {REST_S} s")
            state = vmm.ask("GET", "/v1/vm")[1]["state"]
            if state != "running":
                raise AssertionError(f"{guest}: {state}")


if __name__ == "__main__":
    sys.exit(run_tests((devices_at_rest_cost_no_wakeups,)))
