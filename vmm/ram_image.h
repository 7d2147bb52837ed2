/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as files whose offsets are guest physical addresses. A full
 * image is one file: what was never touched, or is zero, is a hole. An
 * increment has the granules that are not what its parent shows, whole; the
 * others are holes. Any thread, while no vCPU runs and devices are quiet.
 */
#ifndef AMBER_VMM_RAM_IMAGE_H
#define AMBER_VMM_RAM_IMAGE_H

#include <sys/types.h>

#include "base/progress.h"
#include "vmm/ram.h"
#include "vmm/ram_map.h"

struct ram_image_figures {
	uint64_t pages;	       /* of the guest */
	uint64_t written;      /* pages that are in the file */
	uint64_t zero_skipped; /* touched, but zero */
};

/* What is written, and where. */
struct ram_image_job {
	const struct ram *ram;
	/* What the parent shows (ram_image_map()); NULL: a full image. */
	const struct ram *base;
	/* A bit for each page that may not be what base shows; NULL: all. */
	const uint64_t *maybe;
	int fd;		     /* an empty file; borrowed */
	struct ram_map *map; /* is filled; NULL: none is wanted */
	/* Of this process, as long as it is wanted; 0: it always is. */
	pid_t parent;
	struct progress *progress; /* bytes looked at; NULL: nobody asks */
};

/*
 * Writes all memory. Not synced. Allocates nothing, takes no lock: a child
 * may do it. Errors: those of writing; -ECANCELED: it is an orphan, or not
 * wanted any more (progress).
 */
int ram_image_write(const struct ram_image_job *job,
		    struct ram_image_figures *figures, struct err *e);

/*
 * Maps images in place of the memory, privately, the oldest first, each over
 * those before it: nothing is read before it is touched, what the guest writes
 * stays here. They are borrowed for the call; the files must not change while
 * the memory lives. Errors: -EINVAL (one is not as long as the memory's end),
 * -EMFILE.
 */
int ram_image_map(struct ram *ram, const struct ram_images *images,
		  struct err *e);

/*
 * Memory shows what is in the images, nothing else: as ram_image_map(), but
 * what shows them already only loses the pages that were written since. The
 * pages that the guest has only read stay mapped.
 */
int ram_image_rewind(struct ram *ram, const struct ram_images *images,
		     struct err *e);

/* The same files? */
bool ram_images_equal(const struct ram_images *a, const struct ram_images *b);
/* Duplicates the descriptors; -EMFILE. */
int ram_images_copy(struct ram_images *to, const struct ram_images *from);
void ram_images_close(struct ram_images *images);

#endif
