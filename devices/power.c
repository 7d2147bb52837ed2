/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI power registers. Entered by vCPU threads (registers) and any thread
 * that raises an event; the lock guards st and orders the line. INV-1: an
 * event bit that is set stays set until one read of the event register
 * returns it. INV-2: the line is high as long as a bit is set, so that a
 * guest whose driver comes late is interrupted as soon as it listens.
 */
#include "devices/power.h"

#include <stdlib.h>

#include "base/lock.h"
#include "devices/platform.h"

/* Offsets in the range */
#define REG_CONTROL 0
#define REG_STATUS  (PORT_SLEEP_STATUS - PORT_SLEEP_CONTROL)
#define REG_RESET   (PORT_ACPI_RESET - PORT_SLEEP_CONTROL)
#define REG_EVENTS  (PORT_GED_EVENTS - PORT_SLEEP_CONTROL)
#define EVENTS_SIZE 4

/* Sleep control register */
#define SLP_TYP_SHIFT 2
#define SLP_TYP_MASK  0x07
#define SLP_EN	      0x20

#define EVENTS_ALL (GED_POWER_BUTTON | GED_VM_GENID)

struct power_state {
	uint8_t slp_typ; /* as written last */
	uint32_t events; /* GED_*: pending */
};

struct power {
	struct device device;
	struct power_config cfg;
	struct power_state st;
	struct {
		struct lock lock; /* guards st */
	} host;
};

static uint32_t take_events(struct power *p)
{
	uint32_t events;

	lock_take(&p->host.lock);
	events = p->st.events;
	p->st.events = 0;
	irq_set(&p->cfg.irq, false);
	lock_release(&p->host.lock);
	return events;
}

static uint8_t sleep_control(struct power *p)
{
	uint8_t v;

	lock_take(&p->host.lock);
	v = (uint8_t)(p->st.slp_typ << SLP_TYP_SHIFT);
	lock_release(&p->host.lock);
	return v;
}

static uint64_t power_read(struct device *d, uint32_t range, uint64_t offset,
			   uint8_t size)
{
	struct power *p = (struct power *)d;

	(void)range;
	if (offset == REG_EVENTS && size == EVENTS_SIZE)
		return take_events(p);
	if (offset == REG_CONTROL && size == 1)
		return sleep_control(p);
	if (offset == REG_STATUS && size == 1)
		return 0; /* never woken: there is no sleep to wake from */
	return UINT64_MAX;
}

static void write_sleep_control(struct power *p, uint8_t v)
{
	lock_take(&p->host.lock);
	p->st.slp_typ = (v >> SLP_TYP_SHIFT) & SLP_TYP_MASK;
	if ((v & SLP_EN) && p->st.slp_typ == ACPI_S5_SLP_TYP)
		guest_event(&p->cfg.events, GUEST_POWEROFF, 0);
	lock_release(&p->host.lock);
}

static void write_reset(struct power *p, uint8_t v)
{
	if (v != ACPI_RESET_VALUE)
		return;
	lock_take(&p->host.lock);
	guest_event(&p->cfg.events, GUEST_RESET, GUEST_RESET_ACPI);
	lock_release(&p->host.lock);
}

static void power_write(struct device *d, uint32_t range, uint64_t offset,
			uint8_t size, uint64_t value)
{
	struct power *p = (struct power *)d;

	(void)range;
	if (size != 1)
		return;
	if (offset == REG_CONTROL)
		write_sleep_control(p, (uint8_t)value);
	else if (offset == REG_RESET)
		write_reset(p, (uint8_t)value);
}

static void raise_event(struct power *p, uint32_t event)
{
	lock_take(&p->host.lock);
	/* An edge too, for a guest that has set the pin up that way. */
	if (p->st.events)
		irq_set(&p->cfg.irq, false);
	p->st.events |= event;
	irq_set(&p->cfg.irq, true);
	lock_release(&p->host.lock);
}

void power_button(struct power *p)
{
	raise_event(p, GED_POWER_BUTTON);
}

void power_genid_changed(struct power *p)
{
	raise_event(p, GED_VM_GENID);
}

static void power_reset(struct device *d)
{
	struct power *p = (struct power *)d;

	lock_take(&p->host.lock);
	p->st = (struct power_state){ .events = 0 };
	irq_set(&p->cfg.irq, false);
	lock_release(&p->host.lock);
}

/* After a load the line is driven anew. */
static void power_resume(struct device *d)
{
	struct power *p = (struct power *)d;

	lock_take(&p->host.lock);
	irq_set(&p->cfg.irq, p->st.events != 0);
	lock_release(&p->host.lock);
}

static void state_sync(struct power_state *st, struct state_io *io)
{
	state_u8(io, &st->slp_typ);
	state_u32(io, &st->events);
}

static void power_sync(struct device *d, struct state_io *io)
{
	struct power *p = (struct power *)d;
	struct power_state st = p->st;

	state_sync(&st, io);
	if (state_is_loading(io) && !io->error)
		p->st = st;
}

static int power_validate(const struct device *d, struct err *e)
{
	const struct power_state *st = &((const struct power *)d)->st;

	if (st->slp_typ & ~SLP_TYP_MASK)
		return err_set(e, -EINVAL,
			       "power: sleep type %u is not in 0..7",
			       st->slp_typ);
	if (st->events & ~(uint32_t)EVENTS_ALL)
		return err_set(e, -EINVAL, "power: unknown events in %#x",
			       st->events);
	return 0;
}

static void power_describe(struct device *d, struct buf *out)
{
	struct power *p = (struct power *)d;

	lock_take(&p->host.lock);
	buf_printf(out, "sleep_type=%u\nevents=%#x\n", p->st.slp_typ,
		   p->st.events);
	lock_release(&p->host.lock);
}

static const struct device_ops ops = {
	.name = "power",
	.state_version = 1,
	.read = power_read,
	.write = power_write,
	.reset = power_reset,
	.resume = power_resume,
	.sync = power_sync,
	.validate = power_validate,
	.describe = power_describe,
};

int power_create(struct power **out, const struct power_config *cfg,
		 struct err *e)
{
	struct power *p = calloc(1, sizeof(*p));

	if (!p)
		return err_sys(e, -ENOMEM, "power");
	p->device.ops = &ops;
	p->cfg = *cfg;
	lock_init(&p->host.lock);
	*out = p;
	return 0;
}

void power_destroy(struct power *p)
{
	if (!p)
		return;
	lock_fini(&p->host.lock);
	free(p);
}

struct device *power_device(struct power *p)
{
	return &p->device;
}
