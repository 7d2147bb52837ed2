# SPDX-License-Identifier: Apache-2.0
"""Processes of amber and their end. One that is killed ends bit by bit: its
sockets before its locks, one thread after the other, and it has no command
line any more. Who looks at what it left waits until all of it is gone."""

import os
import select
import signal

TIMEOUT_S = 60


def vmms(directory):
    """The amber-vmm whose VMs lie below it."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"--dir" in words and words[words.index(b"--dir") + 1].startswith(f"{directory}/".encode()):
            found.append(int(name))
    return found


def _await(process, pid):
    if not select.select([process], [], [], TIMEOUT_S)[0]:
        raise TimeoutError(f"process {pid} does not end")


def kill(pid):
    """False if it was gone before."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
        _await(process, pid)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True


def await_end_of(vm):
    """Of the process of the VM in this directory: one that is about to end."""
    try:
        with open(f"{vm}/lock", encoding="ascii") as f:
            pid = int(f.read())
        process = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError):
        return
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            is_vmm = f.read() == "amber-vmm\n"
        if is_vmm:
            _await(process, pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    finally:
        os.close(process)
