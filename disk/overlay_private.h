/* SPDX-License-Identifier: Apache-2.0 */
/* A layer that is made ready: what overlay*.c and layer_restore.c share. */
#ifndef AMBER_DISK_OVERLAY_PRIVATE_H
#define AMBER_DISK_OVERLAY_PRIVATE_H

#include "disk/chain.h"
#include "disk/overlay.h"

/* A name of its own; the disk's name, UNDER which the present file gets
 * another one, or in place of which a FRESH one comes. */
enum overlay_kind { OVERLAY_ABOVE, OVERLAY_UNDER, OVERLAY_FRESH };

struct overlay {
	enum overlay_kind kind;
	char *path;  /* owned; it is there under this name; NULL: no more */
	char *below; /* owned: the disk's file, as it was found, no link */
	int fd;	     /* owned; as the disk's requests need it */
	int cached;  /* owned; the same with the page cache, or fd itself */

	/* but of ABOVE */
	char *layer;	/* owned: what it stands on, beside below */
	int directory;	/* owned; of all three names; else -1 */
	uint64_t bytes; /* of the disk */

	/* after a rewind: fd and cached are the old top's */
	struct layer old;
	bool has_old;
};

struct overlay *overlay_new(enum overlay_kind kind);

/* --- of a push ------------------------------------------------------- */

/* The file that is open must be the one that has the name. */
int overlay_check_name(const struct disk *d, const char *name, struct err *e);
/* Nobody is at work on the top. */
int overlay_check_job(const struct disk *d, struct err *e);
/* May d be frozen: that, and nothing is wrong with it? */
int overlay_check(const struct disk *d, struct err *e);
/* What the guest was told about direct I/O stays true. */
int overlay_find_units(const struct disk *d, const struct overlay *o,
		       struct disk *probe, struct err *e);
int overlay_flush(struct disk *d, struct err *e);
/* mode: what it was before; a device has none that matters. */
int overlay_freeze(const struct disk *d, mode_t *mode, struct err *e);
void overlay_thaw(const struct disk *d, mode_t mode);
/* In memory, under that name. */
int overlay_put_on_qcow2(const struct overlay *o, struct disk *d,
			 const char *name, struct err *e);
/* Nothing fails from here on: o's files are d's. */
void overlay_take_place(struct overlay *o, struct disk *d,
			const struct disk *probe);

/* --- of names -------------------------------------------------------- */

int overlay_sync_names(const struct overlay *o);
/* Renames the image to what the disk is called; it has no other name then. */
int overlay_take_name(struct overlay *o);
/* -ENOTSUP: a raw image keeps its name. */
int overlay_refuse_raw(const char *path, struct err *e);
int overlay_push_under(struct overlay *o, struct disk *d, struct err *e);

#endif
