/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with an agent, for tests: it keeps what it was sent, answers
 * synchronisations and guest-info by itself (unless told not to) and
 * everything else as the test says. One thread. Include it once.
 */
#ifndef AMBER_TESTS_UNIT_FAKE_AGENT_H
#define AMBER_TESTS_UNIT_FAKE_AGENT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/agent.h"
#include "control/base64.h"
#include "control/limits.h"

#define FAKE_AGENT_BYTES (1u << 20)
#define MS		 NS_PER_MS

struct fake_agent {
	struct agent *agent;
	struct buf got;	    /* from the host, not yet looked at */
	size_t room;	    /* bytes that it still takes */
	bool is_mute;	    /* answers no synchronisation by itself */
	unsigned int syncs; /* that it was asked for */
	int64_t sync_id;    /* the last one */
	char request[4096]; /* the last line that was none of those */
	unsigned int requests;
};

static inline size_t fake_agent_send(void *ctx, const void *bytes, size_t len)
{
	struct fake_agent *g = ctx;
	size_t n = len < g->room ? len : g->room;

	g->room -= n;
	ck_assert_int_eq(buf_put(&g->got, bytes, n), 0);
	return n;
}

static inline void fake_agent_say(struct fake_agent *g, const char *text)
{
	agent_input(g->agent, text, strlen(text));
}

static inline void fake_agent_say_sync(struct fake_agent *g, int64_t id)
{
	char text[64];

	snprintf(text, sizeof(text), "\xff{\"return\": %lld}\n", (long long)id);
	fake_agent_say(g, text);
}

static inline void fake_agent_line(struct fake_agent *g, char *line)
{
	const char *id = strstr(line, "\"id\":");

	if (*line == '\xff')
		line++;
	if (strstr(line, "guest-sync-delimited")) {
		g->syncs++;
		g->sync_id = strtoll(id + 5, NULL, 10);
		if (!g->is_mute)
			fake_agent_say_sync(g, g->sync_id);
	} else if (strstr(line, "guest-info") && !g->is_mute) {
		fake_agent_say(g, "{\"return\": {\"version\": \"7.2.22\", "
				  "\"supported_commands\": []}}\n");
	} else {
		g->requests++;
		snprintf(g->request, sizeof(g->request), "%s", line);
	}
}

/* Reads all whole lines that came. */
static inline void fake_agent_read(struct fake_agent *g)
{
	char *line, *end;

	while (g->got.len &&
	       (end = memchr(g->got.data, '\n', g->got.len)) != NULL) {
		size_t n = (size_t)(end - (char *)g->got.data);

		line = strndup((char *)g->got.data, n);
		memmove(g->got.data, g->got.data + n + 1, g->got.len - n - 1);
		g->got.len -= n + 1;
		fake_agent_line(g, line);
		free(line);
	}
}

static inline void fake_agent_init(struct fake_agent *g, struct loop *loop,
				   uint64_t heartbeat_ns)
{
	struct agent_config config = { .loop = loop,
				       .send = fake_agent_send,
				       .ctx = g,
				       .sync_ns = 20 * MS,
				       .heartbeat_ns = heartbeat_ns };
	struct err e = ERR_NONE;

	memset(g, 0, sizeof(*g));
	g->room = SIZE_MAX;
	buf_init(&g->got, FAKE_AGENT_BYTES);
	ck_assert_int_eq(agent_create(&g->agent, &config, &e), 0);
}

/* Opens the port and is synchronised, with the version told. */
static inline void fake_agent_open(struct fake_agent *g)
{
	struct agent_status s;

	agent_connected(g->agent, true);
	fake_agent_read(g);
	agent_status(g->agent, &s);
	ck_assert(s.connected && s.in_sync);
	ck_assert_str_eq(s.version, "7.2.22");
}

static inline void fake_agent_fini(struct fake_agent *g)
{
	agent_destroy(g->agent);
	buf_fini(&g->got);
}

#endif
