#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Assemble the Linux guest: mkguest.py OUTB DIRECTORY.

Writes DIRECTORY/vmlinuz (Debian's stock cloud kernel, unmodified) and
DIRECTORY/initrd.img (busybox, this folder's init, the modules it loads).
OUTB is the compiled outb.c. The initramfs is not compressed: unpacking would
cost the emulated rig far more than reading it does.
"""
import os
import shutil
import sys

import debian
import initramfs

# What a stock cloud kernel has as modules and an amber machine has a device
# for: the power button, panic notice, and the virtio family.
MODULES = ["button", "evdev", "pvpanic-mmio", "virtio_mmio", "virtio_blk",
           "virtio_net", "virtio_console", "virtio-rng", "virtio_balloon",
           "vmw_vsock_virtio_transport"]

# Applets run from a shell need no link: busybox's shell finds them itself.
# These are started by other programs.
LINKS = ["sh", "cttyhack"]


def initrd(outb):
    here = os.path.dirname(os.path.abspath(__file__))
    kernel = debian.Kernel()
    archive = initramfs.Cpio()
    archive.character("dev/console", 5, 1)
    archive.copy("init", os.path.join(here, "init"))
    archive.copy("bin/busybox", debian.busybox())
    for name in LINKS:
        archive.link("bin/" + name, "busybox")
    archive.copy("bin/outb", outb)
    archive.copy("etc/acpi/PWRF/00000080", os.path.join(here, "powerbutton"))
    for name in ("proc", "sys", "tmp"):
        archive.directory(name)
    modules = initramfs.Modules(kernel, MODULES)
    modules.add_to(archive, "lib/modules/" + kernel.release)
    return archive.bytes()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: mkguest.py OUTB DIRECTORY")
    outb, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    try:
        shutil.copyfile(debian.Kernel().image, directory + "/vmlinuz")
        image = initrd(outb)
    except debian.PartsError as error:
        sys.exit("guests-linux: %s" % error)
    with open(directory + "/initrd.img", "wb") as stream:
        stream.write(image)


if __name__ == "__main__":
    main()
