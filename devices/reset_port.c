/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset control register. Entered by vCPU threads; the lock guards st. There
 * is no firmware that could catch an INIT, so every kind of reset is one of
 * the whole machine.
 */
#include "devices/reset_port.h"

#include <stdlib.h>

#include "base/lock.h"

#define RESET_TRIGGER 0x04
#define RESET_MASK    0x0e

struct reset_port_state {
	uint8_t value; /* as written last */
};

struct reset_port {
	struct device device;
	struct reset_port_config cfg;
	struct reset_port_state st;
	struct {
		struct lock lock; /* guards st */
	} host;
};

static uint64_t reset_port_read(struct device *d, uint32_t range,
				uint64_t offset, uint8_t size)
{
	struct reset_port *p = (struct reset_port *)d;
	uint8_t v;

	(void)range;
	if (size != 1 || offset)
		return UINT64_MAX;
	lock_take(&p->host.lock);
	v = p->st.value;
	lock_release(&p->host.lock);
	return v;
}

static void reset_port_write(struct device *d, uint32_t range, uint64_t offset,
			     uint8_t size, uint64_t value)
{
	struct reset_port *p = (struct reset_port *)d;

	(void)range;
	if (size != 1 || offset)
		return;
	lock_take(&p->host.lock);
	p->st.value = value & RESET_MASK;
	if (value & RESET_TRIGGER)
		guest_event(&p->cfg.events, GUEST_RESET, GUEST_RESET_CF9);
	lock_release(&p->host.lock);
}

static void reset_port_reset(struct device *d)
{
	struct reset_port *p = (struct reset_port *)d;

	lock_take(&p->host.lock);
	p->st = (struct reset_port_state){ .value = 0 };
	lock_release(&p->host.lock);
}

static void state_sync(struct reset_port_state *st, struct state_io *io)
{
	state_u8(io, &st->value);
}

static void reset_port_sync(struct device *d, struct state_io *io)
{
	struct reset_port *p = (struct reset_port *)d;
	struct reset_port_state st = p->st;

	state_sync(&st, io);
	if (state_is_loading(io) && !io->error)
		p->st = st;
}

static int reset_port_validate(const struct device *d, struct err *e)
{
	const struct reset_port_state *st = &((const struct reset_port *)d)->st;

	if (st->value & ~RESET_MASK)
		return err_set(e, -EINVAL, "reset_port: value %#x", st->value);
	return 0;
}

static void reset_port_describe(struct device *d, struct buf *out)
{
	struct reset_port *p = (struct reset_port *)d;

	lock_take(&p->host.lock);
	buf_printf(out, "value=%#x\n", p->st.value);
	lock_release(&p->host.lock);
}

static const struct device_ops ops = {
	.name = "reset_port",
	.state_version = 1,
	.read = reset_port_read,
	.write = reset_port_write,
	.reset = reset_port_reset,
	.sync = reset_port_sync,
	.validate = reset_port_validate,
	.describe = reset_port_describe,
};

int reset_port_create(struct reset_port **out,
		      const struct reset_port_config *cfg, struct err *e)
{
	struct reset_port *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, -ENOMEM, "reset_port");
	p->device.ops = &ops;
	p->cfg = *cfg;
	lock_init(&p->host.lock);
	*out = p;
	return 0;
}

void reset_port_destroy(struct reset_port *p)
{
	if (!p)
		return;
	lock_fini(&p->host.lock);
	free(p);
}

struct device *reset_port_device(struct reset_port *p)
{
	return &p->device;
}
