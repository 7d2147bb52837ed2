/* SPDX-License-Identifier: Apache-2.0 */
/* What happens at the same moment in a VM's life, with a machine of ours. */
#include "tests/unit/suite.h"

#include "tests/unit/fake_machine.h"

#include "vmm/vm_private.h"

static struct err e;
static struct loop *loop;
static struct vm_config config;
static struct vm *vm;
static struct vm_result result;
static unsigned int answers;

static void on_done(void *ctx, const struct vm_result *r)
{
	(void)ctx;
	result = *r;
	answers++;
}

static void ask(struct vm_request request)
{
	request.actor.kind = "test";
	request.done = on_done;
	vm_submit(vm, &request);
}

static void ask_for(enum vm_command command)
{
	ask((struct vm_request){ .command = command });
}

static void step_until(enum vm_state state)
{
	int i;

	for (i = 0; i < 1000 && vm->state != state; i++)
		ck_assert_int_eq(loop_step(loop, 10), 0);
	ck_assert_str_eq(vm_state_text(vm->state), vm_state_text(state));
}

/* All messages that are on their way. */
static void settle(void)
{
	int i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(loop_step(loop, 0), 0);
}

/* A store that keeps nothing. */
static struct {
	int error;
	bool is_disk; /* no machine in it */
	unsigned int saves, loads, consumed, gone;
} store;

static int save(void *ctx, struct machine *m, char text[VM_TEXT_MAX + 1],
		struct err *why)
{
	(void)ctx;
	ck_assert(machine_is_parked(m));
	store.saves++;
	strcpy(text, "saved");
	return store.error ? err_set(why, store.error, "the disk is full") : 0;
}

static int load(void *ctx, struct vm_saved *out, struct err *why)
{
	(void)ctx;
	store.loads++;
	if (store.error)
		return err_set(why, store.error, "it is damaged");
	return store.is_disk ? 0 : buf_puts(&out->state, "state");
}

static void used(void *ctx, bool is_built)
{
	(void)ctx;
	store.consumed += is_built;
}

static void on_gone(void *ctx, const struct vm_end *end)
{
	(void)ctx;
	(void)end;
	store.gone++;
}

static void set_up(void)
{
	static const struct vm_observer observer = {
		.gone = on_gone,
		.store = { NULL, save, { NULL, load, used }, false },
	};

	ck_assert_int_eq(loop_create(&loop, &e), 0);
	config = (struct vm_config){ .cpus = 1,
				     .on_poweroff = VM_POLICY_STOP,
				     .on_reboot = VM_POLICY_RESTART,
				     .on_panic = VM_POLICY_PAUSE,
				     .on_crash = VM_POLICY_PAUSE,
				     .restart_max = 5,
				     .shutdown_timeout_s = 60 };
	ck_assert_int_eq(vm_create(&vm, loop, &config, false, &observer, &e),
			 0);
	answers = 0;
	ask_for(VM_CMD_START);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(answers, 1);
}

static void tear_down(void)
{
	vm_destroy(vm);
	loop_destroy(loop);
}

START_TEST(suspended_vm_has_no_machine_and_its_process_ends)
{
	set_up();
	ask_for(VM_CMD_SUSPEND);
	step_until(VM_SUSPENDED);
	ck_assert_uint_eq(answers, 2);
	ck_assert_int_eq(result.error, 0);
	ck_assert_ptr_null(vm->machine);
	ck_assert_uint_eq(store.saves, 1);
	ck_assert_uint_eq(store.gone, 1);
	tear_down();
}
END_TEST

START_TEST(vm_that_cannot_be_saved_goes_on_as_before)
{
	set_up();
	store.error = -ENOSPC;
	ask_for(VM_CMD_SUSPEND);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(answers, 2);
	ck_assert_int_eq(result.error, -ENOSPC);
	ck_assert_uint_eq(fake_machine->runs, 2);
	ask_for(VM_CMD_PAUSE);
	step_until(VM_PAUSED);
	ask_for(VM_CMD_SUSPEND);
	settle();
	step_until(VM_PAUSED);
	ck_assert_uint_eq(answers, 4);
	ck_assert_int_eq(result.error, -ENOSPC);
	ck_assert_uint_eq(fake_machine->runs, 2);
	ck_assert_uint_eq(store.gone, 0);
	tear_down();
}
END_TEST

START_TEST(devices_in_flight_are_waited_for_before_it_is_saved)
{
	set_up();
	fake_machine->is_busy = true;
	ask_for(VM_CMD_SUSPEND);
	settle();
	ck_assert_int_eq(vm->state, VM_SUSPENDING);
	ck_assert_uint_eq(store.saves, 0);
	fake_machine->is_busy = false;
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	step_until(VM_SUSPENDED);
	ck_assert_uint_eq(store.saves, 1);
	tear_down();
}
END_TEST

START_TEST(guest_that_ends_while_it_is_suspended_has_ended)
{
	set_up();
	fake_machine->ignores_park = true;
	ask_for(VM_CMD_SUSPEND);
	settle();
	ck_assert_int_eq(vm->state, VM_SUSPENDING);
	fake_machine_end(VM_CAUSE_GUEST_POWEROFF);
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	settle();
	step_until(VM_STOPPED);
	ck_assert_int_eq(result.error, -ECANCELED);
	ck_assert_uint_eq(store.saves, 0);
	tear_down();
}
END_TEST

static void make_suspended(void)
{
	static const struct vm_observer observer = {
		.gone = on_gone,
		.store = { NULL, save, { NULL, load, used }, true },
	};

	set_up();
	vm_destroy(vm);
	ck_assert_int_eq(vm_create(&vm, loop, &config, true, &observer, &e), 0);
	ck_assert_int_eq(vm->state, VM_SUSPENDED);
	answers = 0;
}

START_TEST(start_uses_up_what_was_saved)
{
	make_suspended();
	ask_for(VM_CMD_START);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_eq(store.loads, 1);
	ck_assert_uint_eq(store.consumed, 1);
	ck_assert_uint_eq(vm->boots, 0);
	tear_down();
}
END_TEST

START_TEST(what_cannot_be_loaded_stays_suspended)
{
	make_suspended();
	store.error = -EBADMSG;
	ask_for(VM_CMD_START);
	step_until(VM_SUSPENDED);
	settle();
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(result.error, -EBADMSG);
	ck_assert_uint_eq(store.consumed, 0);
	ck_assert_uint_eq(store.gone, 1);
	tear_down();
}
END_TEST

START_TEST(a_crash_comes_before_the_pause_that_met_it)
{
	set_up();
	fake_machine_end(VM_CAUSE_TRIPLE_FAULT);
	ask_for(VM_CMD_PAUSE);
	settle();
	step_until(VM_CRASHED);
	ck_assert_uint_eq(answers, 2);
	ck_assert_int_eq(result.error, -ECANCELED);
	ck_assert_ptr_nonnull(strstr(vm_crash_report(vm), "it crashed"));
	tear_down();
}
END_TEST

START_TEST(a_crash_comes_before_the_io_error_that_met_it)
{
	set_up();
	fake_machine_io_error();
	fake_machine_end(VM_CAUSE_TRIPLE_FAULT);
	settle();
	step_until(VM_CRASHED);
	tear_down();
}
END_TEST

/* The disk's word first, the guest's end while the vCPUs park. */
START_TEST(a_crash_during_an_io_error_is_a_crash)
{
	set_up();
	fake_machine->ignores_park = true;
	fake_machine_io_error();
	settle();
	ck_assert_int_eq(vm->goal, GOAL_IO_ERROR);
	fake_machine_end(VM_CAUSE_GUEST_PANIC);
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	settle();
	step_until(VM_PAUSED);
	ck_assert_int_eq(vm->why.cause, VM_CAUSE_GUEST_PANIC);
	tear_down();
}
END_TEST

/* A guest that is to be booted anew has no requests to save. */
START_TEST(an_io_error_does_not_hold_up_a_restart)
{
	set_up();
	config.on_panic = VM_POLICY_RESTART;
	fake_machine_end(VM_CAUSE_GUEST_PANIC);
	settle();
	step_until(VM_RUNNING);
	fake_machine_end(VM_CAUSE_GUEST_PANIC);
	settle();
	ck_assert_int_eq(vm->state, VM_RESETTING);
	fake_machine_io_error();
	settle();
	ck_assert_int_eq(vm->state, VM_RESETTING);
	step_until(VM_RUNNING);
	tear_down();
}
END_TEST

/* What a guest was asked for ends with its last rung, not with an error. */
START_TEST(a_ladder_that_ends_leaves_an_io_error_alone)
{
	set_up();
	config.shutdown_timeout_s = 1;
	ask((struct vm_request){ .command = VM_CMD_SHUTDOWN, .timeout_ms = 1 });
	fake_machine->ignores_park = true;
	fake_machine_io_error();
	settle();
	ck_assert_int_eq(loop_step(loop, 100), 0);
	ck_assert_int_eq(loop_step(loop, 100), 0);
	fake_machine->is_parked = true;
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	settle();
	ck_assert_str_eq(vm_state_text(vm->state), "io-error");
	ck_assert_uint_eq(answers, 2);
	tear_down();
}
END_TEST

START_TEST(an_emergency_pause_stops_the_devices_and_waits_for_none)
{
	set_up();
	fake_machine->is_busy = true;
	ask((struct vm_request){ .command = VM_CMD_PAUSE, .emergency = true });
	ck_assert_int_eq(vm->state, VM_PAUSED);
	ck_assert_uint_eq(fake_machine->quiesces, 1);
	ask_for(VM_CMD_RESUME);
	ck_assert_int_eq(vm->state, VM_RUNNING);
	tear_down();
}
END_TEST

/* --- moments ---------------------------------------------------------- */

static struct {
	int error;
	bool loses;
	unsigned int works;
} moment;

static int work(void *ctx, struct machine *m, bool *is_lost, struct err *why)
{
	(void)ctx;
	ck_assert(machine_is_parked(m));
	moment.works++;
	*is_lost = moment.loses;
	return moment.error ? err_set(why, moment.error, "it did not work") : 0;
}

static void ask_still(enum vm_command command)
{
	ask((struct vm_request){ .command = command, .still = { NULL, work } });
}

static void step_until_answers(unsigned int n)
{
	int i;

	for (i = 0; i < 1000 && answers < n; i++)
		ck_assert_int_eq(loop_step(loop, 10), 0);
	ck_assert_uint_eq(answers, n);
}

START_TEST(guest_goes_on_after_its_snapshot_as_if_nothing_were)
{
	set_up();
	ask_still(VM_CMD_SNAPSHOT);
	ck_assert_int_eq(vm->state, VM_RUNNING);
	step_until_answers(2);
	ck_assert_int_eq(result.error, 0);
	ck_assert_uint_eq(moment.works, 1);
	ck_assert_int_eq(vm->state, VM_RUNNING);
	ck_assert_uint_eq(fake_machine->runs, 2);
	ask_for(VM_CMD_PAUSE);
	step_until(VM_PAUSED);
	moment.error = -ENOSPC;
	ask_still(VM_CMD_SNAPSHOT);
	step_until_answers(4);
	ck_assert_int_eq(result.error, -ENOSPC);
	ck_assert_int_eq(vm->state, VM_PAUSED);
	ck_assert_uint_eq(fake_machine->runs, 2);
	tear_down();
}
END_TEST

START_TEST(what_is_asked_during_a_snapshot_is_done_after_it)
{
	set_up();
	fake_machine->is_busy = true;
	ask_still(VM_CMD_SNAPSHOT);
	ask_for(VM_CMD_PAUSE);
	settle();
	ck_assert_uint_eq(answers, 1);
	fake_machine->is_busy = false;
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	step_until(VM_PAUSED);
	step_until_answers(3);
	ck_assert_uint_eq(moment.works, 1);
	tear_down();
}
END_TEST

START_TEST(a_stop_does_not_wait_for_devices_that_hang)
{
	set_up();
	fake_machine->is_busy = true;
	ask_still(VM_CMD_SNAPSHOT);
	settle();
	ask_for(VM_CMD_STOP);
	step_until(VM_STOPPED);
	ck_assert_uint_eq(moment.works, 0);
	ck_assert_uint_eq(answers, 3); /* the start, the snapshot, the stop */
	tear_down();
}
END_TEST

START_TEST(an_emergency_pause_does_not_wait_for_devices_that_hang)
{
	set_up();
	fake_machine->is_busy = true;
	ask_still(VM_CMD_SNAPSHOT);
	settle();
	ask((struct vm_request){ .command = VM_CMD_PAUSE, .emergency = true });
	ck_assert_int_eq(vm->state, VM_PAUSED);
	ck_assert_uint_eq(moment.works, 0);
	ck_assert_uint_eq(answers, 3); /* the start, the snapshot, the pause */
	fake_machine->is_busy = false;
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	settle();
	ck_assert_uint_eq(moment.works, 0);
	ck_assert_int_eq(vm->state, VM_PAUSED);
	tear_down();
}
END_TEST

START_TEST(guest_that_ends_before_its_snapshot_has_ended)
{
	set_up();
	fake_machine->ignores_park = true;
	ask_still(VM_CMD_SNAPSHOT);
	settle();
	fake_machine_end(VM_CAUSE_GUEST_POWEROFF);
	fake_machine->cfg.ops.all_parked(fake_machine->cfg.ops.ctx);
	step_until(VM_STOPPED);
	ck_assert_int_eq(result.error, -ECANCELED);
	ck_assert_uint_eq(moment.works, 0);
	tear_down();
}
END_TEST

START_TEST(crashed_guest_is_rewound)
{
	set_up();
	fake_machine_end(VM_CAUSE_TRIPLE_FAULT);
	step_until(VM_CRASHED);
	moment.error = -EIO;
	ask_still(VM_CMD_REWIND);
	step_until_answers(2);
	step_until(VM_CRASHED);
	moment.error = 0;
	ask_still(VM_CMD_REWIND);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(moment.works, 2);
	ck_assert_uint_eq(fake_machine->runs, 2);
	tear_down();
}
END_TEST

START_TEST(machine_that_is_lost_in_a_rewind_is_taken_down)
{
	set_up();
	moment.error = -EBADMSG;
	moment.loses = true;
	ask_still(VM_CMD_REWIND);
	step_until(VM_STOPPED);
	ck_assert_int_eq(result.error, -EBADMSG);
	ck_assert_int_eq(vm->why.cause, VM_CAUSE_RESTORE_FAILED);
	ck_assert_ptr_null(vm->machine);
	tear_down();
}
END_TEST

START_TEST(reloaded_guest_goes_on_as_it_was)
{
	set_up();
	ask_for(VM_CMD_RELOAD);
	ck_assert_int_eq(vm->state, VM_RUNNING);
	step_until_answers(2);
	ck_assert_int_eq(result.error, 0);
	ck_assert_int_eq(vm->state, VM_RUNNING);
	ck_assert_uint_eq(fake_machine->runs, 2);
	fake_machine->reload_error = -ENOMEM;
	ask_for(VM_CMD_RELOAD);
	step_until_answers(3);
	ck_assert_int_eq(result.error, -ENOMEM);
	ck_assert_int_eq(vm->state, VM_RUNNING);
	ask_for(VM_CMD_PAUSE);
	step_until(VM_PAUSED);
	fake_machine->reload_error = 0;
	ask_for(VM_CMD_RELOAD);
	step_until_answers(5);
	ck_assert_int_eq(vm->state, VM_PAUSED);
	ck_assert_uint_eq(fake_machine->runs, 3);
	ck_assert_uint_eq(fake_machine->reloads, 3);
	tear_down();
}
END_TEST

START_TEST(machine_that_is_lost_in_a_reload_is_taken_down)
{
	set_up();
	fake_machine->reload_error = -EBADMSG;
	fake_machine->reload_loses = true;
	ask_for(VM_CMD_RELOAD);
	step_until(VM_STOPPED);
	ck_assert_int_eq(result.error, -EBADMSG);
	ck_assert_int_eq(vm->why.cause, VM_CAUSE_RESTORE_FAILED);
	ck_assert_ptr_null(vm->machine);
	tear_down();
}
END_TEST

static void ask_restore(bool paused)
{
	ask((struct vm_request){ .command = VM_CMD_RESTORE,
				 .paused = paused,
				 .source = { NULL, load, used } });
}

START_TEST(restored_machine_takes_the_place_of_the_one_there)
{
	set_up();
	ask_restore(false);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(store.loads, 1);
	ck_assert_uint_eq(store.consumed, 1);
	ck_assert_uint_eq(fake_machine->runs, 1);
	ask_for(VM_CMD_STOP);
	step_until(VM_STOPPED);
	ask_restore(true);
	step_until(VM_PAUSED);
	ck_assert_uint_eq(vm->boots, 1);
	ck_assert_ptr_nonnull(fake_machine->cfg.state);
	tear_down();
}
END_TEST

START_TEST(what_has_no_machine_in_it_is_booted)
{
	set_up();
	store.is_disk = true;
	ask_restore(false);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(vm->boots, 2);
	ck_assert_ptr_null(fake_machine->cfg.state);
	tear_down();
}
END_TEST

START_TEST(restore_that_fails_leaves_a_stopped_vm)
{
	set_up();
	store.error = -EBADMSG;
	ask_restore(false);
	step_until(VM_STOPPED);
	step_until_answers(2);
	ck_assert_int_eq(result.error, -EBADMSG);
	ck_assert_uint_eq(store.consumed, 0);
	store.error = 0;
	ask_for(VM_CMD_START);
	step_until(VM_RUNNING);
	ck_assert_uint_eq(vm->boots, 2);
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		suspended_vm_has_no_machine_and_its_process_ends,
		vm_that_cannot_be_saved_goes_on_as_before,
		devices_in_flight_are_waited_for_before_it_is_saved,
		guest_that_ends_while_it_is_suspended_has_ended,
		start_uses_up_what_was_saved,
		what_cannot_be_loaded_stays_suspended,
		a_crash_comes_before_the_pause_that_met_it,
		a_crash_comes_before_the_io_error_that_met_it,
		a_crash_during_an_io_error_is_a_crash,
		an_io_error_does_not_hold_up_a_restart,
		a_ladder_that_ends_leaves_an_io_error_alone,
		an_emergency_pause_stops_the_devices_and_waits_for_none,
		guest_goes_on_after_its_snapshot_as_if_nothing_were,
		what_is_asked_during_a_snapshot_is_done_after_it,
		a_stop_does_not_wait_for_devices_that_hang,
		an_emergency_pause_does_not_wait_for_devices_that_hang,
		guest_that_ends_before_its_snapshot_has_ended,
		crashed_guest_is_rewound,
		machine_that_is_lost_in_a_rewind_is_taken_down,
		reloaded_guest_goes_on_as_it_was,
		machine_that_is_lost_in_a_reload_is_taken_down,
		restored_machine_takes_the_place_of_the_one_there,
		what_has_no_machine_in_it_is_booted,
		restore_that_fails_leaves_a_stopped_vm,
	};

	return SUITE_RUN("vm life", tests);
}
