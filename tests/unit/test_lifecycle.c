/* SPDX-License-Identifier: Apache-2.0 */
/* The lifecycle table: every (state, command) pair has a sound answer. */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "vmm/lifecycle.h"

#define PAGE_MAX (1u << 20)

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
	[VM_CMD_SUSPEND] = VM_SUSPENDING,
	[VM_CMD_SNAPSHOT] = -1,
	[VM_CMD_RESTORE] = VM_RESTORING,
	[VM_CMD_REWIND] = VM_RESTORING,
	[VM_CMD_RELOAD] = -1,
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

/* Runs in the root of the source tree, or where AMBER_SOURCE points. */
static void read_page(struct buf *page)
{
	const char *root = getenv("AMBER_SOURCE");
	struct err e = ERR_NONE;
	char path[512];

	snprintf(path, sizeof(path), "%s/docs/architecture.md",
		 root ? root : ".");
	buf_init(page, PAGE_MAX);
	ck_assert_msg(!file_read(AT_FDCWD, path, PAGE_MAX - 1, page, &e), "%s",
		      e.text);
}

static void ck_row(struct buf *page, struct buf *row)
{
	ck_assert_msg(strstr(buf_text(page), buf_text(row)) != NULL,
		      "docs/architecture.md has no row %s", buf_text(row));
}

START_TEST(the_architecture_page_has_both_tables)
{
	static const char *const words[] = {
		[LIFECYCLE_DO] = "do",
		[LIFECYCLE_ALREADY] = "already",
		[LIFECYCLE_JOIN] = "join",
		[LIFECYCLE_WAIT] = "wait",
	};
	struct buf page, row;
	int s, c, to;

	read_page(&page);
	buf_init(&row, PAGE_MAX);
	for (s = 0; s < VM_STATE_COUNT; s++) {
		const char *separator = "";

		buf_reset(&row);
		buf_printf(&row, "| `%s` |", vm_state_text(s));
		for (c = 0; c < VM_COMMAND_COUNT; c++) {
			const struct lifecycle_rule *rule =
				lifecycle_rule(s, c);

			if (rule->verdict == LIFECYCLE_REFUSE)
				buf_printf(&row, " no: %s |", rule->help);
			else
				buf_printf(&row, " %s |", words[rule->verdict]);
		}
		ck_row(&page, &row);
		buf_reset(&row);
		buf_printf(&row, "| `%s` |", vm_state_text(s));
		for (to = 0; to < VM_STATE_COUNT; to++) {
			if (!lifecycle_may_follow(s, to))
				continue;
			buf_printf(&row, "%s %s", separator, vm_state_text(to));
			separator = ",";
		}
		buf_puts(&row, " |");
		ck_row(&page, &row);
	}
	buf_fini(&row);
	buf_fini(&page);
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
		the_architecture_page_has_both_tables,
	};

	return SUITE_RUN("lifecycle", tests);
}
