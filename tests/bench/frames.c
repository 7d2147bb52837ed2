/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames INTERFACE BYTES: sends numbered broadcast frames, as net-bench wants
 * them, into an interface as fast as it takes them, until it is killed or its
 * standard input ends. A full interface is waited for, so that nothing is
 * sent in vain and the sender leaves its CPU to who receives. One thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	   64
#define FRAME_MIN  22
#define FRAME_MAX  1514
#define TYPE_TEST  0x88b5 /* IEEE 802 local experimental */
#define HEAD	   14
#define WAIT_NS	   50000 /* for a full interface */
#define LOOK_EVERY 64	 /* batches between looks at standard input */

static uint8_t frame[BATCH][FRAME_MAX];
static struct iovec iov[BATCH];
static struct mmsghdr message[BATCH];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "frames: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_socket(const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

	to.sll_ifindex = (int)if_nametoindex(name);
	if (s < 0 || !to.sll_ifindex)
		fail(name);
	if (bind(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("bind");
	/* Straight to the driver, which says when it is full. */
	if (setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		fail("PACKET_QDISC_BYPASS");
	return s;
}

static void prepare(size_t bytes)
{
	static const uint8_t from[6] = { 0x02, 0, 0, 0, 0, 1 };
	unsigned int i;

	for (i = 0; i < BATCH; i++) {
		memset(frame[i], 0xff, 6);
		memcpy(frame[i] + 6, from, sizeof(from));
		frame[i][12] = TYPE_TEST >> 8;
		frame[i][13] = TYPE_TEST & 0xff;
		iov[i] = (struct iovec){ frame[i], bytes };
		message[i].msg_hdr.msg_iov = &iov[i];
		message[i].msg_hdr.msg_iovlen = 1;
	}
}

/* Sends frames from number `first` on; returns how many were taken. */
static unsigned int send_batch(int s, uint64_t first)
{
	unsigned int i;
	uint64_t n;
	int r;

	for (i = 0; i < BATCH; i++) {
		n = first + i;
		memcpy(frame[i] + HEAD, &n, sizeof(n));
	}
	r = sendmmsg(s, message, BATCH, 0);
	if (r > 0)
		return (unsigned int)r;
	if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		fail("sendmmsg");
	nanosleep(&(struct timespec){ 0, WAIT_NS }, NULL);
	return 0;
}

static int has_ended(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	return poll(&in, 1, 0) > 0;
}

int main(int argc, char **argv)
{
	uint64_t sent = 0, round;
	size_t bytes;
	int s;

	if (argc != 3)
		return 2;
	bytes = strtoul(argv[2], NULL, 10);
	if (bytes < FRAME_MIN || bytes > FRAME_MAX)
		return 2;
	s = open_socket(argv[1]);
	prepare(bytes);
	for (round = 0; round % LOOK_EVERY || !has_ended(); round++)
		sent += send_batch(s, sent);
	printf("sent=%llu\n", (unsigned long long)sent);
	return 0;
}
