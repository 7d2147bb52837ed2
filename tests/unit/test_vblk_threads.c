/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device among threads: requests in flight while another thread
 * pauses, resumes, changes limits, looks, and resets. Made for the thread
 * sanitizer; the promises hold without it, too.
 */
#include "tests/unit/vblk_rig.h"

#define IN	  0
#define OUT	  1
#define IN_FLIGHT 60
#define ROUNDS	  150

static struct blk_rig b;
static _Atomic bool is_over;

/* What the socket's thread and the loop's thread do, without end. */
static void *disturb(void *arg)
{
	struct device *d = b.rig.device;
	struct vblk_stats s;
	struct buf text;
	unsigned int i = 0;

	(void)arg;
	buf_init(&text, 1 << 16);
	while (!atomic_load(&is_over)) {
		i++;
		vblk_set_limits(b.blk, i % 3 ? 0 : 64 << 20, i % 5 ? 0 : 50000);
		vblk_get_stats(b.blk, &s);
		buf_reset(&text);
		d->ops->describe(d, &text);
		d->ops->read(d, 0, 0x70, 4);
		d->ops->read(d, 0, 0x100, 8);
		if (i % 2) {
			while (!d->ops->quiesce(d, NULL, NULL) &&
			       !atomic_load(&is_over))
				nanosleep(&(struct timespec){ 0, 20000 }, NULL);
			vblk_get_stats(b.blk, &s);
			d->ops->resume(d);
		}
	}
	d->ops->resume(d);
	vblk_set_limits(b.blk, 0, 0);
	buf_fini(&text);
	return NULL;
}

static void offer_many(void)
{
	unsigned int i;

	for (i = 0; i < IN_FLIGHT; i++) {
		memset(blk_data(&b, b.next), 'a' + (int)(i % 26), BLK_DATA);
		blk_offer(&b, i % 3 ? OUT : IN, 8 * (i % 50), BLK_DATA);
	}
	rig_kick(&b.rig, 0);
}

static void storm(enum ioq_engine engine, bool with_resets)
{
	pthread_t thread;
	unsigned int i, k;

	blk_open(&b, &(struct blk_options){ .engine = engine });
	atomic_store(&is_over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, disturb, NULL), 0);
	for (i = 0; i < ROUNDS; i++) {
		offer_many();
		if (with_resets && i % 3 == 0) {
			rig_start(&b.rig, BLK_FLUSH, 1, 256);
			b.answers = b.next = 0;
			continue;
		}
		blk_wait(&b, b.answers + IN_FLIGHT);
		for (k = 0; k < IN_FLIGHT; k++)
			ck_assert_uint_eq(*blk_status(&b, b.next - 1 - k), 0);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	blk_close(&b);
}

START_TEST(requests_survive_pauses_and_changing_limits)
{
	storm(IOQ_SYNC, false);
	storm(IOQ_URING, false);
}
END_TEST

START_TEST(resets_with_requests_in_flight_are_clean)
{
	storm(IOQ_SYNC, true);
	storm(IOQ_URING, true);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		requests_survive_pauses_and_changing_limits,
		resets_with_requests_in_flight_are_clean,
	};

	return SUITE_RUN("vblk_threads", tests);
}
