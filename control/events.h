/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a VM: numbered from 1 in its first process and on from
 * there in later ones, printed once as JSON, the newest LIMIT_EVENTS kept
 * for replay. The same records are the journal. Loop thread only.
 */
#ifndef AMBER_CONTROL_EVENTS_H
#define AMBER_CONTROL_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/vm.h"

struct events;

struct event_record {
	uint64_t seq;
	const char *kind; /* static */
	char *json;	  /* owned by the ring; one line, no line feed */
	size_t json_bytes;
};

/* What is not a vm_event: a command, a refusal, a loss of log bytes. */
struct event_note {
	const char *kind; /* static */
	enum vm_state state;
	const char *cause;
	struct vm_actor actor;
	const char *reason, *text; /* "" when there is none */
	uint64_t duration_ns;
};

/* last: the number of the last record of an earlier process, 0: none. */
int events_create(struct events **out, uint64_t last, struct err *e);
/* NULL is fine. */
void events_destroy(struct events *ev);

/*
 * Adds a record and returns it; it is valid until LIMIT_EVENTS more were
 * added. NULL when there was no memory: its number is then missing, as a
 * gap shows.
 */
const struct event_record *events_add(struct events *ev,
				      const struct vm_event *event);
const struct event_record *events_note(struct events *ev,
				       const struct event_note *note);

/* The next number to be given, and the oldest that may still be there. */
uint64_t events_next(const struct events *ev);
uint64_t events_first(const struct events *ev);

/* The record with that number; NULL when it is gone or not there yet. */
const struct event_record *events_get(const struct events *ev, uint64_t seq);

#endif
