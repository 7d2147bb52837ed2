/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber snapshot verify --boot`: a snapshot as a VM that is thrown away, and
 * what it has to show. Console and events, no polling. Main thread.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "control/cli/cli_branch.h"
#include "control/cli/cli_out.h"
#include "control/cli/cli_snapshot.h"
#include "control/cli/cli_status.h"
#include "control/cli/client_attach.h"
#include "control/cli/client_sse.h"
#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "control/text.h"
#include "snapshot/change.h"
#include "vmm/matcher.h"

#define DEFAULT_MS 60000
#define ASK_MS	   10000
#define SLACK_S	   30 /* until it ends by itself, should we not live */
#define SLACK_MS   2000
#define OTHER_MS   30000u /* for another operation on snapshots */
#define NOTE_TRIES 20

struct trial {
	const char *expect, *probe; /* NULL: not asked */
	uint32_t timeout_ms;
	uint64_t due_ns;
	struct cli_vm vm; /* the one that is thrown away */
	struct snapshot_verdict *verdict;
};

static unsigned int left_ms(const struct trial *t)
{
	uint64_t now = clock_mono_ns();

	return now < t->due_ns
		       ? (unsigned int)((t->due_ns - now) / NS_PER_MS) + 1
		       : 1;
}

/* --- the console ------------------------------------------------------ */

static int ended(const struct trial *t, struct err *e)
{
	return err_set(e, -EPIPE, "it ended before its console showed '%.64s'",
		       t->expect);
}

static int watch(const struct trial *t, struct client_attach *a,
		 struct matcher *m, struct err *e)
{
	struct pollfd p = { .fd = a->fd, .events = POLLIN };
	char bytes[4096];
	ssize_t n;

	if (matcher_feed(m, a->early.data, a->early.len))
		return 0;
	while (clock_mono_ns() < t->due_ns) {
		if (poll(&p, 1, (int)left_ms(t)) <= 0)
			continue;
		n = read(a->fd, bytes, sizeof(bytes));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return ended(t, e);
		if (matcher_feed(m, bytes, (size_t)n))
			return 0;
	}
	return err_set(e, -ETIMEDOUT,
		       "its console did not show '%.64s' within %u s",
		       t->expect, t->timeout_ms / 1000);
}

static int await_console(struct trial *t, struct err *e)
{
	const struct client_attach_options options = { .readonly = true,
						       .history = true };
	struct client_attach a = { .fd = -1 };
	struct matcher *m;
	int r = matcher_create(&m, t->expect, e);

	if (r)
		return r;
	r = client_attach(&a, t->vm.socket, &options, e);
	if (!r) {
		r = watch(t, &a, m, e);
		client_attach_end(&a);
	} else if (client_is_gone(r)) {
		r = ended(t, e);
	}
	matcher_destroy(m);
	return r;
}

/* --- the agent -------------------------------------------------------- */

static int on_event(void *ctx, const struct client_sse_event *ev)
{
	(void)ctx;
	return !strcmp(ev->kind, "agent");
}

/* The guest opens the agent's port: an event. */
static int await_port(struct trial *t, uint64_t since, struct err *e)
{
	struct client_sse sse;
	char target[64];
	int r;

	snprintf(target, sizeof(target), "/v1/events?since=%" PRIu64, since);
	client_sse_init(&sse, on_event, NULL);
	r = client_stream(t->vm.client, target, client_sse_bytes, &sse,
			  left_ms(t), e);
	client_sse_fini(&sse);
	return r == -ETIMEDOUT ? err_set(e, r,
					 "its agent did not come up within "
					 "%u s",
					 t->timeout_ms / 1000)
			       : r;
}

static int ask_agent(struct trial *t, const char *target, json_t *body,
		     json_t **answer, struct err *e)
{
	unsigned int ms = left_ms(t);
	char *text;
	int r;

	json_object_set_new(body, "timeout_ms", json_integer(ms));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return err_sys(e, -ENOMEM, "a request");
	r = cli_vm_ask(&t->vm, "POST", target, text, ms + SLACK_MS, answer, e);
	free(text);
	return r;
}

static int await_agent(struct trial *t, struct err *e)
{
	json_t *answer;
	uint64_t since = 0;
	int r;

	do {
		r = cli_vm_last_event(&t->vm, ASK_MS, &since, e);
		if (!r)
			r = ask_agent(t, "/v1/vm/agent/ping", json_object(),
				      &answer, e);
		if (!r) {
			json_decref(answer);
			return 0;
		}
		if (strcmp(t->vm.reply.problem.code, "no-agent") != 0)
			return r;
		r = await_port(t, since, e);
	} while (!r);
	return r;
}

static int run_probe(struct trial *t, struct err *e)
{
	json_t *answer, *status;
	int r = await_agent(t, e);

	if (!r)
		r = ask_agent(t, "/v1/vm/agent/exec",
			      json_pack("{s:[s,s,s]}", "command", "/bin/sh",
					"-c", t->probe),
			      &answer, e);
	if (r)
		return r;
	status = json_object_get(answer, "status");
	if (!json_is_integer(status))
		r = err_set(e, -EIO, "the probe was ended by a signal");
	else if (json_integer_value(status))
		r = err_set(e, -EIO, "the probe ended with status %d",
			    (int)json_integer_value(status));
	json_decref(answer);
	return r;
}

/* --- one snapshot ------------------------------------------------------ */

static int has_agent(const struct trial *t, bool *has, struct err *e)
{
	struct vm_config c;
	int r;

	config_init(&c);
	r = config_load(&c, t->vm.dir, e);
	*has = c.agent;
	vm_config_fini(&c);
	return r;
}

/* Nothing more is asked of it. */
static int runs(struct trial *t, struct err *e)
{
	json_t *status;
	int r = cli_vm_get(&t->vm, "/v1/vm", ASK_MS, &status, e);

	if (r)
		return r;
	if (strcmp(cli_status_text(status, "state"), "running") != 0)
		r = err_set(e, -EIO, "it is %s",
			    cli_status_text(status, "state"));
	json_decref(status);
	return r;
}

static int await_good(struct trial *t, struct err *e)
{
	bool agent;
	int r = has_agent(t, &agent, e);

	if (r)
		return r;
	text_copy(t->verdict->how, sizeof(t->verdict->how),
		  t->expect  ? "console"
		  : t->probe ? "probe"
		  : agent    ? "agent"
			     : "started");
	if (t->probe && !agent)
		return err_set(
			e, -EINVAL,
			"a probe is run by the guest's agent, and it has "
			"none (--agent on)");
	if (t->expect)
		r = await_console(t, e);
	if (!r && t->probe)
		return run_probe(t, e);
	if (r || t->expect)
		return r;
	return agent ? await_agent(t, e) : runs(t, e);
}

/* Ctrl-C ends it as well: it is thrown away, nobody waits for that. */
static volatile sig_atomic_t thrown_pid;

static void on_interrupt(int number)
{
	if (thrown_pid > 0)
		kill((pid_t)thrown_pid, SIGQUIT);
	signal(number, SIG_DFL);
	raise(number);
}

static void catch_interrupts(pid_t pid)
{
	static const int numbers[] = { SIGINT, SIGTERM };
	struct sigaction act = { .sa_handler = pid ? on_interrupt : SIG_DFL };
	size_t i;

	thrown_pid = pid;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &act, NULL);
}

/* Its process removes it. */
static void throw_away(struct trial *t)
{
	cli_vm_request(&t->vm, "POST", "/v1/vm/stop", "{}", ASK_MS, NULL);
	if (!cli_vm_await_end(&t->vm, ASK_MS))
		return;
	cli_vm_signal(&t->vm, SIGKILL);
	cli_error(t->vm.name, "did not end, and was killed (amber delete %s)",
		  t->vm.name);
}

static int try_once(const struct cli *cli, const struct cli_vm *vm,
		    const struct snapshot_meta *m, struct trial *t,
		    struct err *e)
{
	struct cli_branch b = {
		.what = m->id,
		.use = CLI_BRANCH_TRY,
		.timeout_s = t->timeout_ms / 1000 + SLACK_S,
	};
	uint64_t began = clock_mono_ns();
	int r = cli_branch_start(cli, vm, &b, e);

	if (r)
		return r;
	t->verdict->start_us = b.start_ns / NS_PER_US;
	t->due_ns = clock_mono_ns() + t->timeout_ms * NS_PER_MS;
	r = cli_vm_open(&t->vm, &cli->home, b.made, e);
	if (!r && t->vm.pid > 0)
		catch_interrupts(t->vm.pid);
	if (!r)
		r = await_good(t, e);
	catch_interrupts(0);
	t->verdict->good_us = (clock_mono_ns() - began) / NS_PER_US;
	if (t->vm.dir >= 0)
		throw_away(t);
	cli_vm_close(&t->vm);
	return r;
}

/* --- what came of it ---------------------------------------------------- */

static int note_offline(struct cli_vm *vm, const struct snapshot_meta *m,
			const struct snapshot_verdict *v, struct err *e)
{
	struct snapshot_change change = { .kind = CHANGE_VERDICT,
					  .verdict = *v };
	struct snapshot_changed done;
	int lock = cli_snapshot_lock(vm, e), r;

	if (lock < 0)
		return lock;
	text_copy(change.what, sizeof(change.what), m->id);
	r = snapshot_change(vm->dir, &change, &done, e);
	if (!r)
		json_decref(done.set);
	close(lock);
	return r;
}

/* The one that is under way has ended, or is waited for in vain. */
static int await_other(struct cli_vm *vm, struct err *e)
{
	json_t *all, *op;
	char target[64];
	int r = cli_vm_get(vm, "/v1/ops", ASK_MS, &all, e);

	if (r)
		return r;
	op = json_array_get(json_object_get(all, "ops"), 0);
	snprintf(target, sizeof(target), "/v1/ops/%llu?wait=%u",
		 (unsigned long long)cli_status_number(op, "id"),
		 OTHER_MS / 1000);
	json_decref(all);
	r = cli_vm_get(vm, target, OTHER_MS + ASK_MS, &op, e);
	if (!r)
		json_decref(op);
	return r;
}

static int note(const struct cli *cli, struct cli_vm *vm,
		const struct snapshot_meta *m, const struct snapshot_verdict *v,
		struct err *e)
{
	json_t *answer = NULL, *body;
	int r, tries = 0;

	if (!vm->alive)
		return note_offline(vm, m, v, e);
	body = json_pack("{s:s, s:b, s:s, s:I, s:I, s:s}", "snapshot", m->id,
			 "passed", v->passed, "how", v->how, "start_us",
			 (json_int_t)v->start_us, "good_us",
			 (json_int_t)v->good_us, "reason", v->text);
	do
		r = cli_snapshot_ask(cli, vm, "/v1/vm/snapshot/verdict",
				     json_incref(body), &answer, e);
	while (r && !strcmp(vm->reply.problem.code, "busy") &&
	       ++tries < NOTE_TRIES && !await_other(vm, e));
	json_decref(body);
	json_decref(answer);
	return r;
}

static void say(const struct cli_vm *vm, const struct snapshot_meta *m,
		const struct snapshot_verdict *v)
{
	char start[TERM_HUMAN_BYTES], good[TERM_HUMAN_BYTES];

	term_duration_us(v->start_us, start);
	term_duration_us(v->good_us, good);
	if (!v->passed)
		cli_error(vm->name, "snapshot %s (%s) does not come back: %s",
			  m->name, m->id, v->text);
	else if (!strcmp(v->how, "started"))
		printf("%s: snapshot %s (%s) comes back: running after %s; "
		       "nothing more was asked of it (--expect, --probe)\n",
		       vm->name, m->name, m->id, start);
	else
		printf("%s: snapshot %s (%s) comes back: running after %s, "
		       "good (%s) after %s\n",
		       vm->name, m->name, m->id, start, v->how, good);
}

int cli_snapshot_try_check(const struct cli *cli, struct err *e)
{
	uint32_t ms;
	int r = cli_seconds(cli, CLI_WAIT_TIMEOUT, &ms, e);

	if (!r && !cli_has(cli, CLI_TRY) &&
	    (cli_has(cli, CLI_TRY_EXPECT) || cli_has(cli, CLI_TRY_PROBE)))
		return err_set(e, -EINVAL,
			       "verify: --expect and --probe need --boot");
	return r ? r : cli_regex(cli, CLI_TRY_EXPECT, e);
}

int cli_snapshot_try(const struct cli *cli, struct cli_vm *vm,
		     const struct snapshot_meta *m, json_t *out, bool *passed,
		     struct err *e)
{
	struct snapshot_verdict v = { .is_there = true, .how = "started" };
	struct trial t = { .expect = cli_value(cli, CLI_TRY_EXPECT),
			   .probe = cli_value(cli, CLI_TRY_PROBE),
			   .verdict = &v,
			   .vm = { .dir = -1 } };
	struct err why = ERR_NONE;

	if (cli_seconds(cli, CLI_WAIT_TIMEOUT, &t.timeout_ms, e))
		return -EINVAL;
	if (!t.timeout_ms)
		t.timeout_ms = DEFAULT_MS;
	clock_rfc3339(clock_wall_ns(), v.at);
	v.passed = !try_once(cli, vm, m, &t, &why);
	utf8_copy_printable(v.text, sizeof(v.text), v.passed ? "" : why.text);
	*passed = v.passed;
	if (out)
		json_object_set_new(
			out, "boot",
			json_pack("{s:b, s:s, s:I, s:I, s:s}", "passed",
				  v.passed, "how", v.how, "start_us",
				  (json_int_t)v.start_us, "good_us",
				  (json_int_t)v.good_us, "error", v.text));
	else
		say(vm, m, &v);
	return note(cli, vm, m, &v, e)
		       ? err_prefix(e, "the verdict is not kept")
		       : 0;
}
