/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit of the boot loaders, in one place. Kernels, initial RAM disks
 * and command lines are input from people and from images: each size below
 * is refused when it is passed, with a text that names it.
 */
#ifndef AMBER_VMM_BOOT_LIMITS_H
#define AMBER_VMM_BOOT_LIMITS_H

#define BOOT_KERNEL_BYTES_MAX (1ULL << 30)
#define BOOT_INITRD_BYTES_MAX (2ULL << 30)

/* Characters of the command line, the NUL not counted. */
#define BOOT_CMDLINE_MAX 2047

#define BOOT_SEGMENTS_MAX   64
#define BOOT_PHNUM_MAX	    128
#define BOOT_NOTE_BYTES_MAX (64u << 10) /* all PT_NOTE of a file together */

/* The build of Linux refuses a real-mode part of more than 32 KiB. */
#define BOOT_SETUP_SECTS_MAX 64

#endif
