/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking through the layers of a disk, and reading what they show. One
 * thread.
 */
#include "disk/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "disk/chain_places.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* --- looking --------------------------------------------------------- */

/* What one layer has; NONE: look behind it. */
static int map_layer(struct layer *l, uint64_t guest, uint64_t bytes,
		     struct qcow2_extent *x)
{
	if (guest >= l->bytes) { /* shorter than what is before it */
		*x = (struct qcow2_extent){ .kind = QCOW2_ZEROES,
					    .bytes = bytes };
		return 0;
	}
	bytes = MIN(bytes, l->bytes - guest);
	if (l->format == DISK_QCOW2)
		return qcow2_map(&l->q, guest, bytes, x);
	*x = (struct qcow2_extent){ .kind = QCOW2_DATA,
				    .host = guest,
				    .bytes = bytes };
	return 0;
}

static void fill_extent(const struct chain *c, const struct qcow2_extent *x,
			unsigned int layer, uint64_t guest,
			struct chain_extent *out)
{
	*out = (struct chain_extent){
		.kind = x->kind == QCOW2_NONE ? QCOW2_ZEROES : x->kind,
		.layer = layer,
		.bytes = x->bytes,
		.host = x->host,
		.packed_bytes = x->packed_bytes,
	};
	if (x->kind == QCOW2_PACKED)
		out->guest = guest &
			     ~(uint64_t)(c->layer[layer].q.cluster_bytes - 1);
}

/* From layer to layer. */
static int walk(struct chain *c, unsigned int from, uint64_t guest,
		uint64_t bytes, struct chain_extent *out)
{
	struct qcow2_extent x = { .kind = QCOW2_NONE };
	unsigned int i;
	int r;

	for (i = from; i < c->depth; i++) {
		r = map_layer(&c->layer[i], guest, bytes, &x);
		if (r)
			return r;
		bytes = x.bytes;
		if (x.kind != QCOW2_NONE)
			break;
	}
	x.bytes = bytes; /* also when there was no layer to ask */
	fill_extent(c, &x, i, guest, out);
	return 0;
}

/* What is found on the way is remembered for all of its units. */
static int walk_behind(struct chain *c, uint64_t guest, uint64_t bytes,
		       struct chain_extent *out)
{
	uint64_t unit = guest & ~((UINT64_C(1) << c->unit_bits) - 1);
	uint64_t end = places_page_end(c->places, guest);
	struct chain_extent x;
	int r;

	if (places_find(c->places, guest, bytes, out))
		return 0;
	r = walk(c, 1, unit, end - unit, &x);
	if (r)
		return r;
	places_add(c->places, unit, &x);
	if (places_find(c->places, guest, bytes, out))
		return 0;
	return walk(c, 1, guest, bytes, out);
}

int chain_map(struct chain *c, unsigned int from, uint64_t guest,
	      uint64_t bytes, struct chain_extent *out)
{
	struct qcow2_extent x;
	int r;

	if (from > 1)
		return walk(c, from, guest, bytes, out);
	if (!from) {
		r = map_layer(&c->layer[0], guest, bytes, &x);
		if (r)
			return r;
		if (x.kind != QCOW2_NONE || c->depth == 1) {
			fill_extent(c, &x, x.kind == QCOW2_NONE, guest, out);
			return 0;
		}
		bytes = x.bytes;
	}
	return c->places ? walk_behind(c, guest, bytes, out)
			 : walk(c, 1, guest, bytes, out);
}

/* --- compressed clusters --------------------------------------------- */

static int read_packed(struct chain *c, const struct chain_extent *x,
		       uint8_t **in)
{
	struct layer *l = &c->layer[x->layer];
	int r;

	*in = malloc(x->packed_bytes);
	if (!*in)
		return -ENOMEM;
	r = file_read_or_miss(c->files, l->fd, *in, x->packed_bytes, x->host,
			      &c->miss);
	if (r) {
		free(*in);
		*in = NULL;
	}
	return r;
}

int chain_unpack(struct chain *c, const struct chain_extent *x,
		 const uint8_t **out)
{
	struct qcow2 *q = &c->layer[x->layer].q;
	uint8_t *in, *bytes;
	int r;

	*out = c->unpacked.bytes;
	if (c->unpacked.is_valid && c->unpacked.layer == x->layer &&
	    c->unpacked.host == x->host)
		return 0;
	r = read_packed(c, x, &in);
	if (r)
		return r; /* whoever wants the other one still finds it */
	c->unpacked.is_valid = false;
	bytes = realloc(c->unpacked.bytes, q->cluster_bytes);
	if (!bytes) {
		free(in);
		return -ENOMEM;
	}
	c->unpacked.bytes = bytes;
	r = unpack_cluster(q->h.compression, in, x->packed_bytes, bytes,
			   q->cluster_bytes);
	free(in);
	if (r == -EIO)
		return qcow2_wrong(q, "the compressed cluster at %#llx",
				   (unsigned long long)x->host);
	if (r)
		return r;
	c->unpacked.is_valid = true;
	c->unpacked.layer = x->layer;
	c->unpacked.host = x->host;
	*out = bytes;
	return 0;
}

/* --- reading --------------------------------------------------------- */

static int read_extent(struct chain *c, const struct chain_extent *x,
		       uint8_t *out, uint64_t guest)
{
	const uint8_t *cluster;
	int r;

	switch (x->kind) {
	case QCOW2_DATA:
		return file_read_at(c->files, c->layer[x->layer].fd, out,
				    x->bytes, x->host);
	case QCOW2_PACKED:
		r = chain_unpack(c, x, &cluster);
		if (!r)
			memcpy(out, cluster + (guest - x->guest), x->bytes);
		return r;
	default:
		memset(out, 0, x->bytes);
		return 0;
	}
}

int chain_read(struct chain *c, unsigned int from, void *out, uint64_t bytes,
	       uint64_t guest)
{
	struct chain_extent x;
	uint8_t *at = out;
	int r;

	for (; bytes; bytes -= x.bytes, guest += x.bytes, at += x.bytes) {
		r = chain_map(c, from, guest, bytes, &x);
		if (!r)
			r = read_extent(c, &x, at, guest);
		if (r)
			return r;
	}
	return 0;
}
