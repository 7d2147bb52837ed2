/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy. Requests are served on the loop's thread; registers by vCPU
 * threads (virtio.c). A request is answered with at most CHUNK_BYTES: the
 * driver asks again (5.4.6).
 */
#include "devices/vrng.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/bucket.h"
#include "base/clock.h"

#define ID_ENTROPY  4
#define QUEUE_SIZE  64
#define CHUNK_BYTES 4096
#define ROUND	    16 /* requests, then others get their turn */

struct vrng {
	struct virtio virtio;
	struct {
		struct virtio_loop loop;
		struct loop_timer timer; /* armed: the limit is reached */
		struct bucket bucket;
		struct virtq_chain chain;
		_Atomic uint64_t bytes;
	} host;
};

/* Returns the bytes written into the chain. */
static uint32_t fill(struct vrng *r)
{
	struct virtq_chain *c = &r->host.chain;
	uint8_t bytes[CHUNK_BYTES];
	uint64_t len =
		c->write_bytes < CHUNK_BYTES ? c->write_bytes : CHUNK_BYTES;
	ssize_t n = len ? getrandom(bytes, len, GRND_NONBLOCK) : 0;

	if (n <= 0)
		return 0;
	virtq_copy_in(c, 0, bytes, (uint64_t)n);
	bucket_take(&r->host.bucket, (uint64_t)n);
	atomic_fetch_add_explicit(&r->host.bytes, (uint64_t)n,
				  memory_order_relaxed);
	return (uint32_t)n;
}

static void on_timer(void *ctx)
{
	virtio_kick(ctx, 0);
}

/* Serves up to a round; true when more may be there. */
static bool serve(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock)
{
	struct vrng *r = (struct vrng *)v;
	uint64_t wait_ns;
	unsigned int i;

	for (i = 0; i < ROUND; i++) {
		wait_ns = bucket_wait_ns(&r->host.bucket, clock_mono_ns());
		if (wait_ns) {
			loop_arm(r->host.loop.loop, &r->host.timer, wait_ns,
				 on_timer, v);
			return false;
		}
		if (!virtio_pop(v, q, &r->host.chain))
			return virtio_ask(v, q);
		virtq_push(&v->queue[q], r->host.chain.head, fill(r));
	}
	return true;
}

static void vrng_kicked(struct virtio *v, unsigned int q)
{
	virtio_loop_serve(v, q, serve);
}

static void vrng_get_config(struct virtio *v, uint8_t *bytes)
{
	(void)v;
	(void)bytes; /* it has none */
}

static void vrng_describe(struct virtio *v, struct buf *out)
{
	const struct vrng *r = (const struct vrng *)v;

	buf_printf(out, "bytes=%llu\nbytes_per_s=%llu\n",
		   (unsigned long long)atomic_load(&r->host.bytes),
		   (unsigned long long)r->host.bucket.rate);
}

static const struct virtio_ops ops = {
	.id = ID_ENTROPY,
	.get_config = vrng_get_config,
	.describe = vrng_describe,
	.kicked = vrng_kicked,
};

static const struct device_ops device_ops = {
	.name = "virtio-rng",
	.state_version = 1,
	VIRTIO_DEVICE_OPS,
};

int vrng_create(struct vrng **out, const struct vrng_config *cfg, struct err *e)
{
	struct virtio_config vc = cfg->virtio;
	struct vrng *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_sys(e, -ENOMEM, "virtio-rng");
	vc.queues = 1;
	vc.queue_max = QUEUE_SIZE;
	bucket_init(&r->host.bucket, cfg->bytes_per_s, clock_mono_ns());
	rc = virtio_init(&r->virtio, &device_ops, &ops, &vc, e);
	if (!rc)
		rc = virtio_loop_add(&r->host.loop, &r->virtio, cfg->loop, e);
	if (rc) {
		vrng_destroy(r);
		return rc;
	}
	*out = r;
	return 0;
}

void vrng_destroy(struct vrng *r)
{
	if (!r)
		return;
	loop_disarm(&r->host.timer);
	virtio_loop_remove(&r->host.loop);
	virtio_fini(&r->virtio);
	free(r);
}

struct virtio *vrng_virtio(struct vrng *r)
{
	return &r->virtio;
}

uint64_t vrng_bytes(struct vrng *r)
{
	return atomic_load(&r->host.bytes);
}
