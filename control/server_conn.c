/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: who gets in, how many, for how long. Loop thread. INV-1: a
 * queue is sorted by deadline, because each has one length of time and is
 * only appended to. INV-2: server.count is the number of connections that
 * are not closing.
 *
 * When a user has all the connections it may have, the one that has waited
 * longest without a whole request makes room; so idle connections, however
 * many, keep nobody out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/server_private.h"

#define TURN_AWAY_BYTES 2048

static unsigned int queue_ms(const struct server *s, enum conn_queue queue)
{
	switch (queue) {
	case QUEUE_FRESH:
	case QUEUE_KEPT:
		return s->cfg.limits.request_ms;
	case QUEUE_ANSWER:
		return s->cfg.limits.response_ms;
	case QUEUE_STREAM:
		return s->cfg.limits.stream_ms;
	default:
		return 0;
	}
}

static void unqueue(struct conn *conn)
{
	struct server *s = conn->server;

	if (conn->queue == QUEUE_NONE)
		return;
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		s->queue[conn->queue].first = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	else
		s->queue[conn->queue].last = conn->prev;
	conn->next = conn->prev = NULL;
	conn->queue = QUEUE_NONE;
}

static void expire(struct conn *conn)
{
	if (conn->queue == QUEUE_FRESH || conn->stage == STAGE_BODY)
		conn_break_off(conn, PROBLEM_HEADER_TIMEOUT,
			       "the request was not complete in time");
	else
		conn_shut(conn);
}

static void on_deadline(void *ctx)
{
	struct server *s = ctx;
	uint64_t now = clock_mono_ns(), soonest = 0;
	struct conn *first;
	int i;

	for (i = QUEUE_FRESH; i < QUEUE_COUNT; i++) {
		while ((first = s->queue[i].first) && first->due_ns <= now)
			expire(first);
		if (first && (!soonest || first->due_ns < soonest))
			soonest = first->due_ns;
	}
	if (soonest)
		loop_arm(s->cfg.loop, &s->deadline_timer, soonest - now,
			 on_deadline, s);
}

void conn_queue(struct conn *conn, enum conn_queue queue)
{
	struct server *s = conn->server;

	unqueue(conn);
	if (queue == QUEUE_NONE || conn->is_closing)
		return;
	conn->queue = queue;
	conn->due_ns = clock_mono_ns() + queue_ms(s, queue) * NS_PER_MS;
	conn->prev = s->queue[queue].last;
	if (conn->prev)
		conn->prev->next = conn;
	else
		s->queue[queue].first = conn;
	s->queue[queue].last = conn;
	/* An armed timer is never too late by more than the others' time. */
	if (!s->deadline_timer.loop || s->deadline_timer.due_ns > conn->due_ns)
		loop_arm(s->cfg.loop, &s->deadline_timer,
			 queue_ms(s, queue) * NS_PER_MS, on_deadline, s);
}

void conn_shut(struct conn *conn)
{
	if (conn->is_closing)
		return;
	unqueue(conn);
	conn->is_closing = true;
	conn->server->count--;
	shutdown(conn->fd, SHUT_RDWR);
	server_kick(conn->server);
}

void conn_tell(int fd, enum problem_code code, const char *detail)
{
	struct buf text;

	buf_init(&text, TURN_AWAY_BYTES);
	if (problem_print_http(&text, code, detail) == 0)
		/* It either fits the socket's buffer or is not sent. */
		(void)!send(fd, text.data, text.len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_fini(&text);
}

void conn_break_off(struct conn *conn, enum problem_code code,
		    const char *detail)
{
	if (!conn->is_closing)
		conn_tell(conn->fd, code, detail);
	conn_shut(conn);
}

void conn_turn_away(int fd, enum problem_code code, const char *detail)
{
	conn_tell(fd, code, detail);
	close(fd);
}

struct conn *conn_find(struct server *s, int fd)
{
	struct conn *conn;

	/* The newest is the one that is asked for. */
	for (conn = s->newest; conn; conn = conn->older)
		if (conn->fd == fd)
			return conn;
	return NULL;
}

static unsigned int count_of(const struct server *s, uid_t uid)
{
	const struct conn *conn;
	unsigned int n = 0;

	for (conn = s->oldest; conn; conn = conn->newer)
		if (conn->peer.uid == uid && !conn->is_closing)
			n++;
	return n;
}

/* Ends the longest idle one (of uid unless any); false when all are busy. */
static bool make_room(struct server *s, bool any, uid_t uid)
{
	static const enum conn_queue idle[] = { QUEUE_FRESH, QUEUE_KEPT };
	struct conn *conn;
	size_t i;

	for (i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
		for (conn = s->queue[idle[i]].first; conn; conn = conn->next) {
			if (conn->stage != STAGE_IDLE ||
			    (!any && conn->peer.uid != uid))
				continue;
			if (conn->queue == QUEUE_FRESH)
				conn_break_off(conn,
					       PROBLEM_TOO_MANY_CONNECTIONS,
					       "others want to connect and "
					       "this connection sent no "
					       "request yet");
			else
				conn_shut(conn);
			return true;
		}
	}
	return false;
}

static bool has_room(struct server *s, uid_t uid)
{
	if (count_of(s, uid) >= s->cfg.limits.connections_per_uid &&
	    !make_room(s, false, uid))
		return false;
	return s->count < s->cfg.limits.connections || make_room(s, true, 0);
}

static struct conn *conn_new(struct server *s, int fd, const struct peer *peer)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->server = s;
	conn->fd = fd;
	conn->peer = *peer;
	conn->hup.fd = -1;
	buf_init(&conn->body, s->cfg.limits.body_bytes);
	conn->older = s->newest;
	if (conn->older)
		conn->older->newer = conn;
	else
		s->oldest = conn;
	s->newest = conn;
	s->count++;
	conn_queue(conn, QUEUE_FRESH);
	return conn;
}

void conn_free(struct conn *conn)
{
	struct server *s = conn->server;

	unqueue(conn);
	loop_remove(&conn->hup);
	if (!conn->is_closing)
		s->count--;
	if (conn->older)
		conn->older->newer = conn->newer;
	else
		s->oldest = conn->newer;
	if (conn->newer)
		conn->newer->older = conn->older;
	else
		s->newest = conn->older;
	call_fini(&conn->call);
	buf_fini(&conn->body);
	free(conn);
}

static void on_hup(void *ctx, uint32_t events)
{
	struct conn *conn = ctx;

	(void)events;
	loop_remove(&conn->hup);
	conn->is_broken = true;
	request_cancel(conn);
}

void conn_watch_hup(struct conn *conn)
{
	/* No events asked for: hang-up and error are always told. */
	if (!conn->hup.loop)
		loop_add(conn->server->cfg.loop, &conn->hup, conn->fd, 0,
			 on_hup, conn);
}

/* The library takes over the socket, also when it fails. */
static void hand_over(struct server *s, struct conn *conn)
{
	struct sockaddr address = { .sa_family = AF_UNIX };

	if (MHD_add_connection(s->mhd, conn->fd, &address, sizeof(address)) ==
		    MHD_NO &&
	    !conn->mhd)
		conn_free(conn);
}

void conn_welcome(struct server *s, int fd)
{
	struct control *c = s->cfg.control;
	struct peer peer;
	struct conn *conn;

	if (authz_identify(&peer, fd, c->config, c->owner, NULL)) {
		conn_turn_away(fd, PROBLEM_INTERNAL, "no peer credentials");
		return;
	}
	if (peer.role == VM_ROLE_NONE) {
		control_note_refused(c, &peer, "", "connect: no role");
		conn_turn_away(fd, PROBLEM_FORBIDDEN,
			       "your user has no role here");
		return;
	}
	if (!has_room(s, peer.uid)) {
		conn_turn_away(fd, PROBLEM_TOO_MANY_CONNECTIONS,
			       "the limit of connections is reached");
		return;
	}
	conn = conn_new(s, fd, &peer);
	if (conn)
		hand_over(s, conn);
	else
		conn_turn_away(fd, PROBLEM_INTERNAL, "no memory");
}
