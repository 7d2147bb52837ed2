/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device: what a driver may ask for is done, what it may not is
 * answered or breaks the device, and with both engines.
 */
#include "base/clock.h"
#include "tests/unit/vblk_rig.h"

#define IN	     0
#define OUT	     1
#define FLUSH	     4
#define GET_ID	     8
#define DISCARD	     11
#define WRITE_ZEROES 13

static const enum ioq_engine engines[] = { IOQ_SYNC, IOQ_URING };
static struct blk_rig b;

static bool file_has(uint64_t offset, uint8_t byte, size_t bytes)
{
	uint8_t found[8192];
	size_t i;

	ck_assert_int_eq(pread(b.fd, found, bytes, (off_t)offset), bytes);
	for (i = 0; i < bytes; i++)
		if (found[i] != byte)
			return false;
	return true;
}

START_TEST(what_is_written_is_in_the_file_and_read_back)
{
	uint8_t bytes[BLK_DATA];
	unsigned int n, k;

	for (k = 0; k < 2; k++) {
		blk_open(&b, &(struct blk_options){ .engine = engines[k] });
		n = b.next;
		memset(blk_data(&b, n), 'w', BLK_DATA);
		ck_assert_uint_eq(blk_do(&b, OUT, 100, BLK_DATA), 0);
		ck_assert(file_has(51200, 'w', BLK_DATA));
		n = b.next;
		ck_assert_uint_eq(blk_do(&b, IN, 100, BLK_DATA), 0);
		memset(bytes, 'w', BLK_DATA);
		ck_assert(!memcmp(blk_data(&b, n), bytes, BLK_DATA));
		ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
		blk_close(&b);
	}
}
END_TEST

START_TEST(the_answer_tells_how_many_bytes_were_written)
{
	uint32_t head, len;

	blk_open(&b, &(struct blk_options){ 0 });
	blk_offer(&b, IN, 0, BLK_DATA);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(rig_take(&b.rig, 0, &head, &len));
	ck_assert_uint_eq(len, BLK_DATA + 1);
	blk_offer(&b, OUT, 0, BLK_DATA);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(rig_take(&b.rig, 0, &head, &len));
	ck_assert_uint_eq(len, 1);
	blk_close(&b);
}
END_TEST

START_TEST(the_serial_is_told)
{
	unsigned int n;

	blk_open(&b, &(struct blk_options){ 0 });
	n = b.next;
	ck_assert_uint_eq(blk_do(&b, GET_ID, 0, 20), 0);
	ck_assert_str_eq((char *)blk_data(&b, n), "SERIAL");
	ck_assert_uint_eq(blk_do(&b, GET_ID, 0, 19), 1);
	blk_close(&b);
}
END_TEST

static uint8_t range(uint32_t type, uint64_t sector, uint32_t sectors,
		     uint32_t flags, uint32_t bytes)
{
	uint8_t *data = blk_data(&b, b.next);

	put_le64(data, sector);
	put_le32(data + 8, sectors);
	put_le32(data + 12, flags);
	return blk_do(&b, type, 0, bytes);
}

START_TEST(discards_and_zeroes_leave_zeroes)
{
	unsigned int k;

	for (k = 0; k < 2; k++) {
		blk_open(&b, &(struct blk_options){ .engine = engines[k] });
		ck_assert_uint_eq(range(DISCARD, 8, 8, 0, 16), 0);
		ck_assert(file_has(4096, 0, 4096));
		ck_assert_uint_eq(range(WRITE_ZEROES, 16, 3, 0, 16), 0);
		ck_assert(file_has(8192, 0, 1536));
		ck_assert(file_has(8192 + 1536, 'p', 512));
		ck_assert_uint_eq(range(WRITE_ZEROES, 24, 8, 1, 16), 0);
		ck_assert(file_has(12288, 0, 4096));
		ck_assert(file_has(0, 'p', 4096));
		blk_close(&b);
	}
}
END_TEST

START_TEST(several_ranges_are_done_one_after_the_other)
{
	uint8_t *data;
	unsigned int i;

	blk_open(&b, &(struct blk_options){ 0 });
	data = blk_data(&b, b.next);
	for (i = 0; i < 16; i++) {
		put_le64(data + 16 * i, 2 * i);
		put_le32(data + 16 * i + 8, i == 3 ? 0 : 1);
		put_le32(data + 16 * i + 12, 0);
	}
	ck_assert_uint_eq(blk_do(&b, WRITE_ZEROES, 0, 256), 0);
	for (i = 0; i < 16; i++) {
		ck_assert(file_has(1024 * i, i == 3 ? 'p' : 0, 512));
		ck_assert(file_has(1024 * i + 512, 'p', 512));
	}
	blk_close(&b);
}
END_TEST

START_TEST(requests_that_can_not_be_are_answered_so)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t bytes;
		uint8_t answer;
	} bad[] = {
		{ IN, UINT64_MAX, 512, 1 },
		{ IN, UINT64_MAX / 512, 512, 1 },
		{ IN, 1ULL << 55, 512, 1 },
		{ IN, BLK_BYTES / 512, 512, 1 },
		{ IN, BLK_BYTES / 512 - 1, 1024, 1 },
		{ OUT, BLK_BYTES / 512 - 1, 1024, 1 },
		{ IN, 0, 511, 1 },
		{ OUT, 0, 513, 1 },
		{ IN, 0, 0, 1 },
		{ OUT, 0, 0, 1 },
		{ 2, 0, 512, 2 },
		{ 99, 0, 512, 2 },
		{ UINT32_MAX, 0, 0, 2 },
		{ DISCARD, 0, 0, 1 },
		{ DISCARD, 0, 15, 1 },
		{ DISCARD, 0, 17 * 16, 1 },
	};
	struct vblk_stats s;
	size_t i;

	blk_open(&b, &(struct blk_options){ 0 });
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(blk_do(&b, bad[i].type, bad[i].sector,
				     bad[i].bytes) == bad[i].answer,
			      "row %zu", i);
	ck_assert_uint_eq(range(DISCARD, 0, 1, 1, 16), 2);
	ck_assert_uint_eq(range(WRITE_ZEROES, 0, 1, 2, 16), 2);
	ck_assert_uint_eq(range(DISCARD, UINT64_MAX, 1, 0, 16), 1);
	ck_assert_uint_eq(range(DISCARD, 0, UINT32_MAX, 0, 16), 1);
	ck_assert_uint_eq(range(DISCARD, BLK_BYTES / 512 - 1, 2, 0, 16), 1);
	vblk_get_stats(b.blk, &s);
	ck_assert_uint_eq(s.rejected, sizeof(bad) / sizeof(bad[0]) + 5);
	ck_assert_uint_eq(s.errors, 0);
	ck_assert_uint_eq(rig_status(&b.rig) & VIRTIO_NEEDS_RESET, 0);
	blk_close(&b);
}
END_TEST

START_TEST(a_read_only_disk_is_not_written)
{
	blk_open(&b, &(struct blk_options){ .read_only = true });
	ck_assert_uint_eq(blk_do(&b, OUT, 0, 512), 1);
	ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 0);
	ck_assert_uint_eq(blk_do(&b, FLUSH, 0, 0), 0);
	ck_assert_uint_eq(blk_do(&b, DISCARD, 0, 16), 2);
	ck_assert(rig_features(&b.rig) & (1ULL << 5));
	blk_close(&b);
}
END_TEST

START_TEST(a_header_in_pieces_is_put_together)
{
	const struct rig_piece piece[] = { { RIG_DATA, 3, false },
					   { RIG_DATA + 3, 6, false },
					   { RIG_DATA + 9, 7, false },
					   { RIG_DATA + 0x1000, 100, true },
					   { RIG_DATA + 0x1064, 412, true },
					   { RIG_DATA + 16, 1, true } };

	blk_open(&b, &(struct blk_options){ 0 });
	put_le32(b.rig.ram + RIG_DATA, IN);
	put_le64(b.rig.ram + RIG_DATA + 8, 3);
	b.rig.ram[RIG_DATA + 16] = BLK_PENDING;
	rig_chain(&b.rig, 0, piece, 6);
	rig_kick(&b.rig, 0);
	blk_wait(&b, 1);
	ck_assert_uint_eq(b.rig.ram[RIG_DATA + 16], 0);
	ck_assert(b.rig.ram[RIG_DATA + 0x1000] == 'p' &&
		  b.rig.ram[RIG_DATA + 0x11ff] == 'p');
	blk_close(&b);
}
END_TEST

START_TEST(data_and_answer_may_share_a_piece)
{
	const struct rig_piece piece[] = { { RIG_DATA, 16, false },
					   { RIG_DATA + 0x1000, 513, true } };

	blk_open(&b, &(struct blk_options){ 0 });
	put_le32(b.rig.ram + RIG_DATA, IN);
	b.rig.ram[RIG_DATA + 0x1200] = BLK_PENDING;
	rig_chain(&b.rig, 0, piece, 2);
	rig_kick(&b.rig, 0);
	blk_wait(&b, 1);
	ck_assert_uint_eq(b.rig.ram[RIG_DATA + 0x1200], 0);
	ck_assert_uint_eq(b.rig.ram[RIG_DATA + 0x11ff], 'p');
	blk_close(&b);
}
END_TEST

START_TEST(a_chain_without_room_for_the_answer_breaks_the_device)
{
	const struct rig_piece no_answer = { RIG_DATA, 16, false };
	const struct rig_piece no_header[] = { { RIG_DATA, 15, false },
					       { RIG_DATA + 16, 1, true } };

	blk_open(&b, &(struct blk_options){ 0 });
	rig_chain(&b.rig, 0, &no_answer, 1);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(atomic_load(&b.rig.events));
	ck_assert_int_eq(b.rig.event, DEVICE_BROKEN);
	ck_assert_str_eq(b.rig.text, "queue 0: no byte for the answer");
	ck_assert(rig_status(&b.rig) & VIRTIO_NEEDS_RESET);

	/* A reset heals it; the second violation is not told so soon. */
	rig_start(&b.rig, BLK_FLUSH, 1, 256);
	b.answers = 0;
	ck_assert_uint_eq(blk_do(&b, IN, 0, 512), 0);
	rig_chain(&b.rig, 0, no_header, 2);
	rig_kick(&b.rig, 0);
	BLK_UNTIL(rig_status(&b.rig) & VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(atomic_load(&b.rig.events), 1);
	blk_close(&b);
}
END_TEST

START_TEST(many_at_once_are_all_answered)
{
	unsigned int k, i, round;

	for (k = 0; k < 2; k++) {
		blk_open(&b, &(struct blk_options){ .engine = engines[k] });
		for (round = 0; round < 20; round++) {
			for (i = 0; i < 60; i++)
				blk_offer(&b, i % 3 ? IN : OUT, 8 * (i % 100),
					  BLK_DATA);
			rig_kick(&b.rig, 0);
			blk_wait(&b, 60 * (round + 1));
			for (i = 0; i < 60; i++)
				ck_assert_uint_eq(
					*blk_status(&b, b.next - 1 - i), 0);
		}
		blk_close(&b);
	}
}
END_TEST

START_TEST(limits_hold_back_and_are_lifted_at_once)
{
	unsigned int i;
	uint64_t began = clock_mono_ns();

	blk_open(&b, &(struct blk_options){ .ops_per_s = 1 });
	for (i = 0; i < 10; i++)
		blk_offer(&b, IN, 0, 512);
	rig_kick(&b.rig, 0);
	blk_wait(&b, 1);
	nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	/* On a machine that is slow enough the next one's time has come. */
	while (rig_take(&b.rig, 0, NULL, NULL))
		ck_assert_uint_gt(clock_mono_ns() - began,
				  b.answers++ * NS_PER_S);
	vblk_set_limits(b.blk, 0, 0);
	blk_wait(&b, 10);
	blk_close(&b);
}
END_TEST

START_TEST(the_configuration_tells_size_and_limits)
{
	struct device *d;

	blk_open(&b, &(struct blk_options){ 0 });
	d = b.rig.device;
	ck_assert_uint_eq(d->ops->read(d, 0, 0x100, 8), BLK_BYTES / 512);
	ck_assert_uint_eq(rig_read(&b.rig, 0x100 + 12), 254);
	ck_assert_uint_eq(rig_read(&b.rig, 0x100 + 20), 512);
	ck_assert_uint_eq(d->ops->read(d, 0, 0x100 + 34, 2), 1);
	ck_assert_uint_eq(d->ops->read(d, 0, 0x100 + 59, 2), UINT64_MAX);
	/* Zeroes may have to be written: no more than data at a time. */
	ck_assert_uint_eq(rig_read(&b.rig, 0x100 + 48), (64u << 20) / 512);
	ck_assert_uint_eq(rig_read(&b.rig, 0x100 + 52), 1);
	blk_close(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_is_written_is_in_the_file_and_read_back,
		the_answer_tells_how_many_bytes_were_written,
		the_serial_is_told,
		discards_and_zeroes_leave_zeroes,
		several_ranges_are_done_one_after_the_other,
		requests_that_can_not_be_are_answered_so,
		a_read_only_disk_is_not_written,
		a_header_in_pieces_is_put_together,
		data_and_answer_may_share_a_piece,
		a_chain_without_room_for_the_answer_breaks_the_device,
		many_at_once_are_all_answered,
		limits_hold_back_and_are_lifted_at_once,
		the_configuration_tells_size_and_limits,
	};

	return SUITE_RUN("vblk", tests);
}
