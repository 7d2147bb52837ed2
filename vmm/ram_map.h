/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a memory image has where, in units ("granules") that are few enough to
 * be mapped one by one: which are in the file, and a checksum of each
 * (XXH3-64). Offsets are those of struct ram: what is above the hole follows
 * what is below it. Kept beside the image as a state container; hostile when it
 * is read. Any thread, one at a time.
 */
#ifndef AMBER_VMM_RAM_MAP_H
#define AMBER_VMM_RAM_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "vmm/ram.h"

#define RAM_MAP_BYTES	  (16u << 20) /* of a container, at most */
#define RAM_GRANULE_MIN	  (64u << 10)
#define RAM_GRANULE_MAX	  (4u << 20)
#define RAM_GRANULES_MANY 8192 /* fewer, where granules can be larger */

struct ram_map {
	uint64_t bytes; /* of the memory */
	uint32_t granule, count;
	bool is_increment; /* what is not here is the parent's, not zero */
	uint8_t *stored;   /* one each: 0, 1 */
	uint64_t *hash;	   /* of those that are stored */
};

/* For memory of that size; *bytes: what the two tables take. */
void ram_map_plan(struct ram_map *map, uint64_t memory_bytes, size_t *bytes);
/* Puts the tables into room, which is zeroed and stays the caller's. */
void ram_map_place(struct ram_map *map, void *room);

/* Appends the container. */
int ram_map_save(struct ram_map *map, struct buf *out, struct err *e);
/*
 * Reads one; the tables are the caller's to free with ram_map_fini(). Errors:
 * -EBADMSG, -ENOTSUP, -ENOMEM.
 */
int ram_map_load(struct ram_map *map, const uint8_t *bytes, size_t len,
		 struct err *e);
void ram_map_fini(struct ram_map *map);

/*
 * Makes one of the full image in fd; reads all of it. ram_map_fini() on
 * success. Errors: -ENOMEM, those of reading.
 */
int ram_map_read(struct ram_map *map, uint64_t memory_bytes, int fd,
		 struct err *e);

/* The checksum of a granule. */
uint64_t ram_map_hash(const void *bytes, size_t n);

/*
 * Is the image in fd what the map says? Reads all of it. -EBADMSG: names the
 * first address that is not.
 */
int ram_map_verify(const struct ram_map *map, int fd, struct err *e);

#endif
