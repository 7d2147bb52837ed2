/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing clusters, several at a time in threads of their own, with the
 * results in the order in which they were given. One thread uses a packer.
 */
#ifndef AMBER_DISK_PACK_H
#define AMBER_DISK_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct packer;

/* A cluster: `in` is filled by the user, the rest when it comes back. */
struct pack_job {
	uint64_t guest;	  /* the user's */
	uint8_t *in;	  /* cluster_bytes */
	uint8_t *out;	  /* cluster_bytes */
	size_t out_bytes; /* 0: it does not become smaller */
	int error;

	/* the packer's */
	unsigned int state;
};

/* type: QCOW2_COMPRESSION_*; as many threads as there are processors. */
int packer_open(struct packer **out, uint32_t type, size_t cluster_bytes,
		struct err *e);
/* What was begun is ended. NULL is fine. */
void packer_close(struct packer *p);

/*
 * The next job to be filled, or NULL: take results first. packer_begin() hands
 * it over.
 */
struct pack_job *packer_room(struct packer *p);
void packer_begin(struct packer *p, struct pack_job *job);
/* The oldest job that was begun, when it is over; NULL: there is none. */
struct pack_job *packer_result(struct packer *p);

#endif
