/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door to guest memory. Guest physical addresses come from hostile
 * hands: gmem_slice() and its friends check every address and length,
 * overflow included, and nothing else in amber turns a guest address into
 * a pointer. The regions are fixed before the first vCPU runs, so look-ups
 * need no lock: any thread. The bytes may change at any time under a
 * reader; read a shared field once, into a local copy.
 */
#ifndef AMBER_DEVICES_GMEM_H
#define AMBER_DEVICES_GMEM_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */

#define GMEM_REGIONS_MAX 4

struct gmem_region {
	gpa_t start;
	uint64_t bytes;
	uint8_t *host; /* borrowed from the mapping's owner */
};

struct gmem {
	struct gmem_region region[GMEM_REGIONS_MAX]; /* sorted, disjoint */
	unsigned int count;
};

/*
 * Adds a region of bytes at start. Not while vCPUs run. Errors: -EINVAL
 * (empty, wraps, out of order, overlap), -ENOSPC (GMEM_REGIONS_MAX).
 */
int gmem_add(struct gmem *mem, gpa_t start, uint64_t bytes, uint8_t *host);

/*
 * The host address of guest bytes [gpa, gpa + len), or NULL if any of them
 * is not RAM or the range leaves its region. len 0 gives NULL.
 */
uint8_t *gmem_slice(const struct gmem *mem, gpa_t gpa, uint64_t len);

/* Copies in or out. Errors: -EFAULT, nothing was copied. */
int gmem_write(const struct gmem *mem, gpa_t gpa, const void *from,
	       uint64_t len);
int gmem_read(const struct gmem *mem, gpa_t gpa, void *to, uint64_t len);

/* All RAM together, in bytes. */
uint64_t gmem_bytes(const struct gmem *mem);

#endif
