# SPDX-License-Identifier: Apache-2.0
"""Saves, resets and loads VMs in place (POST /v1/vm/reload) while a test has
something else to do with them, at random moments that a seed repeats as far as
two machines' threads can repeat anything.

What a test does with a VM it does unchanged: vmm.Vmm asks here whether there
is a storm.
"""

import http.client
import json
import random
import re
import threading

PATIENCE_S = 25  # with a guest that may have been forgotten: kvm_forgets()
GAP_S = 0.02  # at most, between an answer and the next request
# The VM is not there yet, no longer, or on its way.
MEANWHILE = ("wrong-state", "busy", "superseded", "ending")


class Storm:
    """reloads: how many there were; of all VMs together."""

    def __init__(self, seed):
        self.seed = seed
        self.reloads = 0
        self._lock = threading.Lock()
        self._begun = 0

    def over(self, connect):
        """Begins over one VM; connect() makes an HTTP connection to it."""
        with self._lock:
            self._begun += 1
            rng = random.Random(f"{self.seed}.{self._begun}")
        return Squall(self, connect, rng)

    def count(self):
        with self._lock:
            self.reloads += 1


class Squall:
    """A storm over one VM. end() gives None, or what went wrong."""

    def __init__(self, storm, connect, rng):
        self._storm, self._connect, self._rng = storm, connect, rng
        self._is_over = threading.Event()
        self._wrong = None
        self._thread = threading.Thread(target=self._blow, daemon=True)
        self._thread.start()

    def _reload(self, connection):
        connection.request("POST", "/v1/vm/reload")
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status == 200:
            self._storm.count()
        elif said.get("code") not in MEANWHILE:
            self._wrong = f"reload: {said}"
            self._is_over.set()

    def _blow(self):
        connection = None
        try:
            connection = self._connect()
            while not self._is_over.wait(self._rng.uniform(0, GAP_S)):
                self._reload(connection)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the VM's process has ended, as the test will see
        finally:
            if connection:
                connection.close()

    def end(self):
        self._is_over.set()
        self._thread.join()
        return self._wrong


def kvm_forgets():
    """A KVM that emulates kernels for want of VMX and SVM may halt a vCPU that
    was kicked off its hlt only later, in the midst of something else, also
    without any reload: then nothing wakes it. And an int3 under way, the tiny
    guests' call to their kernel, is no part of the vCPU's state that it gives:
    KVM expects it to be executed anew, and here that has gone by."""
    with open("/proc/cpuinfo", encoding="ascii") as f:
        return not re.search(r"^flags\s*:.*\b(vmx|svm)\b", f.read(), re.M)


def patience(limit_s):
    return min(limit_s, PATIENCE_S) if _storm and kvm_forgets() else limit_s


def with_words(options):
    """The options, for guests that don't wait by hlt where that goes wrong."""
    options = list(options)
    if not kvm_forgets():
        return options
    if "--append" not in options:
        return [*options, "--append", "poll=1"]
    options[options.index("--append") + 1] += " poll=1"
    return options


# The one that blows over every VM that is started now; None: calm.
_storm = None


def begin(seed):
    global _storm
    _storm = Storm(seed)
    return _storm


def now():
    return _storm
