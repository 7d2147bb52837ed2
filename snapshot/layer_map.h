/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All files that disks of a VM stand on, as their headers say: from its
 * disks, its snapshots and the list of unused layers. Looks only; also while
 * the VM runs, whose tops name what they stand on until we change that. Any
 * thread; it blocks.
 */
#ifndef AMBER_SNAPSHOT_LAYER_MAP_H
#define AMBER_SNAPSHOT_LAYER_MAP_H

#include <sys/stat.h>

#include "disk/backing.h"
#include "snapshot/lineage.h"
#include "snapshot/store.h"
#include "snapshot/unused.h"

struct layer_file {
	char *path; /* owned: by which it was found */
	struct stat st;
	enum disk_format format;
	bool is_plain;	  /* a regular qcow2 image without internal snapshots */
	bool is_named;	  /* by a snapshot */
	int top_of;	  /* number of the VM's disk that it is; -1: of none */
	int unused;	  /* its place in the list; -1: it is not in it */
	const char *disk; /* borrowed: path of the disk that it is a layer of */
};

struct layer_map {
	int dir;			/* borrowed */
	const struct vm_config *config; /* borrowed */
	struct store_list sets;		/* owned */
	struct unused unused;		/* owned */
	struct layer_file *file;	/* owned */
	struct lineage_node *node;	/* owned: as many, decided */
	size_t count;
};

/*
 * layer_map_fini() in each case. Errors: -EBADMSG (a snapshot can't be read,
 * so that nobody knows what it needs), -ENOENT (a file is missing that is
 * stood on), -EBUSY (a restore is half-way), -ELOOP, those of headers.
 */
int layer_map_read(struct layer_map *m, int dir, const struct vm_config *config,
		   struct err *e);
void layer_map_fini(struct layer_map *m);

/* The file of that identity; -1: it is not in the map. */
int layer_map_find(const struct layer_map *m, const struct stat *st);
/* The VM's disk in whose chain, as it is now, the file is; -1: in none. */
int layer_map_disk(const struct layer_map *m, int file);

#endif
