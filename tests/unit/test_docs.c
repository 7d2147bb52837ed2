/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/api.md against the tables it describes. Run from the project's root,
 * as `make check` does.
 */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "control/config_record.h"
#include "control/problem.h"
#include "control/routes.h"
#include "vmm/vm.h"

#define PAGE_BYTES (256u << 10)

static struct buf page;

static const char *read_page_of(const char *name)
{
	struct err e = ERR_NONE;
	int dir = file_open_dir(AT_FDCWD, "docs", &e);

	ck_assert_msg(dir >= 0, "%s", e.text);
	buf_init(&page, PAGE_BYTES);
	ck_assert_msg(file_read(dir, name, PAGE_BYTES, &page, &e) == 0, "%s",
		      e.text);
	return buf_text(&page);
}

static const char *read_page(void)
{
	return read_page_of("api.md");
}

START_TEST(every_route_is_described)
{
	const char *text = read_page();
	const struct route *routes;
	char row[128];
	size_t count, i, n;

	routes = routes_all(&count);
	for (i = 0; i < count; i++) {
		snprintf(row, sizeof(row), "| `%s %s` | ", routes[i].method,
			 routes[i].path);
		ck_assert_msg(strstr(text, row) != NULL, "no row %s", row);
		snprintf(row, sizeof(row), "### %s %s\n", routes[i].method,
			 routes[i].path);
		ck_assert_msg(strstr(text, row) != NULL, "no section %s", row);
		for (n = 0; n < routes[i].param_count; n++) {
			snprintf(row, sizeof(row), "`%s`",
				 routes[i].params[n].name);
			ck_assert_msg(strstr(text, row) != NULL, "no %s", row);
		}
	}
	buf_fini(&page);
}
END_TEST

START_TEST(every_problem_is_described_with_its_status)
{
	const char *text = read_page();
	char row[128];
	int code;

	for (code = 0; code < PROBLEM_COUNT; code++) {
		const struct problem_row *p =
			problem_row((enum problem_code)code);

		snprintf(row, sizeof(row), "| `%s` | %u | ", p->code,
			 p->status);
		ck_assert_msg(strstr(text, row) != NULL, "no row %s", row);
	}
	buf_fini(&page);
}
END_TEST

START_TEST(every_event_and_cause_is_named)
{
	const char *text = read_page();
	char word[64];
	int n;

	for (n = 0; n < VM_EVENT_COUNT; n++) {
		snprintf(word, sizeof(word), "`%s`",
			 vm_event_text((enum vm_event_kind)n));
		ck_assert_msg(strstr(text, word) != NULL, "no %s", word);
	}
	for (n = 0; n < VM_CAUSE_COUNT; n++) {
		const char *cause = vm_cause_text((enum vm_cause)n);

		ck_assert_msg(strstr(text, cause) != NULL, "no %s", cause);
	}
	buf_fini(&page);
}
END_TEST

START_TEST(every_key_of_a_policy_is_described)
{
	const char *text = read_page_of("snapshots.md");
	char word[64];
	size_t i;

	for (i = 0; i < config_snapshots.field_count; i++) {
		snprintf(word, sizeof(word), "`%s`",
			 config_snapshots.fields[i].key);
		ck_assert_msg(strstr(text, word) != NULL, "no %s", word);
	}
	buf_fini(&page);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_route_is_described,
		every_problem_is_described_with_its_status,
		every_event_and_cause_is_named,
		every_key_of_a_policy_is_described,
	};

	return SUITE_RUN("docs", tests);
}
