/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot rewind NAME --count N`: test runs from a warm state. Each
 * begins with a rewind and ends with the guest's own end; the exit status is
 * that of the first run that did not end well. Events of the socket, no
 * polling. Main thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_snapshot.h"
#include "control/cli/cli_status.h"
#include "control/cli/client_sse.h"
#include "control/cli/term_table.h"

#define ASK_MS 10000

struct run {
	char state[32], cause[32];
	uint64_t value; /* the guest's byte, of a debug-exit */
	bool is_over;
};

/* What comes after its rewind: the first state in which it does not run. */
static int on_event(void *ctx, const struct client_sse_event *ev)
{
	json_t *record = json_loadb(ev->data, ev->data_len, 0, NULL);
	const char *to = cli_status_text(record, "to");
	struct run *run = ctx;

	if (*to && strcmp(to, "running") && strcmp(to, "restoring") &&
	    strcmp(to, "stopping")) {
		snprintf(run->state, sizeof(run->state), "%s", to);
		snprintf(run->cause, sizeof(run->cause), "%s",
			 cli_status_text(record, "cause"));
		run->value = cli_status_number(record, "value");
		run->is_over = true;
	}
	json_decref(record);
	return run->is_over;
}

static int await_end(struct cli_vm *vm, uint64_t since, uint32_t timeout_ms,
		     struct run *run, struct err *e)
{
	struct client_sse sse;
	char target[64];
	int r;

	snprintf(target, sizeof(target), "/v1/events?since=%" PRIu64, since);
	client_sse_init(&sse, on_event, run);
	r = client_stream(vm->client, target, client_sse_bytes, &sse,
			  timeout_ms, e);
	client_sse_fini(&sse);
	if (!r && !run->is_over)
		r = err_set(e, -ESRCH, "its process ended");
	return r;
}

/* As a shell would have it: 0, or what is wrong with it. */
static int status_of(const struct run *run)
{
	if (!strcmp(run->cause, "debug-exit"))
		return (int)(run->value & 0xff);
	return !strcmp(run->cause, "guest-poweroff") ? EXIT_CODE_OK
						     : EXIT_CODE_FAILED;
}

static void print_run(const struct cli *cli, uint64_t n, const struct run *run,
		      uint64_t us)
{
	char took[TERM_HUMAN_BYTES];

	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(json_pack("{s:I, s:s, s:I, s:i, s:I}", "run",
					 (json_int_t)n, "cause", run->cause,
					 "value", (json_int_t)run->value,
					 "status", status_of(run),
					 "duration_us", (json_int_t)us));
		return;
	}
	printf("run %" PRIu64 ": %s", n, run->cause);
	if (!strcmp(run->cause, "debug-exit"))
		printf(" %" PRIu64, run->value);
	printf(" (%s)\n", term_duration_us(us, took));
	fflush(stdout);
}

static int one_run(struct cli_vm *vm, uint32_t timeout_ms, struct run *run,
		   struct err *e)
{
	json_t *answer;
	uint64_t since;
	int r = cli_vm_last_event(vm, ASK_MS, &since, e);

	if (!r)
		r = cli_vm_ask(vm, "POST", "/v1/vm/rewind", "{}", 0, &answer,
			       e);
	if (r)
		return r;
	json_decref(answer);
	r = await_end(vm, since, timeout_ms, run, e);
	if (r == -ETIMEDOUT)
		return err_set(e, r, "the guest's run does not end");
	if (!r && !strcmp(run->state, "stopped"))
		r = err_set(e, -ESRCH,
			    "the guest's end stopped it: there is nothing to "
			    "rewind (create it with --on-poweroff pause)");
	return r;
}

int cli_snapshot_loop(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e)
{
	uint64_t count = 1, n, began;
	uint32_t timeout_ms = 0;
	int r;

	r = cli_number(cli, CLI_RUNS, 1, UINT32_MAX, &count, e);
	if (!r)
		r = cli_seconds(cli, CLI_WAIT_TIMEOUT, &timeout_ms, e);
	for (n = 1; n <= count && !r; n++) {
		struct run run = { .is_over = false };

		began = clock_mono_ns();
		r = one_run(vm, timeout_ms, &run, e);
		if (r)
			break;
		print_run(cli, n, &run, (clock_mono_ns() - began) / NS_PER_US);
		if (!*status)
			*status = status_of(&run);
	}
	return r;
}
