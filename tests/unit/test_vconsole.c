/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device: control messages in order, ports that open and close,
 * bytes taken in part, hostile chains in bounded time, and a driver that
 * knows of one port only.
 */
#include "base/clock.h"
#include "tests/unit/console_rig.h"
#include "tests/unit/suite.h"

static void hears(struct console_rig *r, const char *message)
{
	char text[160];

	ck_assert_str_eq(console_rig_hear(r, text, sizeof(text)), message);
}

/* Sends bytes on a transmit queue; returns whether they were taken. */
static bool sends(struct console_rig *r, unsigned int q, const char *bytes)
{
	memcpy(r->rig.ram + RIG_DATA, bytes, strlen(bytes));
	rig_one(&r->rig, q, RIG_DATA, (uint32_t)strlen(bytes), false);
	rig_serve(&r->rig, q, r->loop);
	return rig_take(&r->rig, q, NULL, NULL);
}

START_TEST(it_introduces_its_ports_step_by_step)
{
	struct console_rig r;

	console_rig_init(&r);
	ck_assert_uint_eq(rig_read(&r.rig, 0x08), 3);
	ck_assert_uint_eq(rig_read(&r.rig, 0x104), CONSOLE_PORTS);
	rig_start(&r.rig, CONSOLE_MULTIPORT, CONSOLE_QUEUES, CONSOLE_QUEUE);
	console_rig_listen(&r, 32);
	hears(&r, "");
	console_rig_say(&r, 0xffffffff, C_DEVICE_READY, 0);
	hears(&r, "");
	console_rig_say(&r, 0xffffffff, C_DEVICE_READY, 1);
	hears(&r, "port 0 event 1 value 1");
	hears(&r, "port 1 event 1 value 1");
	hears(&r, "port 2 event 1 value 1");
	hears(&r, "");
	console_rig_say(&r, 0, C_PORT_READY, 1);
	hears(&r, "port 0 event 4 value 1");
	hears(&r, "port 0 event 6 value 1");
	console_rig_say(&r, 2, C_PORT_READY, 1);
	hears(&r, "port 2 event 7 value 1 org.port.2");
	hears(&r, "port 2 event 6 value 0");
	console_rig_say(&r, 1, C_PORT_READY, 0); /* it failed there */
	hears(&r, "");
	console_rig_fini(&r);
}
END_TEST

START_TEST(messages_wait_for_buffers)
{
	struct console_rig r;

	console_rig_init(&r);
	rig_start(&r.rig, CONSOLE_MULTIPORT, CONSOLE_QUEUES, CONSOLE_QUEUE);
	console_rig_say(&r, 0, C_DEVICE_READY, 1);
	console_rig_say(&r, 0, C_PORT_READY, 1);
	hears(&r, "");
	console_rig_listen(&r, 1);
	hears(&r, "port 0 event 1 value 1");
	hears(&r, "");
	console_rig_listen(&r, 10);
	hears(&r, "port 0 event 4 value 1");
	hears(&r, "port 0 event 6 value 1");
	hears(&r, "port 1 event 1 value 1");
	hears(&r, "port 2 event 1 value 1");
	hears(&r, "");
	console_rig_fini(&r);
}
END_TEST

START_TEST(senseless_messages_are_ignored)
{
	static const uint32_t ports[] = { 0,	  1,	      CONSOLE_PORTS,
					  0xffff, 0x80000000, 0xffffffff };
	struct console_rig r;
	uint16_t event;
	size_t i;
	int n;

	console_rig_init(&r);
	rig_start(&r.rig, CONSOLE_MULTIPORT, CONSOLE_QUEUES, CONSOLE_QUEUE);
	console_rig_listen(&r, 40);
	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		for (event = 0; event < 20; event++)
			console_rig_say(&r, ports[i],
					event < 16 ? event : 0xffff, 0xffff);
	rig_one(&r.rig, Q_CTL_TX, RIG_DATA, 7, false); /* too short */
	rig_one(&r.rig, Q_CTL_TX, RIG_DATA, 100, true);
	rig_one(&r.rig, Q_CTL_TX, RIG_DATA, 0, false);
	rig_serve(&r.rig, Q_CTL_TX, r.loop);
	for (n = 0; rig_take(&r.rig, Q_CTL_TX, NULL, NULL); n++)
		;
	ck_assert_int_eq(n, 3);
	ck_assert(!rig_is_broken(&r.rig));
	console_rig_fini(&r);
}
END_TEST

START_TEST(a_flood_of_messages_makes_no_queue_grow)
{
	struct console_rig r;
	char text[160];
	int i, n;

	console_rig_init(&r);
	rig_start(&r.rig, CONSOLE_MULTIPORT, CONSOLE_QUEUES, CONSOLE_QUEUE);
	for (i = 0; i < 10000; i++)
		console_rig_say(&r, (uint32_t)i % CONSOLE_PORTS,
				i % 2 ? C_PORT_READY : C_DEVICE_READY, 1);
	console_rig_listen(&r, 60);
	for (n = 0; *console_rig_hear(&r, text, sizeof(text)); n++)
		;
	ck_assert_int_le(n, 4 * CONSOLE_PORTS); /* INV-1 */
	console_rig_fini(&r);
}
END_TEST

START_TEST(port_0_is_the_console)
{
	struct console_rig r;
	uint64_t cursor = 0;
	uint8_t bytes[16];
	uint32_t len;

	console_rig_init(&r);
	console_rig_open_all(&r);
	ck_assert_uint_eq(r.opened, 1);
	ck_assert(sends(&r, Q_TX0, "hello"));
	ck_assert_uint_eq(console_read(r.console, &cursor, bytes, 16, NULL), 5);
	ck_assert(!memcmp(bytes, "hello", 5));
	rig_one(&r.rig, Q_RX0, RIG_DATA, 3, true);
	rig_one(&r.rig, Q_RX0, RIG_DATA + 16, 16, true);
	rig_serve(&r.rig, Q_RX0, r.loop);
	ck_assert(!rig_take(&r.rig, Q_RX0, NULL, NULL));
	console_input(r.console, "world", 5);
	vconsole_input_ready(r.vconsole);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, Q_RX0, NULL, &len) && len == 3);
	ck_assert(rig_take(&r.rig, Q_RX0, NULL, &len) && len == 2);
	ck_assert(!memcmp(r.rig.ram + RIG_DATA, "wor", 3));
	ck_assert(!memcmp(r.rig.ram + RIG_DATA + 16, "ld", 2));
	console_rig_say(&r, 0, C_PORT_OPEN, 0);
	ck_assert_uint_eq(r.closed, 1);
	rig_one(&r.rig, Q_RX0, RIG_DATA, 3, true);
	console_input(r.console, "late", 4);
	vconsole_input_ready(r.vconsole);
	rig_settle(r.loop);
	ck_assert(!rig_take(&r.rig, Q_RX0, NULL, NULL));
	console_rig_fini(&r);
}
END_TEST

START_TEST(a_named_port_is_a_channel_whose_ends_hear_of_each_other)
{
	struct console_rig r;
	uint8_t bytes[16];
	uint32_t len;

	console_rig_init(&r);
	console_rig_open_all(&r);
	ck_assert(channel_is_device_open(r.channel[1]));
	/* Nobody listens: as if a cable were not plugged in. */
	ck_assert(sends(&r, Q_TX2, "lost"));
	ck_assert_uint_eq(channel_host_read(r.channel[1], bytes, 16), 0);
	channel_host_open(r.channel[1], true);
	rig_settle(r.loop);
	hears(&r, "port 2 event 6 value 1");
	ck_assert(sends(&r, Q_TX2, "ping"));
	ck_assert_uint_eq(channel_host_read(r.channel[1], bytes, 16), 4);
	ck_assert(!memcmp(bytes, "ping", 4));
	ck_assert_uint_eq(channel_host_read(r.channel[0], bytes, 16), 0);
	rig_one(&r.rig, Q_RX2, RIG_DATA, 16, true);
	channel_host_write(r.channel[1], "pong", 4);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, Q_RX2, NULL, &len) && len == 4);
	channel_host_open(r.channel[1], false);
	rig_settle(r.loop);
	hears(&r, "port 2 event 6 value 0");
	rig_write(&r.rig, 0x70, 0);
	ck_assert(!channel_is_device_open(r.channel[1]));
	ck_assert_uint_eq(r.closed, 1);
	console_rig_fini(&r);
}
END_TEST

START_TEST(what_does_not_fit_waits_and_its_place_is_remembered)
{
	struct console_rig r;
	uint32_t i, want = 0, total = 150000; /* more than two channels hold */
	uint8_t bytes[1000];
	size_t n, k;
	int rounds;

	console_rig_init(&r);
	console_rig_open_all(&r);
	channel_host_open(r.channel[0], true);
	for (i = 0; i < total; i++)
		r.rig.ram[RIG_DATA + i] = (uint8_t)(i % 251);
	rig_one(&r.rig, Q_TX1, RIG_DATA, total, false);
	rig_serve(&r.rig, Q_TX1, r.loop);
	ck_assert(!rig_take(&r.rig, Q_TX1, NULL, NULL));
	for (rounds = 0; rounds < 1000 && want < total; rounds++) {
		n = channel_host_read(r.channel[0], bytes, sizeof(bytes));
		for (k = 0; k < n; k++)
			ck_assert_uint_eq(bytes[k], (want + k) % 251);
		want += (uint32_t)n;
		rig_settle(r.loop);
	}
	ck_assert_uint_eq(want, total);
	ck_assert(rig_take(&r.rig, Q_TX1, NULL, NULL));
	console_rig_fini(&r);
}
END_TEST

START_TEST(a_chain_that_shrinks_while_it_waits_does_no_harm)
{
	struct console_rig r;
	uint16_t head;

	console_rig_init(&r);
	console_rig_open_all(&r);
	channel_host_open(r.channel[0], true);
	head = rig_one(&r.rig, Q_TX1, RIG_DATA, 150000, false);
	rig_serve(&r.rig, Q_TX1, r.loop);
	rig_put_desc(&r.rig, rig_desc(Q_TX1), head, RIG_DATA, 10, 0, 0);
	rig_serve(&r.rig, Q_TX1, r.loop);
	ck_assert(rig_take(&r.rig, Q_TX1, NULL, NULL));
	ck_assert(!rig_is_broken(&r.rig));
	console_rig_fini(&r);
}
END_TEST

/* An indirect table of 64 pieces over the same bytes, as many as they go. */
START_TEST(a_very_long_chain_is_taken_in_bounded_steps)
{
	const uint32_t piece = RIG_RAM - 0x40000;
	uint64_t began, longest = 0, took;
	struct console_rig r;
	bool done = false;
	int i;

	console_rig_init(&r);
	rig_start(&r.rig, VIRTIO_F_INDIRECT_DESC, 2, CONSOLE_QUEUE);
	for (i = 0; i < CONSOLE_QUEUE; i++)
		rig_put_desc(&r.rig, RIG_DATA, (uint16_t)i, 0x40000, piece,
			     i + 1 < CONSOLE_QUEUE ? RIG_NEXT : 0,
			     (uint16_t)(i + 1));
	rig_put_desc(&r.rig, rig_desc(Q_TX0), 0, RIG_DATA, 16 * CONSOLE_QUEUE,
		     RIG_INDIRECT, 0);
	rig_offer(&r.rig, Q_TX0, 0);
	rig_kick(&r.rig, Q_TX0);
	for (i = 0; i < 10000 && !done; i++) {
		began = suite_cpu_ns();
		ck_assert_int_eq(loop_step(r.loop, 0), 0);
		took = suite_cpu_ns() - began;
		longest = took > longest ? took : longest;
		done = rig_take(&r.rig, Q_TX0, NULL, NULL);
	}
	ck_assert(done);
	ck_assert_int_gt(i, 100); /* 48 MiB in pieces of 256 KiB */
	ck_assert_uint_lt(longest, 2 * NS_PER_S);
	ck_assert_uint_eq(console_position(r.console), 64ull * piece);
	console_rig_fini(&r);
}
END_TEST

START_TEST(a_driver_of_one_port_needs_no_words)
{
	struct console_rig r;
	uint32_t len;

	console_rig_init(&r);
	rig_start(&r.rig, 0, 2, CONSOLE_QUEUE);
	ck_assert_uint_eq(r.opened, 1);
	ck_assert(sends(&r, Q_TX0, "hello"));
	ck_assert_uint_eq(console_position(r.console), 5);
	rig_one(&r.rig, Q_RX0, RIG_DATA, 16, true);
	console_input(r.console, "x", 1);
	vconsole_input_ready(r.vconsole);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, Q_RX0, NULL, &len) && len == 1);
	channel_host_open(r.channel[0], true);
	rig_settle(r.loop);
	ck_assert(!rig_is_broken(&r.rig));
	console_rig_fini(&r);
}
END_TEST

/* In another process, where nobody listens yet: nothing was told there. */
START_TEST(a_restored_guest_hears_who_listens_now)
{
	struct console_rig r, twin;
	struct state_io io;
	struct buf bytes;
	struct device *d;

	console_rig_init(&r);
	console_rig_open_all(&r);
	channel_host_open(r.channel[0], true);
	rig_settle(r.loop);
	hears(&r, "port 1 event 6 value 1");
	d = r.rig.device;
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	buf_init(&bytes, 4096);
	state_save(&io, "console", &bytes);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);

	console_rig_init(&twin);
	memcpy(twin.rig.ram, r.rig.ram, RIG_RAM);
	memcpy(twin.rig.queue, r.rig.queue, sizeof(r.rig.queue));
	d = twin.rig.device;
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	state_load(&io, "console", bytes.data, bytes.len);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
	ck_assert_int_eq(d->ops->validate(d, NULL), 0);
	ck_assert_int_eq(d->ops->restored(d, NULL), 0);
	ck_assert(!channel_is_device_open(twin.channel[0]));
	d->ops->resume(d);
	ck_assert(channel_is_device_open(twin.channel[0]));
	rig_settle(twin.loop);
	hears(&twin, "port 1 event 6 value 0");
	buf_fini(&bytes);
	console_rig_fini(&twin);
	console_rig_fini(&r);
}
END_TEST

START_TEST(a_reload_loses_nothing_on_its_way_to_the_guest)
{
	struct console_rig r;
	char got[8];

	console_rig_init(&r);
	console_rig_open_all(&r);
	channel_host_open(r.channel[0], true);
	rig_settle(r.loop);
	channel_host_write(r.channel[0], "bytes", 5);
	rig_reload(&r.rig, NULL, NULL);
	ck_assert_uint_eq(r.opened, 1);
	ck_assert_uint_eq(r.closed, 0);
	ck_assert(channel_is_device_open(r.channel[0]));
	ck_assert_uint_eq(channel_device_read(r.channel[0], got, 8), 5);
	console_rig_say(&r, 2, C_PORT_OPEN, 0);
	rig_reload(&r.rig, NULL, NULL);
	ck_assert(channel_is_device_open(r.channel[0]));
	ck_assert(!channel_is_device_open(r.channel[1]));
	console_rig_fini(&r);
}
END_TEST

/* Back to a moment in which its port was closed. */
START_TEST(a_rewound_guest_has_only_the_ports_open_that_were)
{
	struct console_rig r;
	struct state_io io;
	struct buf bytes;
	struct device *d;

	console_rig_init(&r);
	console_rig_open_all(&r);
	console_rig_say(&r, 1, C_PORT_OPEN, 0);
	d = r.rig.device;
	buf_init(&bytes, 4096);
	state_save(&io, "console", &bytes);
	d->ops->sync(d, &io);
	console_rig_say(&r, 1, C_PORT_OPEN, 1);
	ck_assert(channel_is_device_open(r.channel[0]));
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	state_load(&io, "console", bytes.data, bytes.len);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
	ck_assert_int_eq(d->ops->restored(d, NULL), 0);
	d->ops->resume(d);
	ck_assert(!channel_is_device_open(r.channel[0]));
	ck_assert(channel_is_device_open(r.channel[1]));
	buf_fini(&bytes);
	console_rig_fini(&r);
}
END_TEST

START_TEST(too_many_ports_are_refused)
{
	struct vconsole_config c = { .ports = VCONSOLE_PORTS_MAX };
	struct vconsole *v = NULL;
	struct err e = ERR_NONE;

	snprintf(c.virtio.id, sizeof(c.virtio.id), "console0");
	ck_assert_int_eq(vconsole_create(&v, &c, &e), -EINVAL);
	ck_assert_str_eq(e.text, "console0: 8 ports, the limit is 7");
	vconsole_destroy(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		it_introduces_its_ports_step_by_step,
		messages_wait_for_buffers,
		senseless_messages_are_ignored,
		a_flood_of_messages_makes_no_queue_grow,
		port_0_is_the_console,
		a_named_port_is_a_channel_whose_ends_hear_of_each_other,
		what_does_not_fit_waits_and_its_place_is_remembered,
		a_chain_that_shrinks_while_it_waits_does_no_harm,
		a_very_long_chain_is_taken_in_bounded_steps,
		a_driver_of_one_port_needs_no_words,
		a_restored_guest_hears_who_listens_now,
		a_reload_loses_nothing_on_its_way_to_the_guest,
		a_rewound_guest_has_only_the_ports_open_that_were,
		too_many_ports_are_refused,
	};

	return SUITE_RUN("vconsole", tests);
}
