/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handler of GET /v1/vm/console: the history, taken from the console's ring
 * as the client reads, so that a slow client costs no memory. When the guest
 * overwrites what the client has not taken yet, the answer breaks off. Loop
 * thread.
 */
#include <stdlib.h>

#include "control/api.h"
#include "control/control.h"
#include "devices/console.h"

/*
 * Where nobody asked for a position, the oldest bytes of a full ring are left
 * out: they are overwritten while the answer is on its way.
 */
#define MARGIN_BYTES (16u << 10)

struct history {
	struct console *console; /* borrowed */
	uint64_t at, end;
};

static ssize_t read_history(void *ctx, char *to, size_t max)
{
	struct history *h = ctx;
	uint64_t left = h->end - h->at, dropped;
	size_t n;

	if (!left)
		return -ENODATA;
	n = console_read(h->console, &h->at, to, max < left ? max : left,
			 &dropped);
	return dropped || !n ? -EPIPE : (ssize_t)n;
}

static void close_history(void *ctx)
{
	free(ctx);
}

void api_console(struct call *call)
{
	struct console *console = vm_console(call->control->vm);
	uint64_t end = console_position(console);
	uint64_t start = console_start(console);
	uint64_t oldest = start ? start + MARGIN_BYTES : 0;
	uint64_t since = call_number(call, "since", oldest);
	uint64_t max = call_number(call, "max", UINT64_MAX);
	struct history *h = malloc(sizeof(*h));

	if (!h) {
		call_problem(call, PROBLEM_INTERNAL, "no memory");
		return;
	}
	h->console = console;
	h->at = since < start ? start : since > end ? end : since;
	h->end = end;
	if (end - h->at > max) {
		if (call_has(call, "since"))
			h->end = h->at + max;
		else
			h->at = end - max;
	}
	call_set_header(call, "Amber-Position", h->end);
	call_set_header(call, "Amber-Dropped",
			since < start ? start - since : 0);
	call->kind = CALL_STREAM;
	call->status = 200;
	call->type = "application/octet-stream";
	call->stream = (struct call_stream){ read_history, close_history, h,
					     h->end - h->at };
}
