/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy device: requests of any shape are answered with what fits,
 * limits hold and lapse, a flood takes turns with others.
 */
#include "base/clock.h"
#include "devices/vrng.h"
#include "tests/unit/suite.h"
#include "tests/unit/virtio_rig.h"

struct rng_rig {
	struct rig rig;
	struct loop *loop;
	struct vrng *rng;
};

static void rng_init(struct rng_rig *r, uint64_t bytes_per_s)
{
	struct vrng_config c = { .bytes_per_s = bytes_per_s };

	rig_init(&r->rig);
	ck_assert_int_eq(loop_create(&r->loop, NULL), 0);
	c.virtio = rig_config(&r->rig, "rng0");
	c.loop = r->loop;
	ck_assert_int_eq(vrng_create(&r->rng, &c, NULL), 0);
	r->rig.device = &vrng_virtio(r->rng)->device;
	rig_start(&r->rig, 0, 1, 64);
}

static void rng_fini(struct rng_rig *r)
{
	vrng_destroy(r->rng);
	loop_destroy(r->loop);
	rig_fini(&r->rig);
}

static uint32_t answered(struct rng_rig *r)
{
	uint32_t len;

	rig_serve(&r->rig, 0, r->loop);
	ck_assert(rig_take(&r->rig, 0, NULL, &len));
	return len;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	while (len)
		if (bytes[--len])
			return false;
	return true;
}

START_TEST(it_is_an_entropy_device_without_configuration)
{
	struct rng_rig r;

	rng_init(&r, 0);
	ck_assert_uint_eq(rig_read(&r.rig, 0x08), 4);
	ck_assert_uint_eq(rig_read(&r.rig, 0x100), UINT32_MAX);
	rng_fini(&r);
	vrng_destroy(NULL);
}
END_TEST

START_TEST(a_request_is_filled_over_its_pieces)
{
	const struct rig_piece pieces[] = { { RIG_DATA, 4, false },
					    { RIG_DATA + 0x100, 30, true },
					    { RIG_HIGH, 0, true },
					    { RIG_HIGH, 34, true } };
	struct rng_rig r;

	rng_init(&r, 0);
	rig_chain(&r.rig, 0, pieces, 4);
	ck_assert_uint_eq(answered(&r), 64);
	ck_assert(!is_zero(r.rig.ram + RIG_DATA + 0x100, 30));
	ck_assert(!is_zero(r.rig.high, 34));
	ck_assert(is_zero(r.rig.ram + RIG_DATA, 4));
	ck_assert(is_zero(r.rig.ram + RIG_DATA + 0x100 + 30, 100));
	ck_assert(is_zero(r.rig.high + 34, 100));
	ck_assert_uint_eq(vrng_bytes(r.rng), 64);
	ck_assert_uint_eq(r.rig.irqs, 1);
	rng_fini(&r);
}
END_TEST

START_TEST(a_large_request_is_answered_in_part_a_useless_one_with_nothing)
{
	struct rng_rig r;

	rng_init(&r, 0);
	rig_one(&r.rig, 0, RIG_DATA, RIG_RAM - RIG_DATA, true);
	ck_assert_uint_eq(answered(&r), 4096);
	rig_one(&r.rig, 0, RIG_DATA, 64, false);
	ck_assert_uint_eq(answered(&r), 0);
	rig_one(&r.rig, 0, RIG_DATA, 0, true);
	ck_assert_uint_eq(answered(&r), 0);
	ck_assert(!rig_is_broken(&r.rig));
	rng_fini(&r);
}
END_TEST

START_TEST(a_full_ring_is_served_in_rounds)
{
	struct rng_rig r;
	int i;

	rng_init(&r, 0);
	for (i = 0; i < 64; i++)
		rig_one(&r.rig, 0, RIG_DATA, 8, true);
	rig_kick(&r.rig, 0);
	loop_step(r.loop, 0);
	for (i = 0; rig_take(&r.rig, 0, NULL, NULL); i++)
		;
	ck_assert_int_eq(i, 16); /* then others get their turn */
	rig_settle(r.loop);
	for (; rig_take(&r.rig, 0, NULL, NULL); i++)
		;
	ck_assert_int_eq(i, 64);
	rng_fini(&r);
}
END_TEST

START_TEST(a_limit_delays_and_then_goes_on_by_itself)
{
	struct rng_rig r;
	uint64_t began;
	int i;

	rng_init(&r, 100000); /* a burst of 10,000 */
	began = clock_mono_ns();
	for (i = 0; i < 5; i++)
		rig_one(&r.rig, 0, RIG_DATA, 4096, true);
	rig_serve(&r.rig, 0, r.loop);
	for (i = 0; rig_take(&r.rig, 0, NULL, NULL); i++)
		;
	ck_assert_int_eq(i, 3);
	while (i < 5) {
		ck_assert_int_eq(loop_step(r.loop, 1000), 0);
		for (; rig_take(&r.rig, 0, NULL, NULL); i++)
			;
	}
	/* The fifth when the debt of the first four is paid: 6,384 bytes. */
	ck_assert_uint_ge(clock_mono_ns() - began, 60 * NS_PER_MS);
	rng_fini(&r);
}
END_TEST

START_TEST(a_paused_or_broken_device_gives_nothing)
{
	struct device *d;
	struct rng_rig r;

	rng_init(&r, 0);
	d = r.rig.device;
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	rig_one(&r.rig, 0, RIG_DATA, 64, true);
	rig_serve(&r.rig, 0, r.loop);
	ck_assert(!rig_take(&r.rig, 0, NULL, NULL));
	d->ops->resume(d);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 0, NULL, NULL));
	rig_one(&r.rig, 0, RIG_RAM - 1, 2, true);
	rig_one(&r.rig, 0, RIG_DATA, 64, true);
	rig_serve(&r.rig, 0, r.loop);
	ck_assert(rig_is_broken(&r.rig));
	ck_assert_str_eq(
		r.rig.text,
		"queue 0: descriptor of 2 bytes at 0xfffff is not RAM");
	ck_assert(!rig_take(&r.rig, 0, NULL, NULL));
	ck_assert_uint_eq(vrng_bytes(r.rng), 64);
	rng_fini(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		it_is_an_entropy_device_without_configuration,
		a_request_is_filled_over_its_pieces,
		a_large_request_is_answered_in_part_a_useless_one_with_nothing,
		a_full_ring_is_served_in_rounds,
		a_limit_delays_and_then_goes_on_by_itself,
		a_paused_or_broken_device_gives_nothing,
	};

	return SUITE_RUN("vrng", tests);
}
