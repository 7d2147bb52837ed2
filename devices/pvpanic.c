/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic port. Entered by vCPU threads; the lock guards st.
 */
#include "devices/pvpanic.h"

#include <stdlib.h>

#include "base/lock.h"
#include "devices/platform.h"

#define EVENTS_ALL (PVPANIC_PANICKED | PVPANIC_CRASHLOADED)

struct pvpanic_state {
	uint8_t reported; /* PVPANIC_*: since the last reset */
};

struct pvpanic {
	struct device device;
	struct pvpanic_config cfg;
	struct pvpanic_state st;
	struct {
		struct lock lock; /* guards st */
	} host;
};

static uint64_t pvpanic_read(struct device *d, uint32_t range, uint64_t offset,
			     uint8_t size)
{
	(void)d;
	(void)range;
	return size == 1 && !offset ? EVENTS_ALL : UINT64_MAX;
}

static void pvpanic_write(struct device *d, uint32_t range, uint64_t offset,
			  uint8_t size, uint64_t value)
{
	struct pvpanic *p = (struct pvpanic *)d;

	(void)range;
	if (size != 1 || offset)
		return;
	lock_take(&p->host.lock);
	p->st.reported |= value & EVENTS_ALL;
	if (value & PVPANIC_PANICKED)
		guest_event(&p->cfg.events, GUEST_PANIC, 0);
	else if (value & PVPANIC_CRASHLOADED)
		guest_event(&p->cfg.events, GUEST_CRASH_LOADED, 0);
	lock_release(&p->host.lock);
}

static void pvpanic_reset(struct device *d)
{
	struct pvpanic *p = (struct pvpanic *)d;

	lock_take(&p->host.lock);
	p->st = (struct pvpanic_state){ .reported = 0 };
	lock_release(&p->host.lock);
}

static void state_sync(struct pvpanic_state *st, struct state_io *io)
{
	state_u8(io, &st->reported);
}

static void pvpanic_sync(struct device *d, struct state_io *io)
{
	struct pvpanic *p = (struct pvpanic *)d;
	struct pvpanic_state st = p->st;

	state_sync(&st, io);
	if (state_is_loading(io) && !io->error)
		p->st = st;
}

static int pvpanic_validate(const struct device *d, struct err *e)
{
	const struct pvpanic_state *st = &((const struct pvpanic *)d)->st;

	if (st->reported & ~EVENTS_ALL)
		return err_set(e, -EINVAL, "pvpanic: unknown events in %#x",
			       st->reported);
	return 0;
}

static void pvpanic_describe(struct device *d, struct buf *out)
{
	struct pvpanic *p = (struct pvpanic *)d;

	lock_take(&p->host.lock);
	buf_printf(out, "reported=%#x\n", p->st.reported);
	lock_release(&p->host.lock);
}

static const struct device_ops ops = {
	.name = "pvpanic",
	.state_version = 1,
	.read = pvpanic_read,
	.write = pvpanic_write,
	.reset = pvpanic_reset,
	.sync = pvpanic_sync,
	.validate = pvpanic_validate,
	.describe = pvpanic_describe,
};

int pvpanic_create(struct pvpanic **out, const struct pvpanic_config *cfg,
		   struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, -ENOMEM, "pvpanic");
	p->device.ops = &ops;
	p->cfg = *cfg;
	lock_init(&p->host.lock);
	*out = p;
	return 0;
}

void pvpanic_destroy(struct pvpanic *p)
{
	if (!p)
		return;
	lock_fini(&p->host.lock);
	free(p);
}

struct device *pvpanic_device(struct pvpanic *p)
{
	return &p->device;
}
