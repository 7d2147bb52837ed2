/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded buffer and little-endian fields. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "tests/unit/suite.h"

START_TEST(text_and_numbers_are_appended)
{
	struct buf b;

	buf_init(&b, 100);
	ck_assert_str_eq(buf_text(&b), "");
	ck_assert_int_eq(buf_puts(&b, "a="), 0);
	ck_assert_int_eq(buf_printf(&b, "%d %s", 17, "x"), 0);
	ck_assert_int_eq(buf_put(&b, "\0z", 2), 0);
	ck_assert_uint_eq(b.len, 8);
	ck_assert_mem_eq(b.data, "a=17 x\0z", 8);
	ck_assert_str_eq(buf_text(&b), "a=17 x");
	buf_fini(&b);
}
END_TEST

START_TEST(numbers_are_little_endian)
{
	static const uint8_t want[] = { 0x01, 0x03, 0x02, 0x07, 0x06,
					0x05, 0x04, 0x0f, 0x0e, 0x0d,
					0x0c, 0x0b, 0x0a, 0x09, 0x08 };
	struct buf b;

	buf_init(&b, 100);
	buf_put_u8(&b, 0x01);
	buf_put_u16(&b, 0x0203);
	buf_put_u32(&b, 0x04050607);
	buf_put_u64(&b, 0x08090a0b0c0d0e0f);
	ck_assert_uint_eq(b.len, sizeof(want));
	ck_assert_mem_eq(b.data, want, sizeof(want));
	ck_assert_uint_eq(get_le16(want + 1), 0x0203);
	ck_assert_uint_eq(get_le32(want + 3), 0x04050607);
	ck_assert_uint_eq(get_le64(want + 7), 0x08090a0b0c0d0e0f);
	buf_fini(&b);
}
END_TEST

START_TEST(fields_written_are_read_back)
{
	uint8_t p[9] = { 0 };

	put_le16(p + 1, 0xfedc);
	ck_assert_uint_eq(get_le16(p + 1), 0xfedc);
	put_le32(p + 1, 0xfedcba98);
	ck_assert_uint_eq(get_le32(p + 1), 0xfedcba98);
	put_le64(p + 1, 0xfedcba9876543210);
	ck_assert_uint_eq(get_le64(p + 1), 0xfedcba9876543210);
	ck_assert_uint_eq(p[0], 0);
}
END_TEST

START_TEST(the_limit_is_exact)
{
	struct buf b;

	buf_init(&b, 4);
	ck_assert_int_eq(buf_put(&b, "abcd", 4), 0);
	ck_assert_str_eq(buf_text(&b), "abcd");
	ck_assert_int_eq(buf_put(&b, "", 0), 0);
	ck_assert_int_eq(buf_put(&b, "e", 1), -ENOSPC);
	buf_fini(&b);
	buf_init(&b, 4);
	ck_assert_int_eq(buf_put(&b, "abcde", 5), -ENOSPC);
	ck_assert_uint_eq(b.len, 0);
	buf_fini(&b);
}
END_TEST

START_TEST(an_error_sticks_until_the_reset)
{
	struct buf b;

	buf_init(&b, 4);
	buf_puts(&b, "ab");
	ck_assert_int_eq(buf_puts(&b, "cde"), -ENOSPC);
	ck_assert_int_eq(buf_puts(&b, "f"), -ENOSPC);
	ck_assert_int_eq(buf_printf(&b, "%d", 1), -ENOSPC);
	ck_assert_uint_eq(b.len, 2);
	ck_assert_str_eq(buf_text(&b), "");
	buf_reset(&b);
	ck_assert_int_eq(buf_puts(&b, "wxyz"), 0);
	ck_assert_str_eq(buf_text(&b), "wxyz");
	buf_fini(&b);
	buf_fini(&b);
	buf_fini(NULL);
}
END_TEST

START_TEST(a_huge_length_does_not_wrap)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_puts(&b, "abc");
	ck_assert_int_eq(buf_put(&b, "x", SIZE_MAX), -ENOSPC);
	ck_assert_uint_eq(b.len, 3);
	buf_fini(&b);
}
END_TEST

START_TEST(growing_keeps_what_is_there)
{
	struct buf b;
	uint32_t i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < 100000; i++)
		ck_assert_int_eq(buf_put_u32(&b, i), 0);
	for (i = 0; i < 100000; i++)
		ck_assert_uint_eq(get_le32(b.data + 4 * (size_t)i), i);
	buf_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		text_and_numbers_are_appended,	 numbers_are_little_endian,
		fields_written_are_read_back,	 the_limit_is_exact,
		an_error_sticks_until_the_reset, a_huge_length_does_not_wrap,
		growing_keeps_what_is_there,
	};

	return SUITE_RUN("buf", tests);
}
