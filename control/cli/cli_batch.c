/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers over a list of VMs. Main thread: everything but the work itself.
 * Invariants: `next` only grows; a result is the worker's until `done` was
 * set under the lock, then the main thread's.
 */
#include "control/cli/cli_batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "control/cli/cli_out.h"
#include "control/config_json.h"

struct crew {
	struct lock lock;
	pthread_cond_t one_done;
	struct cli_batch *batch;
	const struct cli *cli;
	cli_work work;
	void *ctx;
	size_t next;	/* guarded by lock: the next to begin */
	size_t running; /* guarded by lock: workers that are left */
	bool failed;	/* guarded by lock: begin no more */
};

static bool has_label(const struct vm_config *c, const char *wanted)
{
	const char *equals = strchr(wanted, '=');
	size_t len = equals ? (size_t)(equals - wanted) : strlen(wanted);
	unsigned int i;

	for (i = 0; i < c->labels; i++) {
		const struct vm_label *l = &c->label[i];

		if (strlen(l->key) == len &&
		    strncmp(l->key, wanted, len) == 0 &&
		    (!equals || strcmp(l->value, equals + 1) == 0))
			return true;
	}
	return false;
}

static bool is_selected(const struct cli *cli, const char *name,
			bool only_alive)
{
	struct vm_config c;
	bool match = true;
	size_t i;
	int dir;

	dir = home_open_vm(&cli->home, name, NULL);
	if (dir < 0)
		return false;
	if (only_alive && vmdir_locked(dir, NULL) <= 0)
		match = false;
	if (match && cli_has(cli, CLI_LABEL)) {
		config_init(&c);
		match = config_load(&c, dir, NULL) == 0;
		for (i = 0; match && i < cli->givens; i++)
			if (cli->given[i].id == CLI_LABEL && !cli->given[i].row)
				match = has_label(&c, cli->given[i].value);
		vm_config_fini(&c);
	}
	close(dir);
	return match;
}

static int named(const struct cli *cli, struct home_names *out, struct err *e)
{
	size_t i;

	out->name = calloc(cli->nargs, sizeof(*out->name));
	if (!out->name)
		return err_set(e, -ENOMEM, "out of memory");
	/* The parser has checked the names, so they fit. */
	for (i = 0; i < cli->nargs; i++)
		memcpy(out->name[i], cli->args[i], strlen(cli->args[i]) + 1);
	out->count = cli->nargs;
	return 0;
}

int cli_select(const struct cli *cli, bool only_alive, struct home_names *out,
	       struct err *e)
{
	size_t i, kept = 0;
	int r;

	*out = (struct home_names){ 0 };
	if (cli->nargs)
		return named(cli, out, e);
	r = home_list(&cli->home, out, e);
	if (r < 0)
		return r;
	for (i = 0; i < out->count; i++) {
		if (!is_selected(cli, out->name[i], only_alive))
			continue;
		memmove(out->name[kept], out->name[i], sizeof(*out->name));
		kept++;
	}
	out->count = kept;
	return 0;
}

int cli_batch_init(struct cli_batch *b, const struct cli *cli,
		   struct home_names *names, struct err *e)
{
	uint64_t jobs;
	size_t i;
	int r;

	*b = (struct cli_batch){ .names = *names };
	b->stop_on_error = cli_has(cli, CLI_STOP_ON_ERROR);
	jobs = b->stop_on_error ? 1 : CLI_JOBS_DEFAULT;
	r = cli_number(cli, CLI_JOBS, 1, CLI_JOBS_MAX, &jobs, e);
	if (r)
		return r;
	b->jobs = (unsigned int)jobs;
	b->results = calloc(names->count + 1, sizeof(*b->results));
	if (!b->results)
		return err_set(e, -ENOMEM, "out of memory");
	for (i = 0; i < names->count; i++) {
		b->results[i].name = b->names.name[i];
		buf_init(&b->results[i].out, CLI_RESULT_BYTES);
	}
	return 0;
}

void cli_batch_fini(struct cli_batch *b)
{
	size_t i;

	for (i = 0; b->results && i < b->names.count; i++) {
		buf_fini(&b->results[i].out);
		json_decref(b->results[i].json);
	}
	free(b->results);
	home_names_fini(&b->names);
}

static void work_on(struct crew *crew, struct cli_result *r)
{
	int code = crew->work(crew->cli, crew->ctx, r);

	if (code && !r->status)
		r->status = EXIT_CODE_FAILED;
	if (r->status && !r->e.text[0])
		err_set(&r->e, code ? code : -EIO, "%s",
			strerror(code ? -code : EIO));
}

static void *worker(void *ctx)
{
	struct crew *crew = ctx;
	struct cli_batch *b = crew->batch;

	lock_take(&crew->lock);
	while (crew->next < b->names.count &&
	       !(crew->failed && b->stop_on_error)) {
		struct cli_result *r = &b->results[crew->next++];

		lock_release(&crew->lock);
		work_on(crew, r);
		lock_take(&crew->lock);
		r->done = true;
		crew->failed = crew->failed || r->status;
		pthread_cond_signal(&crew->one_done);
	}
	crew->running--;
	pthread_cond_signal(&crew->one_done);
	lock_release(&crew->lock);
	return NULL;
}

/* Hands results over in order while the workers go on. */
static void hand_over(struct crew *crew,
		      void (*each)(const struct cli *cli, struct cli_result *r))
{
	struct cli_batch *b = crew->batch;
	size_t i;

	for (i = 0; i < b->names.count; i++) {
		bool done;

		lock_take(&crew->lock);
		while (!b->results[i].done && crew->running)
			pthread_cond_wait(&crew->one_done, &crew->lock.mutex);
		done = b->results[i].done;
		lock_release(&crew->lock);
		if (done && each)
			each(crew->cli, &b->results[i]);
	}
}

/* One at a time needs no thread. */
static void run_alone(struct crew *crew,
		      void (*each)(const struct cli *cli, struct cli_result *r))
{
	struct cli_batch *b = crew->batch;
	size_t i;

	for (i = 0; i < b->names.count; i++) {
		if (crew->failed && b->stop_on_error)
			break;
		work_on(crew, &b->results[i]);
		b->results[i].done = true;
		crew->failed = crew->failed || b->results[i].status;
		if (each)
			each(crew->cli, &b->results[i]);
	}
}

void cli_batch_run(struct cli_batch *b, const struct cli *cli, cli_work work,
		   void *ctx,
		   void (*each)(const struct cli *cli, struct cli_result *r))
{
	struct crew crew = { .batch = b, .cli = cli, .work = work, .ctx = ctx };
	pthread_t thread[CLI_JOBS_MAX];
	unsigned int jobs = b->jobs, started = 0;

	if (jobs > b->names.count)
		jobs = (unsigned int)b->names.count;
	if (jobs <= 1) {
		run_alone(&crew, each);
		return;
	}
	lock_init(&crew.lock);
	pthread_cond_init(&crew.one_done, NULL);
	crew.running = jobs;
	while (started < jobs &&
	       pthread_create(&thread[started], NULL, worker, &crew) == 0)
		started++;
	lock_take(&crew.lock);
	crew.running -= jobs - started;
	lock_release(&crew.lock);
	if (!started)
		run_alone(&crew, each);
	else
		hand_over(&crew, each);
	while (started)
		pthread_join(thread[--started], NULL);
	pthread_cond_destroy(&crew.one_done);
	lock_fini(&crew.lock);
}

int cli_batch_status(const struct cli_batch *b)
{
	int status = EXIT_CODE_OK;
	size_t i;

	for (i = 0; i < b->names.count; i++) {
		int mine = b->results[i].status;

		if (mine && status && mine != status)
			return EXIT_CODE_FAILED;
		if (mine)
			status = mine;
	}
	return status;
}

static void print_result(const struct cli *cli, struct cli_result *r)
{
	if (r->status)
		cli_error(r->name, "%s", r->e.text);
	if (cli_has(cli, CLI_JSON)) {
		json_t *json = r->json;

		if (r->status && !json)
			json = json_pack("{s:s, s:s}", "name", r->name, "error",
					 r->e.text);
		r->json = NULL;
		if (json)
			cli_print_json(json);
	} else {
		cli_print(&r->out);
	}
	cli_out_failed();
}

int cli_batch_command(const struct cli *cli, bool only_alive, cli_work work,
		      void *ctx)
{
	struct err e = ERR_NONE;
	struct home_names names;
	struct cli_batch b;
	int status;

	if (cli_select(cli, only_alive, &names, &e))
		return cli_fail(NULL, &e);
	if (cli_batch_init(&b, cli, &names, &e)) {
		cli_batch_fini(&b);
		return cli_fail(NULL, &e);
	}
	if (!b.names.count)
		cli_note(NULL, "%s: no VM to work on", cli->command->name);
	cli_batch_run(&b, cli, work, ctx, print_result);
	status = cli_batch_status(&b);
	cli_batch_fini(&b);
	return status;
}
