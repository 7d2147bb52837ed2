/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One API call on its way through the dispatcher and a handler: who calls,
 * the checked parameters, and the answer, whatever carries it. Loop thread.
 */
#ifndef AMBER_CONTROL_CALL_H
#define AMBER_CONTROL_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/loop.h"
#include "control/authz.h"
#include "control/problem.h"

#define CALL_PARAMS_MAX	  16 /* of a route */
#define CALL_QUERY_MAX	  8  /* in a query */
#define CALL_TEXT_BYTES	  256
#define CALL_WORDS_MAX	  4
#define CALL_WORD_BYTES	  64
#define CALL_HEADERS_MAX  2
#define CALL_ANSWER_BYTES (8u << 20) /* no answer is larger */

struct call;
struct control;
struct route;

enum call_kind {
	CALL_OPEN,    /* not answered yet: call_finish() comes later */
	CALL_BYTES,   /* status, type and body are the answer */
	CALL_STREAM,  /* the body comes from stream */
	CALL_UPGRADE, /* 101, then the socket is upgrade's */
};

/* A body that is produced as the client takes it. */
struct call_stream {
	/*
	 * Copies the next bytes to `to`. Returns how many, 0 when there is
	 * nothing now (call_wake() when there is), -ENODATA at the end,
	 * another negative errno to break the connection off.
	 */
	ssize_t (*read)(void *ctx, char *to, size_t max);
	/* The client has all, or is gone; the last call for ctx. */
	void (*closed)(void *ctx);
	void *ctx;
	uint64_t bytes; /* exact length, CALL_LENGTH_UNKNOWN: until the end */
};

#define CALL_LENGTH_UNKNOWN UINT64_MAX

/* A socket that was switched to another protocol. */
struct call_upgrade {
	const char *protocol; /* static */
	/*
	 * The socket is the handler's now: non-blocking, but not to be
	 * closed by it: it calls close(close_ctx) once, as the last thing.
	 * early are bytes that the client sent ahead.
	 */
	void (*opened)(void *ctx, int fd, const void *early, size_t early_len,
		       void (*close)(void *close_ctx), void *close_ctx);
	/* The switch did not happen after all: the last call for ctx. */
	void (*failed)(void *ctx);
	void *ctx;
};

struct call_value {
	bool given;
	uint64_t number; /* also of a bool: 0 or 1 */
};

struct call_header {
	const char *name; /* static */
	char value[24];
};

/* What carries a call: the server, or a test. */
struct call_carrier {
	/* The answer of a CALL_OPEN call is there. */
	void (*finished)(struct call *call);
	/* A stream that returned 0 has something now. */
	void (*wake)(struct call *call);
};

struct call {
	struct control *control;	    /* borrowed */
	const struct call_carrier *carrier; /* borrowed */
	struct peer peer;
	const struct route *route; /* NULL until it was found */

	/* in the order of the route's parameters */
	struct call_value value[CALL_PARAMS_MAX];
	char text[CALL_TEXT_BYTES]; /* of the one text parameter: reason */
	char word[CALL_WORDS_MAX][CALL_WORD_BYTES]; /* of word parameters */
	json_t *list; /* owned: of the one list parameter, or NULL */
	uint64_t began_ns;
	bool wants_upgrade; /* asked for by the right headers */

	/* the answer */
	enum call_kind kind;
	unsigned int status;
	enum problem_code problem; /* when status is 400 or more */
	const char *type;	   /* static */
	struct buf body;	   /* owned */
	struct call_header header[CALL_HEADERS_MAX];
	unsigned int headers;
	const char *allow; /* static: the Allow header of a 405 */
	struct call_stream stream;
	struct call_upgrade upgrade;

	/* of a handler that answers later */
	void (*cancel)(struct call *call); /* the client is gone; NULL: none */
	struct loop_timer timer;
	struct call *next, *prev; /* in the handler's list */
};

/* Prepares for a request; call_fini() afterwards. */
void call_init(struct call *call, struct control *control,
	       const struct call_carrier *carrier, const struct peer *peer);
void call_fini(struct call *call);

/* The value of a parameter, or fallback when it was not given. */
uint64_t call_number(const struct call *call, const char *param,
		     uint64_t fallback);
bool call_has(const struct call *call, const char *param);
/* The text of a word parameter, "" when it was not given. */
const char *call_word(const struct call *call, const char *param);
/* For the dispatcher: where the word of the i-th parameter is kept. */
char *call_word_at(struct call *call, size_t i);

/* Answers. After a CALL_OPEN, call_finish() must follow. */
void call_answer(struct call *call, unsigned int status, const char *type);
/* With json (taken over; NULL: no memory) and a newline as its body. */
void call_answer_json(struct call *call, unsigned int status, json_t *json);
void call_problem(struct call *call, enum problem_code code, const char *fmt,
		  ...) __attribute__((format(printf, 3, 4)));
void call_wrong_state(struct call *call, const char *detail, const char *state,
		      const char *help);
void call_set_header(struct call *call, const char *name, uint64_t value);
void call_set_header_text(struct call *call, const char *name, const char *fmt,
			  ...) __attribute__((format(printf, 3, 4)));
void call_finish(struct call *call);
void call_wake(struct call *call);

/* Handlers' lists of open calls. */
void call_list_add(struct call **list, struct call *call);
void call_list_remove(struct call **list, struct call *call);

#endif
