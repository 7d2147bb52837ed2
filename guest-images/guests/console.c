/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console: the virtio console (VIRTIO 1.2, 5.3). With multiport it answers the
 * control messages, prints the ports' names and opens the first console port,
 * or the port with the name port=NAME; without, port 0 is there. It sends
 * hello=amber there, and every line that comes in as echo=LINE, until the line
 * "quit". Facts go to the serial line. FAIL 1: the device removed the port.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/virtio.h"

#define F_SIZE	     0
#define F_MULTIPORT  1
#define CONFIG_COLS  0
#define CONFIG_ROWS  2
#define CONFIG_PORTS 4
#define PORTS_MAX    8
#define CONTROL_RX   2
#define CONTROL_TX   3
#define QUEUE_SIZE   16
#define BUFFER_BYTES 256
#define LINE_BYTES   240
#define NAME_BYTES   64
#define NO_PORT	     PORTS_MAX

enum event {
	DEVICE_READY,
	DEVICE_ADD,
	DEVICE_REMOVE,
	PORT_READY,
	CONSOLE_PORT,
	RESIZE,
	PORT_OPEN,
	PORT_NAME,
};

struct control {
	uint32_t id;
	uint16_t event, value;
	char name[BUFFER_BYTES - 8];
};

struct port {
	struct virtq rx, tx;
	char in[QUEUE_SIZE][BUFFER_BYTES];
};

static struct virtio_dev *dev;
static struct port ports[PORTS_MAX];
static unsigned port_count = 1;
static struct virtq control_rx, control_tx;
static struct control controls[QUEUE_SIZE];
static char wanted[NAME_BYTES], line[LINE_BYTES + 1];
static unsigned line_used;
static unsigned open_port = NO_PORT;
static uint64_t lines, bytes_in;
static bool removed, quit;

static void give(struct virtq *q, void *buffer)
{
	struct virtio_buf buf = { buffer, BUFFER_BYTES };

	if (!virtq_add(q, &buf, 0, 1, buffer))
		guest_fail(FAIL_NO_QUEUE);
}

/* Waits until it is gone: the memory is the caller's again. */
static void send(struct virtq *q, const void *data, unsigned n)
{
	struct virtio_buf buf = { data, n };

	if (!virtq_add(q, &buf, 1, 0, q))
		guest_fail(FAIL_NO_QUEUE);
	virtq_kick(q);
	virtq_wait(q, NULL);
}

static unsigned length(const char *text)
{
	unsigned n = 0;

	while (text[n])
		n++;
	return n;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void say(const char *key, const char *value)
{
	char text[LINE_BYTES + 16];
	unsigned a = length(key), b = length(value);

	memcpy(text, key, a);
	memcpy(text + a, value, b);
	text[a + b] = '\n';
	send(&ports[open_port].tx, text, a + b + 1);
}

static void control(uint32_t id, enum event event, uint16_t value)
{
	struct control c = { .id = id,
			     .event = (uint16_t)event,
			     .value = value };

	send(&control_tx, &c, 8);
}

static void use_port(unsigned id)
{
	unsigned i;

	if (open_port != NO_PORT)
		return;
	open_port = id;
	if (virtio_has(dev, F_MULTIPORT))
		control(id, PORT_OPEN, 1);
	for (i = 0; i < ports[id].rx.size; i++)
		give(&ports[id].rx, ports[id].in[i]);
	virtq_kick(&ports[id].rx);
	fact_u64("open", id);
	say("hello=", "amber");
}

static void on_name(struct control *c, uint32_t bytes)
{
	unsigned n = bytes - 8;

	c->name[n < sizeof(c->name) ? n : sizeof(c->name) - 1] = '\0';
	line_begin();
	line_u64("port", c->id);
	line_text("name", c->name);
	line_end();
	if (wanted[0] && same(wanted, c->name))
		use_port(c->id);
}

static void on_control(struct control *c, uint32_t bytes)
{
	if (bytes < 8 || c->id >= port_count)
		return;
	switch (c->event) {
	case DEVICE_ADD:
		control(c->id, PORT_READY, 1);
		break;
	case DEVICE_REMOVE:
		removed = c->id == open_port;
		break;
	case CONSOLE_PORT:
		fact_u64("console_port", c->id);
		if (!wanted[0])
			use_port(c->id);
		break;
	case PORT_OPEN:
		line_begin();
		line_u64("port", c->id);
		line_u64("host_open", c->value);
		line_end();
		break;
	case PORT_NAME:
		on_name(c, bytes);
		break;
	default:
		break;
	}
}

static void on_byte(char c)
{
	if (c != '\n' && c != '\r') {
		if (line_used < LINE_BYTES)
			line[line_used++] = c;
		return;
	}
	if (line_used == 0)
		return;
	line[line_used] = '\0';
	line_used = 0;
	lines++;
	quit = same(line, "quit");
	say("echo=", line);
}

static bool serve_control(void)
{
	void *token;
	uint32_t bytes;

	if (!virtio_has(dev, F_MULTIPORT) ||
	    !virtq_take(&control_rx, &token, &bytes))
		return false;
	on_control(token, bytes);
	give(&control_rx, token);
	virtq_kick(&control_rx);
	return true;
}

static bool serve_port(void)
{
	void *token;
	uint32_t bytes, i;

	if (open_port == NO_PORT ||
	    !virtq_take(&ports[open_port].rx, &token, &bytes))
		return false;
	bytes_in += bytes;
	for (i = 0; i < bytes && i < BUFFER_BYTES; i++)
		on_byte(((const char *)token)[i]);
	give(&ports[open_port].rx, token);
	virtq_kick(&ports[open_port].rx);
	return true;
}

/* Port 0 has queues 0 and 1, port n queues 2n + 2 and 2n + 3. */
static void start_queues(void)
{
	unsigned i, at;

	for (i = 0; i < port_count; i++) {
		at = i ? 2 * i + 2 : 0;
		virtq_init(&ports[i].rx, dev, at, QUEUE_SIZE);
		virtq_init(&ports[i].tx, dev, at + 1, QUEUE_SIZE);
	}
	if (!virtio_has(dev, F_MULTIPORT))
		return;
	virtq_init(&control_rx, dev, CONTROL_RX, QUEUE_SIZE);
	virtq_init(&control_tx, dev, CONTROL_TX, QUEUE_SIZE);
	for (i = 0; i < control_rx.size; i++)
		give(&control_rx, &controls[i]);
}

static void start(void)
{
	virtio_start(dev, 1ull << F_SIZE | 1ull << F_MULTIPORT);
	if (virtio_has(dev, F_MULTIPORT))
		port_count = (unsigned)virtio_config(dev, CONFIG_PORTS, 4);
	line_begin();
	line_u64("multiport", virtio_has(dev, F_MULTIPORT));
	line_u64("ports", port_count);
	if (virtio_has(dev, F_SIZE)) {
		line_u64("cols", virtio_config(dev, CONFIG_COLS, 2));
		line_u64("rows", virtio_config(dev, CONFIG_ROWS, 2));
	}
	line_end();
	if (port_count > PORTS_MAX)
		port_count = PORTS_MAX;
	start_queues();
	virtio_go(dev);
	if (virtio_has(dev, F_MULTIPORT)) {
		virtq_kick(&control_rx);
		control(0, DEVICE_READY, 1);
	} else {
		use_port(0);
	}
}

static uint64_t run(void *device)
{
	dev = device;
	start();
	while (!quit && !removed) {
		uint32_t seen = dev->interrupts;

		if (!serve_control() && !serve_port())
			virtio_wait(dev, seen);
	}
	fact_u64("lines", lines);
	fact_u64("bytes", bytes_in);
	return removed;
}

void guest_main(void)
{
	arg_text("port", wanted, sizeof(wanted));
	virtio_guest(VIRTIO_ID_CONSOLE, run);
}

GUEST_PVH;
