/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device towards a guest that does not behave, and at its limits:
 * every packet is answered by a reset, dropped, or breaks the device, and
 * nothing grows.
 */
#include <time.h>

#include "base/clock.h"
#include "tests/unit/suite.h"
#include "tests/unit/vsock_rig.h"

static struct host h;
static struct packet p;

static void fresh(void)
{
	host_init(&h);
	start_guest(&h, 32);
}

static void expect_op(uint16_t op)
{
	ck_assert_msg(hear(&h, &p), "no packet, expected op %u", op);
	ck_assert_uint_eq(p.op, op);
}

static struct vsock_stats stats(void)
{
	struct vsock_stats n;

	vsock_get_stats(h.vsock, &n);
	return n;
}

static int connect_guest(int listener, uint32_t port)
{
	say(&h, REQUEST, port, 7);
	expect_op(RESPONSE);
	return accept(listener, NULL, NULL);
}

static bool is_broken(void)
{
	return rig_status(&h.rig) & VIRTIO_NEEDS_RESET;
}

START_TEST(packets_that_belong_nowhere_are_reset)
{
	struct packet bad[10];
	unsigned int i, n = 0;

	fresh();
	for (i = 0; i < 10; i++)
		bad[i] = make(RW, 5, 7);
	bad[n++].op = 0;
	bad[n++].op = 8;
	bad[n++].op = 0xffff;
	bad[n++].type = 2;
	bad[n++].type = 0;
	bad[n++].dst_cid = 3;
	bad[n++].src_port = 0xffffffff;
	bad[n++].dst_port = 0xffffffff;
	bad[n++].len = 0xffffffff;
	bad[n++].op = RESPONSE;
	for (i = 0; i < n; i++) {
		send_packet(&h, &bad[i], NULL, 0);
		ck_assert_msg(hear(&h, &p), "packet %u", i);
		ck_assert_uint_eq(p.op, RST);
		ck_assert_uint_eq(p.type, bad[i].type);
		ck_assert_uint_eq(p.src_cid, bad[i].dst_cid);
		ck_assert_uint_eq(p.src_port, bad[i].dst_port);
		ck_assert_uint_eq(p.dst_port, bad[i].src_port);
	}
	ck_assert(!is_broken());
	host_fini(&h);
}
END_TEST

START_TEST(packets_of_somebody_else_are_dropped_and_resets_not_answered)
{
	fresh();
	p = make(REQUEST, 5, 7);
	p.src_cid = CID + 1;
	send_packet(&h, &p, NULL, 0);
	say(&h, RST, 5, 7);
	ck_assert(!hear(&h, &p));
	ck_assert_uint_eq(stats().dropped, 1);
	host_fini(&h);
}
END_TEST

START_TEST(a_breach_of_the_protocol_ends_its_connection_only)
{
	struct packet bad[5];
	unsigned int i, n = 0;
	int listener, fd, good;

	fresh();
	listener = listen_on(&h, 7);
	good = connect_guest(listener, 9);
	for (i = 0; i < 5; i++)
		bad[i] = make(RW, 5, 7);
	bad[n++].op = REQUEST;
	bad[n++].op = RESPONSE;
	bad[n++].len = 1;
	bad[n++].len = 0xffffffff;
	bad[n++].op = 77;
	for (i = 0; i < n; i++) {
		fd = connect_guest(listener, 5);
		send_packet(&h, &bad[i], NULL, 0);
		expect_op(RST);
		ck_assert(!hear(&h, &p));
		ck_assert_uint_eq(stats().open, 1);
		close(fd);
	}
	say_data(&h, 9, 7, "x", 1);
	ck_assert_int_eq(read(good, &p, 1), 1);
	close(good);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(data_after_the_end_of_sending_is_reset)
{
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = connect_guest(listener, 5);
	p = make(SHUTDOWN, 5, 7);
	p.flags = 0xfffffffe; /* and flags that aren't */
	send_packet(&h, &p, NULL, 0);
	say_data(&h, 5, 7, "x", 1);
	expect_op(RST);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(an_answer_that_nobody_asked_for_opens_nothing)
{
	int fd;

	host_init(&h);
	start_guest(&h, 0);
	fd = greet(&h, "CONNECT 52\n"); /* the guest has no buffer yet */
	say(&h, RESPONSE, 52, 0x40000000);
	give_rx(&h, 4);
	step(&h);
	expect_op(RST);
	ck_assert_int_eq(read(fd, &p, 1), 0);
	close(fd);
	host_fini(&h);
}
END_TEST

START_TEST(a_packet_may_be_in_many_descriptors)
{
	const struct rig_piece pieces[] = {
		{ TX_GPA, 3, false },	    { TX_GPA + 3, 20, false },
		{ TX_GPA + 23, 21, false }, { TX_GPA + 44, 2, false },
		{ TX_GPA + 46, 0, false },  { TX_GPA + 46, 3, false },
	};
	char got[8] = "";
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = connect_guest(listener, 5);
	p = make(RW, 5, 7);
	p.len = 5;
	put_header(h.rig.ram + TX_GPA, &p);
	memcpy(h.rig.ram + TX_GPA + HEADER, "piece", 5);
	rig_chain(&h.rig, TX, pieces, 6);
	rig_kick(&h.rig, TX);
	step(&h);
	ck_assert_int_eq(read(fd, got, 7), 5);
	ck_assert_str_eq(got, "piece");
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_packet_without_a_header_breaks_the_device_and_ends_all)
{
	struct rig_piece piece = { TX_GPA, HEADER - 1, false };
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = connect_guest(listener, 5);
	rig_chain(&h.rig, TX, &piece, 1);
	rig_kick(&h.rig, TX);
	step(&h);
	ck_assert(is_broken());
	ck_assert_str_eq(h.rig.text,
			 "queue 1: packet of 43 bytes, its header has 44");
	ck_assert_int_eq(read(fd, &p, 1), 0);
	close(fd);
	start_guest(&h, 32); /* a reset cures it */
	ck_assert(!is_broken());
	fd = connect_guest(listener, 5);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_buffer_without_room_for_data_breaks_the_device)
{
	struct rig_piece piece = { RIG_DATA, HEADER, true };

	host_init(&h);
	start_guest(&h, 0);
	rig_chain(&h.rig, RX, &piece, 1);
	rig_kick(&h.rig, RX);
	say(&h, REQUEST, 5, 7);
	ck_assert(is_broken());
	host_fini(&h);
}
END_TEST

START_TEST(a_length_of_four_gigabytes_copies_nothing)
{
	struct rig_piece piece[ENTRIES];
	uint64_t begin;
	unsigned int i;

	fresh();
	p = make(RW, 5, 7);
	p.len = 0xffffffff;
	put_header(h.rig.ram + TX_GPA, &p);
	piece[0] = (struct rig_piece){ TX_GPA, HEADER, false };
	for (i = 1; i < ENTRIES; i++)
		piece[i] = (struct rig_piece){ 0, RIG_RAM, false };
	begin = suite_cpu_ns();
	rig_chain(&h.rig, TX, piece, ENTRIES);
	rig_kick(&h.rig, TX);
	step(&h);
	ck_assert_uint_lt(suite_cpu_ns() - begin, 500 * NS_PER_MS);
	expect_op(RST);
	host_fini(&h);
}
END_TEST

START_TEST(the_connection_after_the_last_is_reset)
{
	unsigned int i;
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	for (i = 0; i < VSOCK_CONNS_MAX; i++) {
		say(&h, REQUEST, i, 7);
		expect_op(RESPONSE);
	}
	ck_assert_uint_eq(stats().open, VSOCK_CONNS_MAX);
	say(&h, REQUEST, i, 7);
	expect_op(RST);
	fd = greet(&h, "CONNECT 52\n");
	ck_assert_int_le(recv(fd, &p, 1, 0), 0);
	ck_assert_int_ne(errno, EAGAIN);
	close(fd);
	say(&h, RST, 3, 7); /* makes room */
	say(&h, REQUEST, i, 7);
	expect_op(RESPONSE);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_flood_without_buffers_for_answers_is_bounded)
{
	unsigned int i, n = 0;

	host_init(&h);
	start_guest(&h, 0);
	for (i = 0; i < 2000; i++)
		say(&h, REQUEST, i, 7);
	ck_assert_uint_eq(stats().refused, 2000);
	give_rx(&h, 32);
	step(&h);
	while (hear(&h, &p))
		n++;
	ck_assert_uint_eq(n, 256);
	ck_assert_uint_eq(stats().resets, 256);
	host_fini(&h);
}
END_TEST

START_TEST(what_waits_for_a_guest_takes_no_time)
{
	static uint8_t bytes[65536];
	uint64_t begin;
	int listener, fd;
	unsigned int i;

	host_init(&h);
	start_guest(&h, 1);
	listener = listen_on(&h, 7);
	say(&h, REQUEST, 5, 7);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_gt(write(fd, bytes, sizeof(bytes)), 0);
	close(fd); /* data and an end, and no buffer for them */
	step(&h);
	begin = suite_cpu_ns();
	for (i = 0; i < 10; i++)
		loop_step(h.loop, 20);
	ck_assert_uint_lt(suite_cpu_ns() - begin, 50 * NS_PER_MS);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

/* --- the socket file ------------------------------------------------- */

START_TEST(the_socket_is_private_and_replaces_a_stale_one)
{
	struct vsock *second;
	struct stat st;

	fresh();
	ck_assert_int_eq(lstat(h.cfg.path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(vsock_create(&second, &h.cfg, NULL), 0);
	vsock_destroy(h.vsock); /* leaves the other's file alone */
	h.vsock = second;
	ck_assert_int_eq(lstat(h.cfg.path, &st), 0);
	host_fini(&h);
	ck_assert_int_ne(lstat(h.cfg.path, &st), 0);
}
END_TEST

START_TEST(what_can_not_be_is_refused_in_words)
{
	struct err e = ERR_NONE;
	struct vsock *none;
	struct vsock_config c;
	FILE *f;

	fresh();
	c = h.cfg;
	c.cid = 2;
	ck_assert_int_eq(vsock_create(&none, &c, &e), -EINVAL);
	ck_assert_str_eq(e.text, "vsock0: cid 2 is not in 3..4294967294");
	c.cid = 0xffffffff;
	ck_assert_int_eq(vsock_create(&none, &c, &e), -EINVAL);
	c.cid = 3;
	memset(c.path, 'a', 97);
	c.path[97] = 0;
	ck_assert_int_eq(vsock_create(&none, &c, &e), -ENAMETOOLONG);
	c.path[0] = 0;
	ck_assert_int_eq(vsock_create(&none, &c, &e), -ENAMETOOLONG);
	snprintf(c.path, sizeof(c.path), "%s/file", h.dir);
	f = fopen(c.path, "w");
	fclose(f);
	ck_assert_int_eq(vsock_create(&none, &c, &e), -EEXIST);
	unlink(c.path);
	host_fini(&h);
}
END_TEST

START_TEST(a_state_that_can_not_be_is_refused)
{
	static const uint32_t bad[] = { 0, 0x3fffffff, 0x80000000 };
	struct state_io io;
	struct device *d;
	struct buf state;
	unsigned int i;

	fresh();
	d = h.rig.device;
	buf_init(&state, 65536);
	state_save(&io, "vsock", &state);
	d->ops->sync(d, &io);
	for (i = 0; i < 3; i++) { /* the port is in front of the last byte */
		put_le32(state.data + state.len - 5, bad[i]);
		state_load(&io, "vsock", state.data, state.len);
		d->ops->sync(d, &io);
		ck_assert_int_eq(d->ops->validate(d, NULL), -EINVAL);
	}
	buf_fini(&state);
	host_fini(&h);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		packets_that_belong_nowhere_are_reset,
		packets_of_somebody_else_are_dropped_and_resets_not_answered,
		a_breach_of_the_protocol_ends_its_connection_only,
		data_after_the_end_of_sending_is_reset,
		an_answer_that_nobody_asked_for_opens_nothing,
		a_packet_may_be_in_many_descriptors,
		a_packet_without_a_header_breaks_the_device_and_ends_all,
		a_buffer_without_room_for_data_breaks_the_device,
		a_length_of_four_gigabytes_copies_nothing,
		the_connection_after_the_last_is_reset,
		a_flood_without_buffers_for_answers_is_bounded,
		what_waits_for_a_guest_takes_no_time,
		the_socket_is_private_and_replaces_a_stale_one,
		what_can_not_be_is_refused_in_words,
		a_state_that_can_not_be_is_refused,
	};

	return SUITE_RUN("vsock_hostile", tests);
}
