/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device: configuration, life, state (VIRTIO 1.2, 5.2). Made and
 * destroyed by the machine's thread; its own thread is in vblk_thread.c.
 * INV-1: what is held is saved by its heads and begun again after a restore.
 */
#include "devices/vblk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/thread.h"
#include "devices/vblk_private.h"

#define ID_BLOCK     2
#define CONFIG_BYTES 60
#define STACK_BYTES  (128 << 10)

/* Offsets in struct virtio_blk_config (5.2.4) */
enum {
	CFG_CAPACITY = 0,
	CFG_SEG_MAX = 12,
	CFG_BLK_SIZE = 20,
	CFG_PHYSICAL_EXP = 24,
	CFG_MIN_IO = 26,
	CFG_OPT_IO = 28,
	CFG_WRITEBACK = 32,
	CFG_NUM_QUEUES = 34,
	CFG_MAX_DISCARD_SECTORS = 36,
	CFG_MAX_DISCARD_SEG = 40,
	CFG_DISCARD_ALIGNMENT = 44,
	CFG_MAX_ZEROES_SECTORS = 48,
	CFG_MAX_ZEROES_SEG = 52,
	CFG_ZEROES_MAY_UNMAP = 56,
};

static void put_topology(uint8_t *bytes, const struct disk_info *info)
{
	uint32_t per_physical = info->physical_bytes / info->logical_bytes;
	uint8_t exp = 0;

	while (per_physical > 1) {
		per_physical /= 2;
		exp++;
	}
	put_le32(bytes + CFG_BLK_SIZE, info->logical_bytes);
	bytes[CFG_PHYSICAL_EXP] = exp;
	put_le16(bytes + CFG_MIN_IO,
		 (uint16_t)(info->physical_bytes / info->logical_bytes));
	put_le32(bytes + CFG_OPT_IO, 0);
}

static void vblk_get_config(struct virtio *v, uint8_t *bytes)
{
	const struct vblk *b = (const struct vblk *)v;
	const struct disk_info *info = &b->host.disk.info;

	put_le64(bytes + CFG_CAPACITY, info->bytes / DISK_SECTOR_BYTES);
	put_le32(bytes + CFG_SEG_MAX, VBLK_QUEUE_SIZE - 2);
	put_topology(bytes, info);
	bytes[CFG_WRITEBACK] = b->st.writeback;
	put_le16(bytes + CFG_NUM_QUEUES, (uint16_t)v->cfg.queues);
	put_le32(bytes + CFG_MAX_DISCARD_SECTORS, VBLK_RANGE_SECTORS);
	put_le32(bytes + CFG_MAX_DISCARD_SEG, VBLK_SEGMENTS);
	put_le32(bytes + CFG_DISCARD_ALIGNMENT,
		 info->discard_bytes / DISK_SECTOR_BYTES);
	/* A file system that can't zero a range has them written. */
	put_le32(bytes + CFG_MAX_ZEROES_SECTORS,
		 VBLK_TRANSFER_MAX / DISK_SECTOR_BYTES);
	put_le32(bytes + CFG_MAX_ZEROES_SEG, 1);
	bytes[CFG_ZEROES_MAY_UNMAP] = info->can_discard;
}

/* Only the write-back bit may be written, by whoever negotiated it. */
static void vblk_set_config(struct virtio *v, uint32_t offset, uint8_t size,
			    uint64_t value)
{
	struct vblk *b = (struct vblk *)v;

	if (offset == CFG_WRITEBACK && size == 1 &&
	    virtio_has(v, VBLK_F_CONFIG_WCE))
		b->st.writeback = value & 1;
}

static bool default_writeback(const struct vblk *b)
{
	return b->host.disk.info.cache != DISK_WRITETHROUGH;
}

void vblk_drop_held(struct virtio *v)
{
	struct vblk *b = (struct vblk *)v;
	struct vblk_request *r = b->host.held.head, *next;

	for (; r; r = next) {
		next = r->next;
		r->next = b->host.free;
		b->host.free = r;
	}
	vblk_list_init(&b->host.held);
	b->host.is_held = b->host.retry = false;
	atomic_store(&b->counters.held, 0);
}

static void vblk_reset(struct virtio *v) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;

	vblk_drop_held(v);
	b->st.writeback = default_writeback(b);
}

static void vblk_resumed(struct virtio *v)
{
	struct vblk *b = (struct vblk *)v;

	if (!b->host.is_held)
		return;
	b->host.retry = true;
	vblk_wake(b);
}

void vblk_note_disk(struct vblk *b)
{
	b->host.disk.info = *disk_get_info(b->cfg.disk);
	snprintf(b->host.disk.path, sizeof(b->host.disk.path), "%s",
		 disk_path(b->cfg.disk));
}

void vblk_get_disk(struct vblk *b, struct disk_info *info, char *path,
		   size_t bytes)
{
	lock_take(&b->virtio.lock);
	*info = b->host.disk.info;
	snprintf(path, bytes, "%s", b->host.disk.path);
	lock_release(&b->virtio.lock);
}

/* --- state ----------------------------------------------------------- */

static void sync_held(struct vblk *b, struct state_io *io)
{
	const struct vblk_request *r = b->host.held.head;
	uint32_t count = (uint32_t)atomic_load(&b->counters.held), i;
	uint16_t queue, head;

	state_u32(io, &count);
	if (state_is_loading(io)) {
		/* The heads are claimed in restored(), by then with rings. */
		b->host.loaded.count = count <= VBLK_REQUESTS ? count : 0;
		if (count > VBLK_REQUESTS)
			io->error = -EBADMSG;
		for (i = 0; i < b->host.loaded.count; i++) {
			state_u16(io, &b->host.loaded.queue[i]);
			state_u16(io, &b->host.loaded.head[i]);
		}
		return;
	}
	for (; r; r = r->next) {
		queue = (uint16_t)r->queue;
		head = r->chain.head;
		state_u16(io, &queue);
		state_u16(io, &head);
	}
}

static void vblk_sync(struct virtio *v, struct state_io *io) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;
	bool writeback = b->st.writeback;

	state_bool(io, &writeback);
	sync_held(b, io);
	if (!state_is_loading(io) || io->error)
		return;
	b->st.writeback = writeback;
	vblk_drop_held(v); /* the rings they came from are gone */
}

static int vblk_validate(const struct virtio *v, struct err *e)
{
	const struct vblk *b = (const struct vblk *)v;
	unsigned int i;

	for (i = 0; i < b->host.loaded.count; i++) {
		uint16_t q = b->host.loaded.queue[i];

		if (q >= v->cfg.queues || !v->queue[q].st.ready ||
		    b->host.loaded.head[i] >= v->queue[q].st.size)
			return err_set(e, -EINVAL,
				       "held request %u: head %u of queue %u",
				       i, b->host.loaded.head[i], q);
	}
	return 0;
}

static int restore_held(struct virtio *v, unsigned int q, uint16_t head,
			struct err *e) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;
	struct vblk_request *r = b->host.free;
	int rc;

	if (!r)
		return err_set(e, -EBADMSG, "too many held requests");
	rc = virtq_claim(&v->queue[q], head, e);
	if (!rc)
		rc = virtq_again(&v->queue[q], head, &r->chain, e);
	if (!rc)
		rc = vblk_request_parse(r, e);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(e, -EBADMSG, "a held request is none");
	b->host.free = r->next;
	r->queue = q;
	r->began_ns = clock_mono_ns();
	vblk_list_add(&b->host.held, r);
	atomic_fetch_add(&b->counters.held, 1);
	b->host.is_held = true;
	return 0;
}

static int vblk_restored(struct virtio *v, struct err *e) LOCK_NEEDS(v->lock)
{
	struct vblk *b = (struct vblk *)v;
	unsigned int i;
	int r = 0;

	vblk_drop_held(v);
	for (i = 0; i < b->host.loaded.count && !r; i++)
		r = restore_held(v, b->host.loaded.queue[i],
				 b->host.loaded.head[i], e);
	b->host.loaded.count = 0;
	return r;
}

static void vblk_describe(struct virtio *v, struct buf *out)
{
	struct vblk *b = (struct vblk *)v;
	const struct disk_info *info = &b->host.disk.info;
	struct vblk_stats s;

	vblk_get_stats(b, &s);
	buf_printf(out, "path=%s\nformat=%s\nbytes=%llu\ncache=%s\n",
		   b->host.disk.path, disk_format_text(info->format),
		   (unsigned long long)info->bytes,
		   disk_cache_text(info->cache));
	buf_printf(out, "read_only=%d\nwriteback=%d\nengine=%s\n",
		   info->read_only, b->st.writeback, s.engine);
	buf_printf(out, "reads=%llu\nwrites=%llu\nflushes=%llu\n",
		   (unsigned long long)s.ops[VBLK_READ],
		   (unsigned long long)s.ops[VBLK_WRITE],
		   (unsigned long long)s.ops[VBLK_FLUSH]);
	buf_printf(out, "errors=%llu\nrejected=%llu\nheld=%llu\npoisoned=%d\n",
		   (unsigned long long)s.errors, (unsigned long long)s.rejected,
		   (unsigned long long)s.held, s.is_poisoned);
}

static const struct virtio_ops ops = {
	.id = ID_BLOCK,
	.reset = vblk_reset,
	.get_config = vblk_get_config,
	.set_config = vblk_set_config,
	.sync = vblk_sync,
	.validate = vblk_validate,
	.restored = vblk_restored,
	.describe = vblk_describe,
	.resumed = vblk_resumed,
};

static const struct device_ops device_ops = {
	.name = "virtio-blk",
	.state_version = 1,
	VIRTIO_DEVICE_OPS,
};

/* --- life ------------------------------------------------------------ */

static uint64_t features(const struct vblk_config *cfg)
{
	const struct disk_info *info = disk_get_info(cfg->disk);
	uint64_t f = VBLK_F_SEG_MAX | VBLK_F_BLK_SIZE | VBLK_F_TOPOLOGY;

	if (info->read_only)
		return f | VBLK_F_RO | (cfg->queues > 1 ? VBLK_F_MQ : 0);
	/* Where each write is durable there is nothing to flush. */
	if (info->cache != DISK_WRITETHROUGH)
		f |= VBLK_F_FLUSH | VBLK_F_CONFIG_WCE;
	if (info->can_discard)
		f |= VBLK_F_DISCARD;
	f |= VBLK_F_WRITE_ZEROES;
	return f | (cfg->queues > 1 ? VBLK_F_MQ : 0);
}

static int make_requests(struct vblk *b)
{
	unsigned int i;

	b->host.requests = calloc(VBLK_REQUESTS, sizeof(*b->host.requests));
	if (!b->host.requests)
		return -ENOMEM;
	for (i = VBLK_REQUESTS; i-- > 0;) {
		struct vblk_request *r = &b->host.requests[i];

		r->vblk = b;
		r->next = b->host.free;
		b->host.free = r;
	}
	return 0;
}

static int set_up(struct vblk *b, struct err *e)
{
	struct virtio_config vc = b->cfg.virtio;
	int r;

	vc.features = features(&b->cfg);
	vc.queues = b->cfg.queues;
	vc.queue_max = VBLK_QUEUE_SIZE;
	vc.config_bytes = CONFIG_BYTES;
	r = virtio_init(&b->virtio, &device_ops, &ops, &vc, e);
	if (r)
		return r;
	b->host.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->host.wake_fd < 0)
		return err_sys(e, -errno, "%s: eventfd", vc.id);
	r = make_requests(b);
	if (r)
		return err_sys(e, r, "%s: %u requests", vc.id, VBLK_REQUESTS);
	r = ioq_open(&b->host.ioq, b->cfg.engine, VBLK_REQUESTS,
		     b->cfg.file_ops, e);
	if (r) {
		err_prefix(e, "%s", vc.id);
		return r;
	}
	disk_attach(b->cfg.disk, b->host.ioq);
	return vblk_watch(b, e);
}

int vblk_create(struct vblk **out, const struct vblk_config *cfg, struct err *e)
{
	struct vblk *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_sys(e, -ENOMEM, "%s", cfg->virtio.id);
	b->cfg = *cfg;
	b->host.wake_fd = -1;
	pthread_cond_init(&b->host.order.changed, NULL);
	vblk_list_init(&b->host.finished);
	vblk_list_init(&b->host.held);
	vblk_set_limits(b, cfg->bytes_per_s, cfg->ops_per_s);
	vblk_note_disk(b);
	b->st.writeback = default_writeback(b);
	r = set_up(b, e);
	if (r) {
		b->cfg.disk = NULL; /* stays the caller's */
		vblk_destroy(b);
		return r;
	}
	*out = b;
	return 0;
}

int vblk_start(struct vblk *b, struct err *e)
{
	int r = thread_start(&b->host.thread, STACK_BYTES, 0, vblk_main, b);

	if (r)
		return err_sys(e, r, "thread of %s", b->virtio.cfg.id);
	b->host.has_thread = true;
	return 0;
}

void vblk_destroy(struct vblk *b)
{
	if (!b)
		return;
	if (b->host.has_thread) {
		atomic_store(&b->host.is_stopping, true);
		vblk_wake(b);
		pthread_join(b->host.thread, NULL);
	}
	vblk_end_merge(b, -ECANCELED, "the disk is closed");
	ioq_close(b->host.ioq);
	disk_close(b->cfg.disk);
	if (b->host.wake_fd >= 0)
		close(b->host.wake_fd);
	free(b->host.requests);
	pthread_cond_destroy(&b->host.order.changed);
	virtio_fini(&b->virtio);
	free(b);
}

struct virtio *vblk_virtio(struct vblk *b)
{
	return &b->virtio;
}

void vblk_set_limits(struct vblk *b, uint64_t bytes_per_s, uint64_t ops_per_s)
{
	atomic_store(&b->host.limits.bytes_per_s, bytes_per_s);
	atomic_store(&b->host.limits.number_per_s, ops_per_s);
	if (b->host.has_thread)
		vblk_wake(b);
}

int vblk_may_resume(struct vblk *b, bool accept, struct err *e)
{
	if (!atomic_load(&b->counters.is_poisoned))
		return 0;
	if (!accept)
		return err_set(e, -EIO,
			       "%s: a flush failed, so that what was written "
			       "since the one before may be lost",
			       b->virtio.cfg.id);
	/* Known at once; the disk is told by its own thread. */
	atomic_store(&b->counters.is_poisoned, false);
	atomic_store(&b->host.accept, true);
	vblk_wake(b);
	return 0;
}

void vblk_get_stats(struct vblk *b, struct vblk_stats *out)
{
	const struct vblk_counters *c = &b->counters;
	unsigned int k, n;

	*out = (struct vblk_stats){
		.errors = atomic_load(&c->errors),
		.rejected = atomic_load(&c->rejected),
		.in_flight = atomic_load(&c->in_flight),
		.oldest_ns = atomic_load(&c->oldest_ns),
		.held = atomic_load(&c->held),
		.is_poisoned = atomic_load(&c->is_poisoned),
		.bytes_per_s = atomic_load(&b->host.limits.bytes_per_s),
		.ops_per_s = atomic_load(&b->host.limits.number_per_s),
		.engine = ioq_engine_name(b->host.ioq),
		.merge_done = atomic_load(&c->merge_done),
		.merge_bytes = atomic_load(&c->merge_bytes),
	};
	for (k = 0; k < VBLK_KINDS; k++) {
		out->ops[k] = atomic_load(&c->ops[k]);
		out->bytes[k] = atomic_load(&c->bytes[k]);
		for (n = 0; n < VBLK_HISTOGRAM; n++)
			out->latency[k][n] = atomic_load(&c->latency[k][n]);
	}
}
