/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server on the loop: the library's epoll descriptor is watched by ours,
 * accepted sockets are handed to it, suspended ones taken back. Loop thread.
 * INV-1: MHD_run() is never entered twice.
 */
#include "control/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/limits.h"
#include "control/server_private.h"

/* The library counts connections that are being closed, too. */
#define LIBRARY_SLACK 256
#define RETRY_MS      100 /* accept again, when there were no descriptors */

const struct server_limits server_default_limits = {
	.connections = LIMIT_CONNECTIONS,
	.connections_per_uid = LIMIT_CONNECTIONS_PER_UID,
	.request_ms = LIMIT_REQUEST_MS,
	.response_ms = LIMIT_RESPONSE_MS,
	.stream_ms = LIMIT_STREAM_MS,
	.body_bytes = LIMIT_BODY_BYTES,
	.header_bytes = LIMIT_HEADER_BYTES,
};

static bool is_busy(const struct server *s)
{
	const struct conn *conn;

	for (conn = s->oldest; conn; conn = conn->newer)
		if (conn->stage != STAGE_IDLE && !conn->is_closing)
			return true;
	return false;
}

static void check_drained(struct server *s)
{
	if (!s->is_draining || s->is_drained || is_busy(s))
		return;
	s->is_drained = true;
	if (s->cfg.drained)
		s->cfg.drained(s->cfg.ctx);
}

static void run(void *ctx)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	struct server *s = ctx;

	if (s->is_running)
		return;
	s->is_running = true;
	MHD_run(s->mhd);
	s->is_running = false;
	if (MHD_get_timeout(s->mhd, &timeout_ms) == MHD_YES && !timeout_ms)
		server_kick(s);
	check_drained(s);
}

static void on_library(void *ctx, uint32_t events)
{
	(void)events;
	run(ctx);
}

void server_kick(struct server *s)
{
	if (!s->run_timer.loop)
		loop_arm(s->cfg.loop, &s->run_timer, 0, run, s);
}

void server_resume(struct conn *conn)
{
	if (!conn->is_suspended)
		return;
	conn->is_suspended = false;
	loop_remove(&conn->hup);
	MHD_resume_connection(conn->mhd);
	server_kick(conn->server);
}

/* --- listening ---------------------------------------------------------- */

static void on_connect(void *ctx, uint32_t events);

static void listen_again(void *ctx)
{
	struct server *s = ctx;

	loop_modify(&s->listen_watch, EPOLLIN);
}

static void no_descriptor(struct server *s, int rejected)
{
	if (rejected >= 0) {
		conn_tell(rejected, PROBLEM_TOO_MANY_CONNECTIONS,
			  "no more file descriptors");
		listener_close_rejected(&s->listener, rejected);
		return;
	}
	loop_modify(&s->listen_watch, 0);
	loop_arm(s->cfg.loop, &s->listen_timer, RETRY_MS * NS_PER_MS,
		 listen_again, s);
}

static void on_connect(void *ctx, uint32_t events)
{
	struct server *s = ctx;
	int fd, rejected, i;

	(void)events;
	for (i = 0; i < LIMIT_ACCEPTS_PER_ROUND; i++) {
		fd = listener_accept(&s->listener, &rejected);
		if (fd == -EMFILE)
			no_descriptor(s, rejected);
		if (fd < 0)
			break;
		conn_welcome(s, fd);
	}
}

int server_listen(struct server *s, const char *path, bool shared,
		  struct err *e)
{
	int r = listener_open(&s->listener, path, shared, e);

	if (r)
		return r;
	r = loop_add(s->cfg.loop, &s->listen_watch, s->listener.fd, EPOLLIN,
		     on_connect, s);
	if (r) {
		listener_close(&s->listener);
		return err_sys(e, r, "%s: can't watch it", path);
	}
	return 0;
}

void server_adopt(struct server *s, int fd)
{
	conn_welcome(s, fd);
}

unsigned int server_connections(const struct server *s)
{
	return s->count;
}

/* --- life --------------------------------------------------------------- */

static struct MHD_Daemon *start_library(struct server *s)
{
	unsigned int flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
			     MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
			     MHD_USE_SUPPRESS_DATE_NO_CLOCK;

	return MHD_start_daemon(
		flags, 0, NULL, NULL, request_handle, s,
		MHD_OPTION_CONNECTION_LIMIT,
		s->cfg.limits.connections + LIBRARY_SLACK,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)LIMIT_CONNECTION_POOL, MHD_OPTION_CONNECTION_TIMEOUT,
		0u, MHD_OPTION_NOTIFY_COMPLETED, request_completed, s,
		MHD_OPTION_NOTIFY_CONNECTION, request_connection, s,
		MHD_OPTION_UNESCAPE_CALLBACK, request_unescape, s,
		MHD_OPTION_NONCE_NC_SIZE, 0u, MHD_OPTION_END);
}

static int watch_library(struct server *s)
{
	const union MHD_DaemonInfo *info;

	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -ENOTSUP;
	return loop_add(s->cfg.loop, &s->mhd_watch, info->epoll_fd, EPOLLIN,
			on_library, s);
}

int server_create(struct server **out, const struct server_config *config,
		  struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_sys(e, -ENOMEM, "server");
	s->cfg = *config;
	s->mhd_watch.fd = -1;
	s->listen_watch.fd = -1;
	listener_init(&s->listener);
	errno = 0;
	s->mhd = start_library(s);
	if (!s->mhd) {
		r = err_sys(e, errno ? -errno : -ENOMEM, "HTTP server");
		free(s);
		return r;
	}
	r = watch_library(s);
	if (r) {
		server_destroy(s);
		return err_sys(e, r, "HTTP server: can't watch it");
	}
	*out = s;
	return 0;
}

static void stop_listening(struct server *s)
{
	loop_disarm(&s->listen_timer);
	loop_remove(&s->listen_watch);
	listener_close(&s->listener);
}

void server_drain(struct server *s)
{
	stop_listening(s);
	s->is_draining = true;
	server_kick(s);
}

void server_destroy(struct server *s)
{
	struct conn *conn;

	if (!s)
		return;
	stop_listening(s);
	control_hang_up(s->cfg.control);
	for (conn = s->oldest; conn; conn = conn->newer) {
		conn->is_broken = true;
		conn_shut(conn);
		if (conn->is_suspended)
			request_cancel(conn);
	}
	/* Suspended ones must be taken back before the library can stop. */
	MHD_run(s->mhd);
	MHD_stop_daemon(s->mhd);
	while (s->oldest)
		conn_free(s->oldest);
	loop_remove(&s->mhd_watch);
	loop_disarm(&s->run_timer);
	loop_disarm(&s->deadline_timer);
	free(s);
}
