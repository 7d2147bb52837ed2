#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Run a job on genuine SVM semantics, on any machine.

QEMU (TCG) emulates a CPU with SVM; Debian's stock kernel runs on it as "the
host" (L1) with its own kvm-amd; the job is a shell script in L1. The first
run boots L1 and saves it; later runs resume the saved state. One thread.

  rig.py run [options] -- COMMAND...   exit status: the command's (127: or
                                       above), 124 no progress, 125 the rig
  rig.py warm [options]                only make the saved state
"""
import argparse
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time

import machine
import parts

TIMED_OUT = 124
RIG_FAILED = 125


def _saved_state(base, shape, silence):
    """Directory of the saved state; made now if there is none."""
    state = machine.state_directory(parts.RIG_DIR, base, shape)
    with parts.debian.locked(parts.RIG_DIR):
        if not os.path.isdir(state):
            _drop_old_states(os.path.basename(state))
            _save_state(base, shape, silence, state)
    return state


def _drop_old_states(name):
    """States of this shape that were made from other parts."""
    shape = name.rsplit("-", 1)[0] + "-"
    for entry in os.listdir(parts.RIG_DIR):
        if entry.startswith(shape):
            shutil.rmtree(os.path.join(parts.RIG_DIR, entry))


def _save_state(base, shape, silence, state):
    part = tempfile.mkdtemp(dir=parts.RIG_DIR, prefix=machine.owned("save"))
    try:
        with machine.Machine(base, shape, parts.RIG_DIR, save=part) as l1:
            l1.wait_for_hello(silence)
            l1.save_devices(os.path.join(part, "devices"), silence)
        os.rename(part, state)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def run(script, put=(), loads=(), get=None, shape=None, cold=False,
        silence=120, limit=1800, write=None, files=()):
    """Run a shell script in L1; returns its exit status.

    put: (path here, name in the job's directory) pairs; programs bring their
    libraries. loads: names of further libraries, for programs that open them
    at run time. get: a directory here that receives what the job left in out/.
    silence: seconds without any sign of life, limit: seconds in all; both
    raise TimeoutError. write: called with the job's output, as it comes.
    files: paths of large files, on an ext4 file system that the job mounts
    from /dev/vdc.
    machine.RigError, debian.PartsError: the rig failed, not the job.
    """
    shape = shape or machine.Shape()
    write = write or _to_stdout
    archive = parts.job_archive(script, put, loads)
    base = parts.Base()
    state = None
    if not cold and not shape.icount:
        state = _saved_state(base, shape, silence)
    with machine.Machine(base, shape, parts.RIG_DIR, state=state) as l1:
        try:
            l1.give_job(archive)
            if files:
                l1.give_files(files)
            if not state:
                l1.wait_for_hello(silence)
            l1.send(b"%d\n" % round(time.time()))
            for data in l1.output(silence, limit):
                write(data)
            status = l1.status()
        except (TimeoutError, machine.RigError) as error:
            raise type(error)("%s\n%s" % (error, l1.trouble()))
        if get:
            _unpack_results(l1.path("out.img"), get)
    return status


def _to_stdout(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _unpack_results(image, directory):
    os.makedirs(directory, exist_ok=True)
    with open(image, "rb") as stream:
        if not stream.read(1).strip(b"\0"):
            return
    with tarfile.open(image) as tar:
        tar.extractall(directory)


def exit_on_signals():
    """Let a signal end this process through its clean-up, not past it."""
    def leave(number, _):
        sys.exit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def _pair(text):
    path, _, name = text.partition(":")
    return path, name or os.path.basename(path.rstrip("/"))


def _arguments(argv):
    parser = argparse.ArgumentParser(
        description="Run a command in a nested Debian host with real KVM.")
    parser.add_argument("operation", choices=["run", "warm"])
    parser.add_argument("--smp", type=int, default=1, help="CPUs of L1")
    parser.add_argument("--mem", type=int, default=1024, help="MiB of L1")
    parser.add_argument("--put", action="append", default=[], type=_pair,
                        metavar="FILE[:NAME]", help="bring a file, a program "
                        "with its libraries, or a directory; repeatable")
    parser.add_argument("--file", action="append", default=[], metavar="FILE",
                        help="bring a large file, on an ext4 file system on "
                        "/dev/vdc; repeatable")
    parser.add_argument("--lib", action="append", default=[], metavar="NAME",
                        help="bring a library that a program loads at run "
                        "time, such as libcurl.so.4; repeatable")
    parser.add_argument("--get", metavar="DIR",
                        help="receive what the job left in /job/out")
    parser.add_argument("--timeout", type=int, default=120, metavar="S",
                        help="seconds without any output (default 120)")
    parser.add_argument("--limit", type=int, default=1800, metavar="S",
                        help="seconds in all (default 1800)")
    parser.add_argument("--cold", action="store_true",
                        help="boot L1, don't use the saved state")
    parser.add_argument("--icount", action="store_true",
                        help="one instruction is 1 ns of L1's clock; cold, "
                        "one CPU")
    command = []
    if "--" in argv:
        cut = argv.index("--")
        argv, command = argv[:cut], argv[cut + 1:]
    options = parser.parse_args(argv)
    if options.operation == "run" and not command:
        parser.error("run needs -- COMMAND")
    return options, " ".join(command) + "\n"


def main():
    options, script = _arguments(sys.argv[1:])
    exit_on_signals()
    shape = machine.Shape(1 if options.icount else options.smp, options.mem,
                          options.icount)
    try:
        if options.operation == "warm":
            print(_saved_state(parts.Base(), shape, options.timeout))
            return 0
        return run(script, options.put, options.lib, options.get, shape,
                   options.cold, options.timeout, options.limit,
                   files=options.file)
    except TimeoutError as error:
        print("rig: %s" % error, file=sys.stderr)
        return TIMED_OUT
    except (machine.RigError, parts.debian.PartsError, OSError) as error:
        print("rig: %s" % error, file=sys.stderr)
        return RIG_FAILED


if __name__ == "__main__":
    sys.exit(main())
