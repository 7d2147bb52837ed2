/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the console device: one with two named ports, on a loop. */
#ifndef AMBER_TESTS_UNIT_CONSOLE_RIG_H
#define AMBER_TESTS_UNIT_CONSOLE_RIG_H

#include "devices/vconsole.h"
#include "tests/unit/virtio_rig.h"

#define CONSOLE_MULTIPORT 2u /* the feature */
#define CONSOLE_PORTS	  3  /* with port 0 */
#define CONSOLE_QUEUES	  (2 * CONSOLE_PORTS + 2)
#define CONSOLE_QUEUE	  64 /* entries */

/* Queues of port 0, control, ports 1 and 2. */
enum { Q_RX0, Q_TX0, Q_CTL_RX, Q_CTL_TX, Q_RX1, Q_TX1, Q_RX2, Q_TX2 };

/* Events of control messages (5.3.6.2) */
enum {
	C_DEVICE_READY = 0,
	C_PORT_ADD = 1,
	C_PORT_REMOVE = 2,
	C_PORT_READY = 3,
	C_CONSOLE_PORT = 4,
	C_RESIZE = 5,
	C_PORT_OPEN = 6,
	C_PORT_NAME = 7,
};

struct console_rig {
	struct rig rig;
	struct loop *loop;
	struct console *console;
	struct channel *channel[CONSOLE_PORTS - 1];
	struct vconsole *vconsole;
	unsigned int opened, closed; /* port 0 */
};

static inline void console_rig_on_open(void *ctx, bool is_open)
{
	struct console_rig *r = ctx;

	if (is_open)
		r->opened++;
	else
		r->closed++;
}

static inline void console_rig_init(struct console_rig *r)
{
	struct vconsole_config c = { .console_opened = console_rig_on_open,
				     .ctx = r,
				     .ports = CONSOLE_PORTS - 1 };
	struct console_config cc = { .history_bytes = 1u << 16 };
	unsigned int i;

	memset(r, 0, sizeof(*r));
	rig_init(&r->rig);
	if (loop_create(&r->loop, NULL) ||
	    console_create(&r->console, &cc, NULL))
		abort();
	for (i = 0; i < c.ports; i++) {
		if (channel_create(&r->channel[i], NULL))
			abort();
		c.port[i].channel = r->channel[i];
		snprintf(c.port[i].name, sizeof(c.port[i].name), "org.port.%u",
			 i + 1);
	}
	c.virtio = rig_config(&r->rig, "console0");
	c.loop = r->loop;
	c.console = r->console;
	if (vconsole_create(&r->vconsole, &c, NULL))
		abort();
	r->rig.device = &vconsole_virtio(r->vconsole)->device;
}

static inline void console_rig_fini(struct console_rig *r)
{
	unsigned int i;

	vconsole_destroy(r->vconsole);
	for (i = 0; i < CONSOLE_PORTS - 1; i++)
		channel_destroy(r->channel[i]);
	console_destroy(r->console);
	loop_destroy(r->loop);
	rig_fini(&r->rig);
}

/* The driver sends a control message; the device has dealt with it. */
static inline void console_rig_say(struct console_rig *r, uint32_t port,
				   uint16_t event, uint16_t value)
{
	uint8_t *m = r->rig.ram + RIG_DATA + 0x100;

	put_le32(m, port);
	put_le16(m + 4, event);
	put_le16(m + 6, value);
	rig_one(&r->rig, Q_CTL_TX, RIG_DATA + 0x100, 8, false);
	rig_serve(&r->rig, Q_CTL_TX, r->loop);
	rig_take(&r->rig, Q_CTL_TX, NULL, NULL);
}

#define CONSOLE_RIG_MESSAGES (RIG_DATA + 0x1000) /* of 128 bytes each */

/* Offers n buffers for control messages. */
static inline void console_rig_listen(struct console_rig *r, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		rig_one(&r->rig, Q_CTL_RX,
			CONSOLE_RIG_MESSAGES +
				128 * r->rig.queue[Q_CTL_RX].next_desc,
			128, true);
	rig_serve(&r->rig, Q_CTL_RX, r->loop);
}

/* The next control message of the device as text; "" for none. */
static inline const char *console_rig_hear(struct console_rig *r, char *text,
					   size_t bytes)
{
	uint32_t head, len;
	const uint8_t *m;

	text[0] = 0;
	if (!rig_take(&r->rig, Q_CTL_RX, &head, &len))
		return text;
	m = r->rig.ram + CONSOLE_RIG_MESSAGES + 128 * head;
	snprintf(text, bytes, "port %u event %u value %u%s%.*s", get_le32(m),
		 get_le16(m + 4), get_le16(m + 6), len > 8 ? " " : "",
		 len > 8 ? (int)len - 8 : 0, (const char *)m + 8);
	return text;
}

/* The handshake of a driver with several ports, all of them open. */
static inline void console_rig_open_all(struct console_rig *r)
{
	char text[160];
	uint32_t port;

	rig_start(&r->rig, CONSOLE_MULTIPORT, CONSOLE_QUEUES, CONSOLE_QUEUE);
	console_rig_listen(r, 32);
	console_rig_say(r, 0xffffffff, C_DEVICE_READY, 1);
	for (port = 0; port < CONSOLE_PORTS; port++) {
		console_rig_say(r, port, C_PORT_READY, 1);
		console_rig_say(r, port, C_PORT_OPEN, 1);
	}
	while (*console_rig_hear(r, text, sizeof(text)))
		;
}

#endif
