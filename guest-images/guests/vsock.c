/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock: one stream at a time over the socket device (VIRTIO 1.2, 5.10). By
 * default it connects to the host (cid=N, default 2) at port=N (1024), sends
 * the line hello=amber, prints the first line that comes back as answer=, then
 * sends bytes=N (0) of a pattern and takes as many back, which must be the
 * same (`bad` counts those that are not), and shuts the stream down.
 * mode=listen takes connections=N (1) at that port and sends all back. When the
 * host says that the transport was reset (5.10.6.7) the stream has ended; how
 * often that was is in transport_resets=.
 *
 * Credit is kept on both sides: never more under way than the peer has room
 * for, and the peer's excess is FAIL 3. FAIL 1: refused or reset, FAIL 2: the
 * pattern came back wrong.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/virtio.h"

#define TYPE_STREAM   1
#define SHUTDOWN_BOTH 3
#define RING_BYTES    65536u /* our buf_alloc */
#define TELL_BYTES    16384u /* taken, before the peer is told */
#define PACKET_BYTES  4096u
#define RX_PACKETS    32
#define LINE_BYTES    200
#define CLIENT_PORT   4000

enum op {
	OP_REQUEST = 1,
	OP_RESPONSE,
	OP_RST,
	OP_SHUTDOWN,
	OP_RW,
	OP_CREDIT_UPDATE,
	OP_CREDIT_REQUEST,
};

struct header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

struct packet {
	struct header h;
	uint8_t data[PACKET_BYTES];
};

enum state { CLOSED, ASKED, OPEN, ENDING };

/* The stream; counters run over, as those in the packets do. */
static struct {
	enum state state;
	uint64_t peer_cid;
	uint32_t peer_port, port;
	uint32_t peer_alloc, peer_taken, sent;
	uint32_t came, taken, told; /* into and out of the ring */
	bool asked_credit;
	uint8_t ring[RING_BYTES];
} stream;

static struct virtio_dev *dev;
static struct virtq rx, tx, events;
static struct packet in[RX_PACKETS], out;
static uint8_t event[8];
static uint64_t cid, updates, requests, packets, transport_resets;
static bool listening, was_reset;

static void give(struct packet *p)
{
	struct virtio_buf buf = { p, sizeof(*p) };

	if (!virtq_add(&rx, &buf, 0, 1, p))
		guest_fail(FAIL_NO_QUEUE);
}

/* out.data holds the n bytes. */
static void send_to(uint64_t to_cid, uint32_t to_port, uint32_t from_port,
		    enum op op, uint32_t n, uint32_t flags)
{
	struct virtio_buf buf = { &out, (uint32_t)sizeof(out.h) + n };

	out.h = (struct header){
		.src_cid = cid,
		.dst_cid = to_cid,
		.src_port = from_port,
		.dst_port = to_port,
		.len = n,
		.type = TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = RING_BYTES,
		.fwd_cnt = stream.taken,
	};
	stream.told = stream.taken;
	virtq_add(&tx, &buf, 1, 0, &out);
	virtq_kick(&tx);
	virtq_wait(&tx, NULL);
}

static void send(enum op op, uint32_t n, uint32_t flags)
{
	send_to(stream.peer_cid, stream.peer_port, stream.port, op, n, flags);
}

static bool is_ours(const struct header *h)
{
	return stream.state != CLOSED && h->src_cid == stream.peer_cid &&
	       h->src_port == stream.peer_port && h->dst_port == stream.port;
}

static void open_stream(enum state state, uint64_t peer, uint32_t peer_port,
			uint32_t port)
{
	stream.state = state;
	stream.peer_cid = peer;
	stream.peer_port = peer_port;
	stream.port = port;
	stream.peer_alloc = stream.peer_taken = stream.sent = 0;
	stream.came = stream.taken = stream.told = 0;
	stream.asked_credit = false;
	was_reset = false;
}

static void on_request(const struct header *h)
{
	if (!listening || stream.state != CLOSED ||
	    h->dst_port != arg_u64("port", 1024)) {
		send_to(h->src_cid, h->src_port, h->dst_port, OP_RST, 0, 0);
		return;
	}
	open_stream(OPEN, h->src_cid, h->src_port, h->dst_port);
	stream.peer_alloc = h->buf_alloc;
	stream.peer_taken = h->fwd_cnt;
	send(OP_RESPONSE, 0, 0);
}

static void on_data(const struct packet *p)
{
	uint32_t i, n = p->h.len;

	if (n > PACKET_BYTES || stream.came - stream.taken + n > RING_BYTES)
		guest_fail(3);
	for (i = 0; i < n; i++)
		stream.ring[(stream.came + i) % RING_BYTES] = p->data[i];
	stream.came += n;
}

static void on_stream(const struct packet *p)
{
	stream.peer_alloc = p->h.buf_alloc;
	stream.peer_taken = p->h.fwd_cnt;
	switch (p->h.op) {
	case OP_RESPONSE:
		stream.state = OPEN;
		break;
	case OP_RST:
		was_reset = stream.state != ENDING;
		stream.state = CLOSED;
		break;
	case OP_SHUTDOWN:
		stream.state = ENDING;
		break;
	case OP_RW:
		on_data(p);
		break;
	case OP_CREDIT_UPDATE:
		updates++;
		stream.asked_credit = false;
		break;
	case OP_CREDIT_REQUEST:
		requests++;
		send(OP_CREDIT_UPDATE, 0, 0);
		break;
	default:
		break;
	}
}

static void offer_event(void)
{
	struct virtio_buf buf = { event, sizeof(event) };

	virtq_add(&events, &buf, 0, 1, event);
	virtq_kick(&events);
}

/* There is one event, and it says that no stream is any more (5.10.6.7). */
static void take_event(void)
{
	void *token;

	if (!virtq_take(&events, &token, NULL))
		return;
	cid = virtio_config64(dev, 0);
	was_reset = stream.state != CLOSED;
	stream.state = CLOSED;
	fact_u64("transport_resets", ++transport_resets);
	offer_event();
}

/* One packet, or a sleep when there is none and one is wanted. */
static bool pump(bool sleep)
{
	uint32_t seen = dev->interrupts, bytes;
	void *token;
	struct packet *p;

	take_event();
	if (!virtq_take(&rx, &token, &bytes)) {
		if (sleep)
			virtio_wait(dev, seen);
		return false;
	}
	p = token;
	packets++;
	if (bytes >= sizeof(p->h) && p->h.dst_cid == cid) {
		if (p->h.op == OP_REQUEST)
			on_request(&p->h);
		else if (is_ours(&p->h))
			on_stream(p);
		else if (p->h.op != OP_RST)
			send_to(p->h.src_cid, p->h.src_port, p->h.dst_port,
				OP_RST, 0, 0);
	}
	give(p);
	virtq_kick(&rx);
	return true;
}

/* What may be sent now; asks once when it is nothing. */
static uint32_t credit(void)
{
	uint32_t room = stream.peer_alloc - (stream.sent - stream.peer_taken);

	if (room == 0 && !stream.asked_credit && stream.state == OPEN) {
		stream.asked_credit = true;
		send(OP_CREDIT_REQUEST, 0, 0);
	}
	return room < PACKET_BYTES ? room : PACKET_BYTES;
}

static void send_data(uint32_t n)
{
	stream.sent += n;
	send(OP_RW, n, 0);
}

static uint8_t take_byte(void)
{
	uint8_t byte = stream.ring[stream.taken++ % RING_BYTES];

	if (stream.taken - stream.told >= TELL_BYTES)
		send(OP_CREDIT_UPDATE, 0, 0);
	return byte;
}

static bool has_ended(void)
{
	return stream.state == CLOSED || stream.state == ENDING;
}

static void send_line(const char *text)
{
	uint32_t n = 0;

	while (text[n])
		n++;
	while (credit() < n && !has_ended())
		pump(true);
	memcpy(out.data, text, n);
	send_data(n);
}

static bool read_line(char line[LINE_BYTES])
{
	unsigned used = 0;

	for (;;) {
		if (stream.came == stream.taken) {
			if (has_ended())
				return false;
			pump(true);
			continue;
		}
		line[used] = (char)take_byte();
		if (line[used] == '\n' || used == LINE_BYTES - 1)
			break;
		used++;
	}
	line[used] = '\0';
	return true;
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(virtio_mix(at / 8 + 1) >> at % 8 * 8);
}

/* Sends and takes back at once, as much as both sides have room for. */
static uint64_t exchange(uint64_t bytes)
{
	uint64_t sent = 0, back = 0, bad = 0;
	uint32_t i, n;

	while (back < bytes && !(has_ended() && stream.came == stream.taken)) {
		bool idle = !pump(false);

		for (; stream.came != stream.taken; back++, idle = false)
			bad += take_byte() != pattern(back);
		if (sent == bytes || has_ended() || (n = credit()) == 0) {
			if (idle)
				pump(true);
			continue;
		}
		if (n > bytes - sent)
			n = (uint32_t)(bytes - sent);
		for (i = 0; i < n; i++)
			out.data[i] = pattern(sent + i);
		send_data(n);
		sent += n;
	}
	return bad + (bytes - back);
}

static void end_stream(void)
{
	if (stream.state == OPEN) {
		stream.state = ENDING;
		send(OP_SHUTDOWN, 0, SHUTDOWN_BOTH);
		while (stream.state != CLOSED)
			pump(true);
	} else if (stream.state == ENDING) {
		send(OP_RST, 0, 0);
		stream.state = CLOSED;
	}
}

static uint64_t connect(void)
{
	uint64_t bytes = arg_u64("bytes", 0), bad;
	char line[LINE_BYTES];
	uint64_t ns;

	open_stream(ASKED, arg_u64("cid", 2), (uint32_t)arg_u64("port", 1024),
		    CLIENT_PORT);
	send(OP_REQUEST, 0, 0);
	while (stream.state == ASKED)
		pump(true);
	fact_u64("connected", stream.state == OPEN);
	if (stream.state != OPEN)
		return 1;
	send_line("hello=amber\n");
	if (!read_line(line))
		return 1;
	fact_text("answer", line);
	ns = clock_ns();
	bad = exchange(bytes);
	ns = clock_ns() - ns;
	line_begin();
	line_u64("bytes", bytes);
	line_u64("bad", bad);
	line_u64("ns", ns);
	line_end();
	end_stream();
	return bad ? 2 : 0;
}

/* Until the peer ends it and all was sent back. */
static uint64_t echo(void)
{
	uint64_t total = 0;
	uint32_t i, n;

	while (!(has_ended() && stream.came == stream.taken) && !was_reset) {
		n = stream.came - stream.taken;
		if (n == 0 || credit() == 0) {
			if (stream.state == CLOSED)
				break;
			pump(true);
			continue;
		}
		if (n > credit())
			n = credit();
		for (i = 0; i < n; i++)
			out.data[i] =
				stream.ring[(stream.taken + i) % RING_BYTES];
		stream.taken += n;
		send_data(n);
		total += n;
	}
	return total;
}

static uint64_t serve(void)
{
	uint64_t left = arg_u64("connections", 1);

	listening = true;
	while (left-- > 0) {
		while (stream.state == CLOSED)
			pump(true);
		fact_u64("echoed", echo());
		end_stream();
	}
	return 0;
}

static void start(void)
{
	unsigned i;

	virtio_start(dev, 0);
	virtq_init(&rx, dev, 0, RX_PACKETS);
	virtq_init(&tx, dev, 1, 8);
	virtq_init(&events, dev, 2, 8);
	virtio_go(dev);
	cid = virtio_config64(dev, 0);
	fact_u64("cid", cid);
	for (i = 0; i < rx.size; i++)
		give(&in[i]);
	virtq_kick(&rx);
	offer_event();
}

static uint64_t run(void *device)
{
	uint64_t failed;

	dev = device;
	start();
	failed = arg_is("mode", "listen") ? serve() : connect();
	line_begin();
	line_u64("packets", packets);
	line_u64("credit_updates", updates);
	line_u64("credit_requests", requests);
	line_end();
	return failed;
}

void guest_main(void)
{
	virtio_guest(VIRTIO_ID_VSOCK, run);
}

GUEST_PVH;
