/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cable that leads nowhere: frames go and none come. It can serve what any
 * other backend can, so that a guest that was on one of them finds its card as
 * it was. The card's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/net_backend.h"
#include "devices/vnet_format.h"

static int isolated_send(struct net_backend *b, unsigned int q,
			 const struct iovec *iov, unsigned int n)
{
	(void)b;
	(void)q;
	(void)iov;
	(void)n;
	return 0;
}

static int isolated_recv(struct net_backend *b, unsigned int q, uint8_t *buf,
			 uint32_t bytes)
{
	(void)b;
	(void)q;
	(void)buf;
	(void)bytes;
	return -EAGAIN;
}

static void isolated_destroy(struct net_backend *b)
{
	unsigned int q;

	for (q = 0; q < b->queues; q++)
		close(b->fd[q]);
	free(b);
}

static const struct net_backend_ops ops = {
	.name = "isolated",
	.send = isolated_send,
	.recv = isolated_recv,
	.destroy = isolated_destroy,
};

int net_isolated_create(struct net_backend **out, unsigned int queues,
			struct err *e)
{
	struct net_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return err_sys(e, -ENOMEM, "network card");
	*b = (struct net_backend){
		.ops = &ops,
		.has_header = true,
		.features = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 |
			    NET_F_GUEST_TSO6 | NET_F_HOST_TSO4 |
			    NET_F_HOST_TSO6,
	};
	for (; b->queues < queues; b->queues++) {
		/* Never readable. */
		b->fd[b->queues] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (b->fd[b->queues] < 0) {
			int r = err_sys(e, -errno, "network card");

			isolated_destroy(b);
			return r;
		}
	}
	*out = b;
	return 0;
}
