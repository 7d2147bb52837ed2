/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages may have been written since a moment, whoever wrote them: the
 * guest, a device's thread, the kernel for one (docs/decisions/0013). Pages
 * are write-protected at the moment by a userfaultfd whose faults the kernel
 * resolves alone; one that is not protected any more was written. Memory that
 * shows images knows it of the moment when they were mapped, too: a page that
 * was written since is one of our own.
 *
 * The watch beside it is of pages that are touched at all: while it lasts the
 * kernel maps a page only when somebody uses it.
 *
 * One thread at a time; no vCPU runs and devices are quiet, but for those that
 * say otherwise.
 */
#ifndef AMBER_VMM_RAM_TRACK_H
#define AMBER_VMM_RAM_TRACK_H

#include "vmm/ram.h"

/* Words of 64 bits that have one for each page. */
uint64_t ram_track_words(const struct ram *ram);

/* A moment that is kept, and the one before that an increment stands on. */
struct ram_track_cut {
	const char *moment;	/* its name, of RAM_MOMENT_CHARS at most */
	const char *base_name;	/* that moment's; NULL: none */
	const struct ram *base; /* what it shows; NULL: none */
};

/*
 * Sets the bits of those pages in maybe, which is zeroed, that may not be what
 * the base shows, and begins anew. False: nothing is known, any page may have
 * changed, whatever maybe has; but what comes next may be known.
 */
bool ram_track_cut(struct ram *ram, const struct ram_track_cut *cut,
		   uint64_t *maybe);

/*
 * Begins to watch what is touched, and ends it. False: this kernel can't. Any
 * thread, while vCPUs run, too.
 */
bool ram_track_watch(struct ram *ram);
void ram_track_unwatch(struct ram *ram);

/* Nothing is protected; memory is what its images show, or not known. */
void ram_track_forget(struct ram *ram);
void ram_track_init(struct ram *ram);
void ram_track_fini(struct ram *ram);

/* Those bytes of the memory are about to be given back. Any thread. */
void ram_track_discarded(const struct ram *ram, uint64_t at, uint64_t bytes);

#endif
