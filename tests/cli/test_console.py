# SPDX-License-Identifier: Apache-2.0
"""The console on a real terminal: attach, detach, many readers, history."""

import fcntl
import os
import select
import signal
import socket
import termios
import threading
import time

from harness import check, equal, guest, run

ESCAPE = "\x1d"


def is_raw(terminal):
    return not termios.tcgetattr(terminal.fd)[3] & termios.ICANON


def await_raw(terminal):
    due = time.monotonic() + 30
    while not is_raw(terminal):
        check(time.monotonic() < due, "keys are not passed on")
        terminal.read_some(0.01)


def run_attaches_and_the_escape_key_detaches(home):
    t = home.terminal("run", "--name", "web", guest("echo"))
    t.await_text("ready")
    await_raw(t)
    t.type("hello\r")
    t.await_text("echo=hello")
    t.type(ESCAPE)
    equal(t.wait(), 0)
    check("detached" in t.text, t.text)
    equal(home.state("web"), "running")
    t.close()


def the_terminal_is_restored_whatever_ends_it(home):
    home.amber("run", "-d", "--name", "web", guest("echo"))
    for end in (lambda t: t.type(ESCAPE),
                lambda t: os.kill(t.pid, signal.SIGTERM),
                lambda t: home.amber("stop", "web")):
        t = home.terminal("console", "web")
        t.await_text("ready")
        await_raw(t)
        end(t)
        t.wait()
        check(not is_raw(t), "the terminal is torn")
        t.close()


def a_staircase_is_straightened(home):
    t = home.terminal("run", "--rm", "--name", "web", guest("hello"))
    equal(t.wait(), 0)
    check("hello=amber\r\nentry=elf64\r\n" in t.text, t.text)
    t.close()


def history_comes_first_for_who_attaches_later(home):
    home.amber("run", "-d", "--name", "web", "--ready", "count=3", guest("tick"))
    home.amber("wait", "web", "--timeout", "30")
    t = home.terminal("console", "web")
    t.await_text("count=1\r\ncount=2\r\ncount=3")
    t.type(ESCAPE)
    t.wait()
    t.close()


def one_writes_and_any_number_watch(home):
    home.amber("run", "-d", "--name", "web", guest("echo"))
    writer = home.terminal("console", "web")
    writer.await_text("ready")
    second = home.amber("console", "web", status=1)
    check("another terminal" in second.err and "--read-only" in second.err, second)
    watchers = [home.terminal("console", "--read-only", "web") for _ in range(3)]
    for w in watchers:
        w.await_text("ready")
    writer.type("seen by all\r")
    for t in [writer, *watchers]:
        t.await_text("echo=seen by all")
    for t in [writer, *watchers]:
        t.type(ESCAPE)
        equal(t.wait(), 0)
        t.close()


def ctrl_c_is_the_guests_key_on_a_terminal(home):
    t = home.terminal("run", "--name", "web", guest("echo"))
    t.await_text("ready")
    t.type("\x03\r")
    t.await_text("echo=\x03")
    t.type(ESCAPE)
    equal(t.wait(), 0)
    t.close()


def log_follows_until_the_end(home):
    home.amber("run", "-d", "--name", "web", guest("button"))
    home.amber("wait", "web", "--timeout", "30")
    follower = home.start("log", "-f", "web")
    equal(follower.stdout.readline(), "ready\n")
    home.amber("shutdown", "web")
    out, _ = follower.communicate(timeout=30)
    check("powerbutton=1" in out, out)
    equal(home.amber("log", "-n", "1", "web").out, "powerbutton=1\n")


def a_pipe_talks_to_the_guest(home):
    home.amber("run", "-d", "--name", "web", guest("echo"))
    home.amber("wait", "web", "--timeout", "30")
    result = home.amber("console", "web", stdin="hi\nquit\n")
    check("echo=hi" in result.out and "OK" in result.out, result)


def top_draws_and_ends_at_q(home):
    home.amber("run", "-d", "--name", "web", guest("tick"))
    t = home.terminal("top", "-i", "0.1")
    t.await_text("web")
    t.await_text("running")
    t.type("q")
    equal(t.wait(), 0)
    check("\x1b[?1049l" in t.text and not is_raw(t), "the screen is left on")
    t.close()


def end_unread(listener):
    """A process that ends while a request is in its socket."""
    connection, _ = listener.accept()
    select.select([connection], [], [], 30)
    connection.close()


def a_process_that_ends_while_it_is_attached_is_told_so(home):
    home.amber("create", "--name", "web", guest("hello"))
    os.makedirs(home.dir + "/run/web")
    with open(home.path("web", "lock"), "a+", encoding="ascii") as lock, \
            socket.socket(socket.AF_UNIX) as listener:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        listener.bind(home.dir + "/run/web/api.sock")
        listener.listen()
        played = threading.Thread(target=end_unread, args=[listener], daemon=True)
        played.start()
        done = home.amber("console", "web", status=1)
        equal(done.err, "amber: web: the VM's process closed the connection\n")
        played.join()


def answer_and_end(listener, path):
    """A process that is asked for its console, prints on and ends while it is
    asked to go on telling."""
    asked, _ = listener.accept()
    while b"\r\n\r\n" not in asked.recv(65536):
        pass
    asked.sendall(b"HTTP/1.1 200 OK\r\nAmber-Position: 4\r\nContent-Length: 4\r\n\r\none\n")
    attached, _ = listener.accept()
    with open(path, "w", encoding="ascii") as log:
        log.write("one\ntwo\n")
    attached.close()
    asked.close()


def what_a_vm_prints_before_it_ends_is_followed(home):
    home.amber("create", "--name", "web", guest("hello"))
    os.makedirs(home.dir + "/run/web")
    os.makedirs(home.path("web", "logs"), exist_ok=True)
    with open(home.path("web", "lock"), "a+", encoding="ascii") as lock, \
            socket.socket(socket.AF_UNIX) as listener:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        listener.bind(home.dir + "/run/web/api.sock")
        listener.listen()
        played = threading.Thread(target=answer_and_end, daemon=True,
                                  args=[listener, home.path("web", "logs", "console.log")])
        played.start()
        equal(home.amber("log", "-f", "web").out, "one\ntwo\n")
        played.join()


if __name__ == "__main__":
    run([run_attaches_and_the_escape_key_detaches,
         the_terminal_is_restored_whatever_ends_it,
         a_staircase_is_straightened,
         history_comes_first_for_who_attaches_later,
         one_writes_and_any_number_watch,
         ctrl_c_is_the_guests_key_on_a_terminal,
         log_follows_until_the_end,
         a_pipe_talks_to_the_guest,
         top_draws_and_ends_at_q,
         a_process_that_ends_while_it_is_attached_is_told_so,
         what_a_vm_prints_before_it_ends_is_followed])
