/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine without KVM, for tests of a VM's life: it defines what vm*.c
 * uses of vmm/machine.h, and does what the test says. Include it in one file
 * per program; the library's own machine is then not linked. The loop's
 * thread, but for machine_build() and machine_destroy().
 */
#ifndef AMBER_TESTS_UNIT_FAKE_MACHINE_H
#define AMBER_TESTS_UNIT_FAKE_MACHINE_H

#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/machine_state.h"

struct machine {
	struct machine_config cfg;
	struct machine_report report;
	bool is_parked;
	bool ignores_park; /* a vCPU that can't be parked yet */
	bool is_busy;	   /* its devices have something in flight */
	unsigned int parks, quiesces, runs, reloads;
	int reload_error; /* 0: it works */
	bool reload_loses;
};

/* The one that was built last. */
static struct machine *fake_machine;

/* The guest ends its run; the report is on its way, all are parked. */
static inline void fake_machine_end(enum vm_cause cause)
{
	fake_machine->report.has_end = true;
	fake_machine->report.cause = cause;
	fake_machine->is_parked = true;
	fake_machine->cfg.ops.report(fake_machine->cfg.ops.ctx);
}

static inline void fake_machine_io_error(void)
{
	fake_machine->report.has_io_error = true;
	fake_machine->cfg.ops.report(fake_machine->cfg.ops.ctx);
}

int machine_build(struct machine **out, const struct machine_config *config,
		  struct buf *report, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));

	(void)report;
	if (!m)
		return err_sys(e, -ENOMEM, "machine");
	m->cfg = *config;
	m->is_parked = true;
	*out = fake_machine = m;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (m && m == fake_machine)
		fake_machine = NULL;
	free(m);
}

void machine_run(struct machine *m)
{
	m->is_parked = false;
	m->runs++;
}

void machine_park(struct machine *m)
{
	m->parks++;
	m->is_parked = m->is_parked || !m->ignores_park;
}

bool machine_is_parked(const struct machine *m)
{
	return m->is_parked;
}

uint32_t machine_parked_count(const struct machine *m)
{
	return m->is_parked;
}

bool machine_quiesce(struct machine *m)
{
	m->quiesces++;
	return !m->is_busy;
}

int machine_reload(struct machine *m, bool *is_lost, struct err *e)
{
	m->reloads++;
	*is_lost = m->reload_loses;
	return m->reload_error ? err_set(e, m->reload_error, "not loaded") : 0;
}

int machine_may_resume(struct machine *m, bool accept, struct err *e)
{
	(void)m;
	(void)accept;
	(void)e;
	return 0;
}

void machine_take_report(struct machine *m, struct machine_report *out)
{
	*out = m->report;
	m->report = (struct machine_report){ .has_end = false };
}

const char *machine_crash_text(struct machine *m)
{
	(void)m;
	return "it crashed\n";
}

void machine_power_button(struct machine *m)
{
	(void)m;
}

int machine_ctrl_alt_del(struct machine *m, struct err *e)
{
	(void)m;
	(void)e;
	return -ENOENT;
}

void machine_nmi(struct machine *m)
{
	(void)m;
}

void machine_add_stats(const struct machine *m, struct vm_stats *out)
{
	(void)m;
	(void)out;
}

void machine_describe(struct machine *m, struct buf *out)
{
	(void)m;
	(void)out;
}

#endif
