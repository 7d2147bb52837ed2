/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device towards a guest that behaves and programs of the host:
 * connections, credit, half-closes, what is refused, save and restore.
 */
#include "tests/unit/suite.h"
#include "tests/unit/vsock_rig.h"

static struct host h;
static struct packet p;

static void fresh(void)
{
	host_init(&h);
	start_guest(&h, 32);
}

static void expect(uint16_t op, uint32_t src, uint32_t dst)
{
	ck_assert_msg(hear(&h, &p), "no packet, expected op %u", op);
	ck_assert_uint_eq(p.op, op);
	ck_assert_uint_eq(p.src_port, src);
	ck_assert_uint_eq(p.dst_port, dst);
	ck_assert_uint_eq(p.dst_cid, CID);
}

static void expect_nothing(void)
{
	bool heard = hear(&h, &p);

	ck_assert_msg(!heard, "op %u", p.op);
}

static void expect_bytes(int fd, const char *bytes)
{
	char got[128] = "";

	ck_assert_int_eq(read(fd, got, sizeof(got) - 1),
			 (ssize_t)strlen(bytes));
	ck_assert_str_eq(got, bytes);
}

static void expect_end(int fd)
{
	char c;

	ck_assert_int_eq(read(fd, &c, 1), 0);
}

static struct vsock_stats stats(void)
{
	struct vsock_stats n;

	vsock_get_stats(h.vsock, &n);
	return n;
}

/* The guest's port 1000 to the host's 7; returns the program's end. */
static int guest_connects(int listener)
{
	int fd;

	say(&h, REQUEST, 1000, 7);
	expect(RESPONSE, 7, 1000);
	ck_assert_uint_eq(p.buf_alloc, 65536);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(the_driver_reads_its_cid)
{
	fresh();
	ck_assert_uint_eq(rig_read(&h.rig, 0x08), 19);
	ck_assert_uint_eq(rig_read(&h.rig, 0x100), CID);
	ck_assert_uint_eq(rig_read(&h.rig, 0x104), 0);
	host_fini(&h);
}
END_TEST

START_TEST(a_guest_reaches_a_program_that_listens)
{
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	say_data(&h, 1000, 7, "hello", 5);
	expect_bytes(fd, "hello");
	ck_assert_int_eq(write(fd, "world!", 6), 6);
	step(&h);
	expect(RW, 7, 1000);
	ck_assert_uint_eq(p.len, 6);
	ck_assert_mem_eq(p.data, "world!", 6);
	ck_assert_uint_eq(p.fwd_cnt, 5);
	ck_assert_uint_eq(stats().open, 1);
	ck_assert_uint_eq(stats().to_host_bytes, 5);
	ck_assert_uint_eq(stats().to_guest_bytes, 6);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_guest_is_reset_when_nobody_listens)
{
	fresh();
	say(&h, REQUEST, 1000, 7);
	expect(RST, 7, 1000);
	ck_assert_uint_eq(stats().refused, 1);
	ck_assert_uint_eq(stats().open, 0);
	host_fini(&h);
}
END_TEST

START_TEST(a_program_reaches_a_port_of_the_guest)
{
	char ok[32];
	uint32_t port;
	int fd;

	fresh();
	fd = greet(&h, "CONNECT 52\nearly");
	ck_assert(hear(&h, &p));
	ck_assert_uint_eq(p.op, REQUEST);
	ck_assert_uint_eq(p.dst_port, 52);
	port = p.src_port;
	expect_nothing(); /* no data before it is open */
	say(&h, RESPONSE, 52, port);
	snprintf(ok, sizeof(ok), "OK %u\n", port);
	expect_bytes(fd, ok);
	expect(RW, port, 52);
	ck_assert_mem_eq(p.data, "early", 5);
	close(fd);
	host_fini(&h);
}
END_TEST

START_TEST(a_program_is_closed_when_the_guest_refuses)
{
	int fd;

	fresh();
	fd = greet(&h, "CONNECT 52\n");
	ck_assert(hear(&h, &p));
	say(&h, RST, 52, p.src_port);
	expect_end(fd);
	ck_assert_uint_eq(stats().refused, 1);
	ck_assert_uint_eq(stats().open, 0);
	close(fd);
	host_fini(&h);
}
END_TEST

START_TEST(a_greeting_may_come_in_pieces_but_not_be_wrong)
{
	static const char *const bad[] = {
		"HELLO 1\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT x\n",
		"CONNECT -1\n",
		"CONNECT 4294967295\n",
		"CONNECT  1\n",
		"CONNECT 99999999999\n",
		"\n",
		"CONNECT 1\r\n",
		"CONNECT 00000000000000000000000000000001",
	};
	unsigned int i;
	int fd;

	fresh();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = greet(&h, bad[i]);
		ck_assert_msg(recv(fd, &p, 1, 0) == 0 || errno == ECONNRESET,
			      "%s", bad[i]);
		close(fd);
		expect_nothing();
		ck_assert_uint_eq(stats().refused, i + 1);
	}
	fd = greet(&h, "CONN");
	ck_assert_int_eq(write(fd, "ECT 4294967294", 14), 14);
	step(&h);
	expect_nothing();
	ck_assert_int_eq(write(fd, "\n", 1), 1);
	step(&h);
	ck_assert(hear(&h, &p));
	ck_assert_uint_eq(p.dst_port, 4294967294u);
	close(fd);
	host_fini(&h);
}
END_TEST

START_TEST(a_program_is_closed_when_the_guest_has_no_driver)
{
	int fd;

	host_init(&h);
	fd = greet(&h, "CONNECT 52\n");
	expect_end(fd);
	close(fd);
	host_fini(&h);
}
END_TEST

START_TEST(a_program_that_says_nothing_is_closed_after_five_seconds)
{
	unsigned int i;
	int fd;

	fresh();
	fd = greet(&h, "CONNECT");
	for (i = 0; i < 60 && stats().open; i++)
		loop_step(h.loop, 100);
	ck_assert_uint_ge(i, 2); /* not at once */
	expect_end(fd);
	ck_assert_uint_eq(stats().open, 0);
	close(fd);
	host_fini(&h);
}
END_TEST

/* --- credit ---------------------------------------------------------- */

START_TEST(the_guest_is_not_sent_more_than_it_has_room_for)
{
	static uint8_t bytes[3000];
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	p = make(REQUEST, 1000, 7);
	p.buf_alloc = 1000;
	send_packet(&h, &p, NULL, 0);
	expect(RESPONSE, 7, 1000);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	step(&h);
	expect(RW, 7, 1000);
	ck_assert_uint_eq(p.len, 1000);
	expect(ASK, 7, 1000); /* and once only */
	expect_nothing();
	p = make(UPDATE, 1000, 7);
	p.buf_alloc = 1000;
	p.fwd_cnt = 600;
	send_packet(&h, &p, NULL, 0);
	expect(RW, 7, 1000);
	ck_assert_uint_eq(p.len, 600);
	expect(ASK, 7, 1000);
	p = make(UPDATE, 1000, 7);
	p.buf_alloc = 1000;
	p.fwd_cnt = 5000; /* more than it was sent */
	send_packet(&h, &p, NULL, 0);
	expect_nothing();
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

/* Bytes until the host's socket is full, then the buffer as well. */
static uint32_t fill_up(uint32_t *fwd)
{
	static uint8_t bytes[4096];
	uint32_t total = 0;

	*fwd = 0;
	while (total - *fwd + sizeof(bytes) <= 65536) {
		say_data(&h, 1000, 7, bytes, sizeof(bytes));
		total += sizeof(bytes);
		say(&h, ASK, 1000, 7);
		while (hear(&h, &p)) {
			ck_assert_uint_eq(p.op, UPDATE);
			*fwd = p.fwd_cnt;
		}
		ck_assert_uint_lt(total, 16u << 20);
	}
	return total;
}

START_TEST(bytes_wait_while_the_program_is_slow_and_all_arrive)
{
	static uint8_t in[1 << 20];
	uint32_t total, fwd, got = 0;
	int listener, fd;
	ssize_t n;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	total = fill_up(&fwd);
	ck_assert_uint_eq(total - fwd, 65536);
	while ((n = read(fd, in, sizeof(in))) > 0) {
		got += (uint32_t)n;
		step(&h);
	}
	ck_assert_uint_eq(got, total);
	expect(UPDATE, 7, 1000); /* without being asked */
	ck_assert_uint_gt(p.fwd_cnt, fwd);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_guest_that_sends_beyond_its_credit_is_reset)
{
	static uint8_t in[1 << 20];
	uint32_t total, fwd;
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	total = fill_up(&fwd);
	ck_assert_uint_gt(total, 0);
	say_data(&h, 1000, 7, "x", 1);
	expect(RST, 7, 1000);
	ck_assert_uint_eq(stats().open, 0);
	while (read(fd, in, sizeof(in)) > 0)
		;
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

/* --- ends ------------------------------------------------------------ */

START_TEST(each_side_may_end_its_half_first)
{
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	p = make(SHUTDOWN, 1000, 7);
	p.flags = 2; /* sends no more */
	send_packet(&h, &p, NULL, 0);
	expect_end(fd);
	ck_assert_int_eq(write(fd, "late", 4), 4);
	step(&h);
	expect(RW, 7, 1000);
	ck_assert_mem_eq(p.data, "late", 4);
	shutdown(fd, SHUT_WR);
	step(&h);
	expect(SHUTDOWN, 7, 1000);
	ck_assert_uint_ne(p.flags & 2, 0);
	say(&h, RST, 1000, 7);
	ck_assert_uint_eq(stats().open, 0);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_program_may_end_its_half_and_still_read)
{
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	ck_assert_int_eq(write(fd, "q", 1), 1);
	shutdown(fd, SHUT_WR);
	step(&h);
	expect(RW, 7, 1000);
	expect(SHUTDOWN, 7, 1000);
	ck_assert_uint_eq(p.flags, 2);
	say_data(&h, 1000, 7, "answer", 6);
	expect_bytes(fd, "answer");
	close(fd);
	step(&h);
	expect(SHUTDOWN, 7, 1000);
	ck_assert_uint_eq(p.flags, 3);
	say(&h, RST, 1000, 7);
	expect_nothing();
	ck_assert_uint_eq(stats().open, 0);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_program_that_ends_is_read_to_its_last_byte)
{
	static uint8_t bytes[20000];
	uint32_t got = 0;
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	step(&h);
	while (hear(&h, &p) && p.op == RW)
		got += p.len;
	ck_assert_uint_eq(got, sizeof(bytes));
	ck_assert_uint_eq(p.op, SHUTDOWN);
	ck_assert_uint_eq(p.flags, 3);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(what_a_guest_sent_before_its_end_still_arrives)
{
	static uint8_t in[1 << 20];
	uint32_t total, fwd, got = 0;
	int listener, fd;
	ssize_t n;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	total = fill_up(&fwd);
	p = make(SHUTDOWN, 1000, 7);
	p.flags = 3;
	send_packet(&h, &p, NULL, 0);
	expect_nothing(); /* no reset yet: bytes wait */
	say(&h, RST, 1000, 7);
	while ((n = read(fd, in, sizeof(in))) > 0) {
		got += (uint32_t)n;
		step(&h);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got, total);
	ck_assert_uint_eq(stats().open, 0);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_clean_end_of_the_guest_is_answered_by_a_reset)
{
	int listener, fd;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	say_data(&h, 1000, 7, "bye", 3);
	p = make(SHUTDOWN, 1000, 7);
	p.flags = 3;
	send_packet(&h, &p, NULL, 0);
	expect(RST, 7, 1000);
	expect_bytes(fd, "bye");
	expect_end(fd);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

/* --- life ------------------------------------------------------------ */

START_TEST(a_reset_by_the_driver_closes_all)
{
	int listener, fd, other;

	fresh();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	other = greet(&h, "CONNECT 52\n");
	rig_write(&h.rig, 0x70, 0);
	step(&h);
	expect_end(fd);
	expect_end(other);
	ck_assert_uint_eq(stats().open, 0);
	close(fd);
	start_guest(&h, 8);
	fd = guest_connects(listener);
	close(fd);
	close(other);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_paused_guest_is_told_when_it_goes_on)
{
	struct device *d;
	int listener, fd;

	fresh();
	d = h.rig.device;
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	ck_assert_int_eq(write(fd, "x", 1), 1);
	step(&h);
	expect_nothing();
	d->ops->resume(d);
	step(&h);
	expect(RW, 7, 1000);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

static void offer_event_buffer(void)
{
	struct rig_piece event = { TX_GPA + MAX_TX, 4, true };

	memset(h.rig.ram + TX_GPA + MAX_TX, 0xff, 4);
	rig_chain(&h.rig, EVENT, &event, 1);
	rig_kick(&h.rig, EVENT);
	step(&h);
}

START_TEST(after_a_restore_connections_are_gone_and_the_guest_is_told)
{
	struct state_io io;
	struct device *d;
	struct buf state;
	int listener, fd;
	uint32_t len;

	fresh();
	d = h.rig.device;
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	buf_init(&state, 65536);
	state_save(&io, "vsock", &state);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
	say_data(&h, 1000, 7, "on", 2); /* a save alone ends nothing */
	expect_bytes(fd, "on");
	state_load(&io, "vsock", state.data, state.len);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
	ck_assert_int_eq(d->ops->validate(d, NULL), 0);
	ck_assert_int_eq(d->ops->restored(d, NULL), 0);
	step(&h);
	expect_end(fd);
	ck_assert_uint_eq(stats().open, 0);
	ck_assert(!rig_take(&h.rig, EVENT, NULL, NULL));
	offer_event_buffer();
	ck_assert(rig_take(&h.rig, EVENT, NULL, &len));
	ck_assert_uint_eq(len, 4);
	ck_assert_uint_eq(get_le32(h.rig.ram + TX_GPA + MAX_TX), 0);
	offer_event_buffer();
	ck_assert(!rig_take(&h.rig, EVENT, NULL, NULL)); /* once */
	buf_fini(&state);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

START_TEST(a_transport_reset_ends_all_and_is_told)
{
	int listener, fd;

	fresh();
	offer_event_buffer();
	listener = listen_on(&h, 7);
	fd = guest_connects(listener);
	vsock_transport_reset(h.vsock);
	step(&h);
	expect_end(fd);
	ck_assert(rig_take(&h.rig, EVENT, NULL, NULL));
	say_data(&h, 1000, 7, "x", 1);
	expect(RST, 7, 1000);
	close(fd);
	unlisten(&h, listener, 7);
	host_fini(&h);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_driver_reads_its_cid,
		a_guest_reaches_a_program_that_listens,
		a_guest_is_reset_when_nobody_listens,
		a_program_reaches_a_port_of_the_guest,
		a_program_is_closed_when_the_guest_refuses,
		a_greeting_may_come_in_pieces_but_not_be_wrong,
		a_program_is_closed_when_the_guest_has_no_driver,
		a_program_that_says_nothing_is_closed_after_five_seconds,
		the_guest_is_not_sent_more_than_it_has_room_for,
		bytes_wait_while_the_program_is_slow_and_all_arrive,
		a_guest_that_sends_beyond_its_credit_is_reset,
		each_side_may_end_its_half_first,
		a_program_may_end_its_half_and_still_read,
		a_program_that_ends_is_read_to_its_last_byte,
		what_a_guest_sent_before_its_end_still_arrives,
		a_clean_end_of_the_guest_is_answered_by_a_reset,
		a_reset_by_the_driver_closes_all,
		a_paused_guest_is_told_when_it_goes_on,
		after_a_restore_connections_are_gone_and_the_guest_is_told,
		a_transport_reset_ends_all_and_is_told,
	};

	return SUITE_RUN("vsock", tests);
}
