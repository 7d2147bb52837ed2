/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milestone port. Entered by vCPU threads; the lock guards st.
 */
#include "devices/milestone.h"

#include <stdlib.h>

#include "base/lock.h"

struct milestone_state {
	bool written; /* since the last reset */
	uint8_t value;
};

struct milestone {
	struct device device;
	struct milestone_config cfg;
	struct milestone_state st;
	struct {
		struct lock lock; /* guards st */
	} host;
};

static uint64_t milestone_read(struct device *d, uint32_t range,
			       uint64_t offset, uint8_t size)
{
	(void)d;
	(void)range;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void milestone_write(struct device *d, uint32_t range, uint64_t offset,
			    uint8_t size, uint64_t value)
{
	struct milestone *m = (struct milestone *)d;

	(void)range;
	if (size != 1 || offset)
		return;
	lock_take(&m->host.lock);
	m->st.written = true;
	m->st.value = (uint8_t)value;
	guest_event(&m->cfg.events, GUEST_MILESTONE, m->st.value);
	lock_release(&m->host.lock);
}

static void milestone_reset(struct device *d)
{
	struct milestone *m = (struct milestone *)d;

	lock_take(&m->host.lock);
	m->st = (struct milestone_state){ .written = false };
	lock_release(&m->host.lock);
}

static void state_sync(struct milestone_state *st, struct state_io *io)
{
	state_bool(io, &st->written);
	state_u8(io, &st->value);
}

static void milestone_sync(struct device *d, struct state_io *io)
{
	struct milestone *m = (struct milestone *)d;
	struct milestone_state st = m->st;

	state_sync(&st, io);
	if (state_is_loading(io) && !io->error)
		m->st = st;
}

static int milestone_validate(const struct device *d, struct err *e)
{
	const struct milestone_state *st = &((const struct milestone *)d)->st;

	if (!st->written && st->value)
		return err_set(e, -EINVAL,
			       "milestone: value %u, but not written",
			       st->value);
	return 0;
}

static void milestone_describe(struct device *d, struct buf *out)
{
	struct milestone *m = (struct milestone *)d;

	lock_take(&m->host.lock);
	buf_printf(out, "written=%d\nvalue=%u\n", m->st.written, m->st.value);
	lock_release(&m->host.lock);
}

static const struct device_ops ops = {
	.name = "milestone",
	.state_version = 1,
	.read = milestone_read,
	.write = milestone_write,
	.reset = milestone_reset,
	.sync = milestone_sync,
	.validate = milestone_validate,
	.describe = milestone_describe,
};

int milestone_create(struct milestone **out, const struct milestone_config *cfg,
		     struct err *e)
{
	struct milestone *m = calloc(1, sizeof(*m));

	if (!m)
		return err_sys(e, -ENOMEM, "milestone");
	m->device.ops = &ops;
	m->cfg = *cfg;
	lock_init(&m->host.lock);
	*out = m;
	return 0;
}

void milestone_destroy(struct milestone *m)
{
	if (!m)
		return;
	lock_fini(&m->host.lock);
	free(m);
}

struct device *milestone_device(struct milestone *m)
{
	return &m->device;
}
