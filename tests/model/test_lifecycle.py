# SPDX-License-Identifier: Apache-2.0
"""The lifecycle against a small reference model: random commands to a real
amber-vmm, each answer predicted. A failing sequence is shrunk and printed.

  test_lifecycle.py [--steps N] [--seed N]
"""

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmm import Vmm, has_kvm  # noqa: E402

NAME = "lifecycle_does_what_the_model_says"
RUN = 250  # commands for one process

# What is sent, and how often: (weight, command, body).
COMMANDS = [
    (4, "start", {}), (2, "start", {"paused": True}), (5, "pause", {}),
    (2, "pause", {"emergency": True}), (5, "resume", {}), (2, "stop", {}),
    (2, "reset", {}), (1, "reset", {"paused": True}), (3, "nmi", {}),
    (1, "powerbutton", {}),
    (2, "shutdown", {}), (1, "shutdown", {"force": True}),
    (2, "reboot", {}), (1, "reboot", {"force": True}),
]


class Broken(Exception):
    """The program did something else than the model says."""


class Model:
    """The reference: one state, and what each command makes of it. Written
    from the description of the commands, not from amber's table."""

    def __init__(self, obeys):
        self.obeys = obeys  # does the guest heed its power button?
        self.state = "defined"

    def is_off(self):
        return self.state in ("defined", "stopped")

    def expect(self, command, body):
        """(HTTP status, changed or None, state afterwards, help or None)."""
        return getattr(self, command)(body)

    def already(self):
        return 200, False, self.state, None

    def becomes(self, state):
        return 200, True, state, None

    def refuses(self, helps):
        return 409, None, self.state, helps

    def start(self, body):
        if self.is_off():
            return self.becomes("paused" if body.get("paused") else "running")
        return self.already() if self.state == "running" else self.refuses("resume")

    def pause(self, _):
        if self.is_off():
            return self.refuses("start")
        return self.already() if self.state == "paused" else self.becomes("paused")

    def resume(self, _):
        if self.is_off():
            return self.refuses("start")
        return self.already() if self.state == "running" else self.becomes("running")

    def stop(self, _):
        return self.already() if self.is_off() else self.becomes("stopped")

    def reset(self, body):
        if self.is_off():
            return self.refuses("start")
        return self.becomes("paused" if body.get("paused") else self.state)

    def nmi(self, _):
        return self._needs_running() or self.becomes("running")

    def powerbutton(self, _):
        return self._needs_running() or self.becomes("running")

    def shutdown(self, body):
        if self.is_off():
            return self.already()
        if body.get("force") and self.state == "paused":
            return self.stop(body)  # such a guest can't be asked
        return self._needs_running() or self._ladder(body, "stopped")

    def reboot(self, body):
        return self._needs_running() or self._ladder(body, "running")

    def _needs_running(self):
        if self.is_off():
            return self.refuses("start")
        return None if self.state == "running" else self.refuses("resume")

    def _ladder(self, body, state):
        if self.obeys or body.get("force"):
            return self.becomes(state)
        return 504, None, "running", None


def await_state(vmm, wanted):
    due = time.monotonic() + 30
    while True:
        state = vmm.ask("GET", "/v1/vm")[1]["state"]
        if state == wanted:
            return
        if time.monotonic() > due:
            raise Broken(f"is {state}, not {wanted}, for 30 s")


def step(vmm, model, command, body):
    body = dict(body)
    if command in ("shutdown", "reboot"):
        body["timeout_ms"] = 20000 if model.obeys else 5
    status, changed, state, helps = model.expect(command, body)
    if command == "nmi" and status == 200:
        # Before it has an IDT any guest dies of an NMI.
        vmm.ask("GET", "/v1/vm/ready?wait=30")
    got, answer = vmm.ask("POST", "/v1/vm/" + command, body)
    if got != status:
        raise Broken(f"status {got}, not {status}: {answer}")
    if changed is not None and answer["changed"] != changed:
        raise Broken(f"changed {answer['changed']}, not {changed}: {answer}")
    if helps and answer.get("help") != helps:
        raise Broken(f"help {answer.get('help')}, not {helps}: {answer}")
    model.state = state
    if command == "powerbutton" and status == 200 and model.obeys:
        model.state = "stopped"
        await_state(vmm, "stopped")
    now = vmm.ask("GET", "/v1/vm")[1]
    if now["state"] != model.state:
        raise Broken(f"is {now['state']}, not {model.state}")
    parked = model.state == "paused"
    if not model.is_off() and bool(now["vcpus_parked"]) != parked:
        raise Broken(f"{now['vcpus_parked']} vCPUs parked while {model.state}")


def check_journal(vmm):
    """What was recorded is one unbroken chain of states."""
    records = vmm.ask("GET", "/v1/journal")[1]["records"]
    moves = [r for r in records if r["kind"] == "state"]
    for before, after in zip(moves, moves[1:]):
        if before["to"] != after["from"]:
            raise Broken(f"journal: {before} is followed by {after}")


def play(guest, sequence):
    """Index and reason of the first broken command, or None."""
    obeys = guest == "button"
    with Vmm(guest, "--cpus", "2" if guest == "spin" else "1") as vmm:
        model = Model(obeys)
        for n, (command, body) in enumerate(sequence):
            try:
                step(vmm, model, command, body)
            except Broken as why:
                return n, str(why)
            except Exception as why:  # the process or its socket failed
                vmm.process.kill()
                text = vmm.process.stderr.read().decode(errors="replace")
                return n, f"{type(why).__name__}: {why}; {text}"
        try:
            check_journal(vmm)
        except Broken as why:
            return len(sequence) - 1, str(why)
    return None


def shrink(guest, sequence):
    """Leaves out commands as long as it still fails."""
    size = max(1, len(sequence) // 2)
    while True:
        at = 0
        while at < len(sequence):
            shorter = sequence[:at] + sequence[at + size:]
            if shorter and play(guest, shorter):
                sequence = shorter
            else:
                at += size
        if size == 1:
            return sequence
        size = max(1, size // 2)


def report(guest, sequence, seed):
    sequence = shrink(guest, sequence)
    found = play(guest, sequence)
    print(f"FAIL {NAME}: guest {guest}, seed {seed}: "
          f"{found[1] if found else 'seen once, not again'}")
    for command, body in sequence:
        print(f"  POST /v1/vm/{command} {body}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if not has_kvm():
        print(f"skip {NAME}: /dev/kvm is missing or not writable")
        return 0
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    dice = random.Random(seed)
    done, guests = 0, ["button", "idle", "spin"]
    while done < options.steps:
        guest = guests[done // RUN % len(guests)]
        sequence = [c[1:] for c in dice.choices(
            COMMANDS, [c[0] for c in COMMANDS], k=RUN)]
        found = play(guest, sequence)
        if found:
            report(guest, sequence[:found[0] + 1], seed)
            return 1
        done += RUN
    print(f"ok   {NAME} ({done} commands, seed {seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
