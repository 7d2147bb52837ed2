/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker of split rings: what a driver may do is served, what it may
 * not is refused with a reason, in bounded time.
 */
#include <stdio.h>

#include "tests/unit/suite.h"
#include "tests/unit/virtio_rig.h"

#define SIZE 8

struct ring {
	struct rig rig;
	struct virtq q;
	struct virtq_chain chain;
	struct err e;
};

/* A started queue 0 over the rig's memory, without a device. */
static void ring_init(struct ring *r, bool indirect, bool event_idx)
{
	rig_init(&r->rig);
	virtq_reset(&r->q);
	r->e = (struct err)ERR_NONE;
	r->q.st = (struct virtq_state){ .size = SIZE,
					.ready = true,
					.desc = rig_desc(0),
					.avail = rig_avail(0),
					.used = rig_used(0) };
	r->rig.queue[0].size = SIZE;
	ck_assert_int_eq(
		virtq_start(&r->q, &r->rig.mem, indirect, event_idx, &r->e), 0);
}

static void ring_fini(struct ring *r)
{
	rig_fini(&r->rig);
}

static int pop(struct ring *r)
{
	return virtq_pop(&r->q, &r->chain, &r->e);
}

static void desc(struct ring *r, uint16_t n, uint64_t gpa, uint32_t len,
		 uint16_t flags, uint16_t next)
{
	rig_put_desc(&r->rig, rig_desc(0), n, gpa, len, flags, next);
}

/* Head 0 is offered and must be refused with these words. */
static void refused(struct ring *r, const char *words)
{
	rig_offer(&r->rig, 0, 0);
	ck_assert_int_eq(pop(r), -EBADMSG);
	ck_assert_msg(strstr(r->e.text, words), "'%s' lacks '%s'", r->e.text,
		      words);
}

START_TEST(a_chain_is_handed_out_with_its_bytes)
{
	const struct rig_piece pieces[] = { { RIG_DATA, 16, false },
					    { RIG_DATA + 64, 100, false },
					    { RIG_HIGH, 512, true },
					    { RIG_DATA + 512, 1, true } };
	uint8_t flat[200];
	struct ring r;

	ring_init(&r, false, false);
	ck_assert_int_eq(pop(&r), 0);
	memset(r.rig.ram + RIG_DATA, 'h', 16);
	memset(r.rig.ram + RIG_DATA + 64, 'd', 100);
	rig_chain(&r.rig, 0, pieces, 4);
	ck_assert_int_eq(pop(&r), 1);
	ck_assert_uint_eq(r.chain.reads, 2);
	ck_assert_uint_eq(r.chain.writes, 2);
	ck_assert_uint_eq(r.chain.read_bytes, 116);
	ck_assert_uint_eq(r.chain.write_bytes, 513);
	ck_assert_ptr_eq(r.chain.iov[2].iov_base, r.rig.high);
	ck_assert_uint_eq(virtq_copy_out(&r.chain, 8, flat, 200), 108);
	ck_assert(flat[7] == 'h' && flat[8] == 'd' && flat[107] == 'd');
	ck_assert_uint_eq(virtq_copy_in(&r.chain, 511, "ab", 2), 2);
	ck_assert(r.rig.high[511] == 'a' && r.rig.ram[RIG_DATA + 512] == 'b');
	ck_assert_int_eq(pop(&r), 0);
	virtq_push(&r.q, r.chain.head, 513);
	ck_assert(virtq_wants_irq(&r.q));
	ck_assert(!virtq_wants_irq(&r.q));
	ring_fini(&r);
}
END_TEST

START_TEST(indices_wrap)
{
	const struct rig_piece piece = { RIG_DATA, 4, true };
	uint32_t head, len;
	struct ring r;
	int i;

	ring_init(&r, false, false);
	for (i = 0; i < 70000; i++) {
		uint16_t offered = rig_chain(&r.rig, 0, &piece, 1);

		ck_assert_int_eq(pop(&r), 1);
		virtq_push(&r.q, r.chain.head, 4);
		ck_assert(rig_take(&r.rig, 0, &head, &len));
		ck_assert(head == offered && len == 4);
	}
	ring_fini(&r);
}
END_TEST

START_TEST(loops_end_within_the_queue_s_size)
{
	struct ring r;

	ring_init(&r, false, false);
	desc(&r, 0, RIG_DATA, 4, RIG_NEXT, 0);
	refused(&r, "more than 8 descriptors");
	ring_fini(&r);

	ring_init(&r, false, false);
	desc(&r, 0, RIG_DATA, 4, RIG_NEXT, 1);
	desc(&r, 1, RIG_DATA, 4, RIG_NEXT, 0);
	refused(&r, "more than 8 descriptors");
	ring_fini(&r);

	/* Pieces of no length are steps, too. */
	ring_init(&r, true, false);
	desc(&r, 0, RIG_DATA, 32, RIG_INDIRECT, 0);
	rig_put_desc(&r.rig, RIG_DATA, 0, 0, 0, RIG_NEXT, 1);
	rig_put_desc(&r.rig, RIG_DATA, 1, 0, 0, RIG_NEXT, 0);
	refused(&r, "more than 8 descriptors");
	ring_fini(&r);
}
END_TEST

START_TEST(indices_beyond_the_table_are_refused)
{
	struct ring r;

	ring_init(&r, false, false);
	rig_offer(&r.rig, 0, SIZE);
	ck_assert_int_eq(pop(&r), -EBADMSG);
	ck_assert_str_eq(r.e.text, "head 8 (queue size 8)");
	ring_fini(&r);

	ring_init(&r, false, false);
	desc(&r, 0, RIG_DATA, 4, RIG_NEXT, 0xffff);
	refused(&r, "next 65535 is beyond a table of 8");
	ring_fini(&r);

	ring_init(&r, true, false);
	desc(&r, 0, RIG_DATA, 16, RIG_INDIRECT, 0);
	rig_put_desc(&r.rig, RIG_DATA, 0, RIG_DATA, 4, RIG_NEXT, 1);
	refused(&r, "next 1 is beyond a table of 1");
	ring_fini(&r);
}
END_TEST

START_TEST(bad_indirect_tables_are_refused)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
		uint64_t gpa;
		const char *words;
	} bad[] = {
		{ 0, RIG_INDIRECT, RIG_DATA, "indirect table of 0 bytes" },
		{ 15, RIG_INDIRECT, RIG_DATA, "indirect table of 15 bytes" },
		{ 24, RIG_INDIRECT, RIG_DATA, "indirect table of 24 bytes" },
		{ 144, RIG_INDIRECT, RIG_DATA, "indirect table of 144 bytes" },
		{ 0xfffffff0, RIG_INDIRECT, RIG_DATA, "indirect table of" },
		{ 16, RIG_INDIRECT | RIG_NEXT, RIG_DATA, "INDIRECT and NEXT" },
		{ 32, RIG_INDIRECT, RIG_RAM - 16, "is not RAM" },
		{ 16, RIG_INDIRECT, UINT64_MAX - 7, "is not RAM" },
	};
	struct ring r;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ring_init(&r, true, false);
		desc(&r, 0, bad[i].gpa, bad[i].len, bad[i].flags, 1);
		refused(&r, bad[i].words);
		ring_fini(&r);
	}
	ring_init(&r, true, false);
	desc(&r, 0, RIG_DATA, 16, RIG_INDIRECT, 0);
	rig_put_desc(&r.rig, RIG_DATA, 0, RIG_DATA, 16, RIG_INDIRECT, 0);
	refused(&r, "nested");
	ring_fini(&r);
	ring_init(&r, false, false);
	desc(&r, 0, RIG_DATA, 16, RIG_INDIRECT, 0);
	refused(&r, "not negotiated");
	ring_fini(&r);
}
END_TEST

START_TEST(an_indirect_table_is_walked_also_behind_direct_ones)
{
	struct ring r;

	ring_init(&r, true, false);
	desc(&r, 0, RIG_DATA, 8, RIG_NEXT, 3);
	/* Its alignment is nobody's promise (2.7.5.3). */
	desc(&r, 3, RIG_DATA + 0x101, 32, RIG_INDIRECT, 0);
	rig_put_desc(&r.rig, RIG_DATA + 0x101, 0, RIG_DATA, 4, RIG_NEXT, 1);
	rig_put_desc(&r.rig, RIG_DATA + 0x101, 1, RIG_DATA, 6, RIG_WRITE, 0);
	rig_offer(&r.rig, 0, 0);
	ck_assert_int_eq(pop(&r), 1);
	ck_assert_uint_eq(r.chain.read_bytes, 12);
	ck_assert_uint_eq(r.chain.write_bytes, 6);
	ring_fini(&r);
}
END_TEST

START_TEST(only_ram_is_handed_out)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{ UINT64_MAX, 2 },
		{ UINT64_MAX - 1, 0xffffffff },
		{ RIG_RAM - 4, 5 },
		{ RIG_RAM, 1 },
		{ 0xd0000000, 4 },
		{ RIG_HIGH - 1, 2 },
		{ RIG_HIGH + RIG_HIGH_RAM - 1, 2 },
	};
	struct ring r;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ring_init(&r, false, false);
		desc(&r, 0, bad[i].gpa, bad[i].len, RIG_WRITE, 0);
		refused(&r, "is not RAM");
		ring_fini(&r);
	}
	ring_init(&r, false, false);
	desc(&r, 0, RIG_RAM - 4, 4, 0, 0);
	rig_offer(&r.rig, 0, 0);
	ck_assert_int_eq(pop(&r), 1);
	ring_fini(&r);
}
END_TEST

START_TEST(readable_comes_before_writable)
{
	struct ring r;

	ring_init(&r, false, false);
	desc(&r, 0, RIG_DATA, 4, RIG_WRITE | RIG_NEXT, 1);
	desc(&r, 1, RIG_DATA, 4, 0, 0);
	refused(&r, "readable descriptor follows");
	ring_fini(&r);
}
END_TEST

START_TEST(empty_pieces_are_left_out)
{
	struct ring r;

	ring_init(&r, false, false);
	desc(&r, 0, UINT64_MAX, 0, RIG_NEXT, 1);
	desc(&r, 1, RIG_DATA, 4, RIG_NEXT, 2);
	desc(&r, 2, 0xd0000000, 0, RIG_WRITE, 0);
	rig_offer(&r.rig, 0, 0);
	ck_assert_int_eq(pop(&r), 1);
	ck_assert(r.chain.reads == 1 && r.chain.writes == 0);
	ck_assert_uint_eq(r.chain.iov[0].iov_len, 4);
	ring_fini(&r);
}
END_TEST

START_TEST(avail_idx_may_not_jump_or_go_back)
{
	static const uint16_t jumps[] = { SIZE + 1, 100, 0xffff, 0x8000 };
	struct ring r;
	size_t i;

	for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		ring_init(&r, false, false);
		put_le16(r.rig.ram + rig_avail(0) + 2, jumps[i]);
		ck_assert_int_eq(pop(&r), -EBADMSG);
		ck_assert(strstr(r.e.text, "avail.idx went from 0 to"));
		ring_fini(&r);
	}
}
END_TEST

START_TEST(a_head_in_flight_can_not_be_offered_again)
{
	struct ring r;

	ring_init(&r, false, false);
	desc(&r, 3, RIG_DATA, 4, 0, 0);
	rig_offer(&r.rig, 0, 3);
	rig_offer(&r.rig, 0, 3);
	ck_assert_int_eq(pop(&r), 1);
	ck_assert_int_eq(pop(&r), -EBADMSG);
	ck_assert_str_eq(r.e.text, "head 3 is in flight already");
	ring_fini(&r);

	ring_init(&r, false, false);
	desc(&r, 3, RIG_DATA, 4, 0, 0);
	rig_offer(&r.rig, 0, 3);
	rig_offer(&r.rig, 0, 3);
	ck_assert_int_eq(pop(&r), 1);
	virtq_push(&r.q, 3, 0);
	ck_assert_int_eq(pop(&r), 1);
	ring_fini(&r);
}
END_TEST

START_TEST(queues_that_can_not_be_are_not_started)
{
	static const struct {
		struct virtq_state st;
		const char *words;
	} bad[] = {
		{ { .size = 0 }, "queue size 0" },
		{ { .size = 3 }, "queue size 3" },
		{ { .size = 512 }, "queue size 512" },
		{ { .size = 8, .desc = 8 }, "descriptor table at 0x8 is not" },
		{ { .size = 8, .avail = 1 }, "driver area at 0x1 is not" },
		{ { .size = 8, .used = 2 }, "device area at 0x2 is not" },
		{ { .size = 8, .desc = RIG_RAM - 64 }, "not RAM" },
		{ { .size = 8, .avail = RIG_RAM - 20 }, "not RAM" },
		{ { .size = 8, .used = UINT64_MAX - 3 }, "not RAM" },
	};
	struct err e = ERR_NONE;
	struct virtq q;
	struct rig rig;
	size_t i;

	rig_init(&rig);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		virtq_reset(&q);
		q.st = bad[i].st;
		ck_assert_int_lt(virtq_start(&q, &rig.mem, true, true, &e), 0);
		ck_assert_msg(strstr(e.text, bad[i].words), "%s", e.text);
		ck_assert(!virtq_is_started(&q));
	}
	rig_fini(&rig);
}
END_TEST

START_TEST(with_event_idx_the_driver_is_told_when_it_asked)
{
	const struct rig_piece piece = { RIG_DATA, 4, true };
	uint8_t *used_event;
	struct ring r;
	int i;

	ring_init(&r, false, true);
	used_event = r.rig.ram + rig_avail(0) + 4 + 2 * SIZE;
	put_le16(used_event, 2); /* after the third */
	for (i = 0; i < 5; i++) {
		rig_chain(&r.rig, 0, &piece, 1);
		ck_assert_int_eq(pop(&r), 1);
		virtq_push(&r.q, r.chain.head, 0);
		ck_assert_int_eq(virtq_wants_irq(&r.q), i == 2);
	}
	/* Several at once count as one step that passes the event. */
	put_le16(used_event, 5);
	for (i = 0; i < 3; i++) {
		rig_chain(&r.rig, 0, &piece, 1);
		ck_assert_int_eq(pop(&r), 1);
		virtq_push(&r.q, r.chain.head, 0);
	}
	ck_assert(virtq_wants_irq(&r.q));
	ring_fini(&r);
}
END_TEST

START_TEST(kicks_are_asked_for_when_the_ring_is_empty)
{
	const struct rig_piece piece = { RIG_DATA, 4, true };
	uint8_t *used, *avail_event;
	struct ring r;

	ring_init(&r, false, true);
	avail_event = r.rig.ram + rig_used(0) + 4 + 8 * SIZE;
	rig_chain(&r.rig, 0, &piece, 1);
	ck_assert(virtq_enable_kicks(&r.q));
	ck_assert_int_eq(pop(&r), 1);
	ck_assert(!virtq_enable_kicks(&r.q));
	ck_assert_uint_eq(get_le16(avail_event), 1);
	ring_fini(&r);

	ring_init(&r, false, false);
	used = r.rig.ram + rig_used(0);
	virtq_disable_kicks(&r.q);
	ck_assert_uint_eq(get_le16(used), 1);
	ck_assert(!virtq_enable_kicks(&r.q));
	ck_assert_uint_eq(get_le16(used), 0);
	put_le16(r.rig.ram + rig_avail(0), 1); /* NO_INTERRUPT */
	rig_chain(&r.rig, 0, &piece, 1);
	ck_assert_int_eq(pop(&r), 1);
	virtq_push(&r.q, r.chain.head, 0);
	ck_assert(!virtq_wants_irq(&r.q));
	ring_fini(&r);
}
END_TEST

START_TEST(impossible_saved_states_are_refused)
{
	static const struct {
		struct virtq_state st;
		const char *words;
	} bad[] = {
		{ { .size = 3 }, "queue size 3" },
		{ { .size = 512 }, "queue size 512 (limit 256)" },
		{ { .ready = true }, "ready queue of size 0" },
		{ { .size = 8, .next_avail = 9 }, "9 chains taken" },
		{ { .size = 8, .used_idx = 1 }, "0 chains taken, 1 given" },
	};
	struct err e = ERR_NONE;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(virtq_validate(&bad[i].st, 256, &e), -EINVAL);
		ck_assert_msg(strstr(e.text, bad[i].words), "%s", e.text);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_chain_is_handed_out_with_its_bytes,
		indices_wrap,
		loops_end_within_the_queue_s_size,
		indices_beyond_the_table_are_refused,
		bad_indirect_tables_are_refused,
		an_indirect_table_is_walked_also_behind_direct_ones,
		only_ram_is_handed_out,
		readable_comes_before_writable,
		empty_pieces_are_left_out,
		avail_idx_may_not_jump_or_go_back,
		a_head_in_flight_can_not_be_offered_again,
		queues_that_can_not_be_are_not_started,
		with_event_idx_the_driver_is_told_when_it_asked,
		kicks_are_asked_for_when_the_ring_is_empty,
		impossible_saved_states_are_refused,
	};

	return SUITE_RUN("virtq", tests);
}
