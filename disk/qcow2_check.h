/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a qcow2 image whole? What the tables refer to is counted and compared
 * with the refcounts, which can be derived from it. The image's thread; it
 * blocks.
 */
#ifndef AMBER_DISK_QCOW2_CHECK_H
#define AMBER_DISK_QCOW2_CHECK_H

#include "disk/qcow2.h"

enum qcow2_finding {
	QCOW2_LEAK,	 /* space that nothing refers to: harmless */
	QCOW2_CORRUPTION /* data is, or will be, wrong */
};

enum qcow2_repair { QCOW2_LOOK, QCOW2_REPAIR_LEAKS, QCOW2_REPAIR_ALL };

struct qcow2_check {
	/* Told about each of the first few; may be NULL. */
	void (*found)(void *ctx, enum qcow2_finding kind, const char *text);
	/* Tells how far it is, 0..1000; other than 0 ends it: -ECANCELED. */
	int (*progress)(void *ctx, unsigned int permille);
	void *ctx;
	enum qcow2_repair repair;

	uint64_t corruptions, leaks;		 /* found */
	uint64_t fixed_corruptions, fixed_leaks; /* of those */
	uint64_t clusters;			 /* of the disk */
	uint64_t allocated, packed, fragmented;	 /* of those, with data */
	uint64_t end;	/* bytes of the file that are in use */
	bool is_marked; /* it had the dirty or the corrupt bit */
};

/*
 * Fills the results. q is open: QCOW2_REPAIR to repair, and nothing is in
 * flight. Afterwards a repaired image is clean and synced and has neither the
 * dirty nor the corrupt bit. Errors: the check itself could not be made.
 */
int qcow2_check(struct qcow2 *q, struct qcow2_check *c, struct err *e);

#endif
