/* SPDX-License-Identifier: Apache-2.0 */
/* From eventfds on a loop to ops->kicked(). The loop's thread. */
#include "devices/virtio_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

static void on_kick(void *ctx, uint32_t events)
{
	struct virtio_loop_queue *queue = ctx;
	struct virtio *v = queue->v;
	uint64_t count;

	(void)events;
	if (read(queue->watch.fd, &count, sizeof(count)) != sizeof(count))
		return;
	atomic_fetch_add_explicit(&v->counters.kicks, 1, memory_order_relaxed);
	v->ops->kicked(v, queue->q);
}

int virtio_loop_add(struct virtio_loop *l, struct virtio *v, struct loop *loop,
		    struct err *e)
{
	unsigned int q;
	int r;

	l->loop = loop;
	for (q = 0; q < v->cfg.queues; q++) {
		l->queue[q].v = v;
		l->queue[q].q = q;
		r = loop_add(loop, &l->queue[q].watch, v->host.kick[q], EPOLLIN,
			     on_kick, &l->queue[q]);
		if (r)
			return err_sys(e, r, "%s: watching queue %u", v->cfg.id,
				       q);
	}
	return 0;
}

void virtio_loop_serve(struct virtio *v, unsigned int q,
		       bool (*serve)(struct virtio *v, unsigned int q))
{
	lock_take(&v->lock);
	if (virtio_may_work(v, q)) {
		if (serve(v, q))
			virtio_kick(v, q);
		virtio_tell(v, q);
	}
	lock_release(&v->lock);
}

void virtio_loop_remove(struct virtio_loop *l)
{
	unsigned int q;

	for (q = 0; q < VIRTIO_QUEUES_MAX; q++)
		loop_remove(&l->queue[q].watch);
}
