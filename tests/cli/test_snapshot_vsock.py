# SPDX-License-Identifier: Apache-2.0
"""What becomes of the connections of a VM's vsock: a snapshot leaves them alone;
who goes back, or comes back, has none, is told so (VIRTIO 1.2, 5.10.6.7), and
can have new ones."""

import re
import socket
import subprocess

from harness import check, equal, run
from snapshot_rig import await_true, create

LIMIT_S = 60
PORT = 52


class Talk:
    """A connection of the host's to the guest, which sends all back."""

    def __init__(self, home, name="web"):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(LIMIT_S)
        self.s.connect(f"{home.dir}/run/{name}/vsock.sock")
        self.s.sendall(b"CONNECT %d\n" % PORT)
        check(re.match(rb"OK \d+\n$", self.s.recv(64)), "no OK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def is_echoed(self, text):
        self.s.sendall(text)
        got = b""
        while len(got) < len(text):
            more = self.s.recv(4096)
            check(more, f"the connection has ended after {got}")
            got += more
        equal(got, text)

    def has_ended(self):
        try:
            return self.s.recv(64) == b""
        except ConnectionResetError:
            return True


def start(home):
    create(home, "web", "vsock", f"mode=listen port={PORT} connections=99", "--vsock", "3")
    home.amber("start", "web")
    await_true(lambda: "cid=3" in home.console("web"), "no guest")


def resets(home):
    found = re.findall(r"transport_resets=(\d+)", home.console("web"))
    return int(found[-1]) if found else 0


def ends_and_begins_anew(home, talk, what, told):
    """told: how often the guest has been told, as it remembers it."""
    check(talk.has_ended(), f"{what}: the host's program sees no end")
    await_true(lambda: resets(home) == told, f"{what}: the guest was not told: {resets(home)}")
    with Talk(home) as new:
        new.is_echoed(what.encode())


def a_snapshot_disturbs_no_connection(home):
    start(home)
    with Talk(home) as talk:
        talk.is_echoed(b"before")
        home.amber("snapshot", "create", "web", "one", "--kind", "memory")
        talk.is_echoed(b"after" * 5000)
    equal(resets(home), 0)


def connections_end_where_a_guest_goes_back(home):
    start(home)
    with Talk(home) as talk:
        talk.is_echoed(b"of the snapshot")
        home.amber("snapshot", "create", "web", "one")
        home.amber("snapshot", "restore", "web", "one", "--no-safety")
        ends_and_begins_anew(home, talk, "restore", 1)
    with Talk(home) as talk:
        talk.is_echoed(b"of now")
        home.amber("snapshot", "rewind", "web")
        ends_and_begins_anew(home, talk, "rewind", 1)


def connections_end_with_the_process_of_a_suspended_guest(home):
    start(home)
    for turn in range(1, 4):
        with Talk(home) as talk:
            talk.is_echoed(b"of this process")
            home.amber("suspend", "web")
            check(talk.has_ended(), "the host's program sees no end")
            home.amber("start", "web")
            ends_and_begins_anew(home, talk, "suspend", turn)


def a_reload_ends_them_as_well(home):
    start(home)
    with Talk(home) as talk:
        talk.is_echoed(b"of before")
        done = subprocess.run(
            ["curl", "-sS", "--fail", "--unix-socket", f"{home.dir}/run/web/api.sock",
             "-X", "POST", "http://amber/v1/vm/reload"], capture_output=True, text=True,
            timeout=LIMIT_S)
        equal(done.returncode, 0, str(done))
        ends_and_begins_anew(home, talk, "reload", 1)


if __name__ == "__main__":
    run([a_snapshot_disturbs_no_connection,
         connections_end_where_a_guest_goes_back,
         connections_end_with_the_process_of_a_suspended_guest,
         a_reload_ends_them_as_well])
