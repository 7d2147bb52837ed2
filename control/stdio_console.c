/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console on standard streams. Loop thread. INV-1: no call here blocks but a
 * write to a regular file. INV-2: each byte of output is written once.
 */
#include "control/stdio_console.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "devices/console.h"

#define PIECE_BYTES	 4096
#define CAREFUL_BYTES	 256 /* at a time, where writing might block */
#define PIECES_PER_ROUND 32
#define INPUT_RETRY_MS	 20

struct stdio_console {
	struct loop *loop;	 /* borrowed */
	struct console *console; /* borrowed */

	int out;	 /* what is written to */
	bool owns_out;	 /* a descriptor of our own, non-blocking */
	bool is_socket;	 /* send() instead of write() */
	bool is_careful; /* may block: ask first, write little */
	bool is_broken;
	struct loop_fd out_watch;
	uint64_t at;
	char notice[64];
	size_t notice_at, notice_len;

	int in; /* -1: no input (any more) */
	bool owns_in;
	struct loop_fd in_watch;
	struct loop_timer in_timer;

	void (*drained)(void *ctx);
	void *ctx;
};

/*
 * A descriptor with its own open file description, so that O_NONBLOCK does
 * not reach those who share fd. Only terminals and pipes can be and need to
 * be opened again.
 */
static int open_again(int fd, int flags)
{
	struct stat st;
	char path[32];

	if (fstat(fd, &st) < 0 ||
	    !(S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd))))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* --- output ------------------------------------------------------------- */

/* Bytes written, 0 when there is no room now, or a negative errno. */
static ssize_t write_some(struct stdio_console *s, const void *bytes,
			  size_t len)
{
	struct pollfd room = { .fd = s->out, .events = POLLOUT };
	ssize_t n;

	if (s->is_careful) {
		if (poll(&room, 1, 0) <= 0)
			return 0;
		if (len > CAREFUL_BYTES)
			len = CAREFUL_BYTES;
	}
	do
		n = s->is_socket ? send(s->out, bytes, len,
					MSG_DONTWAIT | MSG_NOSIGNAL)
				 : write(s->out, bytes, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* 1: go on; 0: nothing more to write; -EAGAIN: no room; else broken. */
static int write_piece(struct stdio_console *s)
{
	char piece[PIECE_BYTES];
	uint64_t behind, dropped;
	ssize_t done;
	size_t n;

	if (s->notice_at < s->notice_len) {
		done = write_some(s, s->notice + s->notice_at,
				  s->notice_len - s->notice_at);
		if (done <= 0)
			return done ? (int)done : -EAGAIN;
		s->notice_at += (size_t)done;
		return 1;
	}
	n = console_read(s->console, &s->at, piece, sizeof(piece), &dropped);
	behind = s->at - n;
	if (dropped) {
		s->at = behind;
		s->notice_at = 0;
		s->notice_len = (size_t)snprintf(s->notice, sizeof(s->notice),
						 "\n[amber: %llu bytes lost]\n",
						 (unsigned long long)dropped);
		return 1;
	}
	if (!n)
		return 0;
	done = write_some(s, piece, n);
	s->at = behind + (done > 0 ? (size_t)done : 0);
	if (done <= 0)
		return done ? (int)done : -EAGAIN;
	return 1;
}

static void tell_drained(struct stdio_console *s)
{
	void (*drained)(void *ctx) = s->drained;

	s->drained = NULL;
	if (drained)
		drained(s->ctx);
}

static void on_room(void *ctx, uint32_t events);

/* Waits for room; what can't be watched is always writable. */
static int wait_for_room(struct stdio_console *s)
{
	if (s->out_watch.loop)
		return loop_modify(&s->out_watch, EPOLLOUT);
	return loop_add(s->loop, &s->out_watch, s->out, EPOLLOUT, on_room, s);
}

void stdio_console_output(struct stdio_console *s)
{
	int i, r = 1;

	if (s->is_broken)
		return;
	for (i = 0; i < PIECES_PER_ROUND && r == 1; i++)
		r = write_piece(s);
	if (r == -EAGAIN || r == 1)
		r = wait_for_room(s) == 0 ? -EAGAIN : 1;
	while (r == 1) /* can't be watched: a file; so it doesn't wait */
		r = write_piece(s);
	if (r == -EAGAIN)
		return;
	loop_remove(&s->out_watch);
	s->is_broken = r < 0;
	tell_drained(s);
}

static void on_room(void *ctx, uint32_t events)
{
	(void)events;
	stdio_console_output(ctx);
}

static void open_output(struct stdio_console *s, int fd)
{
	struct stat st;
	int again = open_again(fd, O_WRONLY);

	s->out = again >= 0 ? again : fd;
	s->owns_out = again >= 0;
	if (fstat(fd, &st) < 0)
		s->is_broken = true;
	else if (S_ISSOCK(st.st_mode))
		s->is_socket = true;
	else
		s->is_careful = !s->owns_out && !S_ISREG(st.st_mode);
}

/* --- input -------------------------------------------------------------- */

static void end_input(struct stdio_console *s)
{
	loop_remove(&s->in_watch);
	loop_disarm(&s->in_timer);
	if (s->owns_in)
		close(s->in);
	s->in = -1;
}

static void on_input(void *ctx, uint32_t events);

/* Watches again; what can't be watched (a file) is always readable. */
static void input_later(void *ctx)
{
	struct stdio_console *s = ctx;

	if (loop_add(s->loop, &s->in_watch, s->in, EPOLLIN, on_input, s))
		on_input(s, EPOLLIN);
}

static void on_input(void *ctx, uint32_t events)
{
	struct stdio_console *s = ctx;
	size_t room = console_input_room(s->console);
	char piece[PIECE_BYTES];
	ssize_t n;

	(void)events;
	if (!room) {
		/* The guest is slow: lose nothing, and don't spin. */
		loop_remove(&s->in_watch);
		loop_arm(s->loop, &s->in_timer, INPUT_RETRY_MS * NS_PER_MS,
			 input_later, s);
		return;
	}
	n = read(s->in, piece, room < sizeof(piece) ? room : sizeof(piece));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_input(s);
		return;
	}
	console_input(s->console, piece, (size_t)n);
	if (!s->in_watch.loop) /* a file: the next piece soon */
		loop_arm(s->loop, &s->in_timer, 0, input_later, s);
}

static void open_input(struct stdio_console *s, int fd)
{
	int again;

	s->in = fd;
	if (fd < 0)
		return;
	again = open_again(fd, O_RDONLY);
	if (again >= 0) {
		s->in = again;
		s->owns_in = true;
	}
	loop_arm(s->loop, &s->in_timer, 0, input_later, s);
}

/* --- life --------------------------------------------------------------- */

int stdio_console_create(struct stdio_console **out, struct loop *loop,
			 struct console *console, int in_fd, int out_fd,
			 struct err *e)
{
	struct stdio_console *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, -ENOMEM, "console on standard output");
	s->loop = loop;
	s->console = console;
	s->in_watch.fd = -1;
	s->out_watch.fd = -1;
	open_output(s, out_fd);
	open_input(s, in_fd);
	*out = s;
	return 0;
}

void stdio_console_drain(struct stdio_console *s, void (*drained)(void *ctx),
			 void *ctx)
{
	end_input(s);
	s->drained = drained;
	s->ctx = ctx;
	if (s->is_broken)
		tell_drained(s);
	else
		stdio_console_output(s);
}

void stdio_console_destroy(struct stdio_console *s)
{
	if (!s)
		return;
	end_input(s);
	loop_remove(&s->out_watch);
	if (s->owns_out)
		close(s->out);
	free(s);
}
