# SPDX-License-Identifier: Apache-2.0
"""Python reads this when it starts a script of stall.py's: a process of amber
that a test kills dies as on a machine that stands still. It does nothing more,
its sockets have ended or are about to, and it keeps its locks for a while."""

import ctypes
import os
import random
import signal
import socket
import threading
import time

LONGEST_S = 0.3
PIDFD_GETFD = 438
_kill = os.kill
_libc = ctypes.CDLL(None, use_errno=True)


def _is_amber(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) in ("amber", "amber-vmm")
    except OSError:
        return False


def _end_sockets(pid, process):
    for name in os.listdir(f"/proc/{pid}/fd"):
        if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
            continue
        fd = _libc.syscall(PIDFD_GETFD, process, int(name), 0)
        if fd < 0:
            continue
        with socket.socket(fileno=fd) as s:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is not connected
                pass


def _end(process):
    time.sleep(random.uniform(0, LONGEST_S))
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.close(process)


def _kill_late(pid, number):
    if number != signal.SIGKILL or not _is_amber(pid):
        _kill(pid, number)
        return
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGSTOP)
    try:
        if random.random() < 0.7:
            _end_sockets(pid, process)
    except OSError:  # it has ended
        pass
    threading.Thread(target=_end, args=(process,)).start()


os.kill = _kill_late
