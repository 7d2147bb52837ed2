/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on snapshots over a fake VM with a fake agent: what becomes of a
 * guest whose file systems are frozen, and what is remembered of the end.
 */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "control/snapshot_op.h"
#include "tests/unit/fake_agent.h"
#include "tests/unit/plane.h"

static char place[64];
static int dir;
static struct plane p;
static struct fake_agent g;
static char machine; /* that there is one; it has nothing */

static void set_up(void)
{
	snprintf(place, sizeof(place), "/tmp/amber-test-op-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	dir = file_open_dir(AT_FDCWD, place, NULL);
	plane_open_dir(&p, dir);
	plane_state(&p, VM_RUNNING);
	p.control->vm->machine = (struct machine *)(void *)&machine;
	fake_agent_init(&g, p.loop, 0);
	p.control->agent = g.agent; /* its owner now */
	fake_agent_open(&g);
}

static void tear_down(void)
{
	plane_close(&p);
	buf_fini(&g.got);
	close(dir);
	ck_assert_int_eq(file_remove_tree(AT_FDCWD, place, NULL), 0);
}

/* A quiesced one, until the agent is asked. */
static void begin(void)
{
	const struct snapshot_op_asker asker = { .actor = { .kind = "api" },
						 .reason = "" };
	struct snapshot_op_order order = { .kind = OP_CREATE, .quiesce = true };
	struct err e = ERR_NONE;

	order.take.consistency = SNAPSHOT_QUIESCED;
	ck_assert_msg(!snapshot_op_begin(p.control, &asker, &order, &e), "%s",
		      e.text);
	while (!strstr(g.request, "guest-fsfreeze-freeze")) {
		ck_assert_int_ge(loop_step(p.loop, 1000), 0);
		fake_agent_read(&g);
	}
}

static void await_op(void)
{
	while (p.control->snapshot_op)
		ck_assert_int_ge(loop_step(p.loop, 1000), 0);
	fake_agent_read(&g);
}

static const struct op_record *last_op(void)
{
	return ops_find(p.control, p.control->ops.last);
}

START_TEST(guest_is_thawed_when_its_snapshot_is_cancelled_while_it_freezes)
{
	set_up();
	begin();
	snapshot_op_cancel(p.control);
	fake_agent_say(&g, "{\"return\": 3}\n");
	await_op();
	ck_assert_int_eq(last_op()->state, OP_FAILED);
	ck_assert_str_eq(last_op()->text, "cancelled");
	ck_assert_ptr_nonnull(strstr(g.request, "guest-fsfreeze-thaw"));
	tear_down();
}
END_TEST

START_TEST(guest_that_did_not_freeze_is_not_thawed)
{
	set_up();
	begin();
	fake_agent_say(&g, "{\"error\": {\"desc\": \"no\"}}\n");
	await_op();
	ck_assert_int_eq(last_op()->state, OP_FAILED);
	ck_assert_ptr_nonnull(strstr(g.request, "guest-fsfreeze-freeze"));
	tear_down();
}
END_TEST

START_TEST(words_of_a_guest_that_are_cut_can_still_be_shown)
{
	char text[700] = "{\"error\": {\"desc\": \"x";
	json_t *json;

	set_up();
	begin();
	while (strlen(text) < 600)
		strcat(text, "\xc3\xa4");
	strcat(text, "\"}}\n");
	fake_agent_say(&g, text);
	await_op();
	json = ops_json(p.control, last_op());
	ck_assert_ptr_nonnull(json);
	json_decref(json);
	tear_down();
}
END_TEST

START_TEST(process_may_end_while_the_guest_freezes)
{
	set_up();
	begin();
	tear_down();
}
END_TEST

/* A START that the VM has not come to yet will open the disks. */
START_TEST(disks_are_not_taken_while_a_start_waits)
{
	const struct snapshot_op_asker asker = { .actor = { .kind = "api" },
						 .reason = "" };
	const struct snapshot_op_order order = { .kind = OP_CREATE };
	struct err e = ERR_NONE;
	struct call call;

	set_up();
	p.control->vm->machine = NULL;
	plane_state(&p, VM_STOPPED);
	p.control->vm->hold = true;
	plane_call(&p, &call, "POST /v1/vm/start", NULL);
	ck_assert_int_eq(snapshot_op_begin(p.control, &asker, &order, &e),
			 -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "is being started"));
	fake_vm_release(p.control->vm);
	ck_assert_uint_eq(call.status, 200);
	call_fini(&call);
	/* One whose client has gone waits no longer than others. */
	plane_state(&p, VM_STOPPED);
	plane_call(&p, &call, "POST /v1/vm/start", NULL);
	vm_forget(p.control->vm, &call);
	call_fini(&call);
	fake_vm_release(p.control->vm);
	plane_state(&p, VM_STOPPED);
	ck_assert_int_eq(snapshot_op_begin(p.control, &asker, &order, &e), 0);
	await_op();
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		guest_is_thawed_when_its_snapshot_is_cancelled_while_it_freezes,
		guest_that_did_not_freeze_is_not_thawed,
		words_of_a_guest_that_are_cut_can_still_be_shown,
		process_may_end_while_the_guest_freezes,
		disks_are_not_taken_while_a_start_waits,
	};

	return SUITE_RUN("snapshot operations", tests);
}
