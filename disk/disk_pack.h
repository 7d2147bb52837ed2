/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk shows into an empty image, compressed. Private to disk/. */
#ifndef AMBER_DISK_DISK_PACK_H
#define AMBER_DISK_DISK_PACK_H

#include "disk/disk.h"

/*
 * to: a new qcow2 image, attached to q. Clusters that do not become smaller
 * are written as they are. Not flushed. One thread; it blocks. Errors:
 * -ECANCELED, reading and writing.
 */
int disk_pack(struct disk *from, struct disk *to, struct ioq *q,
	      int (*progress)(void *ctx, unsigned int permille), void *ctx,
	      struct err *e);

#endif
