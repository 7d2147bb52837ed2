/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that no snapshot names any more: those that nothing stands on go at
 * once, the others are merged into what stands on them, one by one. Killed at
 * any moment it begins again where it was: the list (snapshot/unused.h) is
 * changed after the files. Who calls holds the VM's lock; one thread at a time;
 * they block.
 */
#ifndef AMBER_SNAPSHOT_TIDY_H
#define AMBER_SNAPSHOT_TIDY_H

#include "snapshot/layer_map.h"

struct tidy_done {
	unsigned int removed, merged;
	uint64_t bytes; /* of disk space that the removed ones took */
	/* Those that are still there: how many can be merged, and how many
	 * are needed; and why the first could not go that should have. */
	unsigned int waiting, needed;
	char why[ERR_TEXT_BYTES];
};

/*
 * Removes what is in the list of the map and not needed, and saves the list.
 * Adds to *done, but for what is left. Errors: those of the list and of its
 * directory.
 */
int tidy_remove(struct layer_map *m, struct tidy_done *done, struct err *e);

/* layer_map_read() and tidy_remove(), where there is a list. */
int tidy_all(int dir, const struct vm_config *config, struct tidy_done *done,
	     struct err *e);

/* A layer that can go into the one that stands on it. */
struct tidy_merge {
	const char *layer, *into; /* borrowed from the map */
	struct stat st;		  /* of layer */
	/* Number of the VM's disk whose present chain has both; -1: none. */
	int disk;
	bool is_top;		   /* into is the disk's top */
	const char *allow_backing; /* borrowed; as well; or NULL */
};

/* false: there is none. */
bool tidy_next(const struct layer_map *m, struct tidy_merge *out);

/*
 * Does it, of a disk that nobody has open; tidy_remove() of a new map takes
 * the layer away then. progress: NULL, or other than 0 ends it: -ECANCELED.
 */
int tidy_merge(const struct tidy_merge *merge,
	       int (*progress)(void *ctx, unsigned int permille), void *ctx,
	       struct err *e);

/* "1 layer merged; 2 layers removed (12 KiB); ..."; "": there were none. */
void tidy_describe(const struct tidy_done *done, char *text, size_t bytes);

#endif
