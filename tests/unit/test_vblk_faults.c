/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device when the host fails, pauses, resets: nothing that was
 * acknowledged is missing, nothing is done twice, nothing hangs.
 */
#include "devices/vblk_private.h"
#include "tests/unit/vblk_rig.h"

#define IN    0
#define OUT   1
#define FLUSH 4

static struct blk_rig b;

static uint8_t file_byte(uint64_t offset)
{
	uint8_t byte;

	ck_assert_int_eq(pread(b.fd, &byte, 1, (off_t)offset), 1);
	return byte;
}

static unsigned int offer_write(uint64_t sector, uint8_t byte)
{
	memset(blk_data(&b, b.next), byte, BLK_DATA);
	return blk_offer(&b, OUT, sector, BLK_DATA);
}

static void pause_now(void)
{
	struct device *d = b.rig.device;

	while (!d->ops->quiesce(d, NULL, NULL))
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
}

static void resume_now(void)
{
	b.rig.device->ops->resume(b.rig.device);
}

START_TEST(a_full_disk_pauses_and_the_very_request_is_tried_again)
{
	static const int errors[] = { ENOSPC, EIO, EDQUOT };
	struct vblk_stats s;
	unsigned int n;
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
		fault_set(&b.fault, FAULT_WRITE, errors[i], FAULT_ALWAYS);
		n = offer_write(8, 'n');
		rig_kick(&b.rig, 0);
		BLK_UNTIL(atomic_load(&b.rig.io_errors));
		ck_assert_ptr_nonnull(
			strstr(b.rig.text, "write of 4096 bytes at 4096"));
		ck_assert_uint_eq(*blk_status(&b, n), BLK_PENDING);
		pause_now();
		vblk_get_stats(b.blk, &s);
		ck_assert(s.held == 1 && s.in_flight == 0 && s.errors == 1);

		/* Not cured yet: the same again. */
		resume_now();
		BLK_UNTIL(atomic_load(&b.rig.io_errors) == 2);
		pause_now();
		fault_set(&b.fault, FAULT_WRITE, 0, 0);
		resume_now();
		blk_wait(&b, 1);
		ck_assert_uint_eq(*blk_status(&b, n), 0);
		ck_assert_uint_eq(file_byte(4096), 'n');
		blk_close(&b);
	}
}
END_TEST

START_TEST(while_a_request_is_held_nothing_is_begun)
{
	unsigned int i, calls;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	fault_set(&b.fault, FAULT_WRITE, ENOSPC, FAULT_ALWAYS);
	offer_write(0, 'a');
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors));
	calls = atomic_load(&b.fault.calls[FAULT_READ]);
	for (i = 0; i < 10; i++)
		blk_offer(&b, IN, 0, 512);
	rig_kick(&b.rig, 0);
	pause_now();
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_READ]), calls);
	fault_set(&b.fault, FAULT_WRITE, 0, 0);
	resume_now();
	blk_wait(&b, 11);
	blk_close(&b);
}
END_TEST

START_TEST(by_policy_the_guest_is_told)
{
	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC,
					    .on_error = VBLK_REPORT });
	fault_set(&b.fault, FAULT_READ, EIO, 1);
	ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 1);
	ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 0);
	ck_assert_int_eq(b.rig.event, DEVICE_IO_FAILED);
	blk_close(&b);
}
END_TEST

/* What the thread waits with turns into something that can't be waited for. */
START_TEST(a_queue_that_fails_stops_the_vm_and_says_so)
{
	static const enum ioq_engine engines[] = { IOQ_SYNC, IOQ_URING };
	int wake, directory = open("/", O_RDONLY | O_DIRECTORY);
	uint64_t one = 1;
	size_t i;

	ck_assert_int_ge(directory, 0);
	for (i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		if (engines[i] == IOQ_URING && ioq_available(NULL))
			continue;
		blk_open(&b, &(struct blk_options){ .engine = engines[i] });
		ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 0);
		wake = dup(b.blk->host.wake_fd);
		ck_assert_int_ge(dup2(directory, b.blk->host.wake_fd), 0);
		ck_assert_int_eq(write(wake, &one, sizeof(one)), sizeof(one));
		BLK_UNTIL(atomic_load(&b.rig.events));
		ck_assert_int_eq(b.rig.event, DEVICE_IO_STOP);
		ck_assert_ptr_nonnull(strstr(b.rig.text, "queue"));
		close(wake);
		blk_close(&b);
	}
	close(directory);
}
END_TEST

START_TEST(a_guest_that_is_told_makes_one_event_a_second)
{
	struct vblk_stats s;
	unsigned int i;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC,
					    .on_error = VBLK_REPORT });
	fault_set(&b.fault, FAULT_READ, EIO, FAULT_ALWAYS);
	for (i = 0; i < 50; i++)
		ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 1);
	ck_assert_uint_le(atomic_load(&b.rig.events), 2);
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_eq(s.errors, 50);
	blk_close(&b);
}
END_TEST

START_TEST(interruptions_and_short_transfers_are_nobody_s_business)
{
	static const int errors[] = { EINTR, EAGAIN, FAULT_SHORT };
	unsigned int n;
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
		fault_set(&b.fault, FAULT_WRITE, errors[i], 5);
		fault_set(&b.fault, FAULT_READ, errors[i], 5);
		memset(blk_data(&b, b.next), 's', BLK_DATA);
		ck_assert_uint_eq(blk_do(&b, OUT, 16, BLK_DATA), 0);
		ck_assert_uint_eq(file_byte(8192), 's');
		ck_assert_uint_eq(file_byte(8192 + BLK_DATA - 1), 's');
		n = b.next;
		ck_assert_uint_eq(blk_do(&b, IN, 16, BLK_DATA), 0);
		ck_assert_uint_eq(blk_data(&b, n)[BLK_DATA - 1], 's');
		ck_assert_uint_eq(atomic_load(&b.rig.events), 0);
		blk_close(&b);
	}
}
END_TEST

START_TEST(a_failed_flush_is_never_cured_by_the_next_one)
{
	struct err e = ERR_NONE;
	unsigned int n, m;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	fault_set(&b.fault, FAULT_SYNC, EIO, 1);
	n = blk_offer(&b, FLUSH, 0, 0);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors) == 1);
	pause_now();
	ck_assert_int_eq(vblk_may_resume(b.blk, false, &e), -EIO);
	ck_assert_ptr_nonnull(strstr(e.text, "a flush failed"));

	/* Also who resumes all the same gets no success. */
	resume_now();
	BLK_UNTIL(atomic_load(&b.rig.io_errors) == 2);
	pause_now();
	ck_assert_uint_eq(*blk_status(&b, n), BLK_PENDING);
	m = offer_write(0, 'w');

	ck_assert_int_eq(vblk_may_resume(b.blk, true, &e), 0);
	rig_kick(&b.rig, 0);
	resume_now();
	blk_wait(&b, 2);
	ck_assert_uint_eq(*blk_status(&b, n), 0);
	ck_assert_uint_eq(*blk_status(&b, m), 0);
	blk_close(&b);
}
END_TEST

/* No request is held that would bring the news. */
START_TEST(a_verified_disk_is_asked_about_once)
{
	struct vblk_stats s;
	struct err e = ERR_NONE;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC,
					    .on_error = VBLK_REPORT });
	fault_set(&b.fault, FAULT_SYNC, EIO, 1);
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 1);
	do
		vblk_get_stats(b.blk, &s);
	while (!s.is_poisoned);
	pause_now();
	ck_assert_int_eq(vblk_may_resume(b.blk, false, &e), -EIO);
	ck_assert_int_eq(vblk_may_resume(b.blk, true, &e), 0);
	resume_now();
	pause_now();
	ck_assert_int_eq(vblk_may_resume(b.blk, false, &e), 0);
	resume_now();
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	blk_close(&b);
}
END_TEST

START_TEST(what_is_durable_is_not_flushed_again)
{
	unsigned int i;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	/* What somebody left unsynced before counts. */
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), 1);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
		ck_assert_uint_eq(blk_do(&b, IN, 0, BLK_DATA), 0);
	}
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), 1);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(blk_do(&b, OUT, 0, BLK_DATA), 0);
		ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
		ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]),
				  2 + i);
	}
	blk_close(&b);
}
END_TEST

START_TEST(a_write_during_a_flush_waits_for_the_next_one)
{
	unsigned int n, m;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	pthread_mutex_lock(&b.fault.gate);
	n = offer_write(0, 'u');
	m = blk_offer(&b, FLUSH, 0, 0);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.fault.calls[FAULT_WRITE]));
	pthread_mutex_unlock(&b.fault.gate);
	blk_wait(&b, 2);
	ck_assert(!*blk_status(&b, n) && !*blk_status(&b, m));
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	n = atomic_load(&b.fault.calls[FAULT_SYNC]);
	ck_assert_uint_eq(blk_do(&b, OUT, 0, BLK_DATA), 0);
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), n + 1);
	blk_close(&b);
}
END_TEST

START_TEST(without_flush_every_write_is_durable)
{
	blk_open(&b,
		 &(struct blk_options){ .engine = IOQ_SYNC, .no_flush = true });
	ck_assert_uint_eq(blk_do(&b, OUT, 0, BLK_DATA), 0);
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), 1);
	blk_close(&b);

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC,
					    .cache = DISK_WRITETHROUGH });
	ck_assert_uint_eq(rig_features(&b.rig) & BLK_FLUSH, 0);
	ck_assert_uint_eq(blk_do(&b, OUT, 0, BLK_DATA), 0);
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), 1);
	blk_close(&b);
}
END_TEST

START_TEST(the_driver_may_switch_to_writethrough)
{
	const uint64_t wce = 1ULL << 11;

	blk_open(&b,
		 &(struct blk_options){ .engine = IOQ_SYNC, .features = wce });
	ck_assert_uint_eq(
		b.rig.device->ops->read(b.rig.device, 0, 0x100 + 32, 1), 1);
	ck_assert_uint_eq(blk_do(&b, OUT, 0, BLK_DATA), 0);
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), 0);
	b.rig.device->ops->write(b.rig.device, 0, 0x100 + 32, 1, 0);
	ck_assert_uint_eq(blk_do(&b, OUT, 0, BLK_DATA), 0);
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_SYNC]), 1);
	blk_close(&b);
}
END_TEST

static atomic_uint quiet_calls;

static void on_quiet(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&quiet_calls, 1);
}

START_TEST(a_pause_waits_for_what_is_in_flight)
{
	struct device *d;
	unsigned int n;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	d = b.rig.device;
	atomic_store(&quiet_calls, 0);
	pthread_mutex_lock(&b.fault.gate);
	n = offer_write(0, 'q');
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.fault.calls[FAULT_WRITE]));
	ck_assert(!d->ops->quiesce(d, on_quiet, NULL));
	ck_assert_uint_eq(atomic_load(&quiet_calls), 0);
	pthread_mutex_unlock(&b.fault.gate);
	BLK_UNTIL(atomic_load(&quiet_calls) == 1);
	ck_assert_uint_eq(*blk_status(&b, n), 0);
	ck_assert_uint_eq(file_byte(0), 'q');

	/* A kick meanwhile is not lost. */
	n = offer_write(8, 'r');
	rig_kick(&b.rig, 0);
	nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	ck_assert_uint_eq(*blk_status(&b, n), BLK_PENDING);
	d->ops->resume(d);
	blk_wait(&b, 2);
	ck_assert_uint_eq(*blk_status(&b, n), 0);
	blk_close(&b);
}
END_TEST

static void *reset_thread(void *arg)
{
	struct blk_rig *r = arg;

	rig_write(&r->rig, 0x70, 0);
	return NULL;
}

/*
 * The same 400 KiB again and again in one request, 200 of them: 2 GiB that
 * a pause would have to wait for.
 */
START_TEST(what_a_pause_waits_for_is_bounded)
{
	struct rig_piece piece[64];
	struct vblk_stats s;
	unsigned int i, n;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	put_le32(b.rig.ram + blk_gpa(0), OUT);
	put_le32(b.rig.ram + blk_gpa(0) + 4, 0);
	put_le64(b.rig.ram + blk_gpa(0) + 8, 0);
	piece[0] = (struct rig_piece){ blk_gpa(0), 16, false };
	for (n = 1; n < 8; n++)
		piece[n] = (struct rig_piece){ RIG_DATA + 0x1000, 400 << 10,
					       false };
	piece[n++] = (struct rig_piece){ blk_gpa(0) + 16, 1, true };
	pthread_mutex_lock(&b.fault.gate);
	for (i = 0; i < 28; i++)
		rig_chain(&b.rig, 0, piece, n);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.fault.calls[FAULT_WRITE]));
	nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_le(s.in_flight * (7ull * 400 << 10), 35u << 20);
	pthread_mutex_unlock(&b.fault.gate);
	blk_wait(&b, 28);
	ck_assert_uint_eq(*blk_status(&b, 0), 0);
	blk_close(&b);
}
END_TEST

START_TEST(a_reset_waits_for_what_is_in_flight)
{
	struct vblk_stats s;
	pthread_t thread;
	unsigned int i;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	pthread_mutex_lock(&b.fault.gate);
	for (i = 0; i < 60; i++)
		offer_write(8 * (i % 60), 'x');
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.fault.calls[FAULT_WRITE]));
	/* The socket's thread is answered, and told since when. */
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_gt(s.in_flight, 0);
	ck_assert_uint_ne(s.oldest_ns, 0);
	pthread_create(&thread, NULL, reset_thread, &b);
	nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	pthread_mutex_unlock(&b.fault.gate);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(rig_status(&b.rig), 0);
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_eq(s.in_flight, 0);

	rig_start(&b.rig, BLK_FLUSH, 1, 256);
	b.next = b.answers = 0;
	ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 0);
	blk_close(&b);
}
END_TEST

START_TEST(a_reset_drops_what_is_held)
{
	struct vblk_stats s;

	blk_open(&b, &(struct blk_options){ .engine = IOQ_SYNC });
	fault_set(&b.fault, FAULT_WRITE, ENOSPC, 1);
	offer_write(0, 'h');
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors));
	rig_start(&b.rig, BLK_FLUSH, 1, 256);
	b.next = b.answers = 0;
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_eq(s.held, 0);
	ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 0);
	ck_assert_uint_eq(file_byte(0), 'p');
	blk_close(&b);
}
END_TEST

START_TEST(held_requests_are_saved_and_done_once_after_a_restore)
{
	struct blk_options o = { .engine = IOQ_SYNC };
	struct device *d;
	struct state_io io;
	struct err e = ERR_NONE;
	struct buf bytes;
	unsigned int n;

	blk_open(&b, &o);
	fault_set(&b.fault, FAULT_WRITE, ENOSPC, FAULT_ALWAYS);
	n = offer_write(8, 'k');
	offer_write(24, 'l');
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.io_errors));
	pause_now();
	buf_init(&bytes, 1 << 16);
	d = b.rig.device;
	state_save(&io, d->ops->name, &bytes);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, &e), 0);
	vblk_destroy(b.blk);

	fault_set(&b.fault, FAULT_WRITE, 0, 0);
	b.fault.calls[FAULT_WRITE] = 0;
	blk_make(&b, &o);
	d = b.rig.device;
	state_load(&io, d->ops->name, bytes.data, bytes.len);
	d->ops->sync(d, &io);
	ck_assert_msg(!state_end(&io, &e), "%s", e.text);
	ck_assert_msg(!d->ops->validate(d, &e), "%s", e.text);
	ck_assert_msg(!d->ops->restored(d, &e), "%s", e.text);
	ck_assert_int_eq(vblk_start(b.blk, NULL), 0);
	ck_assert_uint_eq(*blk_status(&b, n), BLK_PENDING);
	d->ops->resume(d);
	blk_wait(&b, 2);
	ck_assert_uint_eq(*blk_status(&b, n), 0);
	ck_assert(file_byte(4096) == 'k' && file_byte(24 * 512) == 'l');
	ck_assert_uint_eq(atomic_load(&b.fault.calls[FAULT_WRITE]), 2);
	buf_fini(&bytes);
	blk_close(&b);
}
END_TEST

/* Every operation x every error x once or always, by a few requests. */
START_TEST(no_fault_makes_a_false_acknowledgement)
{
	static const int errors[] = { EIO,    ENOSPC, EINTR,
				      EAGAIN, EDQUOT, FAULT_SHORT };
	unsigned int op, i, times, n, k;

	for (op = 0; op < FAULT_CALLS; op++)
		for (i = 0; i < 6; i++)
			for (times = 0; times < 2; times++) {
				bool transient = errors[i] == EINTR ||
						 errors[i] == EAGAIN;

				/* EAGAIN for ever ends as an error; slow. */
				if (transient && times)
					continue;
				blk_open(&b, &(struct blk_options){
						     .engine = IOQ_SYNC,
						     .on_error = VBLK_REPORT });
				fault_set(&b.fault, op, errors[i],
					  times ? FAULT_ALWAYS : 1);
				for (k = 0; k < 4; k++) {
					n = offer_write(8 * k,
							(uint8_t)('A' + k));
					rig_kick(&b.rig, 0);
					blk_wait(&b, b.answers + 1);
					if (!*blk_status(&b, n))
						ck_assert_uint_eq(
							file_byte(4096 * k +
								  4095),
							'A' + k);
					n = b.next;
					if (!blk_do(&b, IN, 8 * k, BLK_DATA))
						ck_assert_uint_eq(
							blk_data(&b, n)[4095],
							file_byte(4096 * k +
								  4095));
					if (!blk_do(&b, FLUSH, 0, 0) &&
					    op == FAULT_SYNC &&
					    errors[i] != FAULT_SHORT)
						ck_assert(transient);
				}
				blk_close(&b);
			}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_full_disk_pauses_and_the_very_request_is_tried_again,
		while_a_request_is_held_nothing_is_begun,
		by_policy_the_guest_is_told,
		a_queue_that_fails_stops_the_vm_and_says_so,
		a_guest_that_is_told_makes_one_event_a_second,
		interruptions_and_short_transfers_are_nobody_s_business,
		a_failed_flush_is_never_cured_by_the_next_one,
		a_verified_disk_is_asked_about_once,
		what_is_durable_is_not_flushed_again,
		a_write_during_a_flush_waits_for_the_next_one,
		without_flush_every_write_is_durable,
		the_driver_may_switch_to_writethrough,
		a_pause_waits_for_what_is_in_flight,
		what_a_pause_waits_for_is_bounded,
		a_reset_waits_for_what_is_in_flight,
		a_reset_drops_what_is_held,
		held_requests_are_saved_and_done_once_after_a_restore,
		no_fault_makes_a_false_acknowledgement,
	};

	return SUITE_RUN("vblk_faults", tests);
}
