/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing a whole disk: clusters are read in order, packed by threads, and
 * written in order. One thread but for the packing.
 */
#include "disk/disk_pack.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/memory.h"
#include "disk/copy.h"
#include "disk/disk_tool.h"
#include "disk/pack.h"
#include "disk/qcow2_disk.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct packing {
	struct disk *from, *to;
	struct ioq *q;
	struct packer *packer;
	uint64_t bytes;
	uint32_t cluster_bytes;
	struct err *e;
};

/* --- writing --------------------------------------------------------- */

static int write_result(struct packing *k, struct pack_job *job)
{
	uint64_t n = MIN(k->cluster_bytes, k->bytes - job->guest);
	int r = job->error;

	if (!r && job->out_bytes)
		r = qcow2_put_packed(top_of(k->to), job->guest, job->out,
				     job->out_bytes);
	else if (!r)
		r = copy_write(k->to, k->q, job->guest, job->in, n);
	disk_changed(k->to);
	return r ? err_sys(k->e, r, "writing at %" PRIu64, job->guest) : 0;
}

/* Readers take whole sectors. */
static int end_file(struct packing *k)
{
	struct qcow2 *q = top_of(k->to);

	if (ftruncate(q->fd, (off_t)(q->fresh << q->cluster_bits)) < 0)
		return err_sys(k->e, -errno, "the image's end");
	return 0;
}

/* --- reading --------------------------------------------------------- */

/* How much from `at` on needs no reading; 0: a cluster is to be read. */
static int zeroes_at(struct packing *k, uint64_t at, uint64_t *n)
{
	struct disk_place place;
	int r = disk_look(k->from, at, k->bytes - at, &place);

	*n = 0;
	if (r)
		return err_sys(k->e, r, "looking at %" PRIu64, at);
	if (place.is_zero)
		*n = at + place.bytes == k->bytes
			     ? place.bytes
			     : place.bytes & ~(uint64_t)(k->cluster_bytes - 1);
	return 0;
}

static struct pack_job *get_room(struct packing *k, int *error)
{
	struct pack_job *job = packer_room(k->packer);

	while (!job && !*error) {
		*error = write_result(k, packer_result(k->packer));
		job = packer_room(k->packer);
	}
	return *error ? NULL : job;
}

static int read_cluster(struct packing *k, uint64_t at)
{
	int r = 0;
	struct pack_job *job = get_room(k, &r);

	if (r)
		return r;
	/* Behind the end of the disk are zeroes. */
	r = disk_peek(k->from, job->in, k->cluster_bytes, at);
	if (r)
		return err_sys(k->e, r, "reading at %" PRIu64, at);
	if (memory_is_zero(job->in, k->cluster_bytes))
		return 0;
	job->guest = at;
	packer_begin(k->packer, job);
	return 0;
}

static int pack_all(struct packing *k, int (*progress)(void *, unsigned int),
		    void *ctx)
{
	struct pack_job *job;
	uint64_t at, n;
	int r = 0;

	for (at = 0; at < k->bytes && !r; at += n ? n : k->cluster_bytes) {
		r = zeroes_at(k, at, &n);
		if (!r && !n)
			r = read_cluster(k, at);
		if (!r && progress &&
		    progress(ctx, (unsigned int)(at / (k->bytes / 1000 + 1))))
			r = err_set(k->e, -ECANCELED, "cancelled");
	}
	while (!r && (job = packer_result(k->packer)))
		r = write_result(k, job);
	return r ? r : end_file(k);
}

int disk_pack(struct disk *from, struct disk *to, struct ioq *q,
	      int (*progress)(void *ctx, unsigned int permille), void *ctx,
	      struct err *e)
{
	struct packing k = { .from = from,
			     .to = to,
			     .q = q,
			     .bytes = disk_get_info(from)->bytes,
			     .cluster_bytes = top_of(to)->cluster_bytes,
			     .e = e };
	int r = packer_open(&k.packer, top_of(to)->h.compression,
			    k.cluster_bytes, e);

	if (!r)
		r = pack_all(&k, progress, ctx);
	packer_close(k.packer);
	return r;
}
