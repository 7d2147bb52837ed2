/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a set: its own file, and those of the sets that an increment
 * stands on. Any thread; they block.
 */
#ifndef AMBER_SNAPSHOT_MEMORY_H
#define AMBER_SNAPSHOT_MEMORY_H

#include "snapshot/meta.h"
#include "vmm/ram_map.h"

/*
 * Opens the images that m's memory is made of, the oldest first; the caller
 * closes them. dir: the VM's. Errors: -EBADMSG (one that it stands on is
 * missing, or of another size; the text names it), -ELOOP (too many).
 */
int memory_open(int dir, const struct snapshot_meta *m, struct ram_images *out,
		struct err *e);

/* Puts the map of its memory into the set whose directory is open. */
int memory_write_map(int set, struct ram_map *map, struct err *e);

/*
 * Holds the set's own memory against its checksums; reads all of it. Errors:
 * -EBADMSG: names the address.
 */
int memory_verify(int dir, const struct snapshot_meta *m, struct err *e);

#endif
