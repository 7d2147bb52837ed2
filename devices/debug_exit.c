/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug-exit port. Entered by vCPU threads; the lock guards st.
 */
#include "devices/debug_exit.h"

#include <stdlib.h>

#include "base/lock.h"

struct debug_exit_state {
	bool written; /* since the last reset */
	uint8_t value;
};

struct debug_exit {
	struct device device;
	struct debug_exit_config cfg;
	struct debug_exit_state st;
	struct {
		struct lock lock; /* guards st */
	} host;
};

static uint64_t debug_exit_read(struct device *d, uint32_t range,
				uint64_t offset, uint8_t size)
{
	(void)d;
	(void)range;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void debug_exit_write(struct device *d, uint32_t range, uint64_t offset,
			     uint8_t size, uint64_t value)
{
	struct debug_exit *x = (struct debug_exit *)d;

	(void)range;
	(void)size;
	if (offset)
		return;
	lock_take(&x->host.lock);
	x->st.written = true;
	x->st.value = (uint8_t)value;
	guest_event(&x->cfg.events, GUEST_DEBUG_EXIT, x->st.value);
	lock_release(&x->host.lock);
}

static void debug_exit_reset(struct device *d)
{
	struct debug_exit *x = (struct debug_exit *)d;

	lock_take(&x->host.lock);
	x->st = (struct debug_exit_state){ .written = false };
	lock_release(&x->host.lock);
}

static void state_sync(struct debug_exit_state *st, struct state_io *io)
{
	state_bool(io, &st->written);
	state_u8(io, &st->value);
}

static void debug_exit_sync(struct device *d, struct state_io *io)
{
	struct debug_exit *x = (struct debug_exit *)d;
	struct debug_exit_state st = x->st;

	state_sync(&st, io);
	if (state_is_loading(io) && !io->error)
		x->st = st;
}

static int debug_exit_validate(const struct device *d, struct err *e)
{
	const struct debug_exit_state *st = &((const struct debug_exit *)d)->st;

	if (!st->written && st->value)
		return err_set(e, -EINVAL,
			       "debug_exit: value %u, but not written",
			       st->value);
	return 0;
}

static void debug_exit_describe(struct device *d, struct buf *out)
{
	struct debug_exit *x = (struct debug_exit *)d;

	lock_take(&x->host.lock);
	buf_printf(out, "written=%d\nvalue=%u\n", x->st.written, x->st.value);
	lock_release(&x->host.lock);
}

static const struct device_ops ops = {
	.name = "debug_exit",
	.state_version = 1,
	.read = debug_exit_read,
	.write = debug_exit_write,
	.reset = debug_exit_reset,
	.sync = debug_exit_sync,
	.validate = debug_exit_validate,
	.describe = debug_exit_describe,
};

int debug_exit_create(struct debug_exit **out,
		      const struct debug_exit_config *cfg, struct err *e)
{
	struct debug_exit *x = calloc(1, sizeof(*x));

	if (!x)
		return err_sys(e, -ENOMEM, "debug_exit");
	x->device.ops = &ops;
	x->cfg = *cfg;
	lock_init(&x->host.lock);
	*out = x;
	return 0;
}

void debug_exit_destroy(struct debug_exit *x)
{
	if (!x)
		return;
	lock_fini(&x->host.lock);
	free(x);
}

struct device *debug_exit_device(struct debug_exit *x)
{
	return &x->device;
}
