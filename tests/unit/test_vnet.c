/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device: what is sent is checked, what comes in finds its
 * buffers or waits, and one frame at most is kept. Link, backends and
 * limits: test_vnet_link.c.
 */
#include "tests/unit/net_rig.h"
#include "tests/unit/suite.h"

/* --- transmit -------------------------------------------------------- */

static uint8_t *header(struct net_rig *r)
{
	uint8_t *h = r->rig.ram + RIG_DATA;

	memset(h, 0, NET_HEADER_BYTES);
	memset(h + NET_HEADER_BYTES, 'f', 1514);
	return h;
}

START_TEST(a_frame_goes_out_as_it_is)
{
	const struct rig_piece pieces[] = { { RIG_DATA, 5, false },
					    { RIG_DATA + 5, 8, false },
					    { RIG_DATA + 13, 500, false },
					    { RIG_HIGH, 99, false } };
	struct net_rig r;

	net_rig_start(&r, false, 0);
	header(&r);
	memset(r.rig.high, 'h', 99);
	ck_assert(net_rig_send(&r, NET_HEADER_BYTES + 1514));
	ck_assert_uint_eq(r.fake->last_bytes, 1514); /* bare */
	ck_assert(r.fake->last[0] == 'f' && r.fake->last[1513] == 'f');
	/* The header in three pieces, the frame in two. */
	rig_chain(&r.rig, 1, pieces, 4);
	rig_serve(&r.rig, 1, r.loop);
	ck_assert_uint_eq(r.fake->last_bytes, 5 + 8 + 500 + 99 - 12);
	ck_assert(r.fake->last[500] == 'f' && r.fake->last[501] == 'h');
	ck_assert_uint_eq(net_rig_stats(&r).tx.frames, 2);
	ck_assert_uint_eq(net_rig_stats(&r).tx.bytes, 1514 + 600);
	net_rig_fini(&r);

	net_rig_start(&r, true, 0);
	put_le16(header(&r) + NET_HDR_NUM_BUFFERS, 0xffff);
	ck_assert(net_rig_send(&r, NET_HEADER_BYTES + 60));
	ck_assert_uint_eq(r.fake->last_bytes, NET_HEADER_BYTES + 60);
	ck_assert_uint_eq(get_le16(r.fake->last + NET_HDR_NUM_BUFFERS), 0);
	net_rig_fini(&r);
}
END_TEST

/* As long as a frame may be, over the same bytes again and again. */
static bool send_long(struct net_rig *r, uint32_t bytes)
{
	const struct rig_piece pieces[] = { { RIG_DATA, 30000, false },
					    { RIG_DATA, 30000, false },
					    { RIG_DATA, bytes - 60000,
					      false } };

	rig_chain(&r->rig, 1, pieces, 3);
	rig_serve(&r->rig, 1, r->loop);
	return rig_take(&r->rig, 1, NULL, NULL);
}

START_TEST(frames_that_are_too_short_or_too_long_are_dropped_and_counted)
{
	static const uint32_t bad[] = { 0, 1, 11, 12, 25 };
	struct net_rig r;
	size_t i;

	net_rig_start(&r, true, 0);
	header(&r);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert(net_rig_send(&r, bad[i]));
	ck_assert(send_long(&r, NET_HEADER_BYTES + NET_FRAME_MAX + 1));
	ck_assert(send_long(&r, NET_HEADER_BYTES + 65536));
	ck_assert_uint_eq(net_rig_stats(&r).tx.bad, 6);
	ck_assert_uint_eq(net_rig_stats(&r).tx.frames, 1);
	ck_assert(net_rig_send(&r, NET_HEADER_BYTES + NET_FRAME_MIN));
	ck_assert(send_long(&r, NET_HEADER_BYTES + NET_FRAME_MAX));
	ck_assert_uint_eq(net_rig_stats(&r).tx.frames, 3);
	rig_one(&r.rig, 1, RIG_DATA, 100, true); /* nothing to read */
	rig_serve(&r.rig, 1, r.loop);
	ck_assert_uint_eq(net_rig_stats(&r).tx.bad, 7);
	ck_assert(!rig_is_broken(&r.rig));
	net_rig_fini(&r);
}
END_TEST

struct header_case {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	bool is_good, is_good_bare; /* with, without offloads */
};

START_TEST(headers_are_checked_against_frame_and_features)
{
	/* Of a frame of 100 bytes. */
	static const struct header_case cases[] = {
		{ 0, 0, 0, 0, 0, 0, true, true },
		{ 0, 0, 100, 0, 0, 0, true, true },
		{ 0, 0, 101, 0, 0, 0, false, false },
		{ 0, 0, 0xffff, 0, 0, 0, false, false },
		{ 1, 0, 0, 0, 14, 6, true, false },
		{ 1, 0, 0, 0, 98, 0, true, false },
		{ 1, 0, 0, 0, 98, 1, false, false },
		{ 1, 0, 0, 0, 0xffff, 0xffff, false, false },
		{ 0, 0, 0, 0, 0xffff, 0xffff, true, true },
		{ 1, 1, 54, 1448, 34, 16, true, false },
		{ 1, 1, 54, 0, 34, 16, false, false },
		{ 1, 4, 54, 1448, 34, 16, true, false },
		{ 1, 4, 54, 0, 34, 16, false, false },
		{ 1, 0x81, 54, 1, 34, 16, true, false },
		{ 0, 3, 54, 1448, 0, 0, false, false }, /* UDP */
		{ 0, 5, 54, 1448, 0, 0, false, false },
		{ 0, 0x7f, 54, 1448, 0, 0, false, false },
	};
	struct net_rig r;
	unsigned int run;
	size_t i;

	for (run = 0; run < 2; run++) {
		net_rig_start(&r, true, run ? 0 : NET_OFFLOADS);
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			const struct header_case *c = &cases[i];
			bool good = run ? c->is_good_bare : c->is_good;
			uint8_t *h = header(&r);
			uint64_t sent = r.fake->sent;

			h[NET_HDR_FLAGS] = c->flags;
			h[NET_HDR_GSO_TYPE] = c->gso_type;
			put_le16(h + NET_HDR_HDR_LEN, c->hdr_len);
			put_le16(h + NET_HDR_GSO_SIZE, c->gso_size);
			put_le16(h + NET_HDR_CSUM_START, c->csum_start);
			put_le16(h + NET_HDR_CSUM_OFFSET, c->csum_offset);
			ck_assert(net_rig_send(&r, NET_HEADER_BYTES + 100));
			ck_assert_msg(r.fake->sent - sent == good, "case %zu",
				      i);
		}
		net_rig_fini(&r);
	}
}
END_TEST

START_TEST(a_flood_is_served_in_turns)
{
	struct net_rig r;
	unsigned int i, n = 0;

	net_rig_init(&r, false, (struct vnet_config){ .pairs = 1 });
	rig_start(&r.rig, 0, 2, 256);
	header(&r);
	for (i = 0; i < 256; i++)
		rig_one(&r.rig, 1, RIG_DATA, NET_HEADER_BYTES + 60, false);
	rig_kick(&r.rig, 1);
	for (i = 0; r.fake->sent < 64; i++)
		loop_step(r.loop, 0);
	ck_assert_uint_eq(r.fake->sent, 64); /* then others */
	rig_settle(r.loop);
	while (rig_take(&r.rig, 1, NULL, NULL))
		n++;
	ck_assert_uint_eq(n, 256);
	ck_assert_uint_eq(r.fake->sent, 256);
	net_rig_fini(&r);
}
END_TEST

/* --- receive --------------------------------------------------------- */

START_TEST(a_frame_comes_in_behind_a_header)
{
	struct net_rig r;
	uint32_t head, len;
	const uint8_t *b;

	net_rig_start(&r, false, 0);
	net_rig_buffers(&r, 2, 1526);
	fake_net_feed(r.fake, 1, 1514);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 0, &head, &len));
	ck_assert_uint_eq(len, NET_HEADER_BYTES + 1514);
	b = net_rig_buffer(&r, head);
	ck_assert_uint_eq(get_le64(b), 0);
	ck_assert_uint_eq(get_le16(b + NET_HDR_NUM_BUFFERS), 1);
	ck_assert(b[12] == 0x40 && b[1525] == 0x40);
	ck_assert_uint_eq(net_rig_stats(&r).rx.frames, 1);
	ck_assert_uint_eq(net_rig_stats(&r).rx.bytes, 1514);
	ck_assert_uint_eq(r.rig.irqs, 1);
	net_rig_fini(&r);
}
END_TEST

START_TEST(mergeable_buffers_share_a_frame)
{
	struct net_rig r;
	uint32_t head, len, sum = 0;
	unsigned int n;

	net_rig_start(&r, false, NET_F_MRG_RXBUF);
	net_rig_buffers(&r, 10, 200);
	fake_net_feed(r.fake, 1, 1514);
	rig_settle(r.loop);
	for (n = 0; rig_take(&r.rig, 0, &head, &len); n++) {
		if (!n)
			ck_assert_uint_eq(get_le16(net_rig_buffer(&r, head) +
						   NET_HDR_NUM_BUFFERS),
					  8);
		sum += len;
	}
	ck_assert_uint_eq(n, 8);
	ck_assert_uint_eq(sum, NET_HEADER_BYTES + 1514);
	/* Two are left, that is not enough: none of them is used. */
	fake_net_feed(r.fake, 1, 1514);
	rig_settle(r.loop);
	ck_assert(!rig_take(&r.rig, 0, NULL, NULL));
	net_rig_buffers(&r, 6, 200);
	for (n = 0; rig_take(&r.rig, 0, NULL, NULL); n++)
		;
	ck_assert_uint_eq(n, 8);
	ck_assert_uint_eq(net_rig_stats(&r).rx.dropped, 0);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_frame_larger_than_its_buffer_is_dropped_and_the_next_one_comes)
{
	struct net_rig r;
	uint32_t len;

	net_rig_start(&r, false, 0);
	net_rig_buffers(&r, 1, 500);
	net_rig_buffers(&r, 1, 1526);
	fake_net_feed(r.fake, 1, 1514);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 0, NULL, &len) && len == 0);
	ck_assert_uint_eq(net_rig_stats(&r).rx.dropped, 1);
	fake_net_feed(r.fake, 1, 1514);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 0, NULL, &len) && len == 1526);
	net_rig_fini(&r);
}
END_TEST

START_TEST(tiny_and_empty_buffers_are_given_back_and_nothing_is_written)
{
	static const uint32_t sizes[] = { 0, 1, 11, 12 };
	struct net_rig r;
	uint32_t len;
	size_t i, run;

	for (run = 0; run < 2; run++)
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			net_rig_start(&r, false, run ? NET_F_MRG_RXBUF : 0);
			net_rig_buffers(&r, 63, sizes[i]);
			fake_net_feed(r.fake, 200, NET_FRAME_MAX);
			rig_settle(r.loop);
			while (rig_take(&r.rig, 0, NULL, &len))
				ck_assert_uint_eq(len, 0);
			ck_assert(!rig_is_broken(&r.rig));
			ck_assert_uint_eq(net_rig_stats(&r).rx.frames, 0);
			ck_assert_uint_gt(net_rig_stats(&r).rx.dropped +
						  (sizes[i] != 0),
					  0);
			net_rig_fini(&r);
		}
}
END_TEST

START_TEST(without_buffers_one_frame_is_kept_and_the_backend_not_read_on)
{
	struct net_rig r;
	unsigned int n;

	net_rig_start(&r, false, 0);
	fake_net_feed(r.fake, 100, 60);
	rig_settle(r.loop);
	ck_assert_uint_eq(r.fake->received, 1);
	ck_assert_uint_eq(r.fake->reads, 1);
	net_rig_buffers(&r, 10, 1526);
	for (n = 0; rig_take(&r.rig, 0, NULL, NULL); n++)
		;
	ck_assert_uint_eq(n, 10);
	ck_assert_uint_eq(r.fake->received, 11);
	net_rig_buffers(&r, 60, 1526);
	net_rig_buffers(&r, 4, 1526);
	for (; rig_take(&r.rig, 0, NULL, NULL); n++)
		;
	net_rig_buffers(&r, 60, 1526);
	for (; rig_take(&r.rig, 0, NULL, NULL); n++)
		;
	ck_assert_uint_eq(n, 100);
	ck_assert_uint_eq(net_rig_stats(&r).rx.dropped, 0);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_flood_from_outside_comes_in_turns_and_whole)
{
	struct net_rig r;
	unsigned int n;

	net_rig_init(&r, false, (struct vnet_config){ .pairs = 1 });
	rig_start(&r.rig, 0, 2, 256);
	for (n = 0; n < 4; n++)
		net_rig_buffers(&r, 50, 1526);
	r.fake->reads_ahead = true;
	fake_net_feed(r.fake, 190, 60);
	loop_step(r.loop, 0);
	ck_assert_uint_eq(r.fake->received, 64);
	rig_settle(r.loop);
	for (n = 0; rig_take(&r.rig, 0, NULL, NULL); n++)
		;
	ck_assert_uint_eq(n, 190);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_bad_receive_chain_breaks_the_card_and_a_reset_recovers_it)
{
	struct net_rig r;

	net_rig_start(&r, false, 0);
	rig_one(&r.rig, 0, RIG_RAM - 1, 1526, true);
	fake_net_feed(r.fake, 3, 60);
	rig_settle(r.loop);
	ck_assert(rig_is_broken(&r.rig));
	ck_assert_str_eq(r.rig.text, "queue 0: descriptor of 1526 bytes at "
				     "0xfffff is not RAM");
	ck_assert_uint_eq(r.fake->received, 1);
	rig_start(&r.rig, 0, 2, NET_RIG_QUEUE);
	net_rig_buffers(&r, 10, 1526);
	/* The one that waited was the old driver's. */
	ck_assert_uint_eq(r.fake->received, 3);
	ck_assert_uint_eq(net_rig_stats(&r).rx.frames, 2);
	net_rig_fini(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_frame_goes_out_as_it_is,
		frames_that_are_too_short_or_too_long_are_dropped_and_counted,
		headers_are_checked_against_frame_and_features,
		a_flood_is_served_in_turns,
		a_frame_comes_in_behind_a_header,
		mergeable_buffers_share_a_frame,
		a_frame_larger_than_its_buffer_is_dropped_and_the_next_one_comes,
		tiny_and_empty_buffers_are_given_back_and_nothing_is_written,
		without_buffers_one_frame_is_kept_and_the_backend_not_read_on,
		a_flood_from_outside_comes_in_turns_and_whole,
		a_bad_receive_chain_breaks_the_card_and_a_reset_recovers_it,
	};

	return SUITE_RUN("vnet", tests);
}
