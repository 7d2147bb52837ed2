# SPDX-License-Identifier: Apache-2.0
"""Tiny guests on amber's network cards, ports, sockets, balloon and entropy;
the test is the peer at the other end."""

import glob
import os
import re
import shutil
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from promises import await_true, check, console, run_tests, state  # noqa: E402
from vmm import Vmm  # noqa: E402

LIMIT_S = 60
MAC = bytes.fromhex("020000000001")
IP = bytes([10, 0, 0, 1])
GUEST_IP = bytes([10, 0, 0, 2])
# Where a VMM without an AMBER_RUN of its own has its hubs.
HUBS = os.path.join(tempfile.gettempdir(), ".hubs")


def stats(vmm):
    return vmm.ask("GET", "/v1/vm/stats")[1]


def ends_well(vmm):
    await_true(lambda: state(vmm) != "running", "it does not end: " + console(vmm))
    text = console(vmm)
    check("OK" in text.split(), text)
    return dict(re.findall(r"(\w+)=(\S*)", text))


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(LIMIT_S)
    s.connect(path)
    return s


def lines_of(s):
    """The lines that come, one by one."""
    rest = b""
    while True:
        while b"\n" in rest:
            line, rest = rest.split(b"\n", 1)
            yield line.decode()
        more = s.recv(4096)
        if not more:
            return
        rest += more


# --- network -----------------------------------------------------------------------


def new_hub(letter):
    """A name of this process; what one of that number had left goes."""
    name = f"{letter}{os.getpid()}"
    shutil.rmtree(os.path.join(HUBS, name), ignore_errors=True)
    return name


class HubPeer:
    """A card of the test's own on a hub: frames as datagrams."""

    def __init__(self, hub):
        self.hub = hub
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.settimeout(LIMIT_S)
        self.s.bind(os.path.join(hub, "test"))
        for path in glob.glob(os.path.join(hub, "*")):
            if not path.endswith("/test"):
                self.guest = path
                self.s.sendto(b"", path)

    def send(self, frame):
        self.s.sendto(frame, self.guest)

    def recv(self, wanted):
        """The next frame that wanted() takes."""
        while True:
            frame = self.s.recv(65600)
            if len(frame) >= 14 and wanted(frame):
                return frame


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ip_frame(to, protocol, payload):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    head += IP + GUEST_IP
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return to + MAC + b"\x08\x00" + head + payload


def udp(to, data):
    return ip_frame(to, 17, struct.pack(">HHHH", 4000, 7, 8 + len(data), 0) + data)


def arp_request():
    return (b"\xff" * 6 + MAC + b"\x08\x06" +
            struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + MAC + IP + bytes(6) + GUEST_IP)


def a_guest_answers_on_the_network():
    name = new_hub("t")
    with Vmm("net-echo", "--append", "ip=10.0.0.2", "--net", f"hub={name}") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: "mac=" in console(vmm), "no guest")
        hub = os.path.join(HUBS, name)
        peer = HubPeer(hub)
        try:
            peer.send(arp_request())
            reply = peer.recv(lambda f: f[12:14] == b"\x08\x06")
            guest = reply[6:12]
            check(reply[28:32] == GUEST_IP and guest[0] & 3 == 2, reply.hex())
            echo = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + b"x" * 1000
            echo = echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:]
            peer.send(ip_frame(guest, 1, echo))
            check(b"x" * 1000 in peer.recv(lambda f: f[23] == 1), "no echo")
            for n in range(200):
                data = b"%d " % n + b"y" * (7 * n)
                peer.send(udp(guest, data))
                check(peer.recv(lambda f: f[23] == 17)[42:] == data, f"datagram {n}")
            card = stats(vmm)["nets"]["net0"]
            check(card["rx_frames"] >= 202 and card["tx_frames"] >= 202, card)
            peer.send(udp(guest, b"quit"))
            facts = ends_well(vmm)
            check((facts["arp"], facts["icmp"], facts["udp"]) == ("1", "1", "201"), facts)
        finally:
            os.unlink(os.path.join(hub, "test"))


def a_cable_that_is_pulled_carries_nothing():
    name = new_hub("c")
    with Vmm("net-echo", "--append", "ip=10.0.0.2", "--net", f"hub={name}") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: "mac=" in console(vmm), "no guest")
        hub = os.path.join(HUBS, name)
        peer = HubPeer(hub)
        try:
            check(vmm.ask("POST", "/v1/vm/link", {"device": "net0", "up": False})[0] == 200,
                  "link down")
            peer.send(arp_request())
            await_true(lambda: stats(vmm)["nets"]["net0"]["rx_dropped"] == 1, "not dropped")
            vmm.ask("POST", "/v1/vm/link", {"device": "net0", "up": True})
            peer.send(arp_request())
            peer.recv(lambda f: f[12:14] == b"\x08\x06")
            kinds = [r["kind"] for r in
                     vmm.ask("GET", "/v1/journal?limit=50")[1]["records"]]
            check(kinds.count("link") == 2, kinds)
            check(vmm.ask("POST", "/v1/vm/link", {"device": "disk0", "up": True})[0] == 404,
                  "a disk has no link")
        finally:
            os.unlink(os.path.join(hub, "test"))


def two_guests_meet_on_a_hub():
    name = new_hub("m")
    with Vmm("net-bench", "--append", "mode=rx frames=3000", "--net", f"hub={name}") as rx:
        rx.ask("POST", "/v1/vm/start")
        await_true(lambda: "ready" in console(rx), "no receiver")
        with Vmm("net-bench", "--append", "mode=tx frames=100000", "--net",
                 f"hub={name}") as tx:
            tx.ask("POST", "/v1/vm/start")
            ends_well(rx)


def a_flood_costs_the_host_a_bounded_amount():
    """The guest takes no frame: it is an idle one."""
    name = new_hub("f")
    with Vmm("idle", "--net", f"hub={name}") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        hub = os.path.join(HUBS, name)
        await_true(lambda: glob.glob(hub + "/*"), "no hub")
        peer = HubPeer(hub)
        try:
            before = vmm.rss_kib()
            for _ in range(20000):
                try:
                    peer.s.sendto(udp(MAC, b"z" * 1400), socket.MSG_DONTWAIT, peer.guest)
                except BlockingIOError:
                    pass
            check(vmm.rss_kib() - before < 4096, f"{vmm.rss_kib() - before} KiB")
            check(state(vmm) == "running", state(vmm))
        finally:
            os.unlink(os.path.join(hub, "test"))


def a_card_s_address_is_the_vm_s():
    seen = {}
    uuids = ("11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-555555555556")
    for uuid in uuids + uuids:
        with Vmm("net-echo", "--net", f"hub=a{os.getpid()}", "--uuid", uuid) as vmm:
            vmm.ask("POST", "/v1/vm/start")
            await_true(lambda: re.search(r"mac=\w+\s", console(vmm)), "no guest")
            mac = re.search(r"mac=(\w+)\s", console(vmm)).group(1)
            check(seen.setdefault(uuid, mac) == mac, seen)
            vmm.ask("POST", "/v1/vm/stop")
    check(len(set(seen.values())) == 2, seen)


# --- console, sockets ----------------------------------------------------------------


def a_named_port_is_a_socket():
    with Vmm("console", "--append", "port=org.amber.x", "--port", "org.amber.x") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        with connect(os.path.join(vmm.dir, "org.amber.x.sock")) as s:
            lines = lines_of(s)
            s.sendall(b"one\n")
            while next(lines) != "echo=one":
                pass
            second = connect(os.path.join(vmm.dir, "org.amber.x.sock"))
            check(second.recv(1) == b"", "two clients at once")
            second.close()
            s.sendall(b"x" * 200 + b"\n")
            check(next(lines) == "echo=" + "x" * 200, "a long line")
        await_true(lambda: "host_open=0" in console(vmm), "the guest wasn't told")
        with connect(os.path.join(vmm.dir, "org.amber.x.sock")) as s:
            s.sendall(b"quit\n")
            ends_well(vmm)


def what_a_client_wrote_before_it_left_reaches_the_guest():
    with Vmm("console", "--append", "port=org.amber.x", "--port", "org.amber.x") as vmm:
        path = os.path.join(vmm.dir, "org.amber.x.sock")
        with connect(path) as s:
            s.sendall(b"before it runs\n")
        vmm.ask("POST", "/v1/vm/start")
        with connect(path) as s:
            lines = lines_of(s)
            while next(lines) != "echo=before it runs":
                pass
        with connect(path) as s:
            s.sendall(b"a" * 100 + b"\n" + b"quit\n")
        ends_well(vmm)


def the_virtio_console_is_the_console():
    with Vmm("console", "--virtio-console", "on") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: "hello=amber" in console(vmm), "no hello: " + console(vmm))
        s = vmm.attach()
        s.sendall(b"typed\n")
        await_true(lambda: "echo=typed" in console(vmm), console(vmm))
        s.sendall(b"quit\n")
        ends_well(vmm)
        s.close()


def the_guest_reaches_a_host_program():
    with Vmm("vsock", "--append", "port=1024 bytes=200000", "--vsock", "5") as vmm:
        listener = socket.socket(socket.AF_UNIX)
        listener.settimeout(LIMIT_S)
        listener.bind(os.path.join(vmm.dir, "vsock.sock_1024"))
        listener.listen()
        vmm.ask("POST", "/v1/vm/start")
        peer, _ = listener.accept()
        peer.settimeout(LIMIT_S)
        peer.sendall(peer.recv(4096))
        while True:
            data = peer.recv(65536)
            if not data:
                break
            peer.sendall(data)
        peer.close()
        listener.close()
        facts = ends_well(vmm)
        check(facts["cid"] == "5" and facts["bytes"] == "200000" and facts["bad"] == "0", facts)


def a_host_program_reaches_the_guest():
    with Vmm("vsock", "--append", "mode=listen port=52", "--vsock", "3") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: "cid=3" in console(vmm), "no guest: " + console(vmm))
        with connect(os.path.join(vmm.dir, "vsock.sock")) as s:
            s.sendall(b"CONNECT 53\n")
            check(s.recv(64) == b"", "nobody listens on 53")
        with connect(os.path.join(vmm.dir, "vsock.sock")) as s:
            s.sendall(b"CONNECT 52\n")
            check(re.match(rb"OK \d+\n$", s.recv(64)), "no OK")
            s.sendall(b"there and back")
            check(s.recv(64) == b"there and back", "no echo")
            s.shutdown(socket.SHUT_WR)
            while s.recv(64):
                pass
        ends_well(vmm)


# --- memory, entropy --------------------------------------------------------------------


def the_balloon_gives_memory_back():
    with Vmm("balloon", "--append", "follow=1 pages=4096", "--balloon", "on", "--memory", "64M") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        await_true(lambda: stats(vmm)["balloons"]["balloon0"]["driver"] == 1, "no driver")
        status, answer = vmm.ask("POST", "/v1/vm/balloon", {"memory_bytes": 48 << 20})
        check(status == 200, answer)
        await_true(lambda: stats(vmm)["balloons"]["balloon0"]["actual_bytes"] == 16 << 20,
                   "not inflated: " + console(vmm))
        vmm.ask("POST", "/v1/vm/balloon", {"memory_bytes": 64 << 20})
        await_true(lambda: stats(vmm)["balloons"]["balloon0"]["actual_bytes"] == 0,
                   "not deflated")
        check(vmm.ask("POST", "/v1/vm/balloon", {"memory_bytes": 65 << 20})[0] == 400,
              "more than there is")


def pages_that_the_guest_gives_up_are_the_host_s():
    with Vmm("balloon", "--append", "pages=4096 report=2048", "--balloon", "on",
             "--memory", "64M") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        facts = ends_well(vmm)
        check(int(facts["reported"]) > 0, facts)


def entropy_arrives():
    with Vmm("rng", "--rng", "on") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        ends_well(vmm)


def a_vm_has_only_the_devices_it_was_given():
    with Vmm("idle") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        figures = stats(vmm)
        for kind in ("disks", "nets", "balloons", "rngs", "vsocks"):
            check(kind not in figures, figures)
        for path, body in (("balloon", {"memory_bytes": 1 << 20}),
                           ("limit", {"device": "disk0", "ops": 1}),
                           ("link", {"device": "net0", "up": True})):
            check(vmm.ask("POST", "/v1/vm/" + path, body)[0] == 404, path)


def metrics_are_prometheus_text():
    with Vmm("idle", "--rng", "on", "--balloon", "on", "--net", f"hub=p{os.getpid()}") as vmm:
        vmm.ask("POST", "/v1/vm/start")
        vmm.connection.request("GET", "/v1/metrics")
        text = vmm.connection.getresponse().read().decode()
        seen = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                check(name not in seen, "twice: " + name)
                check((kind == "counter") == name.endswith("_total"), line)
                seen[name] = kind
            elif not line.startswith("#"):
                check(re.match(r'^(\w+)\{vm="[^"]+"[^}]*\} \d+$', line), line)
                check(line.split("{")[0] in seen, line)
        for name in ("amber_vm_exits_total", "amber_net_up", "amber_rng_bytes_total",
                     "amber_balloon_target_bytes"):
            check(name in seen, text)


TESTS = (a_guest_answers_on_the_network,
         a_cable_that_is_pulled_carries_nothing,
         two_guests_meet_on_a_hub,
         a_flood_costs_the_host_a_bounded_amount,
         a_card_s_address_is_the_vm_s,
         a_named_port_is_a_socket,
         what_a_client_wrote_before_it_left_reaches_the_guest,
         the_virtio_console_is_the_console,
         the_guest_reaches_a_host_program,
         a_host_program_reaches_the_guest,
         the_balloon_gives_memory_back,
         pages_that_the_guest_gives_up_are_the_host_s,
         entropy_arrives,
         a_vm_has_only_the_devices_it_was_given,
         metrics_are_prometheus_text)


def remove_hubs():
    for hub in glob.glob(os.path.join(HUBS, f"?{os.getpid()}")):
        shutil.rmtree(hub, ignore_errors=True)


def main(only):
    failed = run_tests(TESTS, only)
    remove_hubs()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
