/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of virtio devices: each at every width, what a driver may
 * not write has no effect, or breaks the device with a reason.
 */
#include "tests/unit/toy_device.h"

START_TEST(it_says_who_it_is)
{
	struct toy t;

	toy_init(&t);
	ck_assert_uint_eq(rig_read(&t.rig, 0x00), 0x74726976);
	ck_assert_uint_eq(rig_read(&t.rig, 0x04), 2);
	ck_assert_uint_eq(rig_read(&t.rig, 0x08), TOY_ID);
	ck_assert_uint_eq(rig_read(&t.rig, 0x0c), 0x52424d41);
	ck_assert_uint_eq(rig_read(&t.rig, 0x34), TOY_MAX);
	rig_write(&t.rig, 0x30, TOY_QUEUES);
	ck_assert_uint_eq(rig_read(&t.rig, 0x34), 0);
	rig_write(&t.rig, 0x30, 0xffff);
	ck_assert_uint_eq(rig_read(&t.rig, 0x34), 0);
	ck_assert_uint_eq(rig_read(&t.rig, 0x44), 0);
	toy_fini(&t);
}
END_TEST

/* Every register, at every width and alignment but its own. */
START_TEST(other_widths_and_alignments_read_as_ones_and_write_nothing)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };
	struct buf before, after;
	struct toy t;
	uint64_t offset;
	size_t i;

	toy_init(&t);
	buf_init(&before, 4096);
	buf_init(&after, 4096);
	rig_start(&t.rig, TOY_FEATURES, TOY_QUEUES, 8);
	toy_save(&t, &before);
	for (offset = 0; offset < 0x100; offset++)
		for (i = 0; i < sizeof(sizes); i++) {
			if (sizes[i] == 4 && offset % 4 == 0)
				continue;
			ck_assert_uint_eq(toy_read(&t, offset, sizes[i]),
					  UINT64_MAX);
			toy_write(&t, offset, sizes[i], 0);
			toy_write(&t, offset, sizes[i], UINT64_MAX);
		}
	toy_save(&t, &after);
	ck_assert(before.len == after.len &&
		  !memcmp(before.data, after.data, before.len));
	ck_assert_uint_eq(t.resets, 1);
	buf_fini(&before);
	buf_fini(&after);
	toy_fini(&t);
}
END_TEST

START_TEST(every_register_reads_something_and_read_only_ones_stay)
{
	static const uint32_t ro[] = {
		0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0xfc
	};
	static const uint32_t wo[] = {
		0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64,
		0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xac
	};
	static const uint32_t none[] = { 0x18, 0x1c, 0x28, 0x2c, 0x3c, 0x40,
					 0x48, 0x4c, 0x54, 0x58, 0x5c, 0x68,
					 0x6c, 0x74, 0x7c, 0xb0, 0xb4, 0xb8,
					 0xbc, 0xc0, 0xc4, 0xf8 };
	struct toy t;
	uint32_t was;
	size_t i;

	toy_init(&t);
	for (i = 0; i < sizeof(ro) / sizeof(ro[0]); i++) {
		was = rig_read(&t.rig, ro[i]);
		rig_write(&t.rig, ro[i], ~was);
		ck_assert_uint_eq(rig_read(&t.rig, ro[i]), was);
	}
	for (i = 0; i < sizeof(wo) / sizeof(wo[0]); i++)
		ck_assert_uint_eq(rig_read(&t.rig, wo[i]), 0);
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		rig_write(&t.rig, none[i], 1);
		ck_assert_msg(rig_read(&t.rig, none[i]) == UINT32_MAX,
			      "offset %#x", none[i]);
	}
	ck_assert_uint_eq(rig_status(&t.rig), 0);
	toy_fini(&t);
}
END_TEST

START_TEST(features_are_shown_in_two_halves_and_no_more)
{
	static const uint32_t beyond[] = { 2, 3, 0x8000000, 0x80000000,
					   0xffffffff };
	uint64_t offered = TOY_FEATURES | VIRTIO_F_VERSION_1 |
			   VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	struct toy t;
	size_t i;

	toy_init(&t);
	ck_assert_uint_eq(rig_features(&t.rig), offered);
	for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		rig_write(&t.rig, 0x14, beyond[i]);
		ck_assert_uint_eq(rig_read(&t.rig, 0x10), 0);
		rig_write(&t.rig, 0x24, beyond[i]);
		rig_write(&t.rig, 0x20, 0xffffffff);
		ck_assert_uint_eq(t.virtio.st.features, 0);
	}
	ck_assert(rig_negotiate(&t.rig, offered));
	rig_write(&t.rig, 0x24, 0);
	rig_write(&t.rig, 0x20, 0); /* too late */
	ck_assert_uint_eq(t.virtio.st.features, offered);
	toy_fini(&t);
}
END_TEST

START_TEST(features_that_do_not_fit_are_not_taken)
{
	struct toy t;

	toy_init(&t);
	ck_assert(!rig_negotiate(&t.rig, 0));
	ck_assert(!rig_negotiate(&t.rig, TOY_FEATURES & ~VIRTIO_F_VERSION_1));
	ck_assert(!rig_negotiate(&t.rig, VIRTIO_F_VERSION_1 | 2));
	ck_assert(!rig_negotiate(&t.rig, VIRTIO_F_VERSION_1 | 1ULL << 63));
	ck_assert(rig_negotiate(&t.rig, VIRTIO_F_VERSION_1));
	ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
	toy_fini(&t);
}
END_TEST

START_TEST(status_bits_are_only_added)
{
	struct toy t;

	toy_init(&t);
	rig_write(&t.rig, 0x70, VIRTIO_ACKNOWLEDGE);
	rig_write(&t.rig, 0x70, VIRTIO_DRIVER);
	ck_assert_uint_eq(rig_status(&t.rig), 3);
	/* The device's own bit, and bits that nobody has. */
	rig_write(&t.rig, 0x70, VIRTIO_NEEDS_RESET | 0x30);
	ck_assert_uint_eq(rig_status(&t.rig), 3);
	/* Only the low byte is a status. */
	rig_write(&t.rig, 0x70, VIRTIO_FAILED | 0xff00);
	ck_assert_uint_eq(rig_status(&t.rig), 3 | VIRTIO_FAILED);
	rig_write(&t.rig, 0x70, VIRTIO_DRIVER_OK);
	ck_assert_uint_eq(rig_status(&t.rig), 3 | VIRTIO_FAILED);
	ck_assert_uint_eq(t.activated, 0);
	rig_write(&t.rig, 0x70, 0);
	ck_assert_uint_eq(rig_status(&t.rig), 0);
	toy_fini(&t);
}
END_TEST

START_TEST(a_driver_is_ready_once_and_after_its_features)
{
	struct toy t;

	toy_init(&t);
	rig_write(&t.rig, 0x70, VIRTIO_DRIVER_OK);
	ck_assert_uint_eq(rig_status(&t.rig), 0);
	ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
	rig_driver_ok(&t.rig);
	rig_driver_ok(&t.rig);
	ck_assert_uint_eq(t.activated, 1);
	rig_write(&t.rig, 0x70, 0);
	/* FEATURES_OK and DRIVER_OK at once. */
	rig_write(&t.rig, 0x24, 1);
	rig_write(&t.rig, 0x20, 1);
	rig_write(&t.rig, 0x70, 0xf);
	ck_assert_uint_eq(rig_status(&t.rig), 0xf);
	ck_assert_uint_eq(t.activated, 2);
	toy_fini(&t);
}
END_TEST

/* Pokes all registers of queue 0; returns whether anything changed. */
static bool queue_changes(struct toy *t)
{
	static const uint32_t regs[] = { 0x38, 0x80, 0x84, 0x90,
					 0x94, 0xa0, 0xa4 };
	struct virtq_state was = t->virtio.queue[0].st, *is;
	size_t i;

	rig_write(&t->rig, 0x30, 0);
	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		rig_write(&t->rig, regs[i], 4);
	is = &t->virtio.queue[0].st;
	return is->size != was.size || is->desc != was.desc ||
	       is->avail != was.avail || is->used != was.used;
}

START_TEST(a_queue_in_use_does_not_change)
{
	struct toy t;

	toy_init(&t);
	ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
	rig_set_queue(&t.rig, 0, 8);
	ck_assert_uint_eq(rig_read(&t.rig, 0x44), 1);
	ck_assert(!queue_changes(&t)); /* ready */
	rig_driver_ok(&t.rig);
	ck_assert(!queue_changes(&t));
	rig_write(&t.rig, 0x44, 0); /* INV-1 */
	ck_assert_uint_eq(rig_read(&t.rig, 0x44), 1);
	rig_write(&t.rig, 0x30, 1);
	rig_write(&t.rig, 0x44, 1); /* a second one is late */
	ck_assert_uint_eq(rig_read(&t.rig, 0x44), 0);
	ck_assert(!rig_is_broken(&t.rig));

	ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
	rig_set_queue(&t.rig, 0, 8);
	rig_write(&t.rig, 0x44, 0);
	ck_assert_uint_eq(rig_read(&t.rig, 0x44), 0);
	ck_assert(queue_changes(&t));
	toy_fini(&t);
}
END_TEST

START_TEST(sizes_that_can_not_be_are_ignored)
{
	static const uint32_t bad[] = { 0,  3,	   5,	      17,
					32, 65535, 65536 + 8, 0xffffffff };
	struct toy t;
	size_t i;

	toy_init(&t);
	rig_write(&t.rig, 0x38, 4);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_write(&t.rig, 0x38, bad[i]);
		ck_assert_uint_eq(t.virtio.queue[0].st.size, 4);
	}
	rig_write(&t.rig, 0x38, TOY_MAX);
	ck_assert_uint_eq(t.virtio.queue[0].st.size, TOY_MAX);
	toy_fini(&t);
}
END_TEST

START_TEST(a_queue_that_can_not_be_breaks_the_device_with_a_reason)
{
	static const struct {
		uint32_t reg, value;
		const char *says;
	} bad[] = {
		{ 0x80, 8, "queue 1: descriptor table at 0x8 is not aligned" },
		{ 0x84, 7, "queue 1: descriptor table at 0x700014000" },
		{ 0x90, 1, "queue 1: driver area at 0x1 is not aligned" },
		{ 0x94, 0xffffffff, "queue 1: driver area at 0xffffffff0001" },
		{ 0xa0, 2, "queue 1: device area at 0x2 is not aligned" },
		{ 0xa0, RIG_RAM - 4, "queue 1: device area at 0xffffc, " },
	};
	struct toy t;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		toy_init(&t);
		ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
		rig_set_queue(&t.rig, 1, 8);
		rig_write(&t.rig, 0x44, 0);
		rig_write(&t.rig, bad[i].reg, bad[i].value);
		rig_write(&t.rig, 0x44, 1);
		ck_assert(rig_is_broken(&t.rig));
		ck_assert_uint_eq(rig_read(&t.rig, 0x44), 0);
		ck_assert_uint_eq(t.rig.events, 1);
		ck_assert(t.rig.event == DEVICE_BROKEN);
		ck_assert_msg(strstr(t.rig.text, bad[i].says), "%s",
			      t.rig.text);
		toy_fini(&t);
	}
	toy_init(&t);
	ck_assert(rig_negotiate(&t.rig, TOY_FEATURES));
	rig_write(&t.rig, 0x44, 1);
	ck_assert_str_eq(t.rig.text, "queue 0: queue size 0");
	toy_fini(&t);
}
END_TEST

START_TEST(the_configuration_has_its_bytes_and_no_others)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };
	static const uint64_t far[] = { 0x1000,		0xfffffff8,
					0xffffffff,	UINT32_MAX - 0x100u,
					UINT64_MAX - 7, UINT64_MAX };
	struct toy t;
	uint64_t o;
	size_t i, n;

	toy_init(&t);
	for (o = 0; o <= TOY_CONFIG + 9; o++)
		for (i = 0; i < sizeof(sizes); i++) {
			uint8_t size = sizes[i];
			uint64_t want = UINT64_MAX;

			if (o + size <= TOY_CONFIG)
				want = bytes_get(t.config + o, size);
			else
				toy_write(&t, 0x100 + o, size, 0);
			ck_assert_uint_eq(toy_read(&t, 0x100 + o, size), want);
		}
	for (n = 0; n < sizeof(far) / sizeof(far[0]); n++)
		for (i = 0; i < sizeof(sizes); i++) {
			ck_assert_uint_eq(toy_read(&t, far[n], sizes[i]),
					  UINT64_MAX);
			toy_write(&t, far[n], sizes[i], 0);
		}
	ck_assert(!memcmp(t.config, "\x11\x22\x33\x44\x55\x66\x77\x88", 8));
	toy_write(&t, 0x104, 2, 0xabcd);
	ck_assert_uint_eq(toy_read(&t, 0x104, 4), 0x8877abcd);
	toy_fini(&t);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		it_says_who_it_is,
		other_widths_and_alignments_read_as_ones_and_write_nothing,
		every_register_reads_something_and_read_only_ones_stay,
		features_are_shown_in_two_halves_and_no_more,
		features_that_do_not_fit_are_not_taken,
		status_bits_are_only_added,
		a_driver_is_ready_once_and_after_its_features,
		a_queue_in_use_does_not_change,
		sizes_that_can_not_be_are_ignored,
		a_queue_that_can_not_be_breaks_the_device_with_a_reason,
		the_configuration_has_its_bytes_and_no_others,
	};

	return SUITE_RUN("virtio_mmio", tests);
}
