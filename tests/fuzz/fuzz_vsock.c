/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the socket device: the input is a list of packets of a guest, in
 * any shape, and of what programs of the host, the driver and the machine do
 * in between. Promises on the way: what the guest gets is well-formed, no
 * more connections than the limit, and a state that was reached is valid.
 */
#define STEPS_MAX 4
#include "tests/unit/vsock_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPS_MAX	 256
#define PROGRAMS 8

struct reader {
	const uint8_t *at, *end;
};

struct world {
	struct host host;
	struct reader in;
	int listener, fd[PROGRAMS];
	bool is_strange; /* a receive buffer lies anywhere */
};

static uint8_t next(struct reader *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static uint32_t next32(struct reader *r)
{
	uint32_t low = next(r), high = next(r);

	return low | high << 8 | (uint32_t)next(r) << 16 |
	       (uint32_t)next(r) << 24;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Mostly a packet that means something; the mask says which parts don't. */
static void packet(struct world *w)
{
	struct reader *r = &w->in;
	uint8_t wrong = next(r);
	struct packet p = make(next(r) % 9, next(r) % 4, 7);
	uint32_t bytes = p.op == RW ? 16u * next(r) : 0;
	static uint8_t payload[4096];

	p.dst_port = next(r) & 1 ? 0x40000000u + next(r) % 4 : 7;
	p.flags = next(r);
	p.len = bytes;
	p.buf_alloc = wrong & 1 ? next32(r) : p.buf_alloc;
	p.fwd_cnt = wrong & 2 ? next32(r) : 0;
	p.len = wrong & 4 ? next32(r) : p.len;
	p.type = wrong & 8 ? next(r) : p.type;
	p.op = wrong & 16 ? next(r) : p.op;
	p.src_cid = wrong & 32 ? next32(r) : p.src_cid;
	p.dst_cid = wrong & 64 ? next32(r) : p.dst_cid;
	p.src_port = wrong & 128 ? next32(r) : p.src_port;
	send_packet(&w->host, &p, payload, bytes);
}

/* A chain of pieces of any length, from anywhere. */
static void pieces(struct world *w)
{
	struct rig_piece piece[8];
	unsigned int n = 1 + next(&w->in) % 8, i, queue;

	for (i = 0; i < n; i++)
		piece[i] = (struct rig_piece){ next32(&w->in) % (2 * RIG_RAM),
					       next(&w->in) % 64u,
					       next(&w->in) % 8 == 0 };
	queue = next(&w->in) % 3;
	w->is_strange = w->is_strange || queue == RX;
	rig_chain(&w->host.rig, queue, piece, n);
	rig_kick(&w->host.rig, TX);
	step(&w->host);
}

static void program(struct world *w)
{
	static const char *const lines[] = { "CONNECT 2\n", "CONNECT 3\nabc",
					     "CONN", "CONNECT x\n" };
	static uint8_t bytes[8192];
	uint8_t what = next(&w->in);
	int *fd = &w->fd[what % PROGRAMS];

	if (*fd < 0) {
		*fd = what & 8
			      ? greet(&w->host, lines[what >> 4 & 3])
			      : accept4(w->listener, NULL, NULL, SOCK_NONBLOCK);
		return;
	}
	switch (what >> 4 & 3) {
	case 0:
		must(send(*fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != 0);
		break;
	case 1:
		must(recv(*fd, bytes, sizeof(bytes), 0) <= 8192);
		break;
	case 2:
		shutdown(*fd, next(&w->in) % 3);
		break;
	default:
		close(*fd);
		*fd = -1;
	}
	step(&w->host);
}

static void save_and_load(struct world *w)
{
	struct device *d = w->host.rig.device;
	struct state_io io;
	struct buf state;

	buf_init(&state, 4096);
	d->ops->quiesce(d, NULL, NULL);
	state_save(&io, "vsock", &state);
	d->ops->sync(d, &io);
	must(!state_end(&io, NULL));
	if (next(&w->in) & 1) {
		d->ops->reset(d);
		state_load(&io, "vsock", state.data, state.len);
		d->ops->sync(d, &io);
		must(!state_end(&io, NULL) && !d->ops->validate(d, NULL));
		must(!d->ops->restored(d, NULL));
	}
	step(&w->host);
	d->ops->resume(d);
	step(&w->host);
	buf_fini(&state);
}

static void listen_to(struct world *w, unsigned int packets)
{
	struct vsock_stats n;
	struct packet p;

	/* What lies in strange buffers can't be found again. */
	while (w->is_strange && packets-- &&
	       rig_take(&w->host.rig, RX, NULL, NULL))
		step(&w->host);
	while (!w->is_strange && packets-- && hear(&w->host, &p)) {
		must(p.dst_cid == CID && p.op >= REQUEST && p.op <= ASK);
		must(!p.len || p.op == RW);
	}
	vsock_get_stats(w->host.vsock, &n);
	must(n.open <= VSOCK_CONNS_MAX);
}

static void restart(struct world *w)
{
	start_guest(&w->host, next(&w->in) % ENTRIES);
	w->is_strange = false;
}

static void one(struct world *w)
{
	uint8_t op = next(&w->in);

	switch (op % 8) {
	case 0:
	case 1:
	case 2:
		packet(w);
		break;
	case 3:
	case 4:
		program(w);
		break;
	case 5:
		listen_to(w, op >> 3);
		break;
	case 6:
		if (op >> 3 & 3)
			pieces(w);
		else
			restart(w);
		break;
	default:
		if (op >> 3 & 1)
			save_and_load(w);
		else
			vsock_transport_reset(w->host.vsock);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .in = { data, data + size } };
	unsigned int i;

	host_init(&w.host);
	w.listener = listen_on(&w.host, 7);
	for (i = 0; i < PROGRAMS; i++)
		w.fd[i] = -1;
	start_guest(&w.host, 16);
	for (i = 0; i < OPS_MAX && w.in.at < w.in.end; i++)
		one(&w);
	listen_to(&w, 100);
	for (i = 0; i < PROGRAMS; i++)
		if (w.fd[i] >= 0)
			close(w.fd[i]);
	unlisten(&w.host, w.listener, 7);
	host_fini(&w.host);
	return 0;
}
