/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AML encoder against bytes worked out from ACPI 6.4, chapter 20.2 and
 * 6.4. One thread.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "tests/unit/suite.h"
#include "vmm/aml.h"

struct bench {
	struct buf out;
	struct aml a;
};

static void bench_init(struct bench *b, size_t limit)
{
	buf_init(&b->out, limit);
	aml_init(&b->a, &b->out);
}

/* Finishes, compares, frees. */
static void expect(struct bench *b, const void *bytes, size_t len)
{
	ck_assert_int_eq(aml_finish(&b->a), 0);
	ck_assert_uint_eq(b->out.len, len);
	ck_assert_mem_eq(b->out.data, bytes, len);
	buf_fini(&b->out);
}

#define EXPECT(b, text) expect(b, text, sizeof(text) - 1)

static void expect_error(struct bench *b, int error)
{
	ck_assert_int_eq(aml_finish(&b->a), error);
	buf_fini(&b->out);
}

START_TEST(integers_take_their_shortest_form)
{
	struct bench b;

	bench_init(&b, 64);
	aml_integer(&b.a, 0);
	aml_integer(&b.a, 1);
	aml_integer(&b.a, 2);
	aml_integer(&b.a, 0xff);
	aml_integer(&b.a, 0x100);
	aml_integer(&b.a, 0x10000);
	aml_integer(&b.a, 0x100000000);
	EXPECT(&b, "\x00\x01\x0a\x02\x0a\xff\x0b\x00\x01\x0c\x00\x00\x01\x00"
		   "\x0e\x00\x00\x00\x00\x01\x00\x00\x00");
}
END_TEST

START_TEST(names_are_padded_and_paths_have_their_prefixes)
{
	struct bench b;

	bench_init(&b, 128);
	aml_name(&b.a, "A");
	aml_name(&b.a, "\\_S5");
	aml_name(&b.a, "_SB.PWRB");
	aml_name(&b.a, "\\_SB.P0.C001");
	EXPECT(&b, "\x08"
		   "A___"
		   "\x08\\_S5_"
		   "\x08\x2e"
		   "_SB_PWRB"
		   "\x08\\\x2f\x03"
		   "_SB_P0__C001");
}
END_TEST

START_TEST(bad_names_are_an_error)
{
	static const char *const bad[] = {
		"",	"\\",	"1ABC", "abcd", "ABCDE",
		"A..B", "A.B.", ".A",	"A B",	"A.B.C.D.E.F.G.H.I",
	};
	struct bench b;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_init(&b, 128);
		aml_name(&b.a, bad[i]);
		aml_integer(&b.a, 0);
		expect_error(&b, -EINVAL);
	}
	bench_init(&b, 128);
	aml_field_u32(&b.a, "REGN", "A.B");
	expect_error(&b, -EINVAL);
}
END_TEST

START_TEST(eisa_ids_are_compressed_with_the_high_byte_first)
{
	static const char *const bad[] = { "PNP050", "PNP05011", "pnp0501",
					   "PNP05G1", "" };
	struct bench b;
	size_t i;

	bench_init(&b, 64);
	aml_eisaid(&b.a, "PNP0501");
	aml_eisaid(&b.a, "PNP0C0C");
	EXPECT(&b, "\x0c\x41\xd0\x05\x01\x0c\x41\xd0\x0c\x0c");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_init(&b, 64);
		aml_eisaid(&b.a, bad[i]);
		expect_error(&b, -EINVAL);
	}
}
END_TEST

START_TEST(strings_are_ascii_and_end_in_nul)
{
	struct bench b;

	bench_init(&b, 64);
	aml_string(&b.a, "VMGENCTR");
	EXPECT(&b, "\x0d"
		   "VMGENCTR\0");
	bench_init(&b, 64);
	aml_string(&b.a, "\xc3\xa4");
	expect_error(&b, -EINVAL);
}
END_TEST

/* A scope "A" of content bytes; returns the decoded length of the package. */
static size_t scope_length(size_t content, size_t *length_bytes)
{
	size_t i, n, more;
	struct bench b;
	uint8_t *p;

	bench_init(&b, 4 << 20);
	aml_scope(&b.a, "A");
	for (i = 4; i < content; i++)
		buf_put_u8(&b.out, 0xcc);
	aml_end(&b.a);
	ck_assert_int_eq(aml_finish(&b.a), 0);
	p = b.out.data;
	ck_assert_uint_eq(p[0], 0x10);
	more = p[1] >> 6;
	n = more ? p[1] & 0xf : p[1] & 0x3f;
	for (i = 0; i < more; i++)
		n |= (size_t)p[2 + i] << (4 + 8 * i);
	*length_bytes = 1 + more;
	ck_assert_mem_eq(p + 2 + more, "A___", 4);
	ck_assert_uint_eq(b.out.len, 1 + n);
	ck_assert_uint_eq(n, content + 1 + more);
	buf_fini(&b.out);
	return n;
}

START_TEST(package_lengths_count_themselves_on_both_sides_of_each_limit)
{
	static const struct {
		size_t content, length_bytes;
	} row[] = {
		{ 4, 1 },    { 62, 1 },	     { 63, 2 },	     { 4093, 2 },
		{ 4094, 3 }, { 0xffffc, 3 }, { 0xffffd, 4 },
	};
	size_t i, bytes;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		scope_length(row[i].content, &bytes);
		ck_assert_uint_eq(bytes, row[i].length_bytes);
	}
}
END_TEST

START_TEST(blocks_nest)
{
	struct bench b;

	bench_init(&b, 128);
	aml_scope(&b.a, "_SB");
	aml_device(&b.a, "XXXX");
	aml_name(&b.a, "PKG");
	aml_package(&b.a, 2);
	aml_integer(&b.a, 5);
	aml_integer(&b.a, 0);
	aml_end(&b.a);
	aml_end(&b.a);
	aml_end(&b.a);
	EXPECT(&b, "\x10\x17_SB_\x5b\x82\x10XXXX\x08PKG_"
		   "\x12\x05\x02\x0a\x05\x00");
}
END_TEST

START_TEST(methods_carry_arguments_and_statements)
{
	struct bench b;

	bench_init(&b, 128);
	aml_method(&b.a, "_EVT", 1, true);
	aml_load_local(&b.a, "EVTS", 0);
	aml_if_local_has(&b.a, 0, 2);
	aml_notify(&b.a, "VGEN", 0x80);
	aml_end(&b.a);
	aml_end(&b.a);
	EXPECT(&b, "\x14\x1a_EVT\x09\x70"
		   "EVTS\x60\xa0\x0d\x7b\x60\x0a\x02\x00\x86VGEN\x0a\x80");
}
END_TEST

START_TEST(regions_and_fields)
{
	struct bench b;

	bench_init(&b, 128);
	aml_port_region(&b.a, "EVTR", 0x604, 4);
	aml_field_u32(&b.a, "EVTR", "EVTS");
	EXPECT(&b, "\x5b\x80"
		   "EVTR\x01\x0b\x04\x06\x0a\x04\x5b\x81\x0b"
		   "EVTR\x43"
		   "EVTS\x20");
}
END_TEST

START_TEST(resource_templates_know_their_size_and_end)
{
	struct bench b;

	bench_init(&b, 128);
	aml_resources(&b.a);
	aml_ports(&b.a, 0x3f8, 8);
	aml_memory32(&b.a, 0xd0001000, 0x1000);
	aml_interrupt_edge(&b.a, 7);
	aml_interrupt_level(&b.a, 5);
	aml_resources_end(&b.a);
	EXPECT(&b, "\x11\x2c\x0b\x28\x00"
		   "\x47\x01\xf8\x03\xf8\x03\x01\x08"
		   "\x86\x09\x00\x01\x00\x10\x00\xd0\x00\x10\x00\x00"
		   "\x89\x06\x00\x03\x01\x07\x00\x00\x00"
		   "\x89\x06\x00\x01\x01\x05\x00\x00\x00\x79\x00");
}
END_TEST

START_TEST(blocks_that_do_not_pair_up_are_an_error)
{
	struct bench b;
	unsigned int i;

	bench_init(&b, 128);
	aml_end(&b.a);
	expect_error(&b, -EINVAL);
	bench_init(&b, 128);
	aml_resources_end(&b.a);
	expect_error(&b, -EINVAL);
	bench_init(&b, 128);
	aml_scope(&b.a, "A");
	expect_error(&b, -EINVAL);
	bench_init(&b, 1024);
	for (i = 0; i <= AML_DEPTH_MAX; i++)
		aml_scope(&b.a, "A");
	for (i = 0; i <= AML_DEPTH_MAX; i++)
		aml_end(&b.a);
	expect_error(&b, -EINVAL);
}
END_TEST

START_TEST(bad_locals_and_arguments_are_an_error)
{
	struct bench b;

	bench_init(&b, 128);
	aml_load_local(&b.a, "A", 8);
	expect_error(&b, -EINVAL);
	bench_init(&b, 128);
	aml_method(&b.a, "A", 8, false);
	aml_end(&b.a);
	expect_error(&b, -EINVAL);
}
END_TEST

START_TEST(a_full_buffer_is_reported_wherever_it_happens)
{
	struct bench b;
	size_t limit;

	for (limit = 0; limit < 34; limit++) {
		bench_init(&b, limit);
		aml_device(&b.a, "D");
		aml_name(&b.a, "_CRS");
		aml_resources(&b.a);
		aml_interrupt_edge(&b.a, 4);
		aml_resources_end(&b.a);
		aml_end(&b.a);
		ck_assert_uint_le(b.out.len, limit);
		if (limit < 28)
			ck_assert_int_eq(aml_finish(&b.a), -ENOSPC);
		else
			ck_assert_int_eq(aml_finish(&b.a), 0);
		buf_fini(&b.out);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		integers_take_their_shortest_form,
		names_are_padded_and_paths_have_their_prefixes,
		bad_names_are_an_error,
		eisa_ids_are_compressed_with_the_high_byte_first,
		strings_are_ascii_and_end_in_nul,
		package_lengths_count_themselves_on_both_sides_of_each_limit,
		blocks_nest,
		methods_carry_arguments_and_statements,
		regions_and_fields,
		resource_templates_know_their_size_and_end,
		blocks_that_do_not_pair_up_are_an_error,
		bad_locals_and_arguments_are_an_error,
		a_full_buffer_is_reported_wherever_it_happens,
	};

	return SUITE_RUN("aml", tests);
}
