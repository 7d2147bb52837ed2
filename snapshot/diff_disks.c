/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two disks, cluster by cluster. What both have from the same place of the
 * same layer is not read: two snapshots of one disk share most of it.
 */
#include <stdlib.h>
#include <string.h>

#include "disk/disk_tool.h"
#include "snapshot/diff.h"

#define LAYERS 256 /* no chain is deeper */

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct pair {
	struct disk *disk[2];
	uint8_t *piece[2];     /* owned: a cluster each */
	int same_in_b[LAYERS]; /* of a's layers; -1: b does not have it */
	struct err *e;
};

static uint64_t bytes_of(const struct pair *p, int i)
{
	return disk_get_info(p->disk[i])->bytes;
}

static int find_layer(const struct disk *d, const char *path)
{
	unsigned int i;

	for (i = 0; i < disk_layers(d); i++)
		if (!strcmp(disk_layer_path(d, i), path))
			return (int)i;
	return -1;
}

static void match_layers(struct pair *p)
{
	unsigned int i;

	for (i = 0; i < disk_layers(p->disk[0]) && i < LAYERS; i++)
		p->same_in_b[i] =
			find_layer(p->disk[1], disk_layer_path(p->disk[0], i));
}

/* Behind an end there are zeroes. */
static int look(const struct pair *p, int i, uint64_t at, uint64_t n,
		struct disk_place *out)
{
	uint64_t end = bytes_of(p, i);

	*out = (struct disk_place){ .bytes = n, .is_zero = true };
	return at < end ? disk_look(p->disk[i], at, MIN(n, end - at), out) : 0;
}

static bool is_same_place(const struct pair *p, const struct disk_place *a,
			  const struct disk_place *b)
{
	if (a->is_zero || b->is_zero)
		return a->is_zero && b->is_zero;
	return a->has_offset && b->has_offset && a->offset == b->offset &&
	       a->layer < LAYERS && p->same_in_b[a->layer] == (int)b->layer;
}

static int read_one(const struct pair *p, int i, uint64_t at, uint64_t n)
{
	uint64_t end = bytes_of(p, i), have = at < end ? MIN(n, end - at) : 0;

	memset(p->piece[i] + have, 0, n - have);
	return have ? disk_peek(p->disk[i], p->piece[i], have, at) : 0;
}

/* *n: how far this holds; never beyond the cluster unless it is the same. */
static int compare_at(const struct pair *p, uint64_t at, uint64_t *n,
		      bool *differs)
{
	struct disk_place a, b;
	int r = look(p, 0, at, *n, &a);

	if (!r)
		r = look(p, 1, at, a.bytes, &b);
	if (r)
		return r;
	*differs = false;
	*n = MIN(a.bytes, b.bytes);
	if (is_same_place(p, &a, &b))
		return 0;
	*n = MIN(*n, DIFF_CLUSTER - at % DIFF_CLUSTER);
	r = read_one(p, 0, at, *n);
	if (!r)
		r = read_one(p, 1, at, *n);
	*differs = !r && memcmp(p->piece[0], p->piece[1], *n) != 0;
	return r;
}

static int compare_all(const struct pair *p, struct diff_disk *out,
		       struct progress *progress)
{
	uint64_t a = bytes_of(p, 0), b = bytes_of(p, 1), at, n, cluster;
	uint64_t end = a > b ? a : b;
	bool differs;
	int r;

	progress_expect(progress, end);
	for (at = 0, n = 0; at < end; at += n) {
		r = progress_add(progress, n);
		if (r)
			return err_sys(p->e, r, "comparing");
		n = end - at;
		r = compare_at(p, at, &n, &differs);
		if (r)
			return err_sys(p->e, r, "comparing at %llu",
				       (unsigned long long)at);
		if (!differs)
			continue;
		cluster = at - at % DIFF_CLUSTER;
		n = MIN(cluster + DIFF_CLUSTER, end) - at;
		out->clusters++;
		out->bytes += at + n - cluster;
	}
	return 0;
}

int diff_disks(struct disk *a, struct disk *b, struct diff_disk *out,
	       struct progress *progress, struct err *e)
{
	struct pair p = { .disk = { a, b }, .e = e };
	int r;

	out->bytes_a = bytes_of(&p, 0);
	out->bytes_b = bytes_of(&p, 1);
	out->clusters = out->bytes = 0;
	match_layers(&p);
	p.piece[0] = malloc(DIFF_CLUSTER);
	p.piece[1] = malloc(DIFF_CLUSTER);
	r = p.piece[0] && p.piece[1]
		    ? compare_all(&p, out, progress)
		    : err_sys(e, -ENOMEM, "memory for a comparison");
	free(p.piece[0]);
	free(p.piece[1]);
	out->is_there = !r;
	return disk_explain(b, disk_explain(a, r, e), e);
}
