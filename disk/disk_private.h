/* SPDX-License-Identifier: Apache-2.0 */
/* What formats share; devices include disk/disk.h. */
#ifndef AMBER_DISK_DISK_PRIVATE_H
#define AMBER_DISK_DISK_PRIVATE_H

#include "disk/disk.h"

struct disk {
	struct disk_info info;
	char *path;	       /* owned */
	int fd;		       /* owned; -1: none */
	struct ioq *q;	       /* borrowed */
	uint32_t memory_align; /* O_DIRECT: of buffers; else 1 */
	bool is_poisoned;
};

/* --- raw.c ---------------------------------------------------------------- */
void raw_submit(struct disk *d, struct disk_request *r);

#endif
