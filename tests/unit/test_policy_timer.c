/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of a VM's own process, without a machine and without waiting:
 * what stays due, what is told how often, and that pruning follows.
 */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "control/policy_timer.h"
#include "control/snapshot_op.h"
#include "snapshot/policy.h"
#include "tests/unit/plane.h"

static char place[64];
static int dir;
static struct plane p;

/* since: of policy.json, or NULL. */
static void open_plane(const char *policy, const char *file)
{
	const struct config_row *row = config_find_option("snapshots");
	struct control_config config = { .config = &p.config };
	struct err e = ERR_NONE;

	snprintf(place, sizeof(place), "/tmp/amber-test-timer-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	dir = config.dir = file_open_dir(AT_FDCWD, place, &e);
	ck_assert_int_eq(mkdirat(dir, "logs", 0700), 0);
	if (file)
		ck_assert_int_eq(file_commit(dir, POLICY_FILE, file,
					     strlen(file), FILE_ATOMIC, &e),
				 0);
	config_init(&p.config);
	config_finish(&p.config, CONFIG_KEPT);
	snprintf(p.config.name, sizeof(p.config.name), "test");
	if (policy)
		ck_assert_msg(!config_set(&p.config, row, policy, &e), "%s",
			      e.text);
	ck_assert_int_eq(loop_create(&p.loop, &e), 0);
	config.loop = p.loop;
	ck_assert_int_eq(control_create(&p.control, &config, &e), 0);
	ck_assert_int_eq(control_start_files(p.control, &e), 0);
}

static void close_plane(void)
{
	plane_close(&p);
	close(dir);
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, place, NULL), 0);
}

static unsigned int count_events(const char *text)
{
	const struct event_record *r;
	unsigned int n = 0;
	uint64_t seq;

	for (seq = 1; seq < events_next(p.control->events); seq++) {
		r = events_get(p.control->events, seq);
		n += r && strstr(r->json, text);
	}
	return n;
}

static void await_op(void)
{
	while (p.control->snapshot_op)
		ck_assert_int_ge(loop_step(p.loop, 1000), 0);
}

static const char *const overdue = "{\"since\": \"2026-01-01T00:00:00Z\"}";

START_TEST(without_a_policy_or_a_directory_there_is_no_timer)
{
	open_plane(NULL, NULL);
	ck_assert_ptr_null(p.control->policy);
	close_plane();
	plane_open(&p);
	ck_assert_ptr_null(p.control->policy);
	plane_close(&p);
}
END_TEST

START_TEST(a_vm_that_does_not_run_stays_due_in_silence)
{
	static const enum vm_state states[] = { VM_DEFINED, VM_STOPPED,
						VM_CRASHED, VM_SUSPENDED };
	uint64_t before;
	size_t i;

	open_plane("every=@hourly", overdue);
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		plane_state(&p, states[i]);
		before = events_next(p.control->events);
		policy_timer_look(p.control->policy);
		ck_assert_uint_eq(events_next(p.control->events), before);
	}
	ck_assert_ptr_null(p.control->snapshot_op);
	close_plane();
}
END_TEST

START_TEST(rules_hold_while_a_run_has_to_wait)
{
	open_plane("every=@hourly,keep_last=1", overdue);
	plane_state(&p, VM_STOPPED);
	policy_timer_look(p.control->policy);
	ck_assert_ptr_nonnull(p.control->snapshot_op);
	await_op();
	policy_timer_look(p.control->policy); /* not before an hour */
	ck_assert_ptr_null(p.control->snapshot_op);
	close_plane();
}
END_TEST

START_TEST(what_has_to_wait_is_told_once)
{
	open_plane("every=@hourly", overdue);
	plane_state(&p, VM_RUNNING); /* with no machine yet */
	policy_timer_look(p.control->policy);
	policy_timer_look(p.control->policy);
	ck_assert_uint_eq(count_events("the scheduled snapshot waits"), 1);
	ck_assert_uint_eq(count_events("snapshot-failed"), 0);
	ck_assert_uint_eq(count_events("\"kind\":\"policy\""), 1);
	close_plane();
}
END_TEST

START_TEST(what_is_not_due_is_not_begun)
{
	uint64_t before;

	open_plane("every=@yearly", NULL);
	plane_state(&p, VM_RUNNING);
	before = events_next(p.control->events);
	policy_timer_look(p.control->policy);
	ck_assert_uint_eq(events_next(p.control->events), before);
	ck_assert_ptr_null(p.control->snapshot_op);
	close_plane();
}
END_TEST

START_TEST(rules_without_a_schedule_prune_and_nothing_removed_is_no_event)
{
	uint64_t before;

	open_plane("prune_all,keep_last=1", NULL);
	plane_state(&p, VM_RUNNING);
	before = events_next(p.control->events);
	policy_timer_look(p.control->policy);
	ck_assert_ptr_nonnull(p.control->snapshot_op);
	policy_timer_look(p.control->policy); /* one at a time */
	await_op();
	ck_assert_uint_eq(events_next(p.control->events), before);
	policy_timer_look(p.control->policy); /* not before an hour */
	ck_assert_ptr_null(p.control->snapshot_op);
	close_plane();
}
END_TEST

START_TEST(another_operation_is_waited_for)
{
	const struct snapshot_op_asker asker = { .actor = { .kind = "api" },
						 .reason = "" };
	struct snapshot_op_order order = { .kind = OP_PRUNE };
	struct err e = ERR_NONE;

	open_plane("prune_all,keep_last=1", NULL);
	plane_state(&p, VM_RUNNING);
	order.prune.policy.keep[PRUNE_LAST] = 1;
	ck_assert_int_eq(snapshot_op_begin(p.control, &asker, &order, &e), 0);
	policy_timer_look(p.control->policy);
	await_op();
	policy_timer_look(p.control->policy); /* it is still wanted */
	ck_assert_ptr_nonnull(p.control->snapshot_op);
	await_op();
	ck_assert_uint_eq(count_events("snapshot-failed"), 0);
	close_plane();
}
END_TEST

START_TEST(a_file_that_can_not_be_read_is_told_and_begun_anew)
{
	open_plane("every=@yearly", "{\"ran\": 1}");
	ck_assert_uint_eq(count_events(POLICY_FILE), 1);
	plane_state(&p, VM_RUNNING);
	policy_timer_look(p.control->policy);
	ck_assert_ptr_null(p.control->snapshot_op);
	close_plane();
}
END_TEST

START_TEST(nothing_is_begun_while_the_process_ends)
{
	open_plane("prune_all,keep_last=1", NULL);
	plane_state(&p, VM_RUNNING);
	p.control->is_ending = true;
	policy_timer_look(p.control->policy);
	ck_assert_ptr_null(p.control->snapshot_op);
	close_plane();
}
END_TEST

START_TEST(an_operation_under_way_at_the_end_is_abandoned)
{
	open_plane("prune_all,keep_last=1", NULL);
	plane_state(&p, VM_RUNNING);
	policy_timer_look(p.control->policy);
	ck_assert_ptr_nonnull(p.control->snapshot_op);
	close_plane();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		without_a_policy_or_a_directory_there_is_no_timer,
		a_vm_that_does_not_run_stays_due_in_silence,
		rules_hold_while_a_run_has_to_wait,
		what_has_to_wait_is_told_once,
		what_is_not_due_is_not_begun,
		rules_without_a_schedule_prune_and_nothing_removed_is_no_event,
		another_operation_is_waited_for,
		a_file_that_can_not_be_read_is_told_and_begun_anew,
		nothing_is_begun_while_the_process_ends,
		an_operation_under_way_at_the_end_is_abandoned,
	};

	return SUITE_RUN("policy timer", tests);
}
