#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Assemble the Linux guest with a disk: rootfs.py OUTB DIRECTORY.

Writes DIRECTORY/root.raw, a sparse ext4 image with a small Debian userland
(busybox, fio, the QEMU guest agent, e2fsck, dpkg-deb, socat), and
DIRECTORY/initrd-disk.img, the initramfs that finds it on a virtio disk. The
kernel is the one that mkguest.py puts there. OUTB is the compiled outb.c.

No root is needed: all files belong to root in the image whoever makes it.
The same packages and sources give the same image.
"""
import os
import shutil
import stat
import subprocess
import sys
import tempfile

import debian
import initramfs

SIZE_MIB = 256
INODES = 4096
LABEL = "amber-root"
UUID = "5f0f6e0a-4a27-4d4e-9a55-616d62657200"
EPOCH = 1700000000  # the time of everything in the image

MODULES = ["button", "evdev", "pvpanic-mmio", "virtio_mmio", "virtio_blk",
           "virtio_net", "virtio_console", "virtio-rng", "virtio_balloon",
           "vmw_vsock_virtio_transport"]

PACKAGES = [debian.BUSYBOX, "fio", "qemu-guest-agent", "e2fsprogs", "dpkg",
            "tar", "socat", "wget"]
# Needed to install or to administer, not to run.
WITHOUT = {"python3", "init-system-helpers", "debconf", "logsave", "adduser",
           "dmsetup", "libaudit-common", "libtirpc-common"}
PROGRAMS = ["usr/bin/busybox", "usr/bin/fio", "usr/sbin/qemu-ga",
            "usr/sbin/e2fsck", "usr/sbin/mke2fs", "etc/mke2fs.conf",
            "usr/bin/dpkg-deb", "usr/bin/tar", "usr/bin/socat",
            "usr/bin/wget"]
LIBRARIES = ["usr/lib64", "usr/lib/x86_64-linux-gnu",
             "usr/lib/x86_64-linux-gnu/ceph"]
MERGED = ("bin", "sbin", "lib", "lib64")  # links into usr, as Debian has them
EMPTY = ("dev", "proc", "sys", "run", "tmp", "var/tmp", "root", "mnt")
# What the job unpack unpacks, checked against the packages' own sums.
DEBS = [debian.BUSYBOX, "fio", "libglib2.0-0"]

ACCOUNTS = {
    "etc/passwd": "root::0:0:root:/root:/bin/sh\n"
                  "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hostname": "amber-guest\n",
    # No database that a static program would load the libraries of.
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nservices: files\n"
                         "hosts: files dns\n",
    "etc/hosts": "127.0.0.1 localhost amber-guest\n",
}


def here(name):
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)


def _merged(name):
    """A path of a package, in a file system where bin is a link to usr/bin."""
    return "usr/" + name if name.split("/")[0] in MERGED else name


def _wanted(name):
    return name in PROGRAMS or (os.path.dirname(name) in LIBRARIES and
                                ".so" in os.path.basename(name))


def _copy_packages(stage):
    for package in debian.closure(PACKAGES, WITHOUT):
        root = debian.package(package)
        for directory, _, files in os.walk(root):
            for leaf in files:
                source = os.path.join(directory, leaf)
                name = _merged(os.path.relpath(source, root))
                if _wanted(name):
                    _copy(source, os.path.join(stage, name))


def _copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _check(stage):
    """Ask the image's own loader whether every program has its libraries."""
    loader = os.path.join(stage, "usr/lib64/ld-linux-x86-64.so.2")
    loader = os.path.join(stage, "usr", os.readlink(loader).lstrip("/"))
    path = ":".join(os.path.join(stage, name) for name in LIBRARIES)
    for name in PROGRAMS:
        target = os.path.join(stage, name)
        if not os.path.exists(target):
            raise debian.PartsError("no package has %s" % name)
        if name == "usr/bin/busybox" or not os.access(target, os.X_OK):
            continue
        listing = subprocess.run(
            [loader, "--inhibit-cache", "--library-path", path, "--list",
             target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=60)
        strangers = [line for line in listing.stdout.splitlines()
                     if " => " in line and stage not in line]
        if listing.returncode != 0 or strangers:
            raise debian.PartsError("%s lacks libraries:\n%s" % (
                name, "\n".join(strangers) or listing.stdout))


def _fill(stage, outb):
    for name in MERGED:
        os.makedirs(os.path.join(stage, "usr", name))
        os.symlink("usr/" + name, os.path.join(stage, name))
    for name in EMPTY:
        os.makedirs(os.path.join(stage, name))
    _copy_packages(stage)
    _check(stage)
    busybox = os.path.join(stage, "usr/bin/busybox")
    applets = subprocess.run([busybox, "--list"], check=True, text=True,
                             stdout=subprocess.PIPE, timeout=60).stdout
    for applet in applets.split():
        link = os.path.join(stage, "usr/bin", applet)
        if not os.path.lexists(link):
            os.symlink("busybox", link)
    # Without it, at this place, the guest agent sets no clock.
    os.symlink("../bin/busybox", os.path.join(stage, "usr/sbin/hwclock"))
    _copy(outb, os.path.join(stage, "usr/bin/outb"))
    shutil.copytree(here("rootfs"), stage, symlinks=True, dirs_exist_ok=True)
    _copy(here("powerbutton"),
          os.path.join(stage, "etc/acpi/PWRF/00000080"))
    for name, text in ACCOUNTS.items():
        with open(os.path.join(stage, name), "w") as stream:
            stream.write(text)
    for package in DEBS:
        source = debian.deb(package)
        _copy(source, os.path.join(stage, "var/cache/debs", package + ".deb"))


def _normal(stage):
    """Give everything the same modes and times; returns all names."""
    names = []
    for directory, directories, files in os.walk(stage, topdown=False):
        for leaf in directories + files:
            path = os.path.join(directory, leaf)
            names.append(os.path.relpath(path, stage))
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o755 if mode & stat.S_IXUSR else 0o644)
            elif stat.S_ISDIR(mode):
                os.chmod(path, 0o755)
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    os.chmod(stage, 0o755)
    os.utime(stage, (EPOCH, EPOCH))
    return sorted(names)


def _tool(command, **options):
    environment = dict(os.environ, E2FSPROGS_FAKE_TIME=str(EPOCH),
                       SOURCE_DATE_EPOCH=str(EPOCH))
    try:
        subprocess.run(command, check=True, timeout=600, env=environment,
                       stdout=subprocess.DEVNULL, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise debian.PartsError("%s: %s" % (command[0], error))


def _make_image(stage, names, image):
    """An ext4 file system of stage; only what is used takes room."""
    with open(image, "wb") as stream:
        stream.truncate(SIZE_MIB << 20)
    _tool(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-U", UUID,
           "-m", "0", "-N", str(INODES), "-J", "size=8", "-O", "^resize_inode",
           "-E", "root_owner=0:0,hash_seed=%s,assume_storage_prezeroed=1,"
           "nodiscard" % UUID, "-d", stage, image])
    # The owner and the times that no call can set on this side.
    commands = ""
    for name in names + [""]:
        for field in ("uid 0", "gid 0", "ctime @%d" % EPOCH,
                      "atime @%d" % EPOCH, "crtime @%d" % EPOCH):
            commands += 'sif "/%s" %s\n' % (name, field)
    _tool(["/sbin/debugfs", "-w", "-f", "-", image], text=True,
          input=commands, stderr=subprocess.DEVNULL)
    _tool(["/sbin/e2fsck", "-fn", image], stderr=subprocess.DEVNULL)


def root_image(outb, target):
    part = target + ".part"
    with tempfile.TemporaryDirectory(prefix="amber-root-") as stage:
        _fill(stage, outb)
        _make_image(stage, _normal(stage), part)
    os.rename(part, target)


def initrd():
    kernel = debian.Kernel()
    archive = initramfs.Cpio()
    archive.character("dev/console", 5, 1)
    archive.copy("init", here("init-disk"))
    archive.copy("bin/busybox", debian.busybox())
    archive.link("bin/sh", "busybox")
    for name in ("proc", "sys", "root"):
        archive.directory(name)
    modules = initramfs.Modules(kernel, MODULES)
    modules.add_to(archive, "lib/modules/" + kernel.release)
    return archive.bytes()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: rootfs.py OUTB DIRECTORY")
    outb, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    try:
        image = initrd()
        root_image(outb, os.path.join(directory, "root.raw"))
    except debian.PartsError as error:
        sys.exit("guests-linux-disk: %s" % error)
    with open(os.path.join(directory, "initrd-disk.img"), "wb") as stream:
        stream.write(image)


if __name__ == "__main__":
    main()
