/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber wait`: events of the socket, no polling. Worker threads, one VM
 * each. Invariant: the number of the last event is asked before the state,
 * so that a change in between is in the stream.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control/cli/cli.h"
#include "control/cli/cli_batch.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_status.h"
#include "control/cli/cli_vm.h"
#include "control/cli/cli_words.h"
#include "control/cli/client_sse.h"

#define END_MS 2000 /* for a process after its last event */

enum verdict { OPEN, REACHED, HOPELESS };

struct wait {
	enum cli_goal goal;
	uint32_t timeout_ms; /* 0: none */
	uint64_t due_ns;     /* when the time is up */
	enum verdict verdict;
	char state[32]; /* the last one heard of */
};

/* What a state means for the goal. A crash or a stop ends other hopes. */
static enum verdict judge(enum cli_goal goal, const char *state, bool ready)
{
	if (goal == CLI_GOAL_READY ? ready && strcmp(state, "running") == 0
				   : strcmp(state, cli_goal_text(goal)) == 0)
		return REACHED;
	if (strcmp(state, "stopped") == 0)
		return HOPELESS;
	/* `wait --for stopped` may still come true: someone stops it. */
	if (strcmp(state, "crashed") == 0 && goal != CLI_GOAL_STOPPED)
		return HOPELESS;
	return OPEN;
}

static int on_event(void *ctx, const struct client_sse_event *ev)
{
	json_t *record = json_loadb(ev->data, ev->data_len, 0, NULL);
	const char *to = cli_status_text(record, "to");
	struct wait *w = ctx;

	if (strcmp(ev->kind, "ready") == 0 && w->goal == CLI_GOAL_READY) {
		w->verdict = REACHED;
	} else if (*to) {
		snprintf(w->state, sizeof(w->state), "%s", to);
		w->verdict = judge(w->goal, to, false);
	}
	json_decref(record);
	return w->verdict != OPEN;
}

/* Milliseconds that are left; 0: no limit. Never 0 when there is one. */
static unsigned int time_left(const struct wait *w)
{
	uint64_t now = clock_mono_ns();

	if (!w->timeout_ms)
		return 0;
	if (now >= w->due_ns)
		return 1;
	return (unsigned int)((w->due_ns - now) / NS_PER_MS) + 1;
}

/* The state as it is now, and the number of the last event before it. */
static int look(struct wait *w, struct cli_vm *vm, uint64_t *last,
		struct err *e)
{
	json_t *status;
	int r = cli_vm_last_event(vm, time_left(w), last, e);

	if (!r)
		r = cli_vm_get(vm, "/v1/vm", time_left(w), &status, e);
	if (r)
		return r;
	snprintf(w->state, sizeof(w->state), "%s",
		 cli_status_text(status, "state"));
	w->verdict = judge(w->goal, w->state,
			   json_is_true(json_object_get(status, "ready")));
	json_decref(status);
	return 0;
}

static int listen(struct wait *w, struct cli_vm *vm, struct err *e)
{
	struct client_sse sse;
	char target[64];
	uint64_t last = 0;
	int r = look(w, vm, &last, e);

	if (r || w->verdict != OPEN)
		return r;
	snprintf(target, sizeof(target), "/v1/events?since=%" PRIu64, last);
	client_sse_init(&sse, on_event, w);
	r = client_stream(vm->client, target, client_sse_bytes, &sse,
			  time_left(w), e);
	client_sse_fini(&sse);
	return r;
}

/* No process: its last state, as the directory has it. */
static int look_offline(struct wait *w, struct cli_vm *vm, struct err *e)
{
	struct record record;
	int r = cli_vm_record(vm, &record, e);

	if (r)
		return r;
	snprintf(w->state, sizeof(w->state), "%s", vm_state_text(record.state));
	w->verdict = w->goal == CLI_GOAL_STOPPED ? REACHED : HOPELESS;
	return 0;
}

static int conclude(const struct cli *cli, const struct wait *w, int code,
		    struct cli_result *r)
{
	const char *goal = cli_goal_text(w->goal);

	if (code == -ETIMEDOUT) {
		r->status = EXIT_CODE_TIMEOUT;
		return err_set(&r->e, code, "not %s in time: it is %s", goal,
			       *w->state ? w->state : "silent");
	}
	if (code)
		return code;
	if (w->verdict != REACHED)
		return err_set(&r->e, -ESRCH,
			       "is %s and won't get %s by waiting (amber start "
			       "%s)",
			       w->state, goal, r->name);
	if (cli_has(cli, CLI_JSON))
		r->json = json_pack("{s:s, s:s, s:b}", "name", r->name, "for",
				    goal, "reached", 1);
	else
		buf_printf(&r->out, "%s: %s\n", r->name, goal);
	return 0;
}

static int wait_for(const struct cli *cli, void *ctx, struct cli_result *r)
{
	struct wait w = *(const struct wait *)ctx;
	struct cli_vm vm;
	int code;

	code = cli_vm_open(&vm, &cli->home, r->name, &r->e);
	if (!code && vm.alive)
		code = listen(&w, &vm, &r->e);
	/* The stream or the process ended before the goal was seen. */
	if (vm.dir >= 0 && w.verdict == OPEN && code != -ETIMEDOUT) {
		if (cli_vm_await_end(&vm, END_MS) == 0)
			code = look_offline(&w, &vm, &r->e);
		else if (!code)
			code = err_set(&r->e, -EPIPE,
				       "its process closed the connection");
	}
	if (!code && w.verdict == REACHED && w.goal == CLI_GOAL_STOPPED &&
	    vm.alive)
		cli_vm_settle(&vm);
	cli_vm_close(&vm);
	return conclude(cli, &w, code, r);
}

int cli_wait_command(struct cli *cli)
{
	const char *text = cli_value(cli, CLI_FOR);
	struct wait w = { .goal = CLI_GOAL_READY };
	struct err e = ERR_NONE;
	int goal;

	for (goal = 0; text && goal < CLI_GOAL_COUNT; goal++)
		if (strcmp(cli_goal_text((enum cli_goal)goal), text) == 0)
			break;
	if (goal == CLI_GOAL_COUNT) {
		cli_error(NULL,
			  "wait: --for %.64s: ready, running, paused, stopped "
			  "or crashed is wanted",
			  text);
		return EXIT_CODE_USAGE;
	}
	w.goal = (enum cli_goal)goal;
	if (cli_seconds(cli, CLI_WAIT_TIMEOUT, &w.timeout_ms, &e))
		return cli_fail_usage(&e);
	w.due_ns = clock_mono_ns() + w.timeout_ms * NS_PER_MS;
	return cli_batch_command(cli, false, wait_for, &w);
}
