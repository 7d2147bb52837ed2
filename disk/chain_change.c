/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that come and go while a disk is open. What can fail is done first:
 * then the array is changed. One thread; nothing is in flight.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk/chain.h"
#include "disk/chain_places.h"

static void forget_unpacked(struct chain *c)
{
	c->unpacked.is_valid = false;
}

/* --- the first ------------------------------------------------------- */

int chain_begin_raw(struct chain *c, int fd, const char *path,
		    const struct file_ops *files, struct err *e)
{
	struct layer *l;
	int r;

	*c = (struct chain){ .files = files };
	c->layer = calloc(CHAIN_MAX, sizeof(*c->layer));
	if (!c->layer)
		return err_sys(e, -ENOMEM, "%s", path);
	c->depth = 1;
	l = c->layer;
	*l = (struct layer){ .format = DISK_RAW,
			     .fd = fd,
			     .path = strdup(path) };
	r = l->path ? layer_note_file(l, false, e)
		    : err_sys(e, -ENOMEM, "%s", path);
	if (r)
		chain_fini(c);
	return r;
}

/* --- a new top ------------------------------------------------------- */

static int open_overlay(struct chain *c, struct layer *l, struct err *e)
{
	int r = layer_note_file(l, false, e);

	if (!r) {
		l->format = DISK_QCOW2;
		r = layer_open(c, l, QCOW2_WRITE, e);
	}
	if (r || l->bytes == c->layer[0].bytes)
		return r;
	return err_set(e, -EINVAL,
		       "%s shows %" PRIu64 " bytes and the layer below it "
		       "%" PRIu64,
		       l->path, l->bytes, c->layer[0].bytes);
}

static void put_on_top(struct chain *c, const struct layer *top,
		       struct places *places)
{
	if (c->layer[0].format == DISK_QCOW2)
		qcow2_seal(&c->layer[0].q, CHAIN_LAYER_CACHE);
	memmove(c->layer + 1, c->layer, c->depth * sizeof(*c->layer));
	c->layer[0] = *top;
	c->depth++;
	places_destroy(c->places);
	c->places = places;
	forget_unpacked(c);
}

static int try_push(struct chain *c, struct layer *l, struct err *e)
{
	struct places *places;
	unsigned int bits;
	uint64_t tables = c->table_bytes;
	int r = open_overlay(c, l, e);

	if (!r)
		r = chain_make_places(c->layer, c->depth, &places, &bits, e);
	if (r) {
		c->table_bytes = tables;
		return r;
	}
	c->unit_bits = bits;
	put_on_top(c, l, places);
	return 0;
}

int chain_push(struct chain *c, int fd, const char *path, struct err *e)
{
	struct layer l = { .fd = fd, .path = strdup(path) };
	int r;

	if (!l.path)
		return err_sys(e, -ENOMEM, "%s", path);
	r = c->depth == CHAIN_MAX
		    ? err_set(e, -ELOOP, "%s: more than %d layers", path,
			      CHAIN_MAX)
		    : try_push(c, &l, e);
	if (r)
		layer_close(&l, true); /* fd is the caller's */
	return r;
}

/* --- another top ----------------------------------------------------- */

int chain_open_top(struct chain *c, int fd, const char *path, struct layer *out,
		   struct err *e)
{
	struct layer l = { .fd = fd, .path = strdup(path) };
	uint64_t tables = c->table_bytes;
	int r;

	if (!l.path)
		return err_sys(e, -ENOMEM, "%s", path);
	c->table_bytes -= c->layer[0].table_bytes;
	r = open_overlay(c, &l, e);
	c->table_bytes = tables;
	if (r)
		layer_close(&l, true);
	else
		*out = l;
	return r;
}

void chain_replace_top(struct chain *c, const struct layer *top,
		       struct layer *old)
{
	*old = c->layer[0];
	c->layer[0] = *top;
	c->table_bytes += top->table_bytes - old->table_bytes;
	forget_unpacked(c);
}

void chain_rename(struct chain *c, unsigned int i, char *path)
{
	struct layer *l = &c->layer[i];

	free(l->path);
	l->path = path;
	if (l->format == DISK_QCOW2)
		l->q.path = path;
}

/* --- fewer ----------------------------------------------------------- */

int chain_cut(struct chain *c, unsigned int first, unsigned int last,
	      struct err *e)
{
	unsigned int n = last - first + 1, i, bits = c->unit_bits;
	struct places *places;
	int r;

	/* Their units are no larger than those of all. */
	r = chain_make_places(c->layer + 1, c->depth - 1, &places, &bits, e);
	if (r)
		return r;
	for (i = first; i <= last; i++) {
		c->table_bytes -= c->layer[i].table_bytes;
		layer_close(&c->layer[i], false);
	}
	memmove(c->layer + first, c->layer + last + 1,
		(c->depth - last - 1) * sizeof(*c->layer));
	c->depth -= n;
	places_destroy(c->places);
	if (c->depth == 1) {
		places_destroy(places);
		places = NULL;
	}
	c->places = places;
	c->unit_bits = bits;
	forget_unpacked(c);
	return 0;
}

int chain_reload(struct chain *c, unsigned int i, struct err *e)
{
	struct layer *old = &c->layer[i], l = *old;
	uint64_t tables = c->table_bytes;
	struct places *places;
	unsigned int bits;
	int r;

	r = chain_make_places(c->layer + 1, c->depth - 1, &places, &bits, e);
	if (r)
		return r;
	c->table_bytes -= old->table_bytes;
	r = layer_open(c, &l, QCOW2_READ, e);
	if (r) {
		if (l.format == DISK_QCOW2)
			qcow2_fini(&l.q);
		c->table_bytes = tables;
		places_destroy(places);
		return r;
	}
	qcow2_fini(&old->q);
	*old = l;
	places_destroy(c->places);
	c->places = places;
	forget_unpacked(c);
	return 0;
}
