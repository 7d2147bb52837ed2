/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device: configuration, life, state (VIRTIO 1.2, 5.3). Made and
 * destroyed by the machine's thread, which does not run together with the
 * loop's; what the ports do: vconsole_ports.c.
 */
#include "devices/vconsole.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/vconsole_private.h"

#define ID_CONSOLE   3
#define CONFIG_BYTES 12
#define QUEUE_SIZE   64

/* --- the type's row -------------------------------------------------- */

static void vconsole_reset(struct virtio *v)
{
	struct vconsole *c = (struct vconsole *)v;
	unsigned int i;

	for (i = 0; i < c->host.ports; i++) {
		vconsole_set_open(c, i, false);
		c->st.port[i] = (struct port_state){ .tell = 0 };
	}
}

static void vconsole_activate(struct virtio *v)
{
	struct vconsole *c = (struct vconsole *)v;

	/* Without several ports there is no word for open. */
	if (!vconsole_has_ports(c))
		vconsole_set_open(c, 0, true);
}

static void vconsole_get_config(struct virtio *v, uint8_t *bytes)
{
	const struct vconsole *c = (const struct vconsole *)v;

	put_le32(bytes + 4, c->host.ports);
}

static void vconsole_sync(struct virtio *v, struct state_io *io)
{
	struct vconsole *c = (struct vconsole *)v;
	struct port_state port[VCONSOLE_PORTS_MAX];
	unsigned int i;

	memcpy(port, c->st.port, sizeof(port));
	for (i = 0; i < c->host.ports; i++) {
		state_u8(io, &port[i].tell);
		state_bool(io, &port[i].is_ready);
		state_bool(io, &port[i].is_open);
		state_u64(io, &port[i].tx_offset);
	}
	if (state_is_loading(io) && !io->error)
		memcpy(c->st.port, port, sizeof(port));
}

static int vconsole_validate(const struct virtio *v, struct err *e)
{
	const struct vconsole *c = (const struct vconsole *)v;
	unsigned int i;

	for (i = 0; i < c->host.ports; i++)
		if (c->st.port[i].tell & ~TELL_ALL ||
		    (!i && c->st.port[i].tell & TELL_NAME))
			return err_set(e, -EINVAL, "port %u: messages %#x", i,
				       c->st.port[i].tell);
	return 0;
}

static int vconsole_restored(struct virtio *v, struct err *e)
{
	struct vconsole *c = (struct vconsole *)v;
	unsigned int i;

	(void)e;
	/* Who is there may have changed: the guest is told anew. */
	for (i = 1; i < c->host.ports; i++)
		c->host.port[i].told_open =
			!channel_is_host_open(vconsole_channel(c, i));
	return 0;
}

static void vconsole_resumed(struct virtio *v)
{
	struct vconsole *c = (struct vconsole *)v;
	unsigned int i;

	for (i = 0; i < c->host.ports; i++)
		vconsole_show_open(c, i);
}

static void vconsole_describe(struct virtio *v, struct buf *out)
{
	const struct vconsole *c = (const struct vconsole *)v;
	struct channel_counters n;
	unsigned int i;

	for (i = 0; i < c->host.ports; i++) {
		buf_printf(out, "port%u=%s %s", i,
			   i ? c->cfg.port[i - 1].name : "console",
			   c->st.port[i].is_open ? "open" : "closed");
		if (i) {
			channel_get_counters(vconsole_channel(c, i), &n);
			buf_printf(out, " out %llu in %llu",
				   (unsigned long long)n.to_host_bytes,
				   (unsigned long long)n.to_guest_bytes);
		}
		buf_puts(out, "\n");
	}
}

static const struct virtio_ops ops = {
	.id = ID_CONSOLE,
	.activate = vconsole_activate,
	.reset = vconsole_reset,
	.get_config = vconsole_get_config,
	.sync = vconsole_sync,
	.validate = vconsole_validate,
	.restored = vconsole_restored,
	.describe = vconsole_describe,
	.resumed = vconsole_resumed,
	.kicked = vconsole_kicked,
};

static const struct device_ops device_ops = {
	.name = "virtio-console",
	.state_version = 1,
	VIRTIO_DEVICE_OPS,
};

/* --- life ------------------------------------------------------------ */

static void connect_ports(struct vconsole *c)
{
	unsigned int i;

	for (i = 0; i < c->host.ports; i++) {
		c->host.port[i].owner = c;
		c->host.port[i].index = i;
		if (i)
			channel_set_device(
				vconsole_channel(c, i),
				(struct channel_side){ vconsole_on_channel,
						       &c->host.port[i] });
	}
}

int vconsole_create(struct vconsole **out, const struct vconsole_config *cfg,
		    struct err *e)
{
	struct virtio_config vc = cfg->virtio;
	struct vconsole *c;
	int r;

	if (cfg->ports >= VCONSOLE_PORTS_MAX)
		return err_set(e, -EINVAL, "%s: %u ports, the limit is %d",
			       vc.id, cfg->ports, VCONSOLE_PORTS_MAX - 1);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_sys(e, -ENOMEM, "%s", vc.id);
	c->cfg = *cfg;
	c->host.ports = cfg->ports + 1;
	vc.features = VCONSOLE_F_MULTIPORT;
	vc.queues = 2 * c->host.ports + 2;
	vc.queue_max = QUEUE_SIZE;
	vc.config_bytes = CONFIG_BYTES;
	r = virtio_init(&c->virtio, &device_ops, &ops, &vc, e);
	if (!r)
		r = virtio_loop_add(&c->host.loop, &c->virtio, cfg->loop, e);
	if (r) {
		vconsole_destroy(c);
		return r;
	}
	connect_ports(c);
	*out = c;
	return 0;
}

void vconsole_destroy(struct vconsole *c)
{
	unsigned int i;

	if (!c)
		return;
	for (i = 1; i < c->host.ports; i++) {
		struct channel *channel = vconsole_channel(c, i);

		channel_set_device(channel,
				   (struct channel_side){ NULL, NULL });
		channel_device_open(channel, false);
	}
	virtio_loop_remove(&c->host.loop);
	virtio_fini(&c->virtio);
	free(c);
}

struct virtio *vconsole_virtio(struct vconsole *c)
{
	return &c->virtio;
}
