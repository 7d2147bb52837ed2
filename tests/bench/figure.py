# SPDX-License-Identifier: Apache-2.0
"""What bench.py prints: a figure, beside a peer's, against a target."""

import statistics


class Figure:
    """One row: what was measured for whom, and what it should be. more: more is
    better, so that target and limit are the least that is wanted."""

    def __init__(self, name, unit, ours, theirs=None, peer="", target=None, percentile=50,
                 limit=None, more=False):
        self.name, self.unit, self.peer = name, unit, peer
        self.ours = pick(ours, percentile)
        self.least = min(ours)
        self.theirs = pick(theirs, percentile) if theirs else None
        self.ratio = self.ours / self.theirs if theirs else None
        self.target, self.limit, self.more = target, limit, more

    def met(self):
        if self.target is not None and self.ratio is not None:
            return self.ratio >= self.target if self.more else self.ratio <= self.target
        if self.limit is not None:
            return self.ours >= self.limit if self.more else self.ours <= self.limit
        return None

    def wanted(self):
        if self.target is not None:
            return f"{'>=' if self.more else '<='} {self.target:.3g} x"
        if self.limit is not None:
            return f"{'>=' if self.more else '<='} {self.limit:g} {self.unit}"
        return ""

    def row(self):
        met = {True: "met", False: "NOT MET", None: ""}[self.met()]
        return [self.name, number(self.ours), number(self.least),
                number(self.theirs) if self.theirs else "", self.unit,
                self.peer, f"{self.ratio:.3f}" if self.ratio else "", self.wanted(), met]


def pick(values, percentile):
    if percentile == 50:
        return statistics.median(values)
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percentile // 100)]


def number(v):
    return f"{v:.0f}" if v >= 1000 else f"{v:.3g}"


def turns(rounds):
    """Of figures that take seconds each."""
    return max(1, rounds // 16)
