/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames through a tap interface (Linux, Documentation/networking/tuntap.rst).
 * The card's thread; opened by the machine's.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net_backend.h"
#include "devices/vnet_format.h"

#define TUN_DEVICE "/dev/net/tun"

static int tap_send(struct net_backend *b, unsigned int q,
		    const struct iovec *iov, unsigned int n)
{
	ssize_t r = writev(b->fd[q], iov, (int)n);

	return r < 0 ? -errno : 0;
}

static int tap_recv(struct net_backend *b, unsigned int q, uint8_t *buf,
		    uint32_t bytes)
{
	ssize_t r = read(b->fd[q], buf, bytes);

	if (r < 0)
		return errno == EBADFD || errno == EIO ? -EPIPE : -errno;
	return (int)r;
}

static void tap_set_offload(struct net_backend *b, uint64_t features)
{
	unsigned long flags = 0;
	unsigned int q;

	if (features & NET_F_GUEST_CSUM)
		flags |= TUN_F_CSUM;
	if (features & NET_F_GUEST_TSO4)
		flags |= TUN_F_TSO4;
	if (features & NET_F_GUEST_TSO6)
		flags |= TUN_F_TSO6;
	/* A kernel that knows less gives fewer large frames, no wrong ones. */
	for (q = 0; q < b->queues; q++)
		ioctl(b->fd[q], TUNSETOFFLOAD, flags);
}

static void tap_destroy(struct net_backend *b)
{
	unsigned int q;

	for (q = 0; q < b->queues; q++)
		close(b->fd[q]);
	free(b);
}

static const struct net_backend_ops ops = {
	.name = "tap",
	.send = tap_send,
	.recv = tap_recv,
	.set_offload = tap_set_offload,
	.destroy = tap_destroy,
};

static int open_error(int error, const char *name, struct err *e)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
		return err_set(e, -ENOENT,
			       "%s is missing: load the module tun, or use "
			       "--net user",
			       TUN_DEVICE);
	case EPERM:
	case EACCES:
		return err_set(e, -EPERM,
			       "tap %s: not permitted: have root make it "
			       "(ip tuntap add %s mode tap user $USER), or "
			       "use --net user",
			       name, *name ? name : "tap0");
	case EBUSY:
		return err_set(e, -EBUSY, "tap %s: in use by another process",
			       name);
	case EINVAL:
		return err_set(e, -EINVAL,
			       "tap %s: exists and is something else, or was "
			       "made with other flags (several queues need "
			       "multi_queue)",
			       name);
	default:
		return err_sys(e, -error, "tap %s", name);
	}
}

static int open_queue(struct net_backend *b, struct ifreq *ifr, struct err *e)
{
	int header = NET_HEADER_BYTES;
	int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return open_error(errno, ifr->ifr_name, e);
	b->fd[b->queues++] = fd;
	if (ioctl(fd, TUNSETIFF, ifr) < 0)
		return open_error(errno, ifr->ifr_name, e);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(e, -errno, "tap %s: header of %d bytes",
			       ifr->ifr_name, header);
	ioctl(fd, TUNSETOFFLOAD, 0);
	return 0;
}

/* An interface that is down drops all; one of somebody else stays as it is. */
static void bring_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return;
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(s, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP)) {
		ifr.ifr_flags |= IFF_UP;
		ioctl(s, SIOCSIFFLAGS, &ifr);
	}
	close(s);
}

int net_tap_open(struct net_backend **out, char *name, unsigned int queues,
		 struct err *e)
{
	struct net_backend *b = calloc(1, sizeof(*b));
	struct ifreq ifr = { .ifr_flags = 0 };
	unsigned int q;
	int r = 0;

	if (!b)
		return err_sys(e, -ENOMEM, "tap %s", name);
	b->ops = &ops;
	b->has_header = true;
	b->features = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 |
		      NET_F_GUEST_TSO6 | NET_F_HOST_TSO4 | NET_F_HOST_TSO6;
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	for (q = 0; q < queues && !r; q++)
		r = open_queue(b, &ifr, e);
	if (r) {
		tap_destroy(b);
		return r;
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	bring_up(name);
	*out = b;
	return 0;
}
