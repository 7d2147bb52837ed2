/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber top`. The main thread draws; each round's questions go to worker
 * threads, one VM each, over connections that are kept. Invariant: a VM
 * that hangs shows as such and delays no other by more than its time-out.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_status.h"
#include "control/cli/term_table.h"

#define TOP_MS	     500 /* for one VM's answer */
#define INTERVAL_MS  2000
#define ROUNDS_MAX   1000000000
#define SCREEN_BYTES (4u << 20)

#define SCREEN_ON   "\033[?1049h\033[?25l"
#define SCREEN_OFF  "\033[?25h\033[?1049l"
#define SCREEN_HOME "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_DOWN  "\033[J"

enum counter { CPU_NS, EXITS, DISK_BYTES, NET_BYTES, COUNTERS };

/* What is shown of each: its growth in a second, times scale. */
static const struct {
	const char *key; /* in JSON */
	double scale;
} rates[COUNTERS] = {
	[CPU_NS] = { "cpu_percent", 100 / 1e9 },
	[EXITS] = { "exits_per_s", 1 },
	[DISK_BYTES] = { "disk_bytes_per_s", 1 },
	[NET_BYTES] = { "net_bytes_per_s", 1 },
};

/* One VM over the rounds. */
struct line {
	struct cli_vm vm;
	bool open;
	uint64_t at_ns; /* of the round before; 0: none */
	uint64_t was[COUNTERS];
	json_t *row; /* owned: what is shown */
};

struct top {
	struct cli *cli;
	struct line *line; /* owned */
	size_t lines;
	uint32_t interval_ms;
	uint64_t rounds; /* left; 0: no limit */
	bool limited;
	bool screen; /* full screen with keys */
};

/* --- one round ---------------------------------------------------------- */

/* Two figures of all devices in a list, together. */
static uint64_t sum_of(const json_t *stats, const char *list, const char *a,
		       const char *b)
{
	json_t *devices = json_object_get(stats, list), *device;
	const char *id;
	uint64_t sum = 0;

	json_object_foreach(devices, id, device) sum +=
		cli_status_number(device, a) + cli_status_number(device, b);
	return sum;
}

static void add_rates(struct line *l, json_t *s, const json_t *stats)
{
	uint64_t now = clock_mono_ns();
	double seconds = (double)(now - l->at_ns) / 1e9;
	uint64_t is[COUNTERS] = {
		[CPU_NS] = cli_status_number(stats, "cpu_ns"),
		[EXITS] = cli_status_number(stats, "exits_total"),
		[DISK_BYTES] =
			sum_of(stats, "disks", "read_bytes", "write_bytes"),
		[NET_BYTES] = sum_of(stats, "nets", "rx_bytes", "tx_bytes"),
	};
	int i;

	for (i = 0; i < COUNTERS; i++) {
		bool first = !l->at_ns || is[i] < l->was[i];
		double grown = first ? 0 : (double)(is[i] - l->was[i]);

		json_object_set_new(s, rates[i].key,
				    json_real(grown * rates[i].scale /
					      (first ? 1 : seconds)));
		l->was[i] = is[i];
	}
	json_object_set(s, "resident_bytes",
			json_object_get(stats, "resident_bytes"));
	l->at_ns = now;
}

static int ask(const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct line *l = ctx;
	json_t *stats = NULL;

	/* The lines are in the order of the names. */
	while (strcmp(l->vm.name, r->name) != 0)
		l++;
	json_decref(l->row);
	l->row = NULL;
	/* Not by l->vm.name: opening begins with a blank struct. */
	if (!l->open)
		l->open = cli_vm_open(&l->vm, &cli->home, r->name, &r->e) == 0;
	if (!l->open)
		return 0;
	cli_vm_look(&l->vm);
	l->row = cli_status(&l->vm, TOP_MS);
	if (l->vm.alive)
		cli_vm_get(&l->vm, "/v1/vm/stats", TOP_MS, &stats, NULL);
	if (stats)
		add_rates(l, l->row, stats);
	json_decref(stats);
	return 0;
}

static double real_of(const json_t *s, const char *key)
{
	return json_real_value(json_object_get(s, key));
}

static void add_row(struct term_table *t, const json_t *s)
{
	const char *state = cli_status_text(s, "state");
	uint64_t resident = cli_status_number(s, "resident_bytes");
	char text[TERM_HUMAN_BYTES];

	term_table_add(t, TERM_PLAIN, "%s", cli_status_text(s, "name"));
	term_table_add(t, term_state_colour(state), "%s", state);
	term_table_add(t, TERM_PLAIN, "%.1f", real_of(s, "cpu_percent"));
	term_table_add(t, TERM_PLAIN, "%s",
		       resident ? term_bytes(resident, text) : "-");
	term_table_add(t, TERM_PLAIN, "%s",
		       term_bytes(cli_status_number(s, "memory_bytes"), text));
	term_table_add(t, TERM_PLAIN, "%s",
		       term_count(real_of(s, "exits_per_s"), text));
	term_table_add(
		t, TERM_PLAIN, "%s",
		term_bytes((uint64_t)real_of(s, "disk_bytes_per_s"), text));
	term_table_add(
		t, TERM_PLAIN, "%s",
		term_bytes((uint64_t)real_of(s, "net_bytes_per_s"), text));
	term_table_add(t, TERM_PLAIN, "%s", cli_status_uptime(s, text));
}

/* The table as lines of text, cut to width columns (0: whole). */
static void make_table(const struct top *t, unsigned int width, struct buf *out)
{
	struct term_table table;
	size_t i;

	term_table_init(
		&table,
		"NAME STATE >CPU% >RESIDENT >MEMORY >EXITS/S >DISK/S >NET/S "
		">UPTIME",
		term_has_colour(STDOUT_FILENO));
	table.width = width;
	for (i = 0; i < t->lines; i++)
		if (t->line[i].row)
			add_row(&table, t->line[i].row);
	term_table_print(&table, out);
	term_table_fini(&table);
}

static void draw_screen(const struct top *t)
{
	unsigned int columns, rows, row = 0;
	struct buf table, out;
	const char *text;

	term_size(STDOUT_FILENO, &columns, &rows);
	buf_init(&table, SCREEN_BYTES);
	buf_init(&out, SCREEN_BYTES);
	make_table(t, columns, &table);
	buf_puts(&out, SCREEN_HOME);
	/* The last row stays free: a line end there would scroll. */
	for (text = buf_text(&table); *text && row + 1 < rows; row++) {
		size_t len = strcspn(text, "\n");

		buf_put(&out, text, len);
		buf_puts(&out, CLEAR_LINE "\r\n");
		text += len + 1;
	}
	buf_printf(&out, CLEAR_DOWN "%.*s", (int)columns,
		   *text ? "q quits; more VMs than rows" : "q quits");
	cli_print(&out);
	buf_fini(&table);
	buf_fini(&out);
}

static void draw_plain(const struct top *t)
{
	json_t *array;
	struct buf out;
	size_t i;

	if (cli_has(t->cli, CLI_JSON)) {
		array = json_array();
		for (i = 0; i < t->lines; i++)
			if (t->line[i].row)
				json_array_append(array, t->line[i].row);
		cli_print_json(array);
		return;
	}
	buf_init(&out, SCREEN_BYTES);
	make_table(t, 0, &out);
	cli_print(&out);
	buf_fini(&out);
}

/* --- rounds ------------------------------------------------------------- */

/* Waits for the next round; false when it is time to end. */
static bool rest(const struct top *t, int signals)
{
	struct pollfd p[2] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN },
	};
	uint64_t due = clock_mono_ns() + t->interval_ms * NS_PER_MS;
	uint64_t now;
	int number;
	char key;

	while ((now = clock_mono_ns()) < due) {
		if (poll(p, 2, (int)((due - now) / NS_PER_MS) + 1) == 0)
			return true;
		while ((number = term_next_signal()) != 0) {
			if (number == SIGCONT)
				term_again();
			else if (number != SIGWINCH)
				return false;
			else
				draw_screen(t);
		}
		if (p[1].revents && (read(STDIN_FILENO, &key, 1) != 1 ||
				     key == 'q' || key == 'Q'))
			return false;
	}
	return true;
}

/* VMs come and go: without names on the line they are listed afresh. */
static int refresh_lines(struct top *t, struct home_names *names)
{
	struct line *fresh = calloc(names->count + 1, sizeof(*fresh));
	size_t i, k;

	if (!fresh)
		return -ENOMEM;
	for (i = 0; i < names->count; i++) {
		for (k = 0; k < t->lines; k++)
			if (strcmp(t->line[k].vm.name, names->name[i]) == 0)
				break;
		if (k < t->lines) {
			fresh[i] = t->line[k];
			t->line[k] = (struct line){ .vm.dir = -1 };
		} else {
			memcpy(fresh[i].vm.name, names->name[i],
			       sizeof(fresh[i].vm.name));
			fresh[i].vm.dir = -1;
		}
	}
	for (k = 0; k < t->lines; k++) {
		json_decref(t->line[k].row);
		if (t->line[k].open)
			cli_vm_close(&t->line[k].vm);
	}
	free(t->line);
	t->line = fresh;
	t->lines = names->count;
	return 0;
}

static int gather(struct top *t, struct err *e)
{
	struct home_names names;
	struct cli_batch b;
	int r = cli_select(t->cli, false, &names, e);

	if (r)
		return r;
	r = refresh_lines(t, &names);
	if (!r)
		r = cli_batch_init(&b, t->cli, &names, e);
	else
		home_names_fini(&names);
	if (r)
		return r;
	cli_batch_run(&b, t->cli, ask, t->line, NULL);
	cli_batch_fini(&b);
	return 0;
}

static int rounds(struct top *t, struct err *e)
{
	int signals = term_signals(), r;

	do {
		r = gather(t, e);
		if (r)
			return r;
		if (t->screen)
			draw_screen(t);
		else
			draw_plain(t);
		if (cli_out_failed() || (t->limited && --t->rounds == 0))
			return 0;
	} while (rest(t, signals));
	return 0;
}

static int check_options(struct top *t, struct err *e)
{
	int r = cli_seconds(t->cli, CLI_INTERVAL, &t->interval_ms, e);

	if (!t->interval_ms)
		t->interval_ms = INTERVAL_MS;
	t->limited = cli_has(t->cli, CLI_ROUNDS);
	if (!r)
		r = cli_number(t->cli, CLI_ROUNDS, 1, ROUNDS_MAX, &t->rounds,
			       e);
	return r;
}

/* A name that isn't there is said before the screen is taken. */
static int check_names(const struct cli *cli)
{
	struct err e = ERR_NONE;
	struct cli_vm vm;
	size_t i;
	int r = 0;

	for (i = 0; i < cli->nargs && !r; i++) {
		r = cli_vm_open(&vm, &cli->home, cli->args[i], &e);
		cli_vm_close(&vm);
		if (r)
			cli_error(cli->args[i], "%s", e.text);
	}
	return r;
}

int cli_top_command(struct cli *cli)
{
	struct home_names none = { 0 };
	struct top t = { .cli = cli };
	struct err e = ERR_NONE;
	int r;

	if (check_options(&t, &e))
		return cli_fail_usage(&e);
	if (check_names(cli))
		return EXIT_CODE_FAILED;
	t.screen = !cli_has(cli, CLI_JSON) && term_is(STDOUT_FILENO) &&
		   term_is_ours(STDIN_FILENO) &&
		   term_keys(STDIN_FILENO, &e) == 0;
	if (t.screen)
		term_screen(SCREEN_ON, SCREEN_OFF);
	r = rounds(&t, &e);
	if (t.screen)
		term_restore();
	refresh_lines(&t, &none);
	free(t.line);
	return r ? cli_fail(NULL, &e) : EXIT_CODE_OK;
}
