/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder of a graceful shutdown or reboot: each rung asks the guest in
 * another way and gets a deadline. The rung that worked is in the answer.
 * The loop's thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "vmm/vm_private.h"

struct rung {
	const char *name;
	/* -ENOENT: this VM does not have that rung. */
	int (*press)(struct vm *vm, struct err *e);
};

static int ask_agent(struct vm *vm, struct err *e)
{
	bool is_reboot = vm->op.request.command == VM_CMD_REBOOT;

	if (!vm->observer.ask_agent)
		return -ENOENT;
	return vm->observer.ask_agent(vm->observer.ctx, is_reboot, e);
}

static int press_power_button(struct vm *vm, struct err *e)
{
	(void)e;
	machine_power_button(vm->machine);
	return 0;
}

static int press_ctrl_alt_del(struct vm *vm, struct err *e)
{
	return machine_ctrl_alt_del(vm->machine, e);
}

#define RUNG_AGENT 0

static const struct rung rungs[] = {
	[RUNG_AGENT] = { "agent", ask_agent },
	{ "powerbutton", press_power_button },
	{ "ctrl-alt-del", press_ctrl_alt_del },
};

#define RUNGS (sizeof(rungs) / sizeof(rungs[0]))

const char *vm_ladder_rung(const struct vm *vm)
{
	if (!vm->op.is_active || !vm->op.on_ladder)
		return "";
	return vm->op.forced ? "forced" : rungs[vm->op.rung].name;
}

static uint64_t deadline_ns(const struct vm *vm)
{
	if (vm->op.request.timeout_ms)
		return vm->op.request.timeout_ms * NS_PER_MS;
	return vm->config->shutdown_timeout_s * NS_PER_S;
}

static void note(struct vm *vm, const char *rung, const char *why)
{
	size_t used = strlen(vm->op.tried);

	snprintf(vm->op.tried + used, sizeof(vm->op.tried) - used, "%s%s: %s",
		 used ? "; " : "", rung, why);
}

static void force(struct vm *vm)
{
	bool is_reboot = vm->op.request.command == VM_CMD_REBOOT;
	struct vm_why why = vm->why;

	vm->op.forced = true;
	vm_emit(vm, VM_EVENT_RUNG, &why, 0, 0, "forced");
	vm_park_for(vm, is_reboot ? GOAL_RESET : GOAL_STOP);
}

/* No rung worked: the guest goes on, and the answer says what was tried. */
static void give_up(struct vm *vm)
{
	struct vm_why why = vm->why;
	char text[VM_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s", vm->op.tried);
	/*
	 * It has obeyed at the last moment: the report is on its way. Or it
	 * is being parked, for that or for a disk: then that is its end.
	 */
	if (machine_is_parked(vm->machine) || vm->goal != GOAL_NONE)
		return;
	vm_enter(vm, VM_RUNNING, &why);
	vm_op_end(vm, -ETIMEDOUT, NULL, text);
}

static void climb(struct vm *vm);

static void on_deadline(void *ctx)
{
	struct vm *vm = ctx;
	char text[48];

	snprintf(text, sizeof(text), "no answer in %llu ms",
		 (unsigned long long)(deadline_ns(vm) / NS_PER_MS));
	note(vm, rungs[vm->op.rung].name, text);
	vm->op.rung++;
	climb(vm);
}

/* Tries the present rung, or the next one that can be pressed. */
static void climb(struct vm *vm)
{
	struct err e = ERR_NONE;

	for (; vm->op.rung < RUNGS; vm->op.rung++) {
		const struct rung *rung = &rungs[vm->op.rung];
		int r = rung->press(vm, &e);

		if (r == -ENOENT)
			continue;
		vm_emit(vm, VM_EVENT_RUNG, &vm->why, 0, vm->op.rung,
			rung->name);
		if (!r) {
			loop_arm(vm->loop, &vm->rung_timer, deadline_ns(vm),
				 on_deadline, vm);
			return;
		}
		note(vm, rung->name, e.text);
	}
	if (vm->op.request.force)
		force(vm);
	else
		give_up(vm);
}

void vm_agent_failed(struct vm *vm, const char *why)
{
	if (!vm->op.is_active || !vm->op.on_ladder || vm->op.forced ||
	    vm->op.rung != RUNG_AGENT)
		return;
	loop_disarm(&vm->rung_timer);
	note(vm, rungs[RUNG_AGENT].name, why);
	vm->op.rung++;
	climb(vm);
}

void vm_ladder_begin(struct vm *vm)
{
	vm->op.on_ladder = true;
	vm->op.rung = 0;
	climb(vm);
}

void vm_ladder_end(struct vm *vm)
{
	loop_disarm(&vm->rung_timer);
	vm->op.on_ladder = false;
}
