/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a guest's agent for people: names to the left, figures with
 * units. Pure but for memory; one thread. Invariant: see cli_agent.h.
 */
#include "control/cli/cli_agent.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli_status.h"
#include "control/cli/term_table.h"

static const char *text_of(const json_t *object, const char *key)
{
	return cli_status_text(object, key);
}

static uint64_t number_of(const json_t *object, const char *key)
{
	return cli_status_number(object, key);
}

static const char *yes_no(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key)) ? "yes" : "no";
}

/* "  version        7.2.22"; not without a value. */
static void put_row(struct buf *out, const char *name, const char *value)
{
	if (!*value)
		return;
	buf_printf(out, "  %-14s ", name);
	term_put_safe(out, value, false);
	buf_puts(out, "\n");
}

void cli_agent_print_status(struct buf *out, const char *vm,
			    const json_t *answer)
{
	char text[TERM_HUMAN_BYTES] = "";

	buf_printf(out, "%s\n", vm);
	put_row(out, "connected", yes_no(answer, "connected"));
	put_row(out, "answers", yes_no(answer, "in_sync"));
	put_row(out, "version", text_of(answer, "version"));
	put_row(out, "last seen", text_of(answer, "last_seen"));
	if (number_of(answer, "rtt_us"))
		term_duration_us(number_of(answer, "rtt_us"), text);
	put_row(out, "round trip", text);
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)number_of(answer, "waiting"));
	put_row(out, "calls waiting", text);
}

void cli_agent_print_ping(struct buf *out, const char *vm, const json_t *answer)
{
	char text[TERM_HUMAN_BYTES];

	buf_printf(out, "%s: the guest's agent answered in %s\n", vm,
		   term_duration_us(number_of(answer, "rtt_us"), text));
}

void cli_agent_print_info(struct buf *out, const char *vm, const json_t *answer)
{
	const json_t *info = json_object_get(answer, "info");
	const json_t *list = json_object_get(info, "supported_commands");
	const json_t *row;
	size_t i;

	buf_printf(out, "%s\n", vm);
	put_row(out, "version", text_of(info, "version"));
	for (i = 0; i < json_array_size(list); i++) {
		row = json_array_get(list, i);
		buf_printf(out, "  %-14s ", i ? "" : "commands");
		term_put_safe(out, text_of(row, "name"), false);
		if (json_is_false(json_object_get(row, "enabled")))
			buf_puts(out, " (forbidden)");
		buf_puts(out, "\n");
	}
}

void cli_agent_print_osinfo(struct buf *out, const char *vm,
			    const json_t *answer)
{
	static const struct {
		const char *key, *name;
	} rows[] = {
		{ "pretty-name", "system" },
		{ "id", "id" },
		{ "version-id", "version" },
		{ "variant", "variant" },
		{ "machine", "machine" },
		{ "kernel-release", "kernel" },
		{ "kernel-version", "kernel build" },
	};
	const json_t *info = json_object_get(answer, "osinfo");
	size_t i;

	buf_printf(out, "%s\n", vm);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_row(out, rows[i].name, text_of(info, rows[i].key));
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void put_figures(struct term_table *t, const json_t *card)
{
	const json_t *s = json_object_get(card, "statistics");
	char text[TERM_HUMAN_BYTES];

	term_table_add(t, TERM_PLAIN, "%s",
		       s ? term_bytes(number_of(s, "rx-bytes"), text) : "-");
	term_table_add(t, TERM_PLAIN, "%s",
		       s ? term_bytes(number_of(s, "tx-bytes"), text) : "-");
}

/* One row per address; one without, for a card that has none. */
static void put_card(struct term_table *t, const json_t *card)
{
	const json_t *list = json_object_get(card, "ip-addresses");
	size_t count = json_array_size(list), i = 0;
	const json_t *address;

	do {
		address = json_array_get(list, i);
		term_table_add(t, TERM_BOLD, "%s",
			       or_dash(text_of(card, "name")));
		if (address)
			term_table_add(t, TERM_PLAIN, "%s/%llu",
				       text_of(address, "ip-address"),
				       (unsigned long long)number_of(address,
								     "prefix"));
		else
			term_table_add(t, TERM_PLAIN, "-");
		term_table_add(t, TERM_PLAIN, "%s",
			       or_dash(text_of(card, "hardware-address")));
		put_figures(t, card);
	} while (++i < count);
}

void cli_agent_print_interfaces(struct buf *out, const char *vm,
				const json_t *answer)
{
	const json_t *list = json_object_get(answer, "interfaces");
	struct term_table t;
	size_t i;

	(void)vm;
	term_table_init(&t, "INTERFACE ADDRESS MAC >RECEIVED >SENT",
			term_has_colour(STDOUT_FILENO));
	for (i = 0; i < json_array_size(list); i++)
		put_card(&t, json_array_get(list, i));
	term_table_print(&t, out);
	term_table_fini(&t);
}

static void put_file_systems(struct buf *out, const char *vm,
			     const json_t *answer, const char *what)
{
	uint64_t n = number_of(answer, "filesystems");

	buf_printf(out, "%s: %llu file system%s %s\n", vm,
		   (unsigned long long)n, n == 1 ? "" : "s", what);
}

void cli_agent_print_fsfreeze(struct buf *out, const char *vm,
			      const json_t *answer)
{
	put_file_systems(out, vm, answer, "frozen");
}

void cli_agent_print_fsthaw(struct buf *out, const char *vm,
			    const json_t *answer)
{
	put_file_systems(out, vm, answer, "thawed");
}

void cli_agent_print_set_time(struct buf *out, const char *vm,
			      const json_t *answer)
{
	(void)answer;
	buf_printf(out, "%s: the guest's clock is the host's\n", vm);
}
