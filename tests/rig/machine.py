# SPDX-License-Identifier: Apache-2.0
"""The rig's QEMU: one process with emulated SVM, its job disks, its console.

One thread. Invariants: a QEMU that was started is killed and reaped when its
Machine is closed, however the run went, and by the kernel if this process
dies first; a saved state is complete when its directory exists.

A saved state is two files: the RAM, mapped shared while it is made and
privately by everyone who resumes from it, and the devices. So a resume
copies nothing, and several can run from the same state at once.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# No XSAVE: QEMU 7.2 does not intercept XSETBV for SVM, so KVM in L1 would
# not learn of a guest's XCR0 and would undo it at the next entry.
CPU = "EPYC,+svm,+npt,-xsave,-avx,-avx2,-fma,-f16c"
APPEND = ("console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable "
          "no_timer_check nokaslr cryptomgr.notests nowatchdog audit=0 "
          "apparmor=0 random.trust_cpu=on")
JOB_DISK_BYTES = 1 << 30  # sparse: the limit of a job's archive
OUT_DISK_BYTES = 1 << 30  # sparse: the limit of what a job leaves in out/
FILES_DISK_BYTES = 2 << 30  # sparse: a job's large files, as a file system
HELLO = b"rig: up\n"
ANSWER_S = 60  # of QEMU's monitor
STOPPED_S = 90  # a beat comes every 5 s of L1's clock
PR_SET_PDEATHSIG = 1

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class RigError(Exception):
    """The rig itself failed, not the job in it."""


class Stopped(RigError):
    """L1 itself runs no more: neither the job nor amber had a say in it."""


class Shape:
    """What a machine is: options that a saved state depends on.

    One CPU, unless a job needs more: of several, one at times goes on with
    its translation of kernel text that another has patched (QEMU 7.2), and
    takes the same breakpoint for ever.
    """

    def __init__(self, smp=1, mem=1024, icount=False):
        self.smp, self.mem, self.icount = smp, mem, icount

    def arguments(self, base, directory, ram_file, share):
        memory = ("memory-backend-file,id=ram,size=%dM,mem-path=%s,share=%s"
                  % (self.mem, ram_file, "on" if share else "off"))
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-M", "q35,memory-backend=ram", "-object", memory,
            "-m", str(self.mem), "-smp", str(self.smp),
            "-accel", "tcg,thread=single" if self.icount else "tcg",
            "-cpu", CPU,
            "-kernel", base.kernel, "-initrd", base.archive,
            "-append", APPEND,
            "-serial", "file:" + os.path.join(directory, "console.log"),
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-device", "virtio-serial-pci",
            "-chardev", "stdio,id=job,signal=off",
            "-device", "virtserialport,chardev=job,name=rig",
            "-chardev", "file,id=beat,path="
            + os.path.join(directory, "beat"),
            "-device", "virtserialport,chardev=beat,name=beat"]
        for name in ("job", "out", "files"):
            command += [
                "-drive", "if=none,id=%s,format=raw,cache=unsafe,file=%s"
                % (name, os.path.join(directory, name + ".img")),
                "-device", "virtio-blk-pci,drive=" + name]
        if self.icount:
            command += ["-icount", "shift=0,sleep=off"]
        return command


def _cpu_identity():
    """The model and tick rate of this machine: L1 has measured its TSC."""
    wanted = ("model name", "bogomips", "flags")
    with open("/proc/cpuinfo") as lines:
        first = lines.read().split("\n\n")[0].split("\n")
    return "\n".join(l for l in first if l.startswith(wanted))


def state_directory(rig_dir, base, shape):
    """Where the saved state for exactly these parts and options lies."""
    version = subprocess.run(["qemu-system-x86_64", "--version"], check=True,
                             stdout=subprocess.PIPE, timeout=60).stdout
    key = hashlib.sha256(base.key.digest())
    key.update(version + _cpu_identity().encode())
    key.update(" ".join(shape.arguments(base, "", "", True)).encode())
    return os.path.join(rig_dir, "warm-%d-%d-%s" % (
        shape.smp, shape.mem, key.hexdigest()[:16]))


def owned(kind):
    """Prefix of a temporary directory that belongs to this process."""
    return "%s-%d-" % (kind, os.getpid())


def sweep(rig_dir):
    """Remove what processes that were killed have left behind."""
    for name in os.listdir(rig_dir):
        part = name.split("-")
        if part[0] in ("run", "save") and not os.path.exists(
                "/proc/" + part[1]):
            shutil.rmtree(os.path.join(rig_dir, name), ignore_errors=True)


def die_with_parent():
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """A QEMU from start to reaped; use it in a with statement."""

    def __init__(self, base, shape, rig_dir, state=None, save=None):
        """Boot, or resume from the directory state.

        save: a directory for the RAM file of a state to be saved.
        """
        sweep(rig_dir)
        self.directory = tempfile.mkdtemp(dir=rig_dir, prefix=owned("run"))
        self._monitor = None
        self._process = None
        for name, size in (("job", JOB_DISK_BYTES), ("out", OUT_DISK_BYTES),
                           ("files", FILES_DISK_BYTES)):
            with open(self.path(name + ".img"), "wb") as stream:
                stream.truncate(size)
        ram = os.path.join(state or save or self.directory, "ram")
        command = shape.arguments(base, self.directory, ram, bool(save))
        if state:
            command += ["-incoming", "defer"]
        self._start(command)
        try:
            self._set_up_monitor()
            if state:
                self._ask("migrate-incoming", uri="exec:cat " + shlex.quote(
                    os.path.join(state, "devices")))
        except BaseException:
            self.close()
            raise

    def _start(self, command):
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            command += ["-chardev", "socket,id=qmp,fd=%d" % fd,
                        "-mon", "chardev=qmp,mode=control"]
            try:
                with open(self.path("qemu.log"), "wb") as log:
                    self._process = subprocess.Popen(
                        command, stdin=subprocess.PIPE, pass_fds=[fd],
                        stdout=subprocess.PIPE, stderr=log,
                        preexec_fn=die_with_parent)
            except OSError as error:
                ours.close()
                self.close()
                raise RigError("%s: %s" % (command[0], error))
        ours.settimeout(ANSWER_S)
        self._monitor = ours.makefile("rw")
        ours.close()

    def path(self, name):
        return os.path.join(self.directory, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        if self._monitor:
            with contextlib.suppress(OSError):  # what it was not sent
                self._monitor.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def give_job(self, archive):
        """Write the job's archive to its disk; L1 has not read it yet."""
        if len(archive) > JOB_DISK_BYTES:
            raise RigError("the job has %d bytes, the limit is %d"
                           % (len(archive), JOB_DISK_BYTES))
        with open(self.path("job.img"), "r+b") as stream:
            stream.write(archive)

    def give_files(self, paths):
        """Make an ext4 file system of files on a third disk, /dev/vdc.

        For what is too large for L1's memory or needs direct I/O; holes stay
        holes. L1 has not read that disk yet.
        """
        stage = self.path("files")
        os.mkdir(stage)
        try:
            for path in paths:
                subprocess.run(["cp", "--sparse=always", "--reflink=auto",
                                path, stage], check=True, timeout=300)
            subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-E",
                            "assume_storage_prezeroed=1,nodiscard", "-d",
                            stage, self.path("files.img")], check=True,
                           timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            raise RigError("the job's files: %s" % error)
        shutil.rmtree(stage)

    def send(self, data):
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def output(self, silence, limit):
        """Yield what comes from L1, until it has ended.

        silence: seconds without output or console text, limit: seconds
        altogether; TimeoutError when one of them is over. Stopped: L1's own
        clock, which runs from its hello on, has not ticked for STOPPED_S.
        """
        stream = self._process.stdout
        start = last = beat = time.monotonic()
        seen = beats = 0
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                ready = selector.select(1)
                now = time.monotonic()
                if ready:
                    data = os.read(stream.fileno(), 65536)
                    if not data:
                        return
                    last = now
                    yield data
                console = self._bytes("console.log")
                if console != seen:
                    seen, last = console, now
                ticks = self._bytes("beat")
                if ticks != beats:
                    beats, beat = ticks, now
                if beats and now - beat > STOPPED_S:
                    raise Stopped("L1 has stopped: its clock has not ticked "
                                  "for %d s" % STOPPED_S)
                if now - start > limit:
                    raise TimeoutError("not done after %d s" % limit)
                if now - last > silence:
                    raise TimeoutError("no progress for %d s" % silence)

    def _bytes(self, name):
        try:
            return os.stat(self.path(name)).st_size
        except FileNotFoundError:
            return 0

    def wait_for_hello(self, silence):
        """Read until L1 asks for its job."""
        got = b""
        for data in self.output(silence, limit=20 * silence):
            got += data
            if got.endswith(HELLO):
                return
        raise RigError("L1 ended before it asked for its job")

    def status(self):
        """The job's exit status, once output() has ended (127: or above)."""
        code = self._process.wait(timeout=60)
        if code < 3 or code % 2 == 0:
            raise RigError("L1 ended without a job's status (QEMU: %d)" % code)
        return code // 2 - 1 if code < 255 else 127

    def trouble(self):
        """What QEMU and L1's console last said, for a failure report."""
        texts = []
        for name in ("qemu.log", "console.log"):
            try:
                with open(self.path(name), "r", errors="replace") as stream:
                    lines = stream.read().splitlines()
            except FileNotFoundError:
                continue
            lines = [l for l in lines if "doesn't support requested" not in l]
            texts += ["%s: %s" % (name, line) for line in lines[-12:]]
        return "\n".join(texts + self._where_it_is())

    def _where_it_is(self):
        """What L1's CPUs do now, seen twice: at rest, busy, or stuck."""
        texts = []
        for _ in range(0 if self._process.poll() is not None else 2):
            try:
                said = self._ask("human-monitor-command",
                                 **{"command-line": "info registers -a"})
            except (RigError, OSError, ValueError) as error:
                return texts + ["registers: %s" % error]
            texts += ["registers: " + line.strip()
                      for line in said.splitlines()
                      if line.startswith(("CPU#", "RIP", "RAX", "CR0"))]
            time.sleep(0.1)
        return texts

    def _set_up_monitor(self):
        self._ask("qmp_capabilities")
        self._ask("migrate-set-capabilities", capabilities=[
            {"capability": "x-ignore-shared", "state": True}])

    def _ask(self, command, **arguments):
        self._monitor.write(json.dumps(
            {"execute": command, "arguments": arguments}) + "\n")
        self._monitor.flush()
        while True:
            line = self._monitor.readline()
            if not line:
                raise RigError("QEMU ended at %s" % command)
            reply = json.loads(line)
            if "error" in reply:
                raise RigError("%s: %s" % (command, reply["error"]["desc"]))
            if "return" in reply:
                return reply["return"]

    def save_devices(self, path, silence):
        """Write everything but the RAM to path and stop the machine.

        The machine is saved as running, so that a resume needs no command.
        """
        deadline = time.monotonic() + silence
        self._ask("migrate", uri="exec:cat > " + shlex.quote(path))
        while time.monotonic() < deadline:
            status = self._ask("query-migrate").get("status")
            if status == "completed":
                return
            if status in ("failed", "cancelled"):
                break
            time.sleep(0.02)
        raise RigError("the state was not saved: %s" % status)
