/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handler of GET /v1/vm/console/attach: after the upgrade the socket carries
 * the console's bytes both ways. Any number of readers, one writer. Each
 * reader has its own place in the console's ring and no buffer: one that
 * stops reading loses the oldest bytes and is told how many. Loop thread;
 * nothing here blocks. INV-1: a byte of output is sent at most once and in
 * order. INV-2: at most one reader of the list is the writer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "control/api.h"
#include "control/control.h"
#include "devices/console.h"

#define PROTOCOL	 "amber-console"
#define PIECE_BYTES	 8192
#define PIECES_PER_ROUND 16 /* then others get their turn */

struct console_reader {
	struct control *control;
	struct loop_fd watch;
	int fd;
	uint64_t at;	 /* next byte of output to send */
	char notice[64]; /* "... bytes lost", being sent */
	size_t notice_at, notice_len;
	bool is_writer;
	bool input_ended;
	void (*close)(void *close_ctx);
	void *close_ctx;
	struct console_reader *next, *prev;
};

static void release_writer(struct console_reader *r)
{
	if (r->is_writer)
		r->control->has_writer = false;
	r->is_writer = false;
}

static void let_go(struct console_reader *r)
{
	struct control *c = r->control;

	loop_remove(&r->watch);
	release_writer(r);
	if (r->prev)
		r->prev->next = r->next;
	else
		c->readers = r->next;
	if (r->next)
		r->next->prev = r->prev;
	r->close(r->close_ctx);
	free(r);
}

/* Sends; returns bytes, 0 when the socket is full, or a negative errno. */
static ssize_t send_some(int fd, const void *bytes, size_t len)
{
	ssize_t n;

	do
		n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* Returns 1 when it is sent, 0 when the socket is full, or an errno. */
static int send_notice(struct console_reader *r)
{
	ssize_t n;

	if (r->notice_at == r->notice_len)
		return 1;
	n = send_some(r->fd, r->notice + r->notice_at,
		      r->notice_len - r->notice_at);
	if (n < 0)
		return (int)n;
	r->notice_at += (size_t)n;
	return r->notice_at == r->notice_len;
}

/*
 * One piece of output. Returns 1 when there may be more, 0 when there is
 * none, -EAGAIN when the socket is full, or another errno.
 */
static int send_piece(struct console_reader *r)
{
	struct console *console = vm_console(r->control->vm);
	char piece[PIECE_BYTES];
	uint64_t behind, dropped;
	ssize_t sent;
	size_t n;
	int ret;

	ret = send_notice(r);
	if (ret <= 0)
		return ret ? ret : -EAGAIN;
	n = console_read(console, &r->at, piece, sizeof(piece), &dropped);
	behind = r->at - n;
	if (dropped) {
		r->at = behind; /* the notice goes first */
		r->notice_at = 0;
		r->notice_len =
			(size_t)snprintf(r->notice, sizeof(r->notice),
					 "\r\n[amber: %llu bytes lost]\r\n",
					 (unsigned long long)dropped);
		return 1;
	}
	if (!n)
		return 0;
	sent = send_some(r->fd, piece, n);
	r->at = behind + (sent > 0 ? (size_t)sent : 0);
	if (sent < 0)
		return (int)sent;
	return (size_t)sent == n ? 1 : -EAGAIN;
}

static int watch_for(struct console_reader *r, bool room)
{
	uint32_t events =
		(r->input_ended ? 0 : EPOLLIN) | (room ? EPOLLOUT : 0);

	return loop_modify(&r->watch, events);
}

/* Sends what there is; the reader may be gone afterwards. */
static void push(struct console_reader *r)
{
	int i, ret = 1;

	for (i = 0; i < PIECES_PER_ROUND && ret == 1; i++)
		ret = send_piece(r);
	if (ret == 0 && r->control->is_ending) {
		let_go(r);
		return;
	}
	if (ret == 0 || ret == 1 || ret == -EAGAIN)
		ret = watch_for(r, ret != 0);
	if (ret)
		let_go(r);
}

/* Returns false when the reader is gone. */
static bool take_input(struct console_reader *r)
{
	char piece[4096];
	ssize_t n;

	n = recv(r->fd, piece, sizeof(piece), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		let_go(r);
		return false;
	}
	if (n == 0) { /* it may still want to read */
		r->input_ended = true;
		release_writer(r);
		watch_for(r, r->watch.events & EPOLLOUT);
		return true;
	}
	/* What doesn't fit is dropped and counted by the console. */
	if (r->is_writer)
		console_input(vm_console(r->control->vm), piece, (size_t)n);
	return true;
}

static void on_ready(void *ctx, uint32_t events)
{
	struct console_reader *r = ctx;

	if (events & EPOLLIN && !take_input(r))
		return;
	if (events & EPOLLOUT)
		push(r);
	else if (events & (EPOLLHUP | EPOLLERR))
		let_go(r);
}

void control_console_changed(struct control *c)
{
	struct console_reader *r, *next;

	for (r = c->readers; r; r = next) {
		next = r->next;
		if (!(r->watch.events & EPOLLOUT))
			push(r);
	}
}

void control_console_drain(struct control *c)
{
	struct console_reader *r, *next;

	for (r = c->readers; r; r = next) {
		next = r->next;
		push(r);
	}
}

void control_hang_up(struct control *c)
{
	while (c->readers)
		let_go(c->readers);
}

static void on_opened(void *ctx, int fd, const void *early, size_t early_len,
		      void (*close)(void *close_ctx), void *close_ctx)
{
	struct console_reader *r = ctx;
	struct control *c = r->control;

	r->fd = fd;
	r->close = close;
	r->close_ctx = close_ctx;
	r->next = c->readers;
	if (r->next)
		r->next->prev = r;
	c->readers = r;
	if (r->is_writer && early_len)
		console_input(vm_console(c->vm), early, early_len);
	if (loop_add(c->loop, &r->watch, fd, EPOLLIN, on_ready, r))
		let_go(r);
	else
		push(r);
}

static void on_failed(void *ctx)
{
	struct console_reader *r = ctx;

	release_writer(r);
	free(r);
}

/* Where a reader begins. */
static uint64_t first_byte(const struct call *call, struct console *console)
{
	uint64_t end = console_position(console);
	uint64_t since = call_number(call, "since", end);

	if (call_number(call, "history", 0))
		return console_start(console);
	return since < end ? since : end;
}

static bool may_attach(struct call *call, bool readonly)
{
	if (!call->wants_upgrade) {
		call_problem(call, PROBLEM_UPGRADE_REQUIRED,
			     "send Connection: Upgrade and Upgrade: " PROTOCOL);
		return false;
	}
	if (readonly)
		return true;
	if (call->peer.role < VM_ROLE_OPERATOR) {
		call_problem(call, PROBLEM_FORBIDDEN,
			     "writing to the console takes operator; "
			     "readonly=1 is possible");
		return false;
	}
	if (call->control->has_writer) {
		call_problem(call, PROBLEM_CONSOLE_BUSY,
			     "somebody else writes to the console; readonly=1 "
			     "is possible");
		return false;
	}
	return true;
}

void api_attach(struct call *call)
{
	bool readonly = call_number(call, "readonly", 0);
	struct control *c = call->control;
	struct console_reader *r;

	if (!may_attach(call, readonly))
		return;
	r = calloc(1, sizeof(*r));
	if (!r) {
		call_problem(call, PROBLEM_INTERNAL, "no memory");
		return;
	}
	r->control = c;
	r->fd = -1;
	r->watch.fd = -1;
	r->at = first_byte(call, vm_console(c->vm));
	r->is_writer = !readonly;
	if (r->is_writer)
		c->has_writer = true;
	call_set_header(call, "Amber-Position", r->at);
	call->kind = CALL_UPGRADE;
	call->status = 101;
	call->upgrade =
		(struct call_upgrade){ PROTOCOL, on_opened, on_failed, r };
}
