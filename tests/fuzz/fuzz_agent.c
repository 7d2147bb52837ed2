/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest's agent: the input is a list of steps: calls of the host,
 * bytes of the guest in any split (some with the right synchronisation
 * number put in), a port that opens and closes, a channel that takes little.
 * Promises checked: every call that was not forgotten ends exactly once, and
 * when the guest behaves again a call is answered.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the shared helpers check is a crash here. */
#define ck_assert(x)             \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)
#define ck_assert_int_eq(a, b) ck_assert((a) == (b))
#define ck_assert_str_eq(a, b) ck_assert(strcmp(a, b) == 0)

#include "tests/unit/fake_agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 512
#define CALLS_MAX 64

struct reader {
	const uint8_t *at, *end;
};

struct world {
	struct loop *loop;
	struct fake_agent g;
	unsigned int begun, ended[CALLS_MAX];
	bool forgotten[CALLS_MAX];
};

static struct world w;

static uint8_t next(struct reader *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static void on_done(void *ctx, const json_t *ret, const struct err *e)
{
	(void)ret;
	ck_assert(!e || (e->code < 0 && *e->text));
	++*(unsigned int *)ctx;
}

static void on_exec(void *ctx, const struct agent_exec_result *r,
		    const struct err *e)
{
	ck_assert(!r != !e);
	++*(unsigned int *)ctx;
}

static void call(uint8_t how, unsigned int *ended)
{
	static const char *const words[] = { "true", "x" };
	uint64_t timeout_ns = how & 0x10 ? 0 : 60 * NS_PER_S;
	struct agent *a = w.g.agent;

	switch (how & 7) {
	case 0:
		agent_ping(a, timeout_ns, on_done, ended);
		break;
	case 1:
		agent_shutdown(a, AGENT_HALT, timeout_ns, on_done, ended);
		break;
	case 2:
		agent_set_time(a, timeout_ns, on_done, ended);
		break;
	case 3:
		agent_info(a, timeout_ns, on_done, ended);
		break;
	default:
		agent_exec(a, words, 2, timeout_ns, on_exec, ended);
	}
}

static void guest_bytes(struct reader *r)
{
	size_t n = next(r), left = (size_t)(r->end - r->at);

	n = n < left ? n : left;
	agent_input(w.g.agent, r->at, n);
	r->at += n;
}

static void step(struct reader *r)
{
	uint8_t op = next(r), n;

	switch (op & 7) {
	case 0:
		if (w.begun < CALLS_MAX) {
			n = (uint8_t)w.begun++;
			call(op >> 3, &w.ended[n]);
		}
		break;
	case 1:
	case 2:
		guest_bytes(r);
		break;
	case 3: /* the right number, or one beside it */
		fake_agent_say_sync(&w.g, w.g.sync_id + (op >> 7));
		break;
	case 4:
		agent_connected(w.g.agent, op & 8);
		break;
	case 5:
		w.g.room = op & 8 ? SIZE_MAX : next(r);
		agent_writable(w.g.agent);
		break;
	case 6:
		loop_step(w.loop, 0);
		break;
	default:
		n = next(r) % CALLS_MAX;
		agent_forget(w.g.agent, &w.ended[n]);
		w.forgotten[n] = true;
	}
	fake_agent_read(&w.g);
}

/* Whatever was before: a guest that behaves is understood. */
static void behave(void)
{
	unsigned int ended = 0;

	w.g.is_mute = false;
	w.g.room = SIZE_MAX;
	agent_connected(w.g.agent, false);
	buf_reset(&w.g.got);
	fake_agent_open(&w.g);
	agent_ping(w.g.agent, 60 * NS_PER_S, on_done, &ended);
	fake_agent_read(&w.g);
	ck_assert(strstr(w.g.request, "guest-ping"));
	fake_agent_say(&w.g, "{\"return\": {}}\n");
	ck_assert(ended == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = { data, data + size };
	struct err e = ERR_NONE;
	unsigned int i;

	memset(&w, 0, sizeof(w));
	ck_assert(loop_create(&w.loop, &e) == 0);
	fake_agent_init(&w.g, w.loop, 0);
	w.g.is_mute = next(&r) & 1;
	agent_connected(w.g.agent, true);
	fake_agent_read(&w.g);
	for (i = 0; i < STEPS_MAX && r.at < r.end; i++)
		step(&r);
	behave();
	fake_agent_fini(&w.g);
	for (i = 0; i < w.begun; i++)
		ck_assert(w.ended[i] == 1 ||
			  (w.forgotten[i] && w.ended[i] == 0));
	loop_destroy(w.loop);
	return 0;
}
