/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The balloon: pages that the guest gives up are given back in runs, only
 * whole pages of RAM are, reports and statistics are taken, and a guest
 * that breaks the rules breaks its device only.
 */
#include "devices/vballoon.h"
#include "tests/unit/suite.h"
#include "tests/unit/virtio_rig.h"

#define F_STATS	    (1ULL << 1)
#define F_REPORTING (1ULL << 5)
#define PAGE	    VBALLOON_PAGE_BYTES
#define DISCARDS    4096

struct balloon_rig {
	struct rig rig;
	struct loop *loop;
	struct vballoon *balloon;
	unsigned int discards, quiets;
	bool pauses; /* a pause begins while pages are given back */
	struct {
		uint64_t gpa, bytes;
	} discard[DISCARDS];
};

static void on_quiet(void *ctx)
{
	*(unsigned int *)ctx += 1;
}

static void on_discard(void *ctx, void *host, uint64_t bytes)
{
	struct balloon_rig *r = ctx;
	pthread_mutex_t *lock = &vballoon_virtio(r->balloon)->lock.mutex;
	uint8_t *p = host;
	bool is_high = p >= r->rig.high && p < r->rig.high + RIG_HIGH_RAM;
	uint64_t gpa = is_high ? RIG_HIGH + (uint64_t)(p - r->rig.high)
			       : (uint64_t)(p - r->rig.ram);

	/* It takes its time: the registers and a pause must not wait for it. */
	ck_assert_int_eq(pthread_mutex_trylock(lock), 0);
	pthread_mutex_unlock(lock);
	ck_assert(gpa % PAGE == 0 && bytes % PAGE == 0 && bytes);
	ck_assert_ptr_nonnull(gmem_slice(&r->rig.mem, gpa, bytes));
	ck_assert_uint_lt(r->discards, DISCARDS);
	r->discard[r->discards].gpa = gpa;
	r->discard[r->discards++].bytes = bytes;
	if (r->pauses)
		ck_assert(!r->rig.device->ops->quiesce(r->rig.device, on_quiet,
						       &r->quiets));
}

static void balloon_init(struct balloon_rig *r, uint64_t features)
{
	struct vballoon_config c = { .discard = on_discard, .ctx = r };

	memset(r, 0, sizeof(*r));
	rig_init(&r->rig);
	ck_assert_int_eq(loop_create(&r->loop, NULL), 0);
	c.virtio = rig_config(&r->rig, "balloon0");
	c.loop = r->loop;
	ck_assert_int_eq(vballoon_create(&r->balloon, &c, NULL), 0);
	r->rig.device = &vballoon_virtio(r->balloon)->device;
	rig_start(&r->rig, features, 4, 16);
}

static void balloon_fini(struct balloon_rig *r)
{
	vballoon_destroy(r->balloon);
	loop_destroy(r->loop);
	rig_fini(&r->rig);
}

/* Offers page numbers to the inflate (0) or deflate (1) queue. */
static void give(struct balloon_rig *r, unsigned int q, const uint32_t *page,
		 unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		put_le32(r->rig.ram + RIG_DATA + 4 * i, page[i]);
	rig_one(&r->rig, q, RIG_DATA, 4 * n, false);
	rig_serve(&r->rig, q, r->loop);
}

static void gave_back(struct balloon_rig *r, unsigned int n, uint64_t gpa,
		      uint64_t pages)
{
	ck_assert_uint_lt(n, r->discards);
	ck_assert_uint_eq(r->discard[n].gpa, gpa);
	ck_assert_uint_eq(r->discard[n].bytes, pages * PAGE);
}

START_TEST(neighbours_go_together)
{
	static const uint32_t pages[] = { 3, 4, 5, 7, 9, 8, 0x100000 };
	struct balloon_rig r;

	balloon_init(&r, 0);
	give(&r, 0, pages, 7);
	ck_assert(rig_take(&r.rig, 0, NULL, NULL));
	ck_assert_uint_eq(r.discards, 5);
	gave_back(&r, 0, 3 * PAGE, 3);
	gave_back(&r, 1, 7 * PAGE, 1);
	gave_back(&r, 2, 9 * PAGE, 1);
	gave_back(&r, 3, 8 * PAGE, 1);
	gave_back(&r, 4, RIG_HIGH, 1);
	/* To deflate is to touch the page: there is nothing to do. */
	give(&r, 1, pages, 7);
	ck_assert(rig_take(&r.rig, 1, NULL, NULL));
	ck_assert_uint_eq(r.discards, 5);
	balloon_fini(&r);
}
END_TEST

START_TEST(pages_that_are_not_ram_are_left_out_and_spoil_no_others)
{
	static const uint32_t bad[] = { RIG_RAM / PAGE, 0xd0000, 0xffffffff,
					0xfffff, 0x100010 };
	static const uint32_t over[] = { RIG_RAM / PAGE - 2, RIG_RAM / PAGE - 1,
					 RIG_RAM / PAGE, RIG_RAM / PAGE + 1 };
	static const uint32_t into[] = { 0xfffff, 0x100000, 0x100001 };
	struct balloon_rig r;

	balloon_init(&r, 0);
	give(&r, 0, bad, 5);
	ck_assert(rig_take(&r.rig, 0, NULL, NULL));
	ck_assert_uint_eq(r.discards, 0);
	give(&r, 0, over, 4);
	ck_assert_uint_eq(r.discards, 2);
	gave_back(&r, 0, RIG_RAM - 2 * PAGE, 1);
	gave_back(&r, 1, RIG_RAM - PAGE, 1);
	give(&r, 0, into, 3);
	ck_assert_uint_eq(r.discards, 4);
	gave_back(&r, 3, RIG_HIGH + PAGE, 1);
	ck_assert(!rig_is_broken(&r.rig));
	balloon_fini(&r);
}
END_TEST

START_TEST(a_list_is_as_long_as_it_may_be_and_odd_bytes_are_nothing)
{
	struct balloon_rig r;

	balloon_init(&r, 0);
	/* All zero: page 0, over and over. */
	rig_one(&r.rig, 0, RIG_DATA, 3, false);
	rig_one(&r.rig, 0, RIG_DATA, 0, false);
	rig_one(&r.rig, 0, RIG_DATA, 64, true);
	rig_serve(&r.rig, 0, r.loop);
	ck_assert_uint_eq(r.discards, 0);
	rig_one(&r.rig, 0, RIG_DATA, 7, false);
	rig_serve(&r.rig, 0, r.loop);
	ck_assert_uint_eq(r.discards, 1);
	ck_assert(!rig_is_broken(&r.rig));
	rig_one(&r.rig, 0, RIG_DATA, 65537, false);
	rig_serve(&r.rig, 0, r.loop);
	ck_assert(rig_is_broken(&r.rig));
	ck_assert_str_eq(r.rig.text, "queue 0: too many page numbers");
	balloon_fini(&r);
}
END_TEST

START_TEST(reported_pages_are_given_back_whole)
{
	const struct rig_piece pieces[] = {
		{ RIG_DATA, 2 * PAGE, true },
		{ RIG_DATA + 3 * PAGE + 1, 2 * PAGE, true },
		{ RIG_DATA + 8 * PAGE - 1, PAGE, true },
		{ RIG_HIGH, PAGE, true },
	};
	struct vballoon_stats s;
	struct balloon_rig r;

	balloon_init(&r, F_STATS | F_REPORTING);
	rig_chain(&r.rig, 3, pieces, 4);
	rig_serve(&r.rig, 3, r.loop);
	ck_assert(rig_take(&r.rig, 3, NULL, NULL));
	ck_assert_uint_eq(r.discards, 3);
	gave_back(&r, 0, RIG_DATA, 2);
	gave_back(&r, 1, RIG_DATA + 4 * PAGE, 1);
	gave_back(&r, 2, RIG_HIGH, 1);
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.reported_bytes, 4 * PAGE);
	balloon_fini(&r);

	/* Without statistics the queue is the third. */
	balloon_init(&r, F_REPORTING);
	rig_one(&r.rig, 2, RIG_DATA, PAGE, true);
	rig_serve(&r.rig, 2, r.loop);
	ck_assert_uint_eq(r.discards, 1);
	balloon_fini(&r);

	/* Nobody negotiated it: nothing is reported. */
	balloon_init(&r, 0);
	rig_one(&r.rig, 2, RIG_DATA, PAGE, true);
	rig_serve(&r.rig, 2, r.loop);
	ck_assert_uint_eq(r.discards, 0);
	balloon_fini(&r);
}
END_TEST

static void put_stat(struct balloon_rig *r, unsigned int at, uint16_t tag,
		     uint64_t value)
{
	put_le16(r->rig.ram + RIG_DATA + 10 * at, tag);
	put_le64(r->rig.ram + RIG_DATA + 10 * at + 2, value);
}

START_TEST(statistics_are_asked_for_when_somebody_asks)
{
	struct vballoon_stats s;
	struct balloon_rig r;

	balloon_init(&r, F_STATS);
	put_stat(&r, 0, VBALLOON_FREE, 111);
	put_stat(&r, 1, VBALLOON_TOTAL, 222);
	put_stat(&r, 2, 0xffff, 333);		 /* unknown */
	rig_one(&r.rig, 2, RIG_DATA, 35, false); /* half a one at the end */
	rig_serve(&r.rig, 2, r.loop);
	ck_assert(!rig_take(&r.rig, 2, NULL, NULL)); /* INV-2 */
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.has_stat,
			  1u << VBALLOON_FREE | 1u << VBALLOON_TOTAL);
	ck_assert_uint_eq(s.stat[VBALLOON_FREE], 111);
	ck_assert(s.has_driver);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 2, NULL, NULL)); /* fill it anew */
	put_stat(&r, 0, VBALLOON_FREE, 99);
	rig_one(&r.rig, 2, RIG_DATA, 10, false);
	rig_serve(&r.rig, 2, r.loop);
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.stat[VBALLOON_FREE], 99);
	balloon_fini(&r);
}
END_TEST

START_TEST(a_second_buffer_for_statistics_breaks_it)
{
	struct balloon_rig r;

	balloon_init(&r, F_STATS);
	rig_one(&r.rig, 2, RIG_DATA, 10, false);
	rig_one(&r.rig, 2, RIG_DATA, 10, false);
	rig_serve(&r.rig, 2, r.loop);
	ck_assert(rig_is_broken(&r.rig));
	ck_assert_str_eq(r.rig.text, "queue 2: a second buffer for statistics");
	balloon_fini(&r);
}
END_TEST

START_TEST(a_target_is_told_and_an_answer_is_heard)
{
	struct vballoon_stats s;
	struct balloon_rig r;

	balloon_init(&r, 0);
	vballoon_set_target(r.balloon, 100);
	ck_assert_uint_eq(rig_read(&r.rig, 0x60), VIRTIO_ISR_CONFIG);
	ck_assert_uint_eq(rig_read(&r.rig, 0x100), 100);
	vballoon_set_target(r.balloon, 100); /* nothing new */
	ck_assert_uint_eq(r.rig.irqs, 1);
	rig_write(&r.rig, 0x104, 60);
	rig_write(&r.rig, 0x100, 7); /* not the guest's */
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.target_pages, 100);
	ck_assert_uint_eq(s.actual_pages, 60);
	/* The target is the host's: it outlives the guest's reset. */
	rig_write(&r.rig, 0x70, 0);
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.target_pages, 100);
	ck_assert_uint_eq(s.actual_pages, 0);
	ck_assert(!s.has_driver && !s.has_stat);
	balloon_fini(&r);
}
END_TEST

/* A pause that meets them is told when they are given back. */
static void set_target(void *ctx)
{
	vballoon_set_target(((struct balloon_rig *)ctx)->balloon, 7);
}

START_TEST(a_target_that_comes_during_a_reload_is_not_lost)
{
	struct vballoon_stats s;
	struct balloon_rig r;

	balloon_init(&r, 0);
	vballoon_set_target(r.balloon, 3);
	rig_write(&r.rig, 0x64, 3);
	rig_reload(&r.rig, set_target, &r);
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.target_pages, 7);
	ck_assert_uint_eq(rig_read(&r.rig, 0x60) & VIRTIO_ISR_CONFIG,
			  VIRTIO_ISR_CONFIG);
	rig_reload(&r.rig, NULL, NULL);
	vballoon_get_stats(r.balloon, &s);
	ck_assert_uint_eq(s.target_pages, 7);
	balloon_fini(&r);
}
END_TEST

START_TEST(a_pause_waits_for_the_pages_that_are_under_way)
{
	static const uint32_t pages[] = { 1 };
	struct balloon_rig r;

	balloon_init(&r, 0);
	r.pauses = true;
	give(&r, 0, pages, 1);
	ck_assert_uint_eq(r.discards, 1);
	ck_assert_uint_eq(r.quiets, 1);
	ck_assert(rig_take(&r.rig, 0, NULL, NULL));
	give(&r, 0, pages, 1);
	ck_assert_uint_eq(r.discards, 1);
	balloon_fini(&r);
}
END_TEST

START_TEST(a_quiet_balloon_gives_nothing_back)
{
	static const uint32_t pages[] = { 1, 2 };
	struct device *d;
	struct balloon_rig r;

	balloon_init(&r, 0);
	d = r.rig.device;
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	give(&r, 0, pages, 2);
	ck_assert_uint_eq(r.discards, 0);
	d->ops->resume(d);
	rig_settle(r.loop);
	ck_assert_uint_eq(r.discards, 1);
	balloon_fini(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		neighbours_go_together,
		pages_that_are_not_ram_are_left_out_and_spoil_no_others,
		a_list_is_as_long_as_it_may_be_and_odd_bytes_are_nothing,
		reported_pages_are_given_back_whole,
		statistics_are_asked_for_when_somebody_asks,
		a_second_buffer_for_statistics_breaks_it,
		a_target_is_told_and_an_answer_is_heard,
		a_target_that_comes_during_a_reload_is_not_lost,
		a_pause_waits_for_the_pages_that_are_under_way,
		a_quiet_balloon_gives_nothing_back,
	};

	return SUITE_RUN("vballoon", tests);
}
