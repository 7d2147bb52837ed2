# SPDX-License-Identifier: Apache-2.0
"""What the threads of a process have had of the CPU, as the kernel counts it."""

import os


def threads(pid):
    """{thread: (name, nanoseconds of CPU, times it was given the CPU)}"""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
                ran, _, times = map(int, f.read().split())
            with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
                found[int(tid)] = f.read().strip(), ran, times
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended
    return found


def spent(before, after):
    """{name: (nanoseconds, times)} of those that ran in between."""
    ran = {}
    for tid, (name, ns, times) in after.items():
        _, ns_before, times_before = before.get(tid, ("", 0, 0))
        if times != times_before or ns != ns_before:
            total = ran.get(name, (0, 0))
            ran[name] = total[0] + ns - ns_before, total[1] + times - times_before
    return ran


def is_kernels(name):
    """Threads that the kernel runs in a process: io_uring's, KVM's."""
    return name.startswith(("iou-", "kvm-"))
