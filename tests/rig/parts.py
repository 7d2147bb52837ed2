# SPDX-License-Identifier: Apache-2.0
"""What the rig's L1 is made of: kernel, base archive, and the job's archive.

One thread. The kernel and the base archive lie under build/rig and are made
again only when what they are made of has changed; they appear by a rename.
"""
import hashlib
import lzma
import os
import re
import struct
import subprocess
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "guest-images", "linux"))

import debian  # noqa: E402
import initramfs  # noqa: E402

RIG_DIR = os.path.join(debian.build_dir(), "rig")

# Loaded by init: what a job always has. The rest: modprobe in the job.
MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "kvm-amd", "tun",
           "loop", "vhost_net", "vhost_vsock", "virtio_net", "bridge",
           "dm-flakey", "dm-log-writes", "dummy"]

SETUP_SECTS = 0x1f1  # Linux boot protocol, the setup header of a bzImage
PAYLOAD_OFFSET = 0x248


def unpack_kernel(image):
    """The ELF kernel inside a bzImage (bytes to bytes).

    QEMU enters it directly: the emulated decompression would cost seconds.
    """
    start = ((image[SETUP_SECTS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    packed = image[start + offset:start + offset + length]
    tail = packed[:-4]  # the unpacked size follows the compressed stream
    if packed[:4] == b"\x02\x21\x4c\x18":
        return _filter(["lz4", "-dc"], tail)
    if packed[:4] == b"\x28\xb5\x2f\xfd":
        return _filter(["zstd", "-dc"], tail)
    if packed[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(packed)
    if packed[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(packed)
    raise debian.PartsError("the kernel is compressed in an unknown way: %s"
                            % packed[:4].hex())


def _filter(command, data):
    try:
        return subprocess.run(command, input=data, check=True, timeout=300,
                              stdout=subprocess.PIPE).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise debian.PartsError("the kernel can't be unpacked: %s" % error)


def _outb():
    """The port-writing helper, built by the Linux guest's own recipe."""
    target = "build/guests/linux/outb"
    try:
        subprocess.run(["make", "-s", "-f", "guest-images/linux/linux.mk",
                        target], cwd=ROOT, check=True, timeout=300,
                       stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise debian.PartsError("%s can't be built: %s" % (target, error))
    return os.path.join(ROOT, target)


def base_archive(kernel):
    archive = initramfs.Cpio()
    archive.character("dev/console", 5, 1)
    archive.copy("init", os.path.join(HERE, "init"))
    archive.copy("bin/busybox", debian.busybox())
    archive.copy("sbin/outb", _outb())
    modules = initramfs.Modules(kernel, MODULES)
    modules.add_to(archive, "lib/modules/" + kernel.release)
    return archive.bytes()


def write_file(path, data):
    part = "%s.%d" % (path, os.getpid())
    with open(part, "wb") as stream:
        stream.write(data)
    os.rename(part, path)


class Base:
    """Kernel and base archive: their paths, and a key of their contents."""

    def __init__(self):
        os.makedirs(RIG_DIR, exist_ok=True)
        kernel = debian.Kernel()
        self.kernel = os.path.join(RIG_DIR, "vmlinux-" + kernel.release)
        if not os.path.exists(self.kernel):
            with open(kernel.image, "rb") as stream:
                write_file(self.kernel, unpack_kernel(stream.read()))
        archive = base_archive(kernel)
        self.key = hashlib.sha256(kernel.release.encode() + archive)
        self.archive = os.path.join(
            RIG_DIR, "base-%s.cpio" % self.key.hexdigest()[:16])
        if not os.path.exists(self.archive):
            write_file(self.archive, archive)


def libraries(path):
    """The shared libraries a program is linked with, loader included."""
    with open(path, "rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return []
    result = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.DEVNULL, timeout=60)
    if result.returncode != 0:  # static, or no program at all
        return []
    if "not found" in result.stdout:
        raise debian.PartsError("%s lacks a library:\n%s"
                                % (path, result.stdout))
    return sorted(set(re.findall(r"(/\S+) \(0x", result.stdout)))


def library(name):
    """Path of a shared library that programs load by its name."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], check=True, text=True,
                             stdout=subprocess.PIPE, timeout=60).stdout
    match = re.search(r"^\s*%s \(.*x86-64.*\) => (\S+)$" % re.escape(name),
                      listing, re.M)
    if not match:
        raise debian.PartsError("there is no library %s here" % name)
    return match.group(1)


def _files_of(source, name):
    if not os.path.isdir(source):
        yield source, name
        return
    for directory, _, files in sorted(os.walk(source)):
        for leaf in sorted(files):
            path = os.path.join(directory, leaf)
            yield path, os.path.join(name, os.path.relpath(path, source))


def job_archive(script, put, loads=()):
    """The job: script as run.sh, put a list of (source path, name).

    A directory brings its files; a program brings its libraries, each at the
    path at which the loader looks for it. loads: names of libraries that
    programs open themselves (dlopen), which no list of theirs shows.
    """
    archive = initramfs.Cpio()
    archive.file("job/run.sh", script.encode())
    for source, name in put:
        for path, inside in _files_of(source, name):
            archive.copy("job/" + inside, path)
            for needed in libraries(path):
                archive.copy(needed, needed)
    for path in map(library, loads):
        for needed in [path] + libraries(path):
            archive.copy(needed, needed)
    return archive.bytes()
