# SPDX-License-Identifier: Apache-2.0
"""Many VMs at once on this machine: started, all answer, all stopped."""

import http.client
import os
import socket
import subprocess
import time

from peers import CantMeasure, Place, amber_command

LIMIT_S = 120


class Socket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("amber", timeout=LIMIT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self.path)


def _ask(path, method, target):
    connection = Socket(path)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise CantMeasure(f"{target}: {answer.status} {body}")
        return body
    finally:
        connection.close()


def _pss_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0


def _start(place, count, processes):
    for n in range(count):
        ready, theirs = os.pipe()
        command = amber_command("idle", 128, "", "--console", "none", "--socket",
                                place.path(f"{n}.sock"), "--notify-fd", str(theirs))
        processes.append((subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[theirs]), ready))
        os.close(theirs)
    for process, ready in processes:
        line = os.read(ready, 200).decode()
        if not line.startswith("running"):
            raise CantMeasure(f"{process.pid} said {line!r}")


def measure(count):
    """Yields (figure, unit, value)."""
    processes = []
    with Place() as place:
        try:
            began = time.monotonic()
            _start(place, count, processes)
            yield f"{count} VMs: all running after", "s", time.monotonic() - began
            began = time.monotonic()
            for n in range(count):
                if '"state":"running"' not in _ask(place.path(f"{n}.sock"), "GET", "/v1/vm"):
                    raise CantMeasure(f"VM {n} does not run")
            yield f"{count} VMs: all have answered after", "s", time.monotonic() - began
            yield (f"{count} VMs: memory of each (PSS)", "MiB",
                   sum(_pss_mib(p.pid) for p, _ in processes) / count)
            began = time.monotonic()
            for n in range(count):
                _ask(place.path(f"{n}.sock"), "POST", "/v1/vm/stop")
            for process, _ in processes:
                process.wait(timeout=LIMIT_S)
            yield f"{count} VMs: all stopped after", "s", time.monotonic() - began
        finally:
            for process, ready in processes:
                process.kill()
                process.wait()
                os.close(ready)
