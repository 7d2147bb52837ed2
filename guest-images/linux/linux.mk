# SPDX-License-Identifier: Apache-2.0
#
# The Linux guest: a stock Debian kernel and a busybox initramfs, made from
# Debian packages that are fetched once into build/cache. Included by the top
# Makefile; stands alone too: make -f guest-images/linux/linux.mk guests-linux

LINUX_GUEST_SRC := guest-images/linux
LINUX_GUEST_OUT := build/guests/linux
LINUX_GUEST_CC ?= gcc

# Freestanding, static, one page; warnings as in the rest of the project.
LINUX_GUEST_CFLAGS := -std=gnu11 -Wall -Wextra -Wshadow -Wcast-qual \
	-Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wstrict-prototypes \
	-Wmissing-prototypes -O2 -ffreestanding -fno-stack-protector -fno-pie \
	-fcf-protection=none -fno-asynchronous-unwind-tables -static -nostdlib \
	-Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-s

.PHONY: guests-linux
guests-linux: $(LINUX_GUEST_OUT)/vmlinuz $(LINUX_GUEST_OUT)/initrd.img

$(LINUX_GUEST_OUT)/outb: $(LINUX_GUEST_SRC)/outb.c
	@mkdir -p $(@D)
	$(LINUX_GUEST_CC) $(LINUX_GUEST_CFLAGS) -o $@ $<

$(LINUX_GUEST_OUT)/vmlinuz $(LINUX_GUEST_OUT)/initrd.img &: \
		$(LINUX_GUEST_OUT)/outb \
		$(addprefix $(LINUX_GUEST_SRC)/,mkguest.py debian.py \
		initramfs.py init powerbutton)
	$(LINUX_GUEST_SRC)/mkguest.py $(LINUX_GUEST_OUT)/outb $(LINUX_GUEST_OUT)

# The same kernel with a root file system on a virtio disk, for the jobs in
# rootfs/jobs. Its packages (90 MB) are fetched when this is made, not before.
.PHONY: guests-linux-disk
guests-linux-disk: $(LINUX_GUEST_OUT)/vmlinuz $(LINUX_GUEST_OUT)/root.raw \
	$(LINUX_GUEST_OUT)/initrd-disk.img

$(LINUX_GUEST_OUT)/root.raw $(LINUX_GUEST_OUT)/initrd-disk.img &: \
		$(LINUX_GUEST_OUT)/outb \
		$(addprefix $(LINUX_GUEST_SRC)/,rootfs.py debian.py \
		initramfs.py init-disk powerbutton) \
		$(shell find $(LINUX_GUEST_SRC)/rootfs -type f)
	$(LINUX_GUEST_SRC)/rootfs.py $(LINUX_GUEST_OUT)/outb $(LINUX_GUEST_OUT)

# The same root as an image that QEMU makes, with compressed clusters.
.PHONY: guests-linux-qcow2
guests-linux-qcow2: $(LINUX_GUEST_OUT)/root.qcow2

$(LINUX_GUEST_OUT)/root.qcow2: $(LINUX_GUEST_OUT)/root.raw
	qemu-img convert -q -c -f raw -O qcow2 $< $@.part
	mv $@.part $@
