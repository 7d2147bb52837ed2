/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports and their control messages (VIRTIO 1.2, 5.3.6). The loop's thread.
 * INV-1: what the guest is to be told about a port is a set of bits, so that
 * no queue of messages can grow. INV-2: a chain whose bytes were only taken
 * in part is given back to the ring, and the place is remembered. INV-3: the
 * host sees of a quiet device only what it is when it goes on: one that is
 * reset and loaded in between does not lose the bytes on their way to it.
 */
#include <string.h>

#include "base/bytes.h"
#include "devices/vconsole_private.h"

#define ROUND	      64
#define PIECE_BYTES   4096
#define CONTROL_BYTES 8

#define CONTROL_RX 2 /* queues, as the driver names them */
#define CONTROL_TX 3

/* Events of control messages */
enum {
	EVENT_DEVICE_READY = 0,
	EVENT_PORT_ADD = 1,
	EVENT_PORT_READY = 3,
	EVENT_CONSOLE_PORT = 4,
	EVENT_PORT_OPEN = 6,
	EVENT_PORT_NAME = 7,
};

/* --- data ------------------------------------------------------------ */

static size_t put_out(struct vconsole *c, unsigned int port, const void *bytes,
		      size_t len)
{
	struct channel *channel = vconsole_channel(c, port);

	if (!channel) {
		console_output(c->cfg.console, bytes, len);
		return len;
	}
	/* Nobody listens: as if a cable were not plugged in. */
	if (!channel_is_host_open(channel))
		return len;
	return channel_device_write(channel, bytes, len);
}

static size_t get_in(struct vconsole *c, unsigned int port, void *to,
		     size_t len)
{
	struct channel *channel = vconsole_channel(c, port);

	return channel ? channel_device_read(channel, to, len)
		       : console_take_input(c->cfg.console, to, len);
}

enum drained { DRAINED, STUCK, PAUSED };

/*
 * Takes the chain's bytes, but no more than a round's worth: it may be 4 GiB
 * long. Unless all were taken the place is remembered (INV-2).
 */
static enum drained drain_chain(struct vconsole *c, unsigned int port)
{
	struct port_state *p = &c->st.port[port];
	const struct virtq_chain *chain = &c->host.chain;
	uint8_t piece[PIECE_BYTES];
	unsigned int i;
	uint64_t n;

	for (i = 0; p->tx_offset < chain->read_bytes; i++) {
		if (i == ROUND)
			return PAUSED;
		n = virtq_copy_out(chain, p->tx_offset, piece, sizeof(piece));
		n = put_out(c, port, piece, n);
		p->tx_offset += n;
		if (!n)
			return STUCK; /* the channel tells when it has room */
	}
	p->tx_offset = 0;
	return DRAINED;
}

/* True when more may be there. */
static bool transmit(struct virtio *v, unsigned int port) LOCK_NEEDS(v->lock)
{
	struct vconsole *c = (struct vconsole *)v;
	unsigned int q = vconsole_tx_queue(port), i;
	enum drained d;

	for (i = 0; i < ROUND; i++) {
		if (!virtio_may_work(v, q))
			return false;
		if (!virtio_pop(v, q, &c->host.chain))
			return virtio_ask(v, q);
		d = drain_chain(c, port);
		if (d != DRAINED) {
			virtq_unpop(&v->queue[q], c->host.chain.head);
			return d == PAUSED;
		}
		virtq_push(&v->queue[q], c->host.chain.head, 0);
	}
	return true;
}

static uint32_t fill_chain(struct vconsole *c, unsigned int port)
{
	const struct virtq_chain *chain = &c->host.chain;
	uint8_t piece[PIECE_BYTES];
	uint64_t done = 0;
	size_t n;

	while (done < chain->write_bytes) {
		n = chain->write_bytes - done < sizeof(piece)
			    ? chain->write_bytes - done
			    : sizeof(piece);
		n = get_in(c, port, piece, n);
		if (!n)
			break;
		done += virtq_copy_in(chain, done, piece, n);
	}
	return (uint32_t)done;
}

static bool may_receive(const struct vconsole *c, unsigned int port)
{
	return !vconsole_has_ports(c) || c->st.port[port].is_open;
}

static bool receive(struct virtio *v, unsigned int port) LOCK_NEEDS(v->lock)
{
	struct vconsole *c = (struct vconsole *)v;
	unsigned int q = vconsole_rx_queue(port), i;
	uint32_t n;

	for (i = 0; i < ROUND; i++) {
		if (!virtio_may_work(v, q) || !may_receive(c, port))
			return false;
		if (!virtio_pop(v, q, &c->host.chain))
			return virtio_ask(v, q);
		n = fill_chain(c, port);
		if (!n && c->host.chain.write_bytes) {
			virtq_unpop(&v->queue[q], c->host.chain.head);
			return false;
		}
		virtq_push(&v->queue[q], c->host.chain.head, n);
	}
	return true;
}

/* --- control messages ------------------------------------------------ */

/* The next message for a port, and which bit it stands for. */
static uint32_t next_message(struct vconsole *c, unsigned int port,
			     uint8_t *message, size_t *len)
{
	const struct port_state *p = &c->st.port[port];
	uint16_t event = EVENT_PORT_ADD, value = 1;
	const char *name = NULL;
	uint32_t bit = TELL_ADD;

	if (p->tell & TELL_ADD) {
		;
	} else if (!p->is_ready) {
		return 0;
	} else if (p->tell & TELL_CONSOLE) {
		event = EVENT_CONSOLE_PORT;
		bit = TELL_CONSOLE;
	} else if (p->tell & TELL_NAME) {
		event = EVENT_PORT_NAME;
		name = c->cfg.port[port - 1].name;
		bit = TELL_NAME;
	} else if (p->tell & TELL_OPEN) {
		event = EVENT_PORT_OPEN;
		value = !port ||
			channel_is_host_open(vconsole_channel(c, port));
		bit = TELL_OPEN;
	} else {
		return 0;
	}
	put_le32(message, port);
	put_le16(message + 4, event);
	put_le16(message + 6, value);
	*len = CONTROL_BYTES;
	if (name) {
		memcpy(message + CONTROL_BYTES, name, strlen(name) + 1);
		*len += strlen(name) + 1;
	}
	return bit;
}

static bool tell_guest(struct virtio *v) LOCK_NEEDS(v->lock)
{
	struct vconsole *c = (struct vconsole *)v;
	uint8_t message[CONTROL_BYTES + VPORT_NAME_MAX + 1];
	unsigned int port = 0;
	uint32_t bit;
	size_t len;

	while (port < c->host.ports) {
		bit = next_message(c, port, message, &len);
		if (!bit) {
			port++;
			continue;
		}
		if (!virtio_may_work(v, CONTROL_RX))
			return false;
		if (!virtio_pop(v, CONTROL_RX, &c->host.chain))
			return virtio_ask(v, CONTROL_RX);
		len = virtq_copy_in(&c->host.chain, 0, message, len);
		virtq_push(&v->queue[CONTROL_RX], c->host.chain.head,
			   (uint32_t)len);
		c->st.port[port].tell &= (uint8_t)~bit;
	}
	return false;
}

void vconsole_show_open(struct vconsole *c, unsigned int port)
{
	struct channel *channel = vconsole_channel(c, port);
	bool is_open = c->st.port[port].is_open;

	if (c->host.port[port].shown_open == is_open)
		return;
	c->host.port[port].shown_open = is_open;
	if (channel)
		channel_device_open(channel, is_open);
	else if (c->cfg.console_opened)
		c->cfg.console_opened(c->cfg.ctx, is_open);
	if (is_open)
		virtio_kick(&c->virtio, vconsole_rx_queue(port));
}

void vconsole_set_open(struct vconsole *c, unsigned int port, bool is_open)
{
	c->st.port[port].is_open = is_open;
	if (!c->virtio.host.is_quiet) /* INV-3 */
		vconsole_show_open(c, port);
}

static void on_message(struct vconsole *c, const uint8_t *message)
{
	uint32_t port = get_le32(message);
	uint16_t event = get_le16(message + 4), value = get_le16(message + 6);
	unsigned int i;

	if (event == EVENT_DEVICE_READY) {
		for (i = 0; value && i < c->host.ports; i++)
			c->st.port[i].tell = TELL_ADD;
		return;
	}
	if (port >= c->host.ports)
		return;
	if (event == EVENT_PORT_READY && value) {
		c->st.port[port].is_ready = true;
		c->st.port[port].tell |=
			port ? TELL_NAME | TELL_OPEN : TELL_CONSOLE | TELL_OPEN;
	} else if (event == EVENT_PORT_OPEN) {
		vconsole_set_open(c, port, value);
	}
}

static bool take_messages(struct virtio *v) LOCK_NEEDS(v->lock)
{
	struct vconsole *c = (struct vconsole *)v;
	uint8_t message[CONTROL_BYTES];
	unsigned int i;

	for (i = 0; i < ROUND; i++) {
		if (!virtio_may_work(v, CONTROL_TX))
			return false;
		if (!virtio_pop(v, CONTROL_TX, &c->host.chain))
			return virtio_ask(v, CONTROL_TX);
		if (virtq_copy_out(&c->host.chain, 0, message,
				   sizeof(message)) == sizeof(message))
			on_message(c, message);
		virtq_push(&v->queue[CONTROL_TX], c->host.chain.head, 0);
	}
	return true;
}

/* --- kicks ----------------------------------------------------------- */

/* Did somebody come to, or leave, the other end? */
static void look_at_host(struct vconsole *c, unsigned int port)
{
	struct vconsole_port *p = &c->host.port[port];
	struct channel *channel = vconsole_channel(c, port);
	bool is_open = channel && channel_is_host_open(channel);

	if (!channel || p->told_open == is_open)
		return;
	p->told_open = is_open;
	if (c->st.port[port].is_ready)
		c->st.port[port].tell |= TELL_OPEN;
	if (vconsole_has_ports(c) &&
	    virtq_is_started(&c->virtio.queue[CONTROL_RX]))
		virtio_kick(&c->virtio, CONTROL_RX);
}

static bool serve(struct virtio *v, unsigned int q) LOCK_NEEDS(v->lock)
{
	struct vconsole *c = (struct vconsole *)v;
	unsigned int port = q < 2 ? 0 : (q - 2) / 2;

	if (q == CONTROL_RX)
		return tell_guest(v);
	if (q == CONTROL_TX) {
		bool more = take_messages(v);

		virtio_kick(v, CONTROL_RX);
		return more;
	}
	if (q % 2)
		return transmit(v, port);
	look_at_host(c, port);
	return receive(v, port);
}

void vconsole_kicked(struct virtio *v, unsigned int q)
{
	virtio_loop_serve(v, q, serve);
}

void vconsole_on_channel(void *ctx)
{
	struct vconsole_port *p = ctx;
	struct virtio *v = &p->owner->virtio;

	virtio_kick(v, vconsole_rx_queue(p->index));
	virtio_kick(v, vconsole_tx_queue(p->index));
}

void vconsole_input_ready(void *vconsole)
{
	struct vconsole *c = vconsole;

	virtio_kick(&c->virtio, vconsole_rx_queue(0));
}
