/* SPDX-License-Identifier: Apache-2.0 */
/* The lifecycle table: every (state, command) pair has a sound answer. */
#include "tests/unit/suite.h"

#include <string.h>

#include "vmm/lifecycle.h"

/* Where a command leads at once when the table says that it may begin. */
static const int first_state[VM_COMMAND_COUNT] = {
	[VM_CMD_START] = VM_STARTING,
	[VM_CMD_PAUSE] = VM_PAUSING,
	[VM_CMD_RESUME] = VM_RUNNING,
	[VM_CMD_SHUTDOWN] = VM_STOPPING,
	[VM_CMD_STOP] = VM_STOPPING,
	[VM_CMD_REBOOT] = VM_RESETTING,
	[VM_CMD_RESET] = VM_RESETTING,
	[VM_CMD_POWERBUTTON] = -1,
	[VM_CMD_NMI] = -1,
};

#define EACH_PAIR(s, c)                      \
	for (s = 0; s < VM_STATE_COUNT; s++) \
		for (c = 0; c < VM_COMMAND_COUNT; c++)

START_TEST(every_refusal_names_what_would_help)
{
	int s, c;

	EACH_PAIR(s, c)
	{
		const struct lifecycle_rule *r =
			lifecycle_rule((enum vm_state)s, (enum vm_command)c);

		if (r->verdict != LIFECYCLE_REFUSE) {
			ck_assert_ptr_null(r->help);
			continue;
		}
		ck_assert_ptr_nonnull(r->help);
		ck_assert(strcmp(r->help, "wait") == 0 ||
			  vm_command_parse(r->help) >= 0);
	}
}
END_TEST

START_TEST(the_help_of_a_refusal_is_itself_legal)
{
	int s, c;

	EACH_PAIR(s, c)
	{
		const struct lifecycle_rule *r =
			lifecycle_rule((enum vm_state)s, (enum vm_command)c);
		int help;

		if (r->verdict != LIFECYCLE_REFUSE ||
		    strcmp(r->help, "wait") == 0)
			continue;
		help = vm_command_parse(r->help);
		ck_assert_int_eq(
			lifecycle_rule((enum vm_state)s, (enum vm_command)help)
				->verdict,
			LIFECYCLE_DO);
	}
}
END_TEST

START_TEST(what_may_begin_leads_to_a_state_that_may_follow)
{
	int s, c;

	EACH_PAIR(s, c)
	{
		enum vm_state from = (enum vm_state)s;

		if (first_state[c] < 0 || first_state[c] == s ||
		    lifecycle_rule(from, (enum vm_command)c)->verdict !=
			    LIFECYCLE_DO)
			continue;
		ck_assert_msg(lifecycle_may_follow(
				      from, (enum vm_state)first_state[c]),
			      "%s in %s", vm_command_text((enum vm_command)c),
			      vm_state_text(from));
	}
}
END_TEST

START_TEST(stop_is_never_refused_while_a_machine_may_run)
{
	int s;

	for (s = 0; s < VM_STATE_COUNT; s++) {
		enum lifecycle_verdict v =
			lifecycle_rule((enum vm_state)s, VM_CMD_STOP)->verdict;

		if (s == VM_SUSPENDING || s == VM_RESTORING)
			continue; /* short, and must not be torn */
		ck_assert(v == LIFECYCLE_DO || v == LIFECYCLE_ALREADY);
	}
}
END_TEST

START_TEST(names_are_unique_and_parse_back)
{
	int i;

	for (i = 0; i < VM_STATE_COUNT; i++)
		ck_assert_int_eq(
			vm_state_parse(vm_state_text((enum vm_state)i)), i);
	for (i = 0; i < VM_COMMAND_COUNT; i++)
		ck_assert_int_eq(
			vm_command_parse(vm_command_text((enum vm_command)i)),
			i);
	ck_assert_int_eq(vm_state_parse("runing"), -1);
	ck_assert_int_eq(vm_command_parse(""), -1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_refusal_names_what_would_help,
		the_help_of_a_refusal_is_itself_legal,
		what_may_begin_leads_to_a_state_that_may_follow,
		stop_is_never_refused_while_a_machine_may_run,
		names_are_unique_and_parse_back,
	};

	return SUITE_RUN("lifecycle", tests);
}
