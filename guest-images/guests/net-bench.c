/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-bench: mode=tx (default) sends frames=N (default 100000) numbered
 * broadcast frames of bytes=N (default 60) as fast as they go; mode=rx takes
 * them and counts until the last one of frames= or quiet_ms=N (1000) without
 * any. Prints frames, bytes, nanoseconds (rx: from the first to the last one)
 * and, for rx, the numbers that were missing and those out of order.
 * FAIL 1: bytes is not in 22 to 1514.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/net.h"

#define TYPE_TEST 0x88b5 /* IEEE 802 local experimental */
#define HEAD	  14
#define BYTES_MIN 22 /* with the number */
#define BATCH	  32
#define TICK_NS	  10000000

static struct {
	uint64_t frames, bytes, quiet_ns;
	uint64_t done, done_bytes, backwards, next, first_ns, last_ns;
} job;

static struct net net;

static void fill(uint8_t *frame, uint64_t number)
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, net.mac, 6);
	net_put16(frame + 12, TYPE_TEST);
	memcpy(frame + HEAD, &number, sizeof(number));
}

static void send_all(void)
{
	job.first_ns = clock_ns();
	for (job.done = 0; job.done < job.frames; job.done++) {
		struct net_buffer *b = net_take(&net);

		fill(b->frame, job.done);
		net_send(&net, b, (unsigned)job.bytes);
		if (job.done % BATCH == BATCH - 1)
			net_flush(&net);
	}
	net_drain(&net);
	job.last_ns = clock_ns();
	job.done_bytes = job.done * job.bytes;
	job.next = job.done;
}

static void count(const uint8_t *frame, unsigned bytes)
{
	uint64_t number;

	if (bytes < BYTES_MIN || net_get16(frame + 12) != TYPE_TEST)
		return;
	memcpy(&number, frame + HEAD, sizeof(number));
	job.last_ns = clock_ns();
	if (job.done++ == 0)
		job.first_ns = job.last_ns;
	job.done_bytes += bytes;
	if (number < job.next)
		job.backwards++;
	else
		job.next = number + 1;
}

static bool is_quiet(void)
{
	return job.done > 0 && clock_ns() - job.last_ns > job.quiet_ns;
}

static void receive_all(void)
{
	unsigned bytes, taken = 0;

	while (job.next < job.frames && !is_quiet()) {
		uint32_t seen = net.dev->interrupts;
		struct net_buffer *b = net_poll(&net, &bytes);

		if (b) {
			count(b->frame, bytes);
			net_give(&net, b);
			if (++taken % BATCH == 0)
				virtq_kick(&net.rx);
			continue;
		}
		virtq_kick(&net.rx);
		virtio_wait(net.dev, seen);
	}
}

static uint64_t run(void *dev)
{
	net_start(&net, dev);
	if (job.bytes < BYTES_MIN || job.bytes > NET_FRAME_MAX)
		return 1;
	if (arg_is("mode", "rx"))
		receive_all();
	else
		send_all();
	line_begin();
	line_u64("frames", job.done);
	line_u64("bytes", job.done_bytes);
	line_u64("ns", job.last_ns - job.first_ns);
	line_u64("missing", job.next - (job.done - job.backwards));
	line_u64("backwards", job.backwards);
	line_u64("interrupts", net.dev->interrupts);
	line_end();
	return 0;
}

void guest_main(void)
{
	job.frames = arg_u64("frames", 100000);
	job.bytes = arg_u64("bytes", 60);
	job.quiet_ns = arg_u64("quiet_ms", 1000) * 1000000;
	if (arg_is("mode", "rx"))
		virtio_tick(TICK_NS);
	virtio_guest(VIRTIO_ID_NET, run);
}

GUEST_PVH;
