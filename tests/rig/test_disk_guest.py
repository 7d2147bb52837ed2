#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The Linux guest with a disk, judged without amber: its jobs under QEMU.

QEMU's microvm (plain TCG) shows virtio-mmio devices by ACPI as amber does, so
a job that fails here is the guest's fault, not a device's. vsock is missing:
QEMU needs the host kernel's vhost for it.

test_disk_guest.py [NAME]...   exit status: 0, 1 broken, 77 can't run here
"""
import contextlib
import hashlib
import http.server
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import parts

LINUX = os.path.join(parts.ROOT, "build/guests/linux")
LIMIT_S = 300  # of one life of a machine
SKIPPED = 77
# The guest's clocks count its instructions. Otherwise a busy host loses the
# first timer ticks of QEMU's microvm, and the kernel waits for them for ever
# before it has said a word (calibrate_delay; up to three boots of eight).
CLOCK = ["-accel", "tcg,thread=single", "-icount", "shift=1"]
CPU = "EPYC,-xsave,-avx,-avx2,-fma,-f16c"
APPEND = "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check nokaslr "
PAYLOAD = bytes(range(256)) * 4096  # 1 MiB


class Guest:
    """A QEMU with every device, its console as it comes; a context."""

    def __init__(self, directory, words):
        self._directory = directory
        self.console = ""
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-cpu", CPU, *CLOCK,
            "-M", "microvm,acpi=on,rtc=on,auto-kernel-cmdline=off",
            "-m", "256", "-global", "virtio-mmio.force-legacy=false",
            "-kernel", LINUX + "/vmlinuz",
            "-initrd", LINUX + "/initrd-disk.img",
            "-append", APPEND + words,
            "-serial", "file:" + self.path("console"),
            "-device", "virtio-rng-device",
            "-device", "virtio-balloon-device",
            "-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net",
            "-chardev", "socket,id=qga,server=on,wait=off,path="
            + self.path("qga"), "-device", "virtio-serial-device", "-device",
            "virtserialport,chardev=qga,name=org.qemu.guest_agent.0",
            "-qmp", "unix:%s,server=on,wait=off" % self.path("qmp")]
        for name in ("root", "data"):
            command += ["-drive", "if=none,id=%s,format=raw,discard=unmap,"
                        "file=%s" % (name, self.path(name + ".raw")),
                        "-device", "virtio-blk-device,drive=%s,serial=%s"
                        % (name, name)]
        # The console of an earlier life is not this one's.
        with open(self.path("console"), "wb"), \
                open(self.path("qemu.log"), "wb") as log:
            self._process = subprocess.Popen(command, stderr=log,
                                             stdin=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self._directory, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def _read(self):
        with contextlib.suppress(FileNotFoundError), \
                open(self.path("console"), errors="replace") as stream:
            self.console = stream.read()

    def fact(self, key):
        self._read()
        found = re.findall(r"^%s=(.*?)\r?$" % re.escape(key), self.console,
                           re.M)
        return found[-1] if found else None

    def wait_for(self, key):
        """The value of a fact that is about to come."""
        deadline = time.monotonic() + LIMIT_S
        while self.fact(key) is None:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError("no %s=\n%s" % (key, self.console))
            time.sleep(0.1)
        return self.fact(key)

    def wait_for_end(self):
        try:
            status = self._process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            status = "time-out"
        self._read()
        if status != 0:
            raise AssertionError("QEMU: %s\n%s" % (status, self.console))

    def channel(self, name):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(self.path(name))
            return connection.makefile("rw")


def ask(channel, command, **arguments):
    """One command of QMP or of the guest agent."""
    channel.write(json.dumps({"execute": command, "arguments": arguments})
                  + "\n")
    channel.flush()
    while True:
        reply = json.loads(channel.readline())
        if "error" in reply:
            raise AssertionError("%s: %s" % (command, reply["error"]))
        if "return" in reply:
            return reply["return"]


class Jobs(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="disk-guest-")
        self.addCleanup(shutil.rmtree, self.directory)
        subprocess.run(["cp", "--sparse=always", LINUX + "/root.raw",
                        self.directory], check=True, timeout=60)
        with open(self.directory + "/data.raw", "wb") as stream:
            stream.truncate(64 << 20)

    def life(self, words):
        """Run to the end; every fact that a job states must be good."""
        with Guest(self.directory, words) as guest:
            guest.wait_for_end()
        self.assertEqual(guest.fact("job_end"), "ok", guest.console)
        self.assertNotIn("=failed", guest.console)
        return guest

    def allocated(self, name):
        return os.stat(os.path.join(self.directory, name)).st_blocks * 512

    def server(self):
        """A web server with PAYLOAD; its words for the command line."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(PAYLOAD)

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return " url=http://10.0.2.2:%d/ sha256=%s" % (
            server.server_port, hashlib.sha256(PAYLOAD).hexdigest())

    def sink(self):
        """Takes one connection; its words, and a queue of what came."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        came = queue.Queue()

        def take():
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                came.put(stream.read())
        threading.Thread(target=take, daemon=True).start()
        return " copy=10.0.2.2:%d" % listener.getsockname()[1], came

    def test_root_is_found_by_acpi_and_virtio(self):
        guest = self.life("job=boot")
        self.assertEqual(guest.fact("vdb_serial"), "data")
        for driver in ("blk", "net", "rng", "console", "balloon"):
            self.assertIn("virtio_" + driver, guest.fact("virtio"))

    def test_packages_are_unpacked(self):
        self.life("job=unpack")

    def test_what_fio_wrote_is_there_in_the_next_life(self):
        self.life("job=fio mib=8")
        self.assertGreaterEqual(self.allocated("data.raw"), 8 << 20)
        self.life("job=verify mib=8")

    def test_trimmed_space_goes_back_to_the_host(self):
        self.life("job=fio mib=8")
        before = self.allocated("root.raw")
        self.life("job=trim")
        self.assertLess(self.allocated("root.raw"), before)
        self.assertEqual(self.allocated("data.raw"), 0)

    def test_file_goes_over_the_network_and_back(self):
        words, came = self.sink()
        self.life("job=net" + self.server() + words)
        self.assertEqual(came.get(timeout=60), PAYLOAD)

    def test_static_address_works_as_well(self):
        self.life("job=net net=10.0.2.20/24,10.0.2.2" + self.server())

    def test_entropy_comes_from_the_device(self):
        self.life("job=rng")

    def test_balloon_takes_memory_and_gives_it_back(self):
        with Guest(self.directory, "job=balloon balloon=watch") as guest:
            guest.wait_for("balloon_watches")
            monitor = guest.channel("qmp")
            ask(monitor, "qmp_capabilities")
            ask(monitor, "balloon", value=160 << 20)
            self.assertEqual(guest.wait_for("balloon_takes_memory"), "ok")
            ask(monitor, "balloon", value=256 << 20)
            guest.wait_for_end()
        self.assertEqual(guest.fact("job_end"), "ok", guest.console)

    def test_agent_answers_freezes_runs_and_shuts_down(self):
        with Guest(self.directory, "job=agent") as guest:
            self.assertEqual(guest.wait_for("agent_is_up"), "ok")
            agent = guest.channel("qga")
            self.assertEqual(ask(agent, "guest-sync", id=4711), 4711)
            self.assertIn("version", ask(agent, "guest-info"))
            self.assertEqual(ask(agent, "guest-fsfreeze-freeze"), 1)
            self.assertEqual(ask(agent, "guest-fsfreeze-status"), "frozen")
            self.assertEqual(ask(agent, "guest-fsfreeze-thaw"), 1)
            run = ask(agent, "guest-exec", path="/usr/bin/uname",
                      **{"capture-output": True})
            done = {"exited": False}
            while not done["exited"]:
                done = ask(agent, "guest-exec-status", pid=run["pid"])
            self.assertEqual(done["out-data"], "TGludXgK")  # Linux
            agent.write('{"execute": "guest-shutdown"}\n')
            agent.flush()
            guest.wait_for_end()

    def test_day_of_all_jobs_leaves_a_clean_file_system(self):
        self.life("job=day mib=8" + self.server())
        subprocess.run(["/sbin/e2fsck", "-fn", self.directory + "/root.raw"],
                       check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def main():
    if not shutil.which("qemu-system-x86_64"):
        print("skip rig: qemu-system-x86_64 is not installed")
        return SKIPPED
    made = subprocess.run(["make", "-s", "guests-linux-disk", "-f",
                           "guest-images/linux/linux.mk"], cwd=parts.ROOT,
                          stderr=subprocess.PIPE, text=True, timeout=1800)
    if made.returncode != 0:
        fetch = "can't be fetched" in made.stderr
        print("%s rig: %s" % ("skip" if fetch else "FAIL",
                              made.stderr.strip()))
        return SKIPPED if fetch else 1
    unittest.main(verbosity=2, argv=[sys.argv[0]] + [
        "Jobs.test_" + name for name in sys.argv[1:]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
