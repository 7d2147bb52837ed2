# SPDX-License-Identifier: Apache-2.0
"""Operations that take long, over the socket: in the background, with progress,
ended early, asked for afterwards."""

import json
import os
import socket
import subprocess

from harness import check, equal, run
from snapshot_rig import await_true, create, snapshots


def ask(home, method, target, body=None, name="web"):
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "60", "--unix-socket",
         f"{home.dir}/run/{name}/api.sock", "-g", "-X", method, f"http://amber{target}",
         *(["-d", json.dumps(body)] if body is not None else [])],
        check=True, capture_output=True, text=True)
    head, _, text = done.stdout.partition("\n\n")
    return int(head.split()[1]), dict(h.split(": ", 1) for h in head.split("\n")[1:]), \
        json.loads(text)


def large(home):
    """A guest that has written 600 MiB, no two pages alike."""
    create(home, "web", "ring3", "mib=600 rounds=0", memory="768M")
    home.amber("start", "web")
    await_true(lambda: home.amber("stats", "web", "--json").json()["resident_bytes"]
               > 600 << 20, "it writes nothing")


def operation_goes_on_in_the_background(home):
    create(home)
    home.amber("start", "web")
    status, head, op = ask(home, "POST", "/v1/vm/snapshot", {"name": "one", "background": True})
    equal((status, head["Location"], op["id"], op["kind"], op["state"]),
          (202, "/v1/ops/1", 1, "create", "running"))
    status, _, op = ask(home, "GET", "/v1/ops/1?wait=30")
    equal((status, op["state"], op["answer"]["snapshot"]["name"]), (200, "done", "one"))
    check("progress" not in op and "error" not in op and op["duration_us"] > 0, op)
    status, _, answer = ask(home, "POST", "/v1/vm/snapshot", {"name": "one"})
    equal(status, 409)
    equal(ask(home, "GET", "/v1/ops/2")[2]["error"]["code"], answer["code"])
    equal([o["id"] for o in ask(home, "GET", "/v1/ops")[2]["ops"]], [2, 1])


def last_sixteen_are_remembered(home):
    create(home)
    home.amber("start", "web")
    home.amber("snapshot", "create", "web", "one")
    for n in range(20):
        equal(ask(home, "POST", f"/v1/vm/snapshot/{'un' if n % 2 else ''}pin",
                  {"snapshot": "one"})[0], 200)
    equal([o["id"] for o in ask(home, "GET", "/v1/ops")[2]["ops"]], list(range(21, 5, -1)))
    equal(ask(home, "GET", "/v1/ops/5")[2]["code"], "not-found")
    for target in ("/v1/ops/0", "/v1/ops/", "/v1/ops/x", "/v1/ops/1/x", "/v1/ops/-1",
                   "/v1/ops/99999999999999999999"):
        equal(ask(home, "GET", target)[0], 404, target)
    equal(ask(home, "POST", "/v1/ops/21")[0], 405)
    equal(ask(home, "POST", "/v1/ops/21/cancel", {})[2]["state"], "done")


def snapshot_that_is_cancelled_leaves_nothing(home):
    large(home)
    before = sorted(os.listdir(home.path("web")))
    equal(ask(home, "POST", "/v1/vm/snapshot", {"background": True})[0], 202)
    await_true(lambda: ask(home, "GET", "/v1/ops/1")[2].get("progress", {}).get("done"),
               "no progress is told")
    op = ask(home, "GET", "/v1/ops/1")[2]
    check(0 < op["progress"]["done"] <= op["progress"]["total"] == 768 << 20, op)
    equal(ask(home, "POST", "/v1/ops/1/cancel", {"reason": "enough"})[0], 200)
    op = ask(home, "GET", "/v1/ops/1?wait=30")[2]
    equal((op["state"], op["error"]["code"]), ("failed", "superseded"))
    check("cancelled" in op["error"]["detail"], op)
    equal(snapshots(home)["snapshots"], [])
    equal(os.listdir(home.path("web", "snapshots")), [])
    equal(sorted(n for n in os.listdir(home.path("web")) if n != "snapshots"), before)
    equal(home.state("web"), "running")
    home.amber("snapshot", "create", "web", "after")
    home.amber("snapshot", "verify", "web", "after")


def on_a_terminal_a_bar_is_shown_and_ctrl_c_ends_it(home):
    large(home)
    terminal = home.terminal("snapshot", "create", "web", "one")
    terminal.wait()
    check("web: snapshot one (" in terminal.text, terminal.text)
    for _ in range(5):  # it may be done before it is pressed
        terminal = home.terminal("snapshot", "create", "web", "two")
        await_true(lambda: ask(home, "GET", "/v1/ops")[2]["ops"][0]["state"] == "running")
        terminal.type("\x03")
        terminal.wait()
        if "cancelled" in terminal.text:
            break
        home.amber("snapshot", "delete", "web", "two")
    check("amber: web: cancelled" in terminal.text, terminal.text)
    equal(terminal.status, 1)
    equal([s["name"] for s in snapshots(home)["snapshots"]], ["one"])


def waiting_ends_with_the_process(home):
    large(home)
    equal(ask(home, "POST", "/v1/vm/snapshot", {"background": True})[0], 202)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{home.dir}/run/web/api.sock")
        s.settimeout(60)
        s.sendall(b"GET /v1/ops/1?wait=600 HTTP/1.1\r\nHost: a\r\n\r\n")
        home.amber("stop", "web")
        check(b'"id":1' in s.recv(65536), "no answer")
    # Who does not wait does no harm.
    home.amber("start", "web")
    await_true(lambda: home.state("web") == "running")
    where = ask(home, "POST", "/v1/vm/snapshot", {"background": True})[1]["Location"]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{home.dir}/run/web/api.sock")
        s.sendall(f"GET {where}?wait=600 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    op = ask(home, "GET", f"{where}?wait=60")[2]
    equal(op["state"], "done", op)


def comparison_is_cancelled(home):
    large(home)
    for name in ("one", "two"):
        home.amber("snapshot", "create", "web", name)
    ask(home, "POST", "/v1/vm/snapshot/diff",
        {"snapshot": "one", "with": "two", "background": True})
    ask(home, "POST", "/v1/ops/3/cancel", {})
    op = ask(home, "GET", "/v1/ops/3?wait=30")[2]
    equal((op["kind"], op["state"], op["error"]["code"]), ("diff", "failed", "superseded"))


if __name__ == "__main__":
    run([operation_goes_on_in_the_background,
         last_sixteen_are_remembered,
         snapshot_that_is_cancelled_leaves_nothing,
         on_a_terminal_a_bar_is_shown_and_ctrl_c_ends_it,
         waiting_ends_with_the_process,
         comparison_is_cancelled])
