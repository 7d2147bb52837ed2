/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers that change devices while the VM runs: balloon, limits, links;
 * and the figures as metrics. Loop thread. Every change leaves a record.
 */
#include <stdio.h>
#include <string.h>

#include "control/api.h"
#include "control/control.h"
#include "control/figures.h"
#include "control/routes.h"
#include "devices/vballoon.h"
#include "devices/vblk.h"
#include "devices/vnet.h"
#include "vmm/machine.h"

#define METRICS "text/plain; version=0.0.4; charset=utf-8"

void api_metrics(struct call *call)
{
	figures_print_metrics(&call->body, call->control->vm);
	call_answer(call, 200, METRICS);
}

/* --- changes --------------------------------------------------------- */

static void answer_changed(struct call *call, const char *text)
{
	struct vm_status status;

	vm_status(call->control->vm, &status);
	control_note_call(call, "command", status.state, text);
	control_answer_done(call, true, status.state, "", text);
}

/* The machine, or NULL with the call answered. */
static struct machine *machine_of(struct call *call)
{
	struct vm *vm = call->control->vm;
	struct machine *m = vm_machine(vm);
	struct vm_status status;

	if (m)
		return m;
	vm_status(vm, &status);
	call_wrong_state(call, "the VM has no devices now",
			 vm_state_text(status.state), "start");
	return NULL;
}

void api_balloon(struct call *call)
{
	const struct vm_config *c = call->control->config;
	uint64_t keep = call_number(call, "memory_bytes", c->memory_bytes);
	struct machine *m = machine_of(call);
	struct vballoon *b;
	char text[96];

	if (!m)
		return;
	b = machine_balloon(m);
	if (!b) {
		call_problem(call, PROBLEM_NOT_FOUND,
			     "this VM has no balloon (--balloon on)");
		return;
	}
	if (!call_has(call, "memory_bytes") || keep > c->memory_bytes) {
		call_problem(call, PROBLEM_BAD_VALUE,
			     "memory_bytes: is not in 0..%llu",
			     (unsigned long long)c->memory_bytes);
		return;
	}
	vballoon_set_target(
		b, (uint32_t)((c->memory_bytes - keep) / VBALLOON_PAGE_BYTES));
	snprintf(text, sizeof(text), "balloon: the guest is to keep %llu MiB",
		 (unsigned long long)(keep >> 20));
	answer_changed(call, text);
}

static struct vblk *find_disk(struct machine *m, const char *id)
{
	struct vblk *b;
	unsigned int i;

	for (i = 0; (b = machine_disk(m, i)) != NULL; i++)
		if (!strcmp(vblk_virtio(b)->cfg.id, id))
			return b;
	return NULL;
}

static struct vnet *find_net(struct machine *m, const char *id)
{
	struct vnet *n;
	unsigned int i;

	for (i = 0; (n = machine_net(m, i)) != NULL; i++)
		if (!strcmp(vnet_virtio(n)->cfg.id, id))
			return n;
	return NULL;
}

static void no_device(struct call *call, const char *what)
{
	call_problem(call, PROBLEM_NOT_FOUND, "this VM has no %s '%s'", what,
		     call_word(call, "device"));
}

/* What isn't given stays as it is. */
void api_limit(struct call *call)
{
	struct machine *m = machine_of(call);
	struct vnet_stats net;
	struct vblk_stats disk;
	struct vblk *b;
	struct vnet *n;
	char text[128];

	if (!m)
		return;
	b = find_disk(m, call_word(call, "device"));
	n = find_net(m, call_word(call, "device"));
	if (b) {
		vblk_get_stats(b, &disk);
		vblk_set_limits(b, call_number(call, "bps", disk.bytes_per_s),
				call_number(call, "ops", disk.ops_per_s));
	} else if (n) {
		vnet_get_stats(n, &net);
		vnet_set_limits(n, call_number(call, "bps", net.bytes_per_s),
				call_number(call, "ops", net.frames_per_s));
	} else {
		no_device(call, "disk or network card");
		return;
	}
	snprintf(text, sizeof(text), "%s: limits changed",
		 call_word(call, "device"));
	answer_changed(call, text);
}

void api_link(struct call *call)
{
	struct machine *m = machine_of(call);
	bool is_up = call_number(call, "up", 1);
	struct vnet *n;
	char text[96];

	if (!m)
		return;
	n = find_net(m, call_word(call, "device"));
	if (!n) {
		no_device(call, "network card");
		return;
	}
	if (!call_has(call, "up")) {
		call_problem(call, PROBLEM_BAD_VALUE, "up: is missing");
		return;
	}
	vnet_set_link(n, is_up);
	snprintf(text, sizeof(text), "%s: link %s", call_word(call, "device"),
		 is_up ? "up" : "down");
	answer_changed(call, text);
}
