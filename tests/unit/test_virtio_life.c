/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of virtio devices: broken until a reset, as new after it, quiet
 * between quiesce and resume; interrupts and kicks.
 */
#include "tests/unit/toy_device.h"

START_TEST(a_broken_device_does_nothing_until_it_is_reset)
{
	struct toy t;

	toy_init(&t);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	rig_offer(&t.rig, 0, 8);
	rig_serve(&t.rig, 0, t.loop);
	ck_assert(rig_is_broken(&t.rig));
	ck_assert_str_eq(t.rig.text, "queue 0: head 8 (queue size 8)");
	/* The driver hears of it by a change of the configuration. */
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), VIRTIO_ISR_CONFIG);
	rig_one(&t.rig, 1, RIG_DATA, 4, false);
	rig_serve(&t.rig, 1, t.loop);
	ck_assert(!rig_take(&t.rig, 1, NULL, NULL));
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	rig_one(&t.rig, 1, RIG_DATA, 4, false);
	rig_serve(&t.rig, 1, t.loop);
	ck_assert(rig_take(&t.rig, 1, NULL, NULL));
	toy_fini(&t);
}
END_TEST

/* Its edge may not have reached the interrupt controller that was saved. */
START_TEST(an_interrupt_that_was_not_taken_is_raised_again_when_restored)
{
	struct err e = ERR_NONE;
	struct toy t;

	toy_init(&t);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	rig_one(&t.rig, 0, RIG_DATA, 4, false);
	rig_serve(&t.rig, 0, t.loop);
	ck_assert_uint_eq(t.rig.irqs, 1);
	ck_assert_int_eq(virtio_restored(&t.virtio.device, &e), 0);
	ck_assert_uint_eq(t.rig.irqs, 2);
	rig_write(&t.rig, 0x64, VIRTIO_ISR_QUEUE);
	ck_assert_int_eq(virtio_restored(&t.virtio.device, &e), 0);
	ck_assert_uint_eq(t.rig.irqs, 2);
	toy_fini(&t);
}
END_TEST

START_TEST(a_driver_that_breaks_it_again_and_again_is_one_event)
{
	struct toy t;
	int i;

	toy_init(&t);
	for (i = 0; i < 1000; i++) {
		ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
		rig_write(&t.rig, 0x44, 1);
		ck_assert(rig_is_broken(&t.rig));
		rig_write(&t.rig, 0x44, 1);
	}
	ck_assert_uint_eq(t.rig.events, 1);
	ck_assert_uint_eq(t.virtio.counters.broken, 1000);
	t.virtio.host.broken_event_ns = 1; /* long ago */
	ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
	rig_write(&t.rig, 0x44, 1);
	ck_assert_uint_eq(t.rig.events, 2);
	toy_fini(&t);
}
END_TEST

START_TEST(interrupts_are_acknowledged_bit_by_bit)
{
	struct toy t;

	toy_init(&t);
	lock_take(&t.virtio.lock);
	virtio_config_changed(&t.virtio); /* nobody to tell */
	lock_release(&t.virtio.lock);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), 0);
	ck_assert_uint_eq(rig_read(&t.rig, 0xfc), 1);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	rig_one(&t.rig, 0, RIG_DATA, 4, false);
	rig_serve(&t.rig, 0, t.loop);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), VIRTIO_ISR_QUEUE);
	lock_take(&t.virtio.lock);
	virtio_config_changed(&t.virtio);
	lock_release(&t.virtio.lock);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), 3);
	ck_assert_uint_eq(t.rig.irqs, 2);
	rig_write(&t.rig, 0x64, 0xfffffffc);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), 3);
	rig_write(&t.rig, 0x64, VIRTIO_ISR_QUEUE);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), VIRTIO_ISR_CONFIG);
	rig_write(&t.rig, 0x60, 0xff);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), VIRTIO_ISR_CONFIG);
	rig_write(&t.rig, 0x64, 0xffffffff);
	ck_assert_uint_eq(rig_read(&t.rig, 0x60), 0);
	toy_fini(&t);
}
END_TEST

START_TEST(kicks_of_queues_that_are_not_there_are_ignored)
{
	struct toy t;

	toy_init(&t);
	rig_start(&t.rig, TOY_FEATURES, 1, 8); /* the other isn't started */
	rig_kick(&t.rig, TOY_QUEUES);
	rig_kick(&t.rig, 0xffff);
	rig_kick(&t.rig, 0xffffffff);
	rig_serve(&t.rig, 1, t.loop);
	ck_assert(!rig_is_broken(&t.rig));
	toy_fini(&t);
}
END_TEST

START_TEST(a_reset_gives_the_power_on_values)
{
	struct buf idle, now;
	struct toy t;

	toy_init(&t);
	buf_init(&idle, 4096);
	buf_init(&now, 4096);
	toy_save(&t, &idle);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	rig_one(&t.rig, 0, RIG_DATA, 4, false);
	rig_serve(&t.rig, 0, t.loop);
	rig_write(&t.rig, 0x14, 1);
	rig_write(&t.rig, 0x30, 1);
	rig_write(&t.rig, 0x70, 0);
	toy_save(&t, &now);
	ck_assert(idle.len == now.len && !memcmp(idle.data, now.data, now.len));
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	virtio_reset(&t.virtio.device); /* the machine's */
	toy_save(&t, &now);
	ck_assert(idle.len == now.len && !memcmp(idle.data, now.data, now.len));
	buf_fini(&idle);
	buf_fini(&now);
	toy_fini(&t);
}
END_TEST

static void on_quiet(void *ctx)
{
	((struct toy *)ctx)->quiet++;
}

START_TEST(nothing_begins_while_it_is_quiet_and_kicks_are_made_up)
{
	struct toy t;

	toy_init(&t);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	rig_settle(t.loop);
	ck_assert(virtio_quiesce(&t.virtio.device, on_quiet, &t));
	rig_one(&t.rig, 0, RIG_DATA, 4, false);
	rig_serve(&t.rig, 0, t.loop);
	ck_assert(!rig_take(&t.rig, 0, NULL, NULL));
	virtio_resume(&t.virtio.device);
	ck_assert_uint_eq(t.resumed, 1);
	rig_settle(t.loop);
	ck_assert(rig_take(&t.rig, 0, NULL, NULL));
	ck_assert_uint_eq(t.quiet, 0);
	toy_fini(&t);
}
END_TEST

START_TEST(quiet_is_told_once_when_nothing_is_in_flight)
{
	struct toy t;
	struct virtio *v = &t.virtio;

	toy_init(&t);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	lock_take(&v->lock);
	virtio_begin(v);
	virtio_begin(v);
	lock_release(&v->lock);
	ck_assert(!virtio_quiesce(&v->device, on_quiet, &t));
	lock_take(&v->lock);
	virtio_end(v);
	ck_assert_uint_eq(t.quiet, 0);
	virtio_end(v);
	ck_assert_uint_eq(t.quiet, 1);
	lock_release(&v->lock);
	ck_assert(virtio_quiesce(&v->device, on_quiet, &t));
	/* Resumed before it was quiet: nobody waits any more. */
	virtio_resume(&v->device);
	lock_take(&v->lock);
	virtio_begin(v);
	lock_release(&v->lock);
	ck_assert(!virtio_quiesce(&v->device, on_quiet, &t));
	virtio_resume(&v->device);
	lock_take(&v->lock);
	virtio_end(v);
	lock_release(&v->lock);
	ck_assert_uint_eq(t.quiet, 1);
	toy_fini(&t);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_broken_device_does_nothing_until_it_is_reset,
		an_interrupt_that_was_not_taken_is_raised_again_when_restored,
		a_driver_that_breaks_it_again_and_again_is_one_event,
		interrupts_are_acknowledged_bit_by_bit,
		kicks_of_queues_that_are_not_there_are_ignored,
		a_reset_gives_the_power_on_values,
		nothing_begins_while_it_is_quiet_and_kicks_are_made_up,
		quiet_is_told_once_when_nothing_is_in_flight,
	};

	return SUITE_RUN("virtio_life", tests);
}
