/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may open an image at the same time: byte-range locks on the file
 * itself, at the offsets and with the meaning that QEMU uses (block/
 * file-posix.c: permissions at 100, what is not shared at 200), so that
 * neither amber nor QEMU opens an image behind the other's back. They are
 * open-file-description locks: they go when the descriptor does.
 */
#ifndef AMBER_DISK_LOCK_H
#define AMBER_DISK_LOCK_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Locks fd for a reader, or for the one writer. Errors: -EBUSY with who has
 * it ("PATH: in use by process 123 (qemu-system-x86)"). The lock lasts until
 * fd is closed.
 */
int disk_lock(int fd, const char *path, bool read_only, struct err *e);

#endif
