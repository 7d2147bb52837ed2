#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The tests that need genuine SVM semantics: amber in the rig.

Builds what it needs (the Linux guest), puts amber and the guests into L1,
runs the jobs and prints a line for each promise.
Exit status: 0 all kept, 1 something broken, 77 the rig can't run here.

  run_rig_tests.py [--only JOB]... [--build DIR] [--figures FILE]
                   [--fio-mib N] [--cycles N]

Several jobs: as many at once as there are CPUs, each in a process of its own
that says what it has to say when it is over.

Invariant: a promise that a job has announced and not reported is broken;
a job that ends without a single announcement is broken as a whole.
"""
import argparse
import collections
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import subprocess
import sys
import time

import machine
import parts
import rig

SKIPPED = 77
SILENCE_S, LIMIT_S = 300, 1200  # of one job
CYCLE_S = 60  # that each of --cycles adds to the limit
TRIES = 3
LOADED_AT_RUN_TIME = ["libcurl.so.4"]  # by amber, with dlopen
DISK_GUEST = ["vmlinuz", "initrd-disk.img", "root.raw"]
JOBS = {  # name: (script, what it needs, options of the rig's machine)
    # With icount L1 stops now and then and has another try; of the others the
    # longest come first, so that they end side by side.
    "instructions": ("instructions.sh", ["vmlinuz", "initrd.img", "guests"],
                     {"mem": 4608, "icount": True}),
    "disk": ("disk.sh", DISK_GUEST, {}),
    "agent": ("agent.sh", DISK_GUEST, {}),
    "snapshot": ("snapshot.sh", DISK_GUEST + ["socat"], {}),
    "qcow2": ("qcow2.sh", ["vmlinuz", "initrd-disk.img", "root.qcow2"], {}),
    "linux": ("linux.sh", ["vmlinuz", "initrd.img"], {}),
    "net": ("net.sh", DISK_GUEST + ["passt", "socat"], {}),
    "guests": ("guests.sh", ["guests"], {}),
    "memory": ("memory.sh", ["vmlinuz", "initrd.img"], {"mem": 4608}),
}
LARGE = ["root.raw", "root.qcow2"]  # on a file system of their own, not in L1's memory
TOOLS = ["passt", "socat"]  # of this machine, brought with their libraries

Outcome = collections.namedtuple("Outcome", "status seconds reason")


class Report:
    """What a job said, line by line, and what that makes of its promises."""

    def __init__(self, show):
        self._show = show
        self._rest = b""
        self._commentary = []
        self.promises = {}
        self.figures = {}

    def write(self, data):
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line.decode(errors="replace").rstrip("\r"))

    def _line(self, line):
        word, _, rest = line.partition(" ")
        promise = re.match(r"(\S+) (ok|failed|skipped) (\d+) ?(.*)", rest)
        if word == "plan":
            self.promises.setdefault(rest.strip(), None)
        elif word == "promise" and promise:
            name, status, hundredths, reason = promise.groups()
            self._keep(name, Outcome(status, int(hundredths) / 100, reason))
        elif word == "figure" and re.fullmatch(r"\S+ \d+", rest):
            name, value = rest.split()
            self.figures[name] = int(value)
            self._show("figure %s = %s" % (name, value))
        else:
            self._commentary.append(line)

    def _keep(self, name, outcome):
        self.promises[name] = outcome
        word = {"ok": "ok  ", "failed": "FAIL", "skipped": "skip"}
        self._show("%s %s (%.1f s)%s" % (
            word[outcome.status], name, outcome.seconds,
            ": " + outcome.reason if outcome.reason else ""))

    def finish(self, trouble):
        """The job is over; trouble says why if it did not end by itself."""
        for name, outcome in self.promises.items():
            if outcome is None:
                self._keep(name, Outcome("failed", 0, trouble or
                                         "the job ended before it"))
        if not self.promises:
            self._keep("the_job_announces_its_promises", Outcome(
                "failed", 0, trouble or "it said nothing that counts"))

    def count(self, status):
        return sum(o.status == status for o in self.promises.values())

    def commentary(self):
        return self._commentary


def build_linux_guest(targets):
    """The stock kernel and what it boots, made by the guest's own recipe.

    Returns None, or the line that says why it could not be made.
    """
    done = subprocess.run(["make", "-s", "-f", "guest-images/linux/linux.mk",
                           *targets], cwd=parts.ROOT, timeout=1800,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return None
    lines = [l for l in done.stderr.splitlines() if l.startswith("guests-linux")]
    return lines[0] if lines else done.stderr.strip()


def what_to_put(build, needs):
    """The pairs of paths and names that a job brings into L1."""
    jobs = os.path.join(parts.HERE, "jobs")
    guests = os.path.join(parts.ROOT, "build/guests")
    pairs = [(os.path.join(build, name), name)
             for name in ("amber", "amber-vmm")]
    pairs += [(os.path.join(jobs, name), name)
              for name in ("lib.sh", "disklib.sh")]
    for name in needs:
        if name in LARGE:
            continue
        if name in TOOLS:
            if not shutil.which(name):
                raise parts.debian.PartsError("%s is not installed" % name)
            pairs.append((shutil.which(name), name))
        elif name == "guests":
            pairs += [(os.path.join(guests, leaf), "guests/" + leaf)
                      for leaf in sorted(os.listdir(guests))
                      if leaf.endswith(".elf")]
        else:
            pairs.append((os.path.join(guests, "linux", name), name))
    return pairs


def missing(build):
    """Why the tests can't run here, or None."""
    for tool in ("qemu-system-x86_64", "lz4", "dpkg-deb", "apt-get", "make"):
        if not shutil.which(tool):
            return "%s is not installed (make deps)" % tool
    for name in ("amber", "amber-vmm"):
        if not os.path.exists(os.path.join(build, name)):
            return "%s/%s is not built" % (build, name)
    return None


def run_job(name, build, show, words="", tries=TRIES, limit=LIMIT_S):
    """One job, from the start again when the rig itself has stopped: then it
    has said nothing about amber."""
    script, needs, options = JOBS[name]
    report = Report(show)
    trouble = None
    began = time.monotonic()
    with open(os.path.join(parts.HERE, "jobs", script)) as stream:
        text = words + stream.read()
    try:
        rig.run(text, what_to_put(build, needs), write=report.write,
                shape=machine.Shape(**options),
                silence=SILENCE_S, limit=limit,
                loads=LOADED_AT_RUN_TIME,
                files=[os.path.join(parts.ROOT, "build/guests/linux", leaf)
                       for leaf in needs if leaf in LARGE])
    except machine.Stopped as error:
        trouble = str(error)
        if tries > 1:
            show("rig job %s: again, for %s" % (
                name, trouble.replace("\n", "\n  | ")))
            return run_job(name, build, show, words, tries - 1, limit)
    except (TimeoutError, machine.RigError, OSError,
            parts.debian.PartsError) as error:
        trouble = str(error)
    report.finish(trouble and trouble.split("\n")[0])
    if report.count("failed"):
        for line in report.commentary() + (trouble or "").split("\n"):
            show("  | " + line)
    show("rig job %s: %.1f s" % (name, time.monotonic() - began))
    return report


def _run_aside(pipe, name, build, words):
    machine.die_with_parent()
    lines = []
    report = run_job(name, build, lines.append, words)
    pipe.send((lines, report.promises, report.figures))


def run_side_by_side(names, build, show, words, at_once):
    """The jobs' reports, in the order in which they end.

    The processes are daemons: they end, through their clean-up, with this one.
    """
    waiting, running, reports = list(names), {}, []
    while waiting or running:
        while waiting and len(running) < at_once:
            name = waiting.pop(0)
            ours, theirs = multiprocessing.Pipe(duplex=False)
            multiprocessing.Process(
                target=_run_aside, args=(theirs, name, build, words),
                daemon=True).start()
            theirs.close()
            running[ours] = name
        for pipe in multiprocessing.connection.wait(list(running)):
            name, report = running.pop(pipe), Report(show)
            try:
                lines, report.promises, report.figures = pipe.recv()
                for line in lines:
                    show(line)
            except EOFError:
                report.finish("the process of job %s died" % name)
            reports.append(report)
    return reports


def main():
    parser = argparse.ArgumentParser(description="Run amber in the rig.")
    parser.add_argument("--only", action="append", choices=sorted(JOBS),
                        help="this job; repeatable (default: all)")
    parser.add_argument("--build", default=os.path.join(parts.ROOT, "build"),
                        help="where amber and amber-vmm lie")
    parser.add_argument("--figures", metavar="FILE",
                        help="write the figures there, as JSON")
    parser.add_argument("--fio-mib", type=int, metavar="N",
                        help="what fio writes to each file and disk "
                        "(default: jobs/disklib.sh)")
    parser.add_argument("--cycles", type=int, metavar="N",
                        help="how often the job snapshot goes there and back "
                        "(default: jobs/snapshot.sh)")
    options = parser.parse_args()
    rig.exit_on_signals()

    def show(line):
        print(line, flush=True)

    reason = missing(options.build)
    if reason:
        show("skip rig: " + reason)
        return SKIPPED
    names = options.only or list(JOBS)
    reason = build_linux_guest(
        ["guests-linux"] + ["guests-linux-disk"] * any(
            leaf in LARGE for name in names for leaf in JOBS[name][1]) +
        ["guests-linux-qcow2"] * ("qcow2" in names))
    if reason and "can't be fetched" in reason:
        show("skip rig: " + reason)
        return SKIPPED
    if reason:
        show("FAIL rig: " + reason)
        return 1
    words = ("export FIO_MIB=%d\n" % options.fio_mib
             if options.fio_mib else "")
    words += "export CYCLES=%d\n" % options.cycles if options.cycles else ""
    at_once = min(len(names), len(os.sched_getaffinity(0)))
    if at_once == 1:
        limit = LIMIT_S + CYCLE_S * (options.cycles or 0)
        reports = [run_job(name, options.build, show, words, limit=limit)
                   for name in names]
    else:
        reports = run_side_by_side(names, options.build, show, words, at_once)
    if options.figures:
        figures = {k: v for r in reports for k, v in r.figures.items()}
        parts.write_file(options.figures, json.dumps(figures).encode())
    totals = [sum(r.count(status) for r in reports)
              for status in ("ok", "failed", "skipped")]
    show("rig: %d kept, %d broken, %d skipped" % tuple(totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
