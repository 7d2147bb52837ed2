/* SPDX-License-Identifier: Apache-2.0 */
/* Two memories, page by page; what neither has is skipped. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "snapshot/diff.h"
#include "snapshot/memory_view.h"

#define PIECE (1u << 20)

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct two {
	const struct memory_view *view[2];
	uint8_t *piece[2];
	uint64_t end; /* of the longer one */
};

/* The end of the shorter one is none. */
static uint64_t next_data(const struct two *t, int i, uint64_t at)
{
	uint64_t data = at < t->view[i]->end ? memory_view_next(t->view[i], at)
					     : t->end;

	return data < t->view[i]->end ? data : t->end;
}

static void compare_page(const uint8_t *a, const uint8_t *b,
			 struct diff_memory *out)
{
	bool no_a = memory_is_zero(a, DIFF_PAGE);
	bool no_b = memory_is_zero(b, DIFF_PAGE);

	if (no_a && no_b)
		return;
	if (no_a)
		out->only_b++;
	else if (no_b)
		out->only_a++;
	else if (memcmp(a, b, DIFF_PAGE) != 0)
		out->changed++;
	else
		out->same++;
}

static int compare_all(struct two *t, struct diff_memory *out,
		       struct progress *progress)
{
	uint64_t at = 0, was = 0;
	size_t i;
	int r;

	for (;;) {
		at = MIN(next_data(t, 0, at), next_data(t, 1, at));
		if (at >= t->end)
			return 0;
		r = memory_view_read(t->view[0], at, t->piece[0], PIECE);
		if (!r)
			r = memory_view_read(t->view[1], at, t->piece[1],
					     PIECE);
		if (r)
			return r;
		for (i = 0; i < PIECE; i += DIFF_PAGE)
			compare_page(t->piece[0] + i, t->piece[1] + i, out);
		at += PIECE;
		r = progress_add(progress, at - was);
		if (r)
			return r;
		was = at;
	}
}

int diff_memory(const struct memory_view *a, const struct memory_view *b,
		struct diff_memory *out, struct progress *progress,
		struct err *e)
{
	struct two t = { .view = { a, b } };
	int r = -ENOMEM;

	memset(out, 0, sizeof(*out));
	t.end = a->end > b->end ? a->end : b->end;
	progress_expect(progress, t.end);
	t.piece[0] = malloc(PIECE);
	t.piece[1] = malloc(PIECE);
	if (t.piece[0] && t.piece[1])
		r = compare_all(&t, out, progress);
	free(t.piece[0]);
	free(t.piece[1]);
	out->is_there = !r;
	return r ? err_sys(e, r, "memory") : 0;
}
