/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends of network cards: frames over a stream in all ways it can be
 * cut, and hubs of cards that come, go and die.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/net_backend.h"
#include "tests/unit/suite.h"

static uint8_t frame[NET_FRAME_MAX];

/* --- streams --------------------------------------------------------- */

static struct net_backend *stream(int *peer)
{
	struct net_backend *b;
	int fd[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	ck_assert_int_eq(net_stream_create(&b, fd[0], NULL), 0);
	*peer = fd[1];
	return b;
}

static void put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static int receive(struct net_backend *b)
{
	return b->ops->recv(b, 0, frame, sizeof(frame));
}

START_TEST(frames_are_found_wherever_the_stream_is_cut)
{
	uint8_t wire[4 + 14 + 4 + 20 + 4 + 60], *at = wire;
	static const uint32_t lens[] = { 14, 20, 60 };
	struct net_backend *b;
	size_t cut, again, i;
	int peer;

	for (i = 0; i < 3; i++) {
		put_be32(at, lens[i]);
		memset(at + 4, (int)('a' + i), lens[i]);
		at += 4 + lens[i];
	}
	for (cut = 0; cut < sizeof(wire); cut++)
		for (again = cut; again < sizeof(wire); again += 7) {
			int got = 0, r;

			b = stream(&peer);
			ck_assert(write(peer, wire, cut) == (ssize_t)cut);
			while ((r = receive(b)) > 0)
				ck_assert_int_eq(r, (int)lens[got++]);
			ck_assert_int_eq(r, -EAGAIN);
			ck_assert(write(peer, wire + cut, again - cut) >= 0);
			while ((r = receive(b)) > 0)
				ck_assert_int_eq(r, (int)lens[got++]);
			ck_assert(write(peer, wire + again,
					sizeof(wire) - again) > 0);
			while ((r = receive(b)) > 0) {
				ck_assert_int_eq(r, (int)lens[got]);
				ck_assert_int_eq(frame[0], 'a' + got);
				ck_assert_int_eq(frame[r - 1], 'a' + got);
				got++;
			}
			ck_assert_int_eq(r, -EAGAIN);
			ck_assert_int_eq(got, 3);
			net_backend_destroy(b);
			close(peer);
		}
}
END_TEST

START_TEST(a_length_that_can_not_be_ends_the_connection)
{
	static const uint32_t bad[] = { 0, NET_FRAME_MAX + 1, 0x7fffffff,
					0x80000000, 0xffffffff };
	struct net_backend *b;
	uint8_t wire[8] = { 0 };
	size_t i;
	int peer;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b = stream(&peer);
		put_be32(wire, bad[i]);
		ck_assert(write(peer, wire, sizeof(wire)) == 8);
		ck_assert_int_eq(receive(b), -EPIPE);
		ck_assert_int_eq(receive(b), -EPIPE);
		net_backend_destroy(b);
		close(peer);
	}
	b = stream(&peer);
	put_be32(wire, 100);
	ck_assert(write(peer, wire, sizeof(wire)) == 8);
	close(peer); /* in the middle of a frame */
	ck_assert_int_eq(receive(b), -EPIPE);
	ck_assert_int_eq(b->ops->send(b, 0, &(struct iovec){ frame, 60 }, 1),
			 -EPIPE);
	net_backend_destroy(b);
}
END_TEST

START_TEST(the_largest_frame_comes_through)
{
	static uint8_t wire[4 + NET_FRAME_MAX];
	struct net_backend *b;
	size_t sent = 0;
	int peer, r = -EAGAIN;

	b = stream(&peer);
	put_be32(wire, NET_FRAME_MAX);
	memset(wire + 4, 'x', NET_FRAME_MAX);
	while (r == -EAGAIN) {
		ssize_t n = write(peer, wire + sent, sizeof(wire) - sent);

		sent += n > 0 ? (size_t)n : 0;
		r = receive(b);
	}
	ck_assert_int_eq(r, NET_FRAME_MAX);
	ck_assert_uint_eq(frame[NET_FRAME_MAX - 1], 'x');
	net_backend_destroy(b);
	close(peer);
}
END_TEST

/* Reads all that is there; appends it to wire. */
static size_t drain(int peer, uint8_t *wire, size_t at, size_t most)
{
	ssize_t n = read(peer, wire + at, most);

	return n > 0 ? at + (size_t)n : at;
}

/* INV-1: what comes out is whole frames, whatever the socket took. */
START_TEST(a_full_socket_tears_no_frame)
{
	static uint8_t wire[8u << 20], body[2][3000];
	const struct iovec iov[] = { { body[0], 3000 }, { body[1], 17 } };
	int small = 4096, peer, r = 0;
	size_t have = 0, at, frames = 0;
	struct net_backend *b;
	unsigned int sent = 0, full = 0;

	b = stream(&peer);
	setsockopt(b->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (sent < 1000) {
		memset(body, (int)(sent % 251), sizeof(body));
		r = b->ops->send(b, 0, iov, 2);
		if (r == -EAGAIN) {
			full++;
			have = drain(peer, wire, have, 1777);
			continue;
		}
		ck_assert_int_eq(r, 0);
		sent++;
	}
	ck_assert_uint_gt(full, 0);
	/* Nobody sends any more, the rest follows all the same. */
	while (b->ops->flush(b, 0) == -EAGAIN)
		have = drain(peer, wire, have, 1777);
	for (at = 0; at != have;) {
		have = drain(peer, wire, have, sizeof(wire) - have);
		ck_assert_uint_le(at + 4, have);
		ck_assert_uint_eq((uint32_t)wire[at + 2] << 8 | wire[at + 3],
				  3017);
		ck_assert_uint_eq(wire[at + 4], frames % 251);
		ck_assert_uint_eq(wire[at + 4 + 3016], frames % 251);
		at += 4 + 3017;
		frames++;
	}
	ck_assert_uint_eq(frames, 1000);
	net_backend_destroy(b);
	close(peer);
}
END_TEST

/* --- hubs ------------------------------------------------------------ */

static char dir[64];

static const char *make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/amber-hub-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	return dir;
}

static void remove_dir(void)
{
	/* Every socket is gone, and with the last card, maybe, the hub. */
	if (rmdir(dir) < 0)
		ck_assert_int_eq(errno, ENOENT);
}

static struct net_backend *card(const char *id)
{
	struct net_backend *b = NULL;
	struct err e = ERR_NONE;

	ck_assert_msg(!net_hub_open(&b, dir, id, &e), "%s", e.text);
	return b;
}

/* Sends a frame of 60 bytes from address `from` to address `to`. */
static void say(struct net_backend *b, uint8_t to, uint8_t from)
{
	uint8_t f[60] = { 0 };
	struct iovec iov[2] = { { f, 3 }, { f + 3, 57 } };

	memset(f, to == 0xff ? 0xff : 0, 6);
	f[5] = to;
	f[11] = from;
	ck_assert_int_eq(b->ops->send(b, 0, iov, 2), 0);
}

/* Hears a frame from that address; 0: none. */
static uint8_t hear(struct net_backend *b)
{
	int r = receive(b);

	if (r == -EAGAIN)
		return 0;
	ck_assert_int_eq(r, 60);
	return frame[11];
}

START_TEST(three_cards_hear_a_broadcast_and_learn_addresses)
{
	struct net_backend *a, *b, *c;

	make_dir();
	a = card("a");
	b = card("b");
	c = card("c");
	/* The first ones learn of the others by their greetings. */
	ck_assert_uint_eq(hear(a) | hear(b) | hear(c), 0);
	say(a, 0xff, 1);
	ck_assert_uint_eq(hear(b), 1);
	ck_assert_uint_eq(hear(c), 1);
	ck_assert_uint_eq(hear(a), 0);
	say(b, 1, 2); /* known by now */
	ck_assert_uint_eq(hear(a), 2);
	ck_assert_uint_eq(hear(c), 0);
	say(a, 2, 1);
	ck_assert_uint_eq(hear(b), 1);
	ck_assert_uint_eq(hear(c), 0);
	say(c, 9, 3); /* unknown: to all */
	ck_assert_uint_eq(hear(a), 3);
	ck_assert_uint_eq(hear(b), 3);
	/* An address that moves is found where it spoke last. */
	say(c, 0xff, 2);
	ck_assert_uint_eq(hear(a), 2);
	hear(b);
	say(a, 2, 1);
	ck_assert_uint_eq(hear(c), 1);
	ck_assert_uint_eq(hear(b), 0);
	net_backend_destroy(a);
	net_backend_destroy(b);
	net_backend_destroy(c);
	remove_dir();
}
END_TEST

START_TEST(a_card_that_goes_is_forgotten_and_may_come_back)
{
	struct net_backend *a, *b, *c;

	make_dir();
	a = card("a");
	b = card("b");
	c = card("c");
	hear(a);
	hear(b);
	say(b, 0xff, 2);
	ck_assert_uint_eq(hear(a), 2);
	ck_assert_uint_eq(hear(c), 2);
	net_backend_destroy(b);
	say(a, 2, 1); /* into the void; it is forgotten */
	say(a, 2, 1); /* so that all hear it */
	ck_assert_uint_eq(hear(c), 1);
	b = card("b");
	hear(a);
	hear(c);
	say(a, 0xff, 1);
	ck_assert_uint_eq(hear(b), 1);
	net_backend_destroy(a);
	net_backend_destroy(b);
	net_backend_destroy(c);
	remove_dir();
}
END_TEST

/* Binds a socket at dir/id and leaves it there; returns its descriptor. */
static int squat(const char *id, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	if (mkdir(dir, 0700) < 0)
		ck_assert_int_eq(errno, EEXIST);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, id);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

START_TEST(a_dead_card_s_socket_is_replaced)
{
	struct net_backend *a, *b;

	make_dir();
	close(squat("a", SOCK_DGRAM)); /* killed */
	close(squat("z", SOCK_DGRAM));
	a = card("a");
	b = card("b");
	hear(a);
	say(a, 0xff, 1);
	ck_assert_uint_eq(hear(b), 1);
	net_backend_destroy(a);
	net_backend_destroy(b);
	ck_assert_int_eq(unlink(strcat(dir, "/z")), 0);
	*strrchr(dir, '/') = 0;
	remove_dir();
}
END_TEST

static void refused(const char *id, int code, const char *says)
{
	struct net_backend *b = NULL;
	struct err e = ERR_NONE;

	ck_assert_int_eq(net_hub_open(&b, dir, id, &e), code);
	ck_assert_msg(strstr(e.text, says), "%s", e.text);
	ck_assert_ptr_null(b);
}

START_TEST(names_in_use_and_too_long_ones_are_refused)
{
	char name[120], path[120];
	struct net_backend *a;
	struct stat st;
	int fd;

	make_dir();
	a = card("a");
	refused("a", -EADDRINUSE, "/a is in use by another card");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	refused(name, -ENAMETOOLONG, "is too long for a socket");
	name[107 - strlen(dir) - 1] = 0; /* 108 with its end */
	net_backend_destroy(card(name));
	name[107 - strlen(dir) - 1] = 'n';
	name[107 - strlen(dir)] = 0;
	refused(name, -ENAMETOOLONG, "is too long for a socket");
	net_backend_destroy(a);

	/* What is no card's socket stays. */
	fd = squat("s", SOCK_STREAM);
	refused("s", -EADDRINUSE, "/s is no socket of a hub");
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(lstat(path, &st), 0);
	unlink(path);
	close(fd);
	snprintf(path, sizeof(path), "%s/f", dir);
	fclose(fopen(path, "we"));
	refused("f", -EADDRINUSE, "/f is no socket of a hub");
	ck_assert_int_eq(unlink(path), 0);
	remove_dir();
}
END_TEST

START_TEST(a_card_that_is_refused_leaves_no_hub)
{
	char name[120], hub[100];
	struct net_backend *b = NULL;
	struct err e = ERR_NONE;

	make_dir();
	snprintf(hub, sizeof(hub), "%s/new", dir);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	ck_assert_int_eq(net_hub_open(&b, hub, name, &e), -ENAMETOOLONG);
	ck_assert_int_lt(access(hub, F_OK), 0);
	remove_dir();
}
END_TEST

START_TEST(strange_datagrams_do_no_harm)
{
	static uint8_t big[200000];
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct net_backend *a;
	int fd, i, n;

	make_dir();
	a = card("a");
	snprintf(to.sun_path, sizeof(to.sun_path), "%s/a", dir);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0); /* nameless */
	for (i = 0; i < 2000; i++) {
		n = i % 3 ? i % 20 : (int)sizeof(big) - i * 60;
		sendto(fd, big, (size_t)n, 0, (struct sockaddr *)&to,
		       sizeof(to));
		n = receive(a);
		ck_assert(n == -EAGAIN || (n >= 14 && n <= NET_FRAME_MAX));
	}
	say(a, 0xff, 1);
	close(fd);
	net_backend_destroy(a);
	remove_dir();
}
END_TEST

/* INV-1 of the hub: 64 peers, whatever comes. */
START_TEST(more_cards_than_a_hub_knows_are_borne)
{
	struct net_backend *b[80];
	unsigned int i, k, heard = 0;
	char id[8];

	make_dir();
	for (i = 0; i < 80; i++) {
		snprintf(id, sizeof(id), "c%u", i);
		b[i] = card(id);
		for (k = 0; k <= i; k++)
			hear(b[k]); /* a queue holds ten */
	}
	say(b[0], 0xff, 1);
	for (i = 1; i < 80; i++)
		heard += hear(b[i]);
	ck_assert_uint_eq(heard, 64);
	for (i = 0; i < 80; i++)
		net_backend_destroy(b[i]);
	remove_dir();
}
END_TEST

START_TEST(an_isolated_card_hears_nothing_and_loses_all)
{
	struct net_backend *b;
	struct err e = ERR_NONE;
	struct iovec iov = { frame, 64 };
	unsigned int i, q;

	ck_assert_int_eq(net_isolated_create(&b, 2, &e), 0);
	ck_assert_uint_eq(b->queues, 2);
	for (q = 0; q < 2; q++) {
		struct pollfd p = { .fd = b->fd[q], .events = POLLIN };

		for (i = 0; i < 10000; i++)
			ck_assert_int_eq(b->ops->send(b, q, &iov, 1), 0);
		ck_assert_int_eq(poll(&p, 1, 0), 0);
		ck_assert_int_eq(b->ops->recv(b, q, frame, sizeof(frame)),
				 -EAGAIN);
	}
	net_backend_destroy(b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		an_isolated_card_hears_nothing_and_loses_all,
		frames_are_found_wherever_the_stream_is_cut,
		a_length_that_can_not_be_ends_the_connection,
		the_largest_frame_comes_through,
		a_full_socket_tears_no_frame,
		three_cards_hear_a_broadcast_and_learn_addresses,
		a_card_that_goes_is_forgotten_and_may_come_back,
		a_dead_card_s_socket_is_replaced,
		names_in_use_and_too_long_ones_are_refused,
		a_card_that_is_refused_leaves_no_hub,
		strange_datagrams_do_no_harm,
		more_cards_than_a_hub_knows_are_borne,
	};

	return SUITE_RUN("net_backends", tests);
}
