/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API as a table: one row per method and path with the role it takes,
 * the lifecycle command it is, and its parameters. The dispatcher refuses
 * before a handler runs; OpenAPI is made of the same rows, and a test holds
 * docs/api.md to them.
 * Loop thread.
 */
#ifndef AMBER_CONTROL_ROUTES_H
#define AMBER_CONTROL_ROUTES_H

#include <stddef.h>

#include "control/call.h"
#include "vmm/config.h"
#include "vmm/lifecycle.h"

/* PARAM_PATH: stands in the path as {name}; a number, the only one. */
enum param_place { PARAM_QUERY, PARAM_BODY, PARAM_PATH };

enum param_type {
	PARAM_BOOL,
	PARAM_NUMBER,
	PARAM_TEXT,
	PARAM_WORD,
	PARAM_LIST
};

struct route_param {
	const char *name;
	enum param_place place;
	enum param_type type;
	uint64_t max; /* numbers: the largest; texts: bytes; lists: texts */
	const char *doc;
};

#define ROUTE_NO_COMMAND (-1)

struct route {
	const char *method, *path;
	enum vm_role role;
	int command; /* enum vm_command, or ROUTE_NO_COMMAND */
	const struct route_param *params;
	size_t param_count;
	const char *type; /* of the usual answer */
	const char *summary;
	void (*handler)(struct call *call);
	bool or_stopped; /* of a stopped VM as well, whatever command says */
};

const struct route *routes_all(size_t *count);

/*
 * The route, or NULL; *allow is then the methods that the path has (static),
 * or NULL when there is no such path. *number: what stands in the path's
 * place, if it has one.
 */
const struct route *routes_find(const char *method, const char *path,
				const char **allow, uint64_t *number);

/* One "name=value" of a query string, decoded. value may be NULL. */
struct query_arg {
	const char *name, *value;
};

/*
 * First step, as soon as the head of a request is there: finds the route
 * and checks the role. Returns false when the call was answered (refused).
 */
bool dispatch_begin(struct call *call, const char *method, const char *path);

/*
 * Second step, with the whole request: checks parameters and the state, and
 * runs the handler. Afterwards call->kind tells how it goes on.
 */
void dispatch_run(struct call *call, const struct query_arg *args,
		  size_t arg_count, const void *body, size_t body_len);

/*
 * The call was answered with a problem by the carrier: recorded if it would
 * have changed something.
 */
void dispatch_refused(struct call *call);

#endif
