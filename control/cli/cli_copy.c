/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop between terminal and console. Main thread. Invariants: the guest
 * is not read while output waits, standard input not while input waits.
 *
 * A raw terminal doesn't return the carriage at a line feed. A guest with a
 * terminal driver of its own (Linux) sends both characters; a tiny kernel
 * often sends the line feed alone, and its output would become a staircase.
 * So line feeds are completed until the guest has sent its first pair.
 */
#include "control/cli/cli_copy.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli_out.h"
#include "control/cli/term.h"

#define PIECE_BYTES 16384

/* Bytes on their way. */
struct lane {
	char bytes[PIECE_BYTES];
	size_t at, len;
};

struct copy {
	const struct cli_copy *c;
	struct lane out, in;
	bool in_open; /* standard input has more */
	bool guest_open;
	bool detached;
	bool completes; /* line feeds: no pair was seen yet */
	char last;	/* byte that the guest sent before this piece */
};

static bool is_empty(const struct lane *l)
{
	return l->at == l->len;
}

/* Reads up to max bytes; false at the end or on an error that is one. */
static bool fill(struct lane *l, int fd, size_t max)
{
	ssize_t n = read(fd, l->bytes, max);

	l->at = 0;
	l->len = n > 0 ? (size_t)n : 0;
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static size_t count_line_feeds(struct copy *x)
{
	const struct lane *l = &x->out;
	size_t i, n = 0;

	for (i = 0; i < l->len; i++) {
		if (l->bytes[i] == '\n' && x->last == '\r')
			x->completes = false;
		n += l->bytes[i] == '\n';
		x->last = l->bytes[i];
	}
	return n;
}

/* Puts a carriage return before each line feed; the lane is half full. */
static void complete_line_feeds(struct copy *x)
{
	struct lane *l = &x->out;
	size_t n = count_line_feeds(x), from = l->len;

	if (!x->completes)
		return;
	l->len += n;
	while (n) {
		char c = l->bytes[--from];

		l->bytes[from + n] = c;
		if (c == '\n')
			l->bytes[from + --n] = '\r';
	}
}

static void take_output(struct copy *x)
{
	x->guest_open = fill(&x->out, x->c->from_guest, PIECE_BYTES / 2);
	if (x->completes)
		complete_line_feeds(x);
}

/* Writes what goes; false when nobody takes it any more. */
static bool flush_some(struct lane *l, int fd)
{
	ssize_t n = write(fd, l->bytes + l->at, l->len - l->at);

	if (n > 0)
		l->at += (size_t)n;
	return n >= 0 || errno == EINTR || errno == EAGAIN;
}

static void take_input(struct copy *x)
{
	char *escape;

	if (!fill(&x->in, STDIN_FILENO, PIECE_BYTES)) {
		x->in_open = false;
		return;
	}
	escape = x->c->keys ? memchr(x->in.bytes, CLI_ESCAPE, x->in.len) : NULL;
	if (escape) {
		x->in.len = (size_t)(escape - x->in.bytes);
		x->detached = true;
	}
	if (x->c->to_guest < 0)
		x->in.len = 0;
}

/* true: a signal ends the copying. */
static bool take_signals(const struct copy *x)
{
	int number;

	while ((number = term_next_signal()) != 0) {
		if (number == SIGCONT)
			term_again();
		else if (number == SIGWINCH)
			continue;
		else if (!x->c->on_signal || x->c->on_signal(x->c->ctx, number))
			return true;
	}
	return false;
}

enum { SIGNALS, GUEST_OUT, GUEST_IN, INPUT, OUTPUT, FDS };

static void choose(const struct copy *x, int signals, struct pollfd *p)
{
	bool waits = !is_empty(&x->out), typed = !is_empty(&x->in);
	/* Who only watches has keys too: the one that detaches. */
	bool input = x->in_open && (x->c->to_guest >= 0 || x->c->keys);
	int i;

	for (i = 0; i < FDS; i++)
		p[i] = (struct pollfd){ .fd = -1 };
	p[SIGNALS] = (struct pollfd){ .fd = signals, .events = POLLIN };
	if (x->guest_open && !waits)
		p[GUEST_OUT] = (struct pollfd){ .fd = x->c->from_guest,
						.events = POLLIN };
	if (typed)
		p[GUEST_IN] = (struct pollfd){ .fd = x->c->to_guest,
					       .events = POLLOUT };
	else if (input)
		p[INPUT] =
			(struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	if (waits)
		p[OUTPUT] = (struct pollfd){ .fd = STDOUT_FILENO,
					     .events = POLLOUT };
}

/* One round; false: over, *end says why. */
static bool step(struct copy *x, int signals, enum cli_copy_end *end)
{
	struct pollfd p[FDS];

	choose(x, signals, p);
	if (poll(p, FDS, -1) < 0 && errno != EINTR) {
		*end = CLI_COPY_FAILED;
		return false;
	}
	if (take_signals(x)) {
		*end = CLI_COPY_SIGNAL;
		return false;
	}
	if (p[GUEST_OUT].revents)
		take_output(x);
	if (p[INPUT].revents)
		take_input(x);
	if (p[GUEST_IN].revents && !flush_some(&x->in, x->c->to_guest)) {
		x->in_open = false;
		x->in.at = x->in.len = 0;
	}
	if (p[OUTPUT].revents && !flush_some(&x->out, STDOUT_FILENO)) {
		cli_out_broke(errno);
		*end = CLI_COPY_FAILED;
		return false;
	}
	if (!x->guest_open && is_empty(&x->out)) {
		*end = CLI_COPY_OVER;
		return false;
	}
	if (x->detached && is_empty(&x->in)) {
		*end = CLI_COPY_DETACHED;
		return false;
	}
	return true;
}

bool cli_copy_wants_keys(void)
{
	return term_is_ours(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

enum cli_copy_end cli_copy_run(const struct cli_copy *c)
{
	struct copy x = {
		.c = c,
		.guest_open = true,
		.completes = c->keys,
		/*
		 * A terminal whose output goes elsewhere isn't read: a job in
		 * the background would be stopped for it.
		 */
		.in_open = c->keys || !isatty(STDIN_FILENO),
	};
	enum cli_copy_end end = CLI_COPY_OVER;
	int signals = term_signals();

	while (step(&x, signals, &end))
		;
	return end;
}

void cli_copy_drop(int fd)
{
	char bytes[4096];
	ssize_t n;

	do
		n = read(fd, bytes, sizeof(bytes));
	while (n > 0 || (n < 0 && errno == EINTR));
}
