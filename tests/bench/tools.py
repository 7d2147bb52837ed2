# SPDX-License-Identifier: Apache-2.0
"""The small programs that measure: build/bench/launch, talk and others."""

import os
import subprocess

from peers import BENCH, CantMeasure


def tool(name, *arguments, timeout=600):
    done = subprocess.run([os.path.join(BENCH, name), *map(str, arguments)],
                          text=True, capture_output=True, timeout=timeout)
    if done.returncode:
        raise CantMeasure(f"{name}: {done.stderr.strip()}")
    return done.stdout


def launch(rounds, *commands, stay=False):
    """For each command: first-byte times, reaped times; milliseconds. stay: they
    do not end by themselves."""
    line = []
    for command in commands:
        line += (["--"] if line else []) + command
    result = [([], []) for _ in commands]
    for row in tool("launch", *(["-k"] if stay else []), rounds, *line).splitlines():
        index, first, reaped = map(int, row.split())
        result[index][0].append(first / 1e6)
        result[index][1].append(reaped / 1e6)
    return result


def talk(rounds, *arguments):
    """For each argument: microseconds of its first and second question."""
    result = {}
    for row in tool("talk", rounds, *arguments).splitlines():
        key, ns = row.split()
        result.setdefault(key, []).append(int(ns) / 1e3)
    return result
