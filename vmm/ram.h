/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: one private mapping, laid out below and above the 32-bit hole
 * (devices/platform.h). The part above the hole follows the part below it
 * without a gap. Pages come into being when the guest touches them: small
 * ones in the first 2 MiB, where tiny kernels live, huge ones above where
 * the host has them (docs/decisions/0001).
 */
#ifndef AMBER_VMM_RAM_H
#define AMBER_VMM_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lock.h"
#include "devices/gmem.h"

#define RAM_HUGE_PAGE	(2ULL << 20)
#define RAM_SMALL_BYTES (2ULL << 20) /* at the start, of small pages */

#define RAM_IMAGES_MAX 33 /* a full image and its increments */

/* Files that memory shows together, the oldest first. */
struct ram_images {
	int fd[RAM_IMAGES_MAX];
	unsigned int count;
};

#define RAM_MOMENT_CHARS 31

/* What is known of who wrote what: vmm/ram_track.h. */
struct ram_track {
	struct lock lock;
	int uffd;			  /* owned; -1: no page is protected */
	bool is_wanted;			  /* an increment was asked for once */
	char since[RAM_MOMENT_CHARS + 1]; /* what is protected was written
					   * before; "": nothing is */
	uint64_t *discarded; /* owned: a bit for each page given back since */
};

struct ram {
	uint8_t *host; /* the mapping, owned; NULL: none */
	uint64_t bytes;
	struct gmem mem;
	struct ram_images images; /* owned: what untouched pages show */
	struct ram_track track;
};

/*
 * Maps bytes (a multiple of 4096) of RAM that reads as zeroes. A child of
 * fork() does not get it. Errors: -ENOMEM and what else mmap gives.
 */
int ram_create(struct ram *ram, uint64_t bytes, struct err *e);
void ram_destroy(struct ram *ram);

/* The address behind the last byte. */
uint64_t ram_end(const struct ram *ram);
/* Where memory of so many bytes ends, as a guest sees it. */
uint64_t ram_end_of(uint64_t bytes);

/* Hands the regions to KVM as memory slots 0.. of vm_fd. */
int ram_set_slots(const struct ram *ram, int vm_fd, struct err *e);

/*
 * Gives [host, host + bytes) of the mapping back to the host: it reads as
 * zeroes from then on, or as what the image has there that it shows (VIRTIO
 * 1.2, 5.5.6: the driver must not rely on either). Page aligned; while vCPUs
 * run, too. Any thread.
 */
void ram_discard(const struct ram *ram, void *host, uint64_t bytes);

/* Bytes of RAM that the host holds for the guest now. Any thread. */
uint64_t ram_resident_bytes(const struct ram *ram);

#endif
