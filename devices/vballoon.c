/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Balloon. Queues are served on the loop's thread; targets and statistics
 * come from any. INV-1: only whole pages of guest RAM are given back, each
 * checked. INV-2: the one buffer for statistics stays with the device until
 * somebody asks (5.5.6.3).
 */
#include "devices/vballoon.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define ID_BALLOON   5
#define CONFIG_BYTES 8
#define QUEUE_SIZE   128
#define ROUND	     16
#define LIST_BYTES   (64u << 10) /* of page numbers in one request */
#define STAT_BYTES   10

#define F_STATS_VQ	 (1ULL << 1)
#define F_DEFLATE_ON_OOM (1ULL << 2)
#define F_REPORTING	 (1ULL << 5)

enum { INFLATE = 0, DEFLATE = 1, QUEUES = 4 };
enum { CFG_NUM_PAGES = 0, CFG_ACTUAL = 4 };

static const char *const stat_names[VBALLOON_STATS] = {
	"swap_in_bytes",      "swap_out_bytes", "major_faults",
	"minor_faults",	      "free_bytes",	"total_bytes",
	"available_bytes",    "caches_bytes",	"huge_pages",
	"huge_page_failures",
};

struct vballoon {
	struct virtio virtio;
	struct vballoon_config cfg;
	struct {
		uint32_t target, actual; /* pages */
		bool has_buffer;	 /* for statistics */
		uint16_t buffer;	 /* its head */
	} st;
	struct {
		struct virtio_loop loop;
		struct virtq_chain chain;
		uint8_t list[LIST_BYTES];
		uint64_t reported_bytes;
		uint64_t stat[VBALLOON_STATS];
		uint32_t has_stat;
		bool wants_stats;
		bool has_news;	 /* a target, since it was quiet */
		uint32_t wanted; /* that */
	} host;
};

/* Queues exist as their features are negotiated, without gaps. */
static unsigned int stats_queue(const struct virtio *v)
{
	return virtio_has(v, F_STATS_VQ) ? 2 : QUEUES;
}

static unsigned int reporting_queue(const struct virtio *v)
{
	if (!virtio_has(v, F_REPORTING))
		return QUEUES;
	return virtio_has(v, F_STATS_VQ) ? 3 : 2;
}

/* --- pages ----------------------------------------------------------- */

static bool give_back(struct vballoon *b, uint64_t first, uint64_t pages)
{
	uint8_t *host =
		gmem_slice(b->cfg.virtio.mem, first * VBALLOON_PAGE_BYTES,
			   pages * VBALLOON_PAGE_BYTES);

	if (host)
		b->cfg.discard(b->cfg.ctx, host, pages * VBALLOON_PAGE_BYTES);
	return host;
}

/* One by one where RAM ends: INV-1. */
static void give_back_run(struct vballoon *b, uint64_t first, uint64_t pages)
{
	uint64_t i;

	if (give_back(b, first, pages) || pages == 1)
		return;
	for (i = 0; i < pages; i++)
		give_back(b, first + i, 1);
}

/* Runs of neighbours go together. */
static void inflate(struct vballoon *b, uint64_t bytes)
{
	uint64_t i, n = bytes / 4, first = 0, count = 0;

	for (i = 0; i < n; i++) {
		uint64_t page = get_le32(b->host.list + 4 * i);

		if (count && page == first + count && count < 512) {
			count++;
			continue;
		}
		if (count)
			give_back_run(b, first, count);
		first = page;
		count = 1;
	}
	if (count)
		give_back_run(b, first, count);
}

/* The chain's writable pieces are free pages (5.5.6.7). Returns the bytes. */
static uint64_t take_report(struct vballoon *b)
{
	uint64_t all = 0;
	const struct virtq_chain *c = &b->host.chain;
	const uint64_t mask = VBALLOON_PAGE_BYTES - 1;
	unsigned int i;

	for (i = c->reads; i < c->reads + c->writes; i++) {
		uintptr_t at = (uintptr_t)c->iov[i].iov_base;
		uint64_t skip = (-(uint64_t)at) & mask;
		uint64_t len = c->iov[i].iov_len;

		if (len < skip + VBALLOON_PAGE_BYTES)
			continue;
		len = (len - skip) & ~mask;
		b->cfg.discard(b->cfg.ctx, (uint8_t *)c->iov[i].iov_base + skip,
			       len);
		all += len;
	}
	return all;
}

/* --- statistics ------------------------------------------------------ */

static void take_stats(struct vballoon *b)
{
	uint8_t bytes[VBALLOON_STATS * STAT_BYTES * 2];
	uint64_t len = virtq_copy_out(&b->host.chain, 0, bytes, sizeof(bytes));
	uint64_t at;

	for (at = 0; at + STAT_BYTES <= len; at += STAT_BYTES) {
		uint16_t tag = get_le16(bytes + at);

		if (tag >= VBALLOON_STATS)
			continue;
		b->host.stat[tag] = get_le64(bytes + at + 2);
		b->host.has_stat |= 1u << tag;
	}
}

/* Hands the buffer back when somebody asked: the guest fills it anew. */
static void ask_for_stats(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock)
{
	struct vballoon *b = (struct vballoon *)v;

	if (!b->host.wants_stats || !b->st.has_buffer)
		return;
	b->host.wants_stats = false;
	b->st.has_buffer = false;
	virtq_push(&v->queue[q], b->st.buffer, 0);
}

/* --- queues ---------------------------------------------------------- */

/*
 * A guest may give up 16384 single pages at once. The lock is not held for
 * that long; a pause and a reset wait for it as for any request.
 */
static void take_pages(struct virtio *v, bool is_report) LOCK_NEEDS(v->lock)
{
	struct vballoon *b = (struct vballoon *)v;
	const struct virtq_chain *c = &b->host.chain;
	uint64_t reported = 0;

	virtio_begin(v);
	lock_release(&v->lock);
	if (is_report)
		reported = take_report(b);
	else
		inflate(b, virtq_copy_out(c, 0, b->host.list, LIST_BYTES));
	lock_take(&v->lock);
	b->host.reported_bytes += reported;
}

/* True: the chain is to be given back; false: it is kept. */
static bool serve_chain(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock)
{
	struct vballoon *b = (struct vballoon *)v;
	const struct virtq_chain *c = &b->host.chain;

	if (q == stats_queue(v)) {
		take_stats(b);
		if (b->st.has_buffer) {
			virtio_break(v, (int)q,
				     "a second buffer for statistics");
			return false;
		}
		b->st.has_buffer = true; /* INV-2 */
		b->st.buffer = c->head;
		return false;
	}
	if (q == reporting_queue(v)) {
		take_pages(v, true);
	} else if (q == INFLATE) {
		if (c->read_bytes > LIST_BYTES) {
			virtio_break(v, (int)q, "too many page numbers");
			return false;
		}
		take_pages(v, false);
	}
	return true;
}

static bool has_pages(const struct virtio *v, unsigned int q)
{
	return q == INFLATE || q == reporting_queue(v);
}

static bool serve(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock)
{
	struct vballoon *b = (struct vballoon *)v;
	unsigned int i;

	if (q == stats_queue(v))
		ask_for_stats(v, q);
	for (i = 0; i < ROUND; i++) {
		if (!virtio_may_work(v, q))
			return false;
		if (!virtio_pop(v, q, &b->host.chain))
			return virtio_ask(v, q);
		if (!serve_chain(v, q))
			continue;
		virtq_push(&v->queue[q], b->host.chain.head, 0);
		if (!has_pages(v, q))
			continue;
		virtio_end(v);
		return true; /* others on this thread get their turn */
	}
	return true;
}

static void vballoon_kicked(struct virtio *v, unsigned int q)
{
	virtio_loop_serve(v, q, serve);
}

/* --- the type's row -------------------------------------------------- */

static void vballoon_reset(struct virtio *v)
{
	struct vballoon *b = (struct vballoon *)v;

	b->st.actual = 0;
	b->st.has_buffer = false;
	b->host.has_stat = 0;
}

static void vballoon_get_config(struct virtio *v, uint8_t *bytes)
{
	const struct vballoon *b = (const struct vballoon *)v;

	put_le32(bytes + CFG_NUM_PAGES, b->st.target);
	put_le32(bytes + CFG_ACTUAL, b->st.actual);
}

static void vballoon_set_config(struct virtio *v, uint32_t offset, uint8_t size,
				uint64_t value)
{
	struct vballoon *b = (struct vballoon *)v;

	if (offset == CFG_ACTUAL && size == 4)
		b->st.actual = (uint32_t)value;
}

static void vballoon_sync(struct virtio *v, struct state_io *io)
{
	struct vballoon *b = (struct vballoon *)v;
	uint32_t target = b->st.target, actual = b->st.actual;
	bool has_buffer = b->st.has_buffer;
	uint16_t buffer = b->st.buffer;

	state_u32(io, &target);
	state_u32(io, &actual);
	state_bool(io, &has_buffer);
	state_u16(io, &buffer);
	if (!state_is_loading(io) || io->error)
		return;
	b->st.target = target;
	b->st.actual = actual;
	b->st.has_buffer = has_buffer;
	b->st.buffer = buffer;
}

static int vballoon_validate(const struct virtio *v, struct err *e)
{
	const struct vballoon *b = (const struct vballoon *)v;
	unsigned int q = stats_queue(v);

	if (b->st.has_buffer &&
	    (q >= QUEUES || b->st.buffer >= v->queue[q].st.size))
		return err_set(e, -EINVAL, "statistics buffer %u of queue %u",
			       b->st.buffer, q);
	return 0;
}

static int vballoon_restored(struct virtio *v, struct err *e)
{
	struct vballoon *b = (struct vballoon *)v;
	unsigned int q = stats_queue(v);

	return b->st.has_buffer ? virtq_claim(&v->queue[q], b->st.buffer, e)
				: 0;
}

static void set_target(struct virtio *v, uint32_t pages) LOCK_NEEDS(v->lock)
{
	struct vballoon *b = (struct vballoon *)v;

	if (b->st.target == pages)
		return;
	b->st.target = pages;
	virtio_config_changed(v);
}

/* A state that was loaded meanwhile knows nothing of it. */
static void vballoon_resumed(struct virtio *v) LOCK_NEEDS(v->lock)
{
	struct vballoon *b = (struct vballoon *)v;

	if (b->host.has_news)
		set_target(v, b->host.wanted);
	b->host.has_news = false;
}

static void vballoon_describe(struct virtio *v, struct buf *out)
{
	const struct vballoon *b = (const struct vballoon *)v;
	unsigned int i;

	buf_printf(out, "target_pages=%u\nactual_pages=%u\n", b->st.target,
		   b->st.actual);
	buf_printf(out, "reported_bytes=%llu\n",
		   (unsigned long long)b->host.reported_bytes);
	for (i = 0; i < VBALLOON_STATS; i++)
		if (b->host.has_stat >> i & 1)
			buf_printf(out, "guest_%s=%llu\n", stat_names[i],
				   (unsigned long long)b->host.stat[i]);
}

static const struct virtio_ops ops = {
	.id = ID_BALLOON,
	.reset = vballoon_reset,
	.get_config = vballoon_get_config,
	.set_config = vballoon_set_config,
	.sync = vballoon_sync,
	.validate = vballoon_validate,
	.restored = vballoon_restored,
	.describe = vballoon_describe,
	.resumed = vballoon_resumed,
	.kicked = vballoon_kicked,
};

static const struct device_ops device_ops = {
	.name = "virtio-balloon",
	.state_version = 1,
	VIRTIO_DEVICE_OPS,
};

/* --- life and use ---------------------------------------------------- */

int vballoon_create(struct vballoon **out, const struct vballoon_config *cfg,
		    struct err *e)
{
	struct virtio_config vc = cfg->virtio;
	struct vballoon *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_sys(e, -ENOMEM, "%s", vc.id);
	b->cfg = *cfg;
	vc.features = F_STATS_VQ | F_DEFLATE_ON_OOM | F_REPORTING;
	vc.queues = QUEUES;
	vc.queue_max = QUEUE_SIZE;
	vc.config_bytes = CONFIG_BYTES;
	r = virtio_init(&b->virtio, &device_ops, &ops, &vc, e);
	if (!r)
		r = virtio_loop_add(&b->host.loop, &b->virtio, cfg->loop, e);
	if (r) {
		vballoon_destroy(b);
		return r;
	}
	*out = b;
	return 0;
}

void vballoon_destroy(struct vballoon *b)
{
	if (!b)
		return;
	virtio_loop_remove(&b->host.loop);
	virtio_fini(&b->virtio);
	free(b);
}

struct virtio *vballoon_virtio(struct vballoon *b)
{
	return &b->virtio;
}

void vballoon_set_target(struct vballoon *b, uint32_t pages)
{
	struct virtio *v = &b->virtio;

	lock_take(&v->lock);
	set_target(v, pages);
	b->host.has_news = v->host.is_quiet;
	b->host.wanted = pages;
	lock_release(&v->lock);
}

void vballoon_get_stats(struct vballoon *b, struct vballoon_stats *out)
{
	struct virtio *v = &b->virtio;

	lock_take(&v->lock);
	out->target_pages = b->st.target;
	out->actual_pages = b->st.actual;
	out->reported_bytes = b->host.reported_bytes;
	out->has_driver = v->st.status & VIRTIO_DRIVER_OK;
	out->has_stat = b->host.has_stat;
	memcpy(out->stat, b->host.stat, sizeof(out->stat));
	b->host.wants_stats = true;
	if (b->st.has_buffer)
		virtio_kick(v, stats_queue(v));
	lock_release(&v->lock);
}
