/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: bytes come through in order and bounded, who waited is told
 * once, what nobody will read is dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/channel.h"
#include "tests/unit/suite.h"

struct rig {
	struct channel *channel;
	unsigned int host, device; /* calls */
};

static void on_host(void *ctx)
{
	((struct rig *)ctx)->host++;
}

static void on_device(void *ctx)
{
	((struct rig *)ctx)->device++;
}

static struct channel *rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	ck_assert_int_eq(channel_create(&r->channel, NULL), 0);
	channel_set_host(r->channel, (struct channel_side){ on_host, r });
	channel_set_device(r->channel, (struct channel_side){ on_device, r });
	return r->channel;
}

static void told(struct rig *r, unsigned int host, unsigned int device)
{
	ck_assert_uint_eq(r->host, host);
	ck_assert_uint_eq(r->device, device);
	r->host = r->device = 0;
}

START_TEST(bytes_come_through_in_order_both_ways)
{
	uint8_t in[1000], out[1000];
	unsigned int sent[2] = { 0, 0 }, got[2] = { 0, 0 }, i, way;
	struct channel_counters n;
	struct rig r;
	struct channel *c = rig_init(&r);

	srandom(1);
	while (got[0] < 500000 || got[1] < 500000) {
		size_t len = (size_t)random() % sizeof(in);

		way = (unsigned int)random() % 2;
		for (i = 0; i < len; i++)
			in[i] = (uint8_t)((sent[way] + i) % 251);
		sent[way] +=
			(unsigned int)(way ? channel_host_write(c, in, len)
					   : channel_device_write(c, in, len));
		len = (size_t)random() % sizeof(out);
		len = way ? channel_device_read(c, out, len)
			  : channel_host_read(c, out, len);
		for (i = 0; i < len; i++)
			ck_assert_uint_eq(out[i], (got[way] + i) % 251);
		got[way] += (unsigned int)len;
	}
	channel_get_counters(c, &n);
	ck_assert_uint_eq(n.to_host_bytes, sent[0]);
	ck_assert_uint_eq(n.to_guest_bytes, sent[1]);
	channel_destroy(c);
}
END_TEST

START_TEST(it_holds_so_much_and_no_more)
{
	static uint8_t bytes[CHANNEL_BYTES + 10];
	struct rig r;
	struct channel *c = rig_init(&r);

	ck_assert_uint_eq(channel_host_write(c, bytes, sizeof(bytes)),
			  CHANNEL_BYTES);
	ck_assert_uint_eq(channel_host_write(c, bytes, 1), 0);
	ck_assert_uint_eq(channel_device_read(c, bytes, 3), 3);
	ck_assert_uint_eq(channel_host_write(c, bytes, 10), 3);
	ck_assert_uint_eq(channel_device_read(c, bytes, sizeof(bytes)),
			  CHANNEL_BYTES);
	ck_assert_uint_eq(channel_device_read(c, bytes, 1), 0);
	ck_assert_uint_eq(channel_host_write(c, bytes, 0), 0);
	channel_destroy(c);
}
END_TEST

START_TEST(who_waited_is_told_once)
{
	static uint8_t bytes[CHANNEL_BYTES];
	struct rig r;
	struct channel *c = rig_init(&r);

	channel_device_write(c, "a", 1); /* the host may have found nothing */
	told(&r, 1, 0);
	channel_device_write(c, "b", 1);
	told(&r, 0, 0);
	channel_host_read(c, bytes, 1);
	told(&r, 0, 0);
	channel_device_write(c, bytes, sizeof(bytes)); /* now it is full */
	told(&r, 0, 0);
	channel_host_read(c, bytes, 1);
	told(&r, 0, 1);
	channel_host_read(c, bytes, 1);
	told(&r, 0, 0);
	channel_host_write(c, bytes, sizeof(bytes));
	told(&r, 0, 1);
	channel_device_read(c, bytes, 1);
	told(&r, 1, 0);
	channel_destroy(c);
}
END_TEST

START_TEST(coming_and_going_is_told)
{
	struct rig r;
	struct channel *c = rig_init(&r);

	ck_assert(!channel_is_host_open(c) && !channel_is_device_open(c));
	channel_host_open(c, true);
	told(&r, 0, 1);
	ck_assert(channel_is_host_open(c));
	channel_device_open(c, true);
	told(&r, 1, 0);
	channel_device_open(c, true);
	told(&r, 0, 0);
	ck_assert(channel_is_device_open(c));
	channel_device_open(c, false);
	told(&r, 1, 0);
	channel_host_open(c, false);
	told(&r, 0, 1);
	channel_destroy(c);
}
END_TEST

START_TEST(what_nobody_will_read_is_dropped_and_makes_room)
{
	static uint8_t bytes[CHANNEL_BYTES];
	struct rig r;
	struct channel *c = rig_init(&r);

	channel_host_open(c, true);
	channel_device_open(c, true);
	channel_device_write(c, bytes, sizeof(bytes));
	channel_host_write(c, bytes, sizeof(bytes));
	told(&r, 2, 2);
	channel_host_open(c, false);
	told(&r, 0, 1); /* there is room */
	ck_assert_uint_eq(channel_device_write(c, "x", 1), 1);
	/* What was written before stays for the guest. */
	ck_assert_uint_eq(channel_device_read(c, bytes, sizeof(bytes)),
			  sizeof(bytes));
	/* The next one to listen doesn't hear what the last one missed. */
	channel_host_open(c, true);
	ck_assert_uint_eq(channel_host_read(c, bytes, 1), 0);
	/* A closed port that fills up is emptied by a reset. */
	channel_device_open(c, false);
	channel_host_write(c, bytes, sizeof(bytes));
	r.host = 0;
	channel_device_open(c, false);
	ck_assert_uint_eq(r.host, 1);
	ck_assert_uint_eq(channel_host_write(c, bytes, 1), 1);
	channel_destroy(c);
}
END_TEST

START_TEST(a_side_that_has_gone_is_not_called)
{
	struct rig r;
	struct channel *c = rig_init(&r);

	channel_set_host(c, (struct channel_side){ NULL, NULL });
	channel_set_device(c, (struct channel_side){ NULL, NULL });
	channel_device_write(c, "a", 1);
	channel_host_write(c, "a", 1);
	channel_host_open(c, true);
	channel_device_open(c, true);
	told(&r, 0, 0);
	channel_destroy(c);
	channel_destroy(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bytes_come_through_in_order_both_ways,
		it_holds_so_much_and_no_more,
		who_waited_is_told_once,
		coming_and_going_is_told,
		what_nobody_will_read_is_dropped_and_makes_room,
		a_side_that_has_gone_is_not_called,
	};

	return SUITE_RUN("channel", tests);
}
