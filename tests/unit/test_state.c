/* SPDX-License-Identifier: Apache-2.0 */
/* The state codec and its container, with good and hostile bytes. */
#include <string.h>

#include "base/bytes.h"
#include "base/state.h"
#include "tests/unit/suite.h"

struct sample {
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	bool e;
	uint8_t fixed[3];
	uint8_t blob[8];
	uint32_t blob_len;
};

#define SAMPLE_BYTES (1 + 2 + 4 + 8 + 1 + 3 + 4 + 2)
#define BOOL_AT	     15
#define BLOB_AT	     19

static const struct sample sample = { 1,    0x0203, 0x04050607, 0x08090a0b,
				      true, "xyz",  "hi",	2 };

static void sync(struct sample *s, struct state_io *io)
{
	state_u8(io, &s->a);
	state_u16(io, &s->b);
	state_u32(io, &s->c);
	state_u64(io, &s->d);
	state_bool(io, &s->e);
	state_bytes(io, s->fixed, sizeof(s->fixed));
	state_blob(io, s->blob, &s->blob_len, sizeof(s->blob));
}

static void save(struct buf *out)
{
	struct sample s = sample;
	struct state_io io;

	buf_init(out, 4096);
	state_save(&io, "sample", out);
	ck_assert(!state_is_loading(&io));
	sync(&s, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
	ck_assert_uint_eq(out->len, SAMPLE_BYTES);
}

static int load(struct sample *s, const uint8_t *in, size_t len, struct err *e)
{
	struct state_io io;

	*s = (struct sample){ 0 };
	state_load(&io, "sample", in, len);
	ck_assert(state_is_loading(&io));
	sync(s, &io);
	return state_end(&io, e);
}

START_TEST(what_is_saved_is_loaded)
{
	struct sample s;
	struct buf b;

	save(&b);
	ck_assert_int_eq(load(&s, b.data, b.len, NULL), 0);
	ck_assert_uint_eq(s.a, 1);
	ck_assert_uint_eq(s.b, 0x0203);
	ck_assert_uint_eq(s.c, 0x04050607);
	ck_assert_uint_eq(s.d, 0x08090a0b);
	ck_assert(s.e);
	ck_assert_mem_eq(s.fixed, "xyz", 3);
	ck_assert_uint_eq(s.blob_len, 2);
	ck_assert_mem_eq(s.blob, "hi", 2);
	buf_fini(&b);
}
END_TEST

START_TEST(short_and_long_bytes_are_refused)
{
	struct err e = ERR_NONE;
	struct sample s;
	struct buf b;
	size_t len;

	save(&b);
	for (len = 0; len < b.len; len++)
		ck_assert_int_eq(load(&s, b.data, len, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, "section sample"));
	buf_put_u8(&b, 0);
	ck_assert_int_eq(load(&s, b.data, b.len, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, "1 bytes left over"));
	buf_fini(&b);
}
END_TEST

START_TEST(a_bool_is_zero_or_one)
{
	struct sample s;
	struct buf b;

	save(&b);
	b.data[BOOL_AT] = 2;
	ck_assert_int_eq(load(&s, b.data, b.len, NULL), -EBADMSG);
	ck_assert(!s.e);
	buf_fini(&b);
}
END_TEST

START_TEST(a_blob_never_exceeds_its_room)
{
	struct sample s;
	struct buf b;
	uint8_t big[64] = { 0 };

	save(&b);
	memcpy(big, b.data, BLOB_AT);
	put_le32(big + BLOB_AT, 8);
	ck_assert_int_eq(load(&s, big, BLOB_AT + 4 + 8, NULL), 0);
	put_le32(big + BLOB_AT, 9);
	ck_assert_int_eq(load(&s, big, BLOB_AT + 4 + 9, NULL), -EBADMSG);
	put_le32(big + BLOB_AT, UINT32_MAX);
	ck_assert_int_eq(load(&s, big, sizeof(big), NULL), -EBADMSG);
	ck_assert_uint_eq(s.blob_len, 0);
	buf_fini(&b);
}
END_TEST

START_TEST(saving_into_a_full_buffer_is_an_error)
{
	struct sample s = sample;
	struct err e = ERR_NONE;
	struct state_io io;
	struct buf b;

	buf_init(&b, SAMPLE_BYTES - 1);
	state_save(&io, "sample", &b);
	sync(&s, &io);
	ck_assert_int_eq(state_end(&io, &e), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(e.text, "section sample"));
	buf_fini(&b);
}
END_TEST

static void container(struct buf *out)
{
	buf_init(out, 4096);
	ck_assert_int_eq(state_write_header(out), 0);
	ck_assert_int_eq(state_write_section(out, "one", 0, 1,
					     (const uint8_t *)"abc", 3),
			 0);
	ck_assert_int_eq(state_write_section(out, "two", 7, 2, NULL, 0), 0);
}

/* Counts the sections, or gives the error. */
static int walk(const uint8_t *in, size_t len, struct err *e)
{
	struct state_section s;
	size_t at;
	int r, n = 0;

	r = state_read_header(in, len, &at, e);
	if (r)
		return r;
	while ((r = state_read_section(in, len, &at, &s, e)) == 1)
		n++;
	return r ? r : n;
}

START_TEST(sections_are_read_back_in_order)
{
	struct state_section s;
	struct buf b;
	size_t at;

	container(&b);
	ck_assert_int_eq(state_read_header(b.data, b.len, &at, NULL), 0);
	ck_assert_int_eq(state_read_section(b.data, b.len, &at, &s, NULL), 1);
	ck_assert_str_eq(s.name, "one");
	ck_assert_uint_eq(s.version, 1);
	ck_assert_uint_eq(s.len, 3);
	ck_assert_mem_eq(s.bytes, "abc", 3);
	ck_assert_int_eq(state_read_section(b.data, b.len, &at, &s, NULL), 1);
	ck_assert_str_eq(s.name, "two");
	ck_assert_uint_eq(s.instance, 7);
	ck_assert_uint_eq(s.len, 0);
	ck_assert_int_eq(state_read_section(b.data, b.len, &at, &s, NULL), 0);
	buf_fini(&b);
}
END_TEST

START_TEST(a_cut_container_is_refused_unless_between_sections)
{
	struct buf b;
	size_t len;
	int n;

	container(&b);
	for (len = 0; len < b.len; len++) {
		n = walk(b.data, len, NULL);
		if (len == 16)
			ck_assert_int_eq(n, 0);
		else if (len == 16 + 32 + 3)
			ck_assert_int_eq(n, 1);
		else
			ck_assert_int_eq(n, -EBADMSG);
	}
	ck_assert_int_eq(walk(b.data, b.len, NULL), 2);
	buf_fini(&b);
}
END_TEST

/* Whatever a flipped byte does, it is not taken for the same contents. */
START_TEST(flipped_header_and_payload_bytes_are_refused)
{
	struct err e = ERR_NONE;
	struct buf b;
	size_t i;

	container(&b);
	for (i = 0; i < 16; i++) {
		b.data[i] ^= 0x40;
		ck_assert_int_eq(walk(b.data, b.len, &e), -EBADMSG);
		b.data[i] ^= 0x40;
	}
	b.data[16 + 32] ^= 1;
	ck_assert_int_eq(walk(b.data, b.len, &e), -EBADMSG);
	ck_assert_str_eq(e.text, "checksum mismatch in section one");
	buf_fini(&b);
}
END_TEST

START_TEST(every_flipped_byte_of_a_section_is_noticed)
{
	struct buf b;
	size_t i;

	container(&b);
	for (i = 16; i < b.len; i++) {
		b.data[i] ^= 0x01;
		ck_assert_msg(walk(b.data, b.len, NULL) == -EBADMSG,
			      "byte %zu of %zu", i, b.len);
		b.data[i] ^= 0x01;
	}
	buf_fini(&b);
}
END_TEST

START_TEST(names_have_a_limit_on_both_sides)
{
	struct buf b;

	buf_init(&b, 4096);
	state_write_header(&b);
	ck_assert_int_eq(
		state_write_section(&b, "fifteen_letters", 0, 1, NULL, 0), 0);
	ck_assert_int_eq(
		state_write_section(&b, "sixteen_letters_", 0, 1, NULL, 0),
		-EINVAL);
	ck_assert_int_eq(walk(b.data, b.len, NULL), 1);
	buf_fini(&b);
}
END_TEST

START_TEST(lengths_beyond_the_end_are_refused)
{
	struct err e = ERR_NONE;
	struct buf b;

	container(&b);
	put_le32(b.data + 16 + 24, UINT32_MAX);
	ck_assert_int_eq(walk(b.data, b.len, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, "section one"));
	ck_assert_ptr_nonnull(strstr(e.text, "4294967295"));
	b.data[16] = 0;
	ck_assert_int_eq(walk(b.data, b.len, &e), -EBADMSG);
	memset(b.data + 16, 'n', STATE_NAME_BYTES);
	ck_assert_int_eq(walk(b.data, b.len, &e), -EBADMSG);
	buf_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_is_saved_is_loaded,
		short_and_long_bytes_are_refused,
		a_bool_is_zero_or_one,
		a_blob_never_exceeds_its_room,
		saving_into_a_full_buffer_is_an_error,
		sections_are_read_back_in_order,
		a_cut_container_is_refused_unless_between_sections,
		flipped_header_and_payload_bytes_are_refused,
		every_flipped_byte_of_a_section_is_noticed,
		names_have_a_limit_on_both_sides,
		lengths_beyond_the_end_are_refused,
	};

	return SUITE_RUN("state", tests);
}
