/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long operations as things to ask for: each has a number, from its beginning
 * until OPS_KEPT others have ended. Loop thread only. INV-1: at most one runs.
 */
#ifndef AMBER_CONTROL_OPS_H
#define AMBER_CONTROL_OPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/problem.h"

#define OPS_KEPT 16

struct call;
struct control;

enum op_state { OP_RUNNING, OP_DONE, OP_FAILED };

struct op_record {
	uint64_t id;	  /* 0: none */
	const char *kind; /* "create": static */
	enum op_state state;
	uint64_t began_wall_ns, began_ns, ended_ns;
	json_t *answer;		/* owned: of one that is done */
	enum problem_code code; /* of one that has failed */
	char text[256];
};

struct ops {
	struct op_record record[OPS_KEPT];
	uint64_t last;	    /* id */
	struct call *calls; /* list: waiting for an end */
};

void ops_init(struct ops *ops);
void ops_fini(struct ops *ops);

/* Its id. kind: static. */
uint64_t ops_begin(struct control *c, const char *kind);
/* It has ended well: answer (borrowed) is what its call was told. */
void ops_done(struct control *c, uint64_t id, json_t *answer);
void ops_failed(struct control *c, uint64_t id, enum problem_code code,
		const char *text);

/* NULL: there is none of that id (any more). */
const struct op_record *ops_find(const struct control *c, uint64_t id);
/* As the API shows it; docs/api.md. */
json_t *ops_json(struct control *c, const struct op_record *op);

#endif
