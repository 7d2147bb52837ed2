/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files agent*.c share: the agent's parts. agent.c is the queue and
 * the synchronisation, agent_input.c reads, agent_calls.c and agent_exec.c
 * are callers with a name. Loop thread only.
 */
#ifndef AMBER_CONTROL_AGENT_PRIVATE_H
#define AMBER_CONTROL_AGENT_PRIVATE_H

#include "control/agent.h"

/*
 * CLOSED --open--> SYNC --the right number--> READY
 * READY --timeout, anything unexpected--> SYNC; any --close--> CLOSED
 */
enum agent_state {
	AGENT_CLOSED,
	AGENT_SYNC,  /* only the answer to sync_id is looked for */
	AGENT_READY, /* the next line answers `current`, if there is one */
};

enum agent_kind {
	AGENT_PLAIN,
	AGENT_PING,	/* measures the round trip */
	AGENT_NO_REPLY, /* only errors are answered: a sync goes behind it */
	AGENT_CLOCK,	/* its argument is the time of sending */
};

struct agent_request {
	struct agent *agent;	    /* borrowed */
	struct agent_request *next; /* in the queue */
	enum agent_kind kind;
	char command[48];
	json_t *arguments; /* owned, or NULL */
	struct loop_timer timer;
	uint64_t timeout_ns;
	agent_done done; /* NULL: forgotten */
	void *ctx;
};

struct agent_exec {
	struct agent *agent;	 /* borrowed */
	struct agent_exec *next; /* in the list */
	char program[48];	 /* for texts */
	int64_t pid;		 /* in the guest; 0: not begun */
	uint64_t due_ns, poll_ms;
	struct loop_timer timer;
	agent_exec_done done; /* NULL: forgotten */
	void *ctx;
};

struct agent {
	struct agent_config cfg;
	enum agent_state state;
	struct agent_request *current; /* owned: sent, not answered */
	struct agent_request *queue;   /* owned list, oldest first */
	unsigned int queued;
	struct agent_exec *execs; /* owned list */
	unsigned int exec_count;

	struct buf out;	    /* owned: for the guest */
	size_t out_at;	    /* that far it was taken */
	size_t out_request; /* bytes of it that are the request */
	uint64_t sent_ns;

	struct buf line;   /* owned: of the guest, as far as it came */
	bool is_delimited; /* line began with the sentinel */
	bool in_input, in_pump;
	bool is_suspicious; /* bytes came that nobody asked for */

	int64_t sync_id;
	uint64_t sync_ns; /* when it was sent; 0: not measured */
	struct loop_timer sync_timer, heartbeat;
	struct agent_status status;
};

/* A call of some kind; the other public calls are made of it. agent.c */
void agent_request(struct agent *a, enum agent_kind kind, const char *command,
		   json_t *arguments, uint64_t timeout_ns, agent_done done,
		   void *ctx);
/* Forgets what is under way and begins to synchronise. agent.c */
void agent_sync(struct agent *a);
/* The same, but the answer to the number sent last is on its way already. */
void agent_await_sync(struct agent *a);
/* The right number came. agent.c */
void agent_synced(struct agent *a);
/* Ends the current request. agent.c */
void agent_answer(struct agent *a, const json_t *ret, const struct err *e);
/* Sends the next request if it may. agent.c */
void agent_pump(struct agent *a);
/* Empties the line; gives back the memory of a long one. agent_input.c */
void agent_line_reset(struct agent *a);

/* agent_exec.c; closed: the port is, those that are between two polls end */
void agent_exec_closed(struct agent *a);
void agent_exec_forget(struct agent *a, void *ctx);
void agent_exec_destroy(struct agent *a);

#endif
