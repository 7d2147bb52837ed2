# SPDX-License-Identifier: Apache-2.0
"""`amber snapshot`: until when one is wanted, and how long a guest may stand for it."""

import json
import re
import time

from harness import check, equal, run
from snapshot_rig import await_count, await_true, create, judge, lines, snapshots
from test_snapshot_store import end, named, take


def rewrite(home, name, **changes):
    s = named(home, name)
    file = home.path("web", "snapshots", s["id"], "meta.json")
    with open(file, "r+", encoding="utf-8") as f:
        meta = json.load(f)
        meta.update(changes)
        f.seek(0)
        f.truncate()
        json.dump(meta, f)


def names(home):
    return [s["name"] for s in snapshots(home)["snapshots"]]


def expiry_is_kept_and_shown(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "week", "--expires", "7d")
    home.amber("snapshot", "create", "web", "day", "--expires", "2199-12-24T18:00:00Z")
    take(home, "ever")
    due = time.strptime(named(home, "week")["expires"][:19], "%Y-%m-%dT%H:%M:%S")
    left = time.mktime(due) - time.mktime(time.gmtime())
    check(7 * 86400 - 60 < left <= 7 * 86400, left)
    equal(named(home, "day")["expires"], "2199-12-24T18:00:00.000Z")
    check("expires" not in named(home, "ever"))
    table = home.amber("snapshot", "list", "web").lines()
    check(re.search(r"manual \(expires in [67] d", table[1]), table)
    check("expire" not in table[3], table)
    shown = home.amber("snapshot", "show", "web", "day").out
    check("expires:      2199-12-24T18:00:00.000Z (expires in " in shown, shown)
    for text, why in (("2w", "1y5m7d2h"), ("0h", "not in the future"), ("", "1y5m7d2h"),
                      ("2020-01-01T00:00:00Z", "not in the future"),
                      ("2199-02-30T00:00:00Z", "1y5m7d2h")):
        done = home.amber("snapshot", "create", "web", "bad", "--expires", text, status=2)
        check(why in done.err and done.err.count("\n") == 1, done)
    equal(names(home), ["week", "day", "ever"])


OVER = "2020-01-01T00:00:00.000Z"


def expired_ones_go_with_any_rule_unless_pinned_current_or_stood_on(home):
    create(home)
    home.amber("start", "web")
    for running in (True, False):
        take(home, "old", "pinned", "below")
        home.amber("snapshot", "create", "web", "above", "--incremental")
        take(home, "fresh", "now")
        home.amber("snapshot", "pin", "web", "pinned")
        for name in ("old", "pinned", "below", "now"):
            rewrite(home, name, expires=OVER)
        if not running:
            end(home)
        done = home.amber("snapshot", "prune", "web", "--expired", "--dry-run")
        check(re.search(r"old .* remove .*expired\n", done.out), done)
        check(re.search(r"fresh .* keep .*not expired\n", done.out), done)
        check(re.search(r"below .* keep .*memory stands on it\n", done.out), done)
        check(re.search(r"now .* keep .*current", done.out), done)
        rule = ("--expired",) if running else ("--keep-last", "9")
        home.amber("snapshot", "prune", "web", *rule)
        equal(names(home), ["pinned", "below", "above", "fresh", "now"])
        again = home.amber("snapshot", "prune", "web", *rule, "--json").json()
        equal((again["changed"], again["prune"]["removed"]), (False, 0))
        if running:
            home.amber("snapshot", "unpin", "web", "pinned")
            home.amber("snapshot", "delete", "web", "pinned", "--children")


def expiry_that_can_not_be_read_damages_one_snapshot_only(home):
    create(home)
    home.amber("start", "web")
    take(home, "one", "two")
    rewrite(home, "one", expires="soon")
    done = home.amber("snapshot", "list", "web")
    check("expires: is not a time" in done.err and "two" in done.out, done)


def a_guest_that_would_stand_too_long_runs_on_and_nothing_stays(home):
    image = f"{home.dir}/root.qcow2"
    home.amber("disk", "create", image, "8M")
    create(home, "web", "nonce", "period_ms=10", "--disk", image)
    home.amber("start", "web")
    before = await_count(home, "web", 3)
    done = home.amber("snapshot", "create", "web", "no", "--max-pause", "1us", status=1)
    check(re.search(r"given up: the guest stood still for \d+ us, more than the 1 us", done.err) and
          done.err.count("\n") == 1, done)
    equal(names(home), [])
    await_count(home, "web", before[-1][1] + 3)
    equal(len({nonce for nonce, _ in lines(home, "web")}), 1)
    await_true(lambda: len(judge(image)) == 1, "its layer stays")
    records = home.amber("journal", "--json", "web").json()
    equal([r["kind"] for r in records if "given up" in r.get("text", "")], ["snapshot-failed"])
    home.amber("snapshot", "create", "web", "yes", "--max-pause", "10s")
    equal(names(home), ["yes"])
    home.amber("pause", "web")
    home.amber("snapshot", "create", "web", "stands", "--max-pause", "1us")
    for text in ("50", "0us", "-1ms", "1h", "4000s", "fast"):
        done = home.amber("snapshot", "create", "web", "x", "--max-pause", text, status=2)
        check("--max-pause" in done.err and done.err.count("\n") == 1, done)


if __name__ == "__main__":
    run([expiry_is_kept_and_shown,
         expired_ones_go_with_any_rule_unless_pinned_current_or_stood_on,
         expiry_that_can_not_be_read_damages_one_snapshot_only,
         a_guest_that_would_stand_too_long_runs_on_and_nothing_stays])
