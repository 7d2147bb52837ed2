/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of snapshots: what is written is read, anything else refused. */
#include "tests/unit/seeded.h"

#include "tests/unit/bundle_rig.h"

static struct bundle_rig rig;

static int read_rig(struct err *e)
{
	*e = (struct err)ERR_NONE;
	return bundle_rig_read(&rig, e);
}

static void expect_refused(const char *text)
{
	struct err e;

	ck_assert_int_lt(read_rig(&e), 0);
	ck_assert_msg(strstr(e.text, text) != NULL, "'%s' is not '%s'", e.text,
		      text);
}

START_TEST(what_is_written_is_read)
{
	struct err e;

	bundle_rig_open(&rig);
	ck_assert_msg(read_rig(&e) == 0, "%s", e.text);
	ck_assert_uint_eq(rig.begun, 5); /* all but meta.json and checksums */
	ck_assert_uint_eq(rig.ended, 5);
	ck_assert_uint_eq(rig.bytes[BUNDLE_MEMORY], BUNDLE_RIG_DATA);
	ck_assert_uint_eq(rig.real[BUNDLE_MEMORY], BUNDLE_RIG_MEMORY);
	ck_assert_str_eq(rig.meta.name, "one");
	bundle_rig_close(&rig);
}
END_TEST

START_TEST(every_flipped_byte_is_found)
{
	size_t i, padding = 0;
	struct err e;

	bundle_rig_open(&rig);
	for (i = 0; i < rig.len; i++) {
		rig.stream[i] ^= 0x41;
		/* What is behind a member's data counts for nothing. */
		if (!read_rig(&e))
			padding++;
		else
			ck_assert_msg(e.code < 0 && e.text[0] &&
					      !strchr(e.text, '\n'),
				      "byte %zu: '%s'", i, e.text);
		rig.stream[i] ^= 0x41;
	}
	ck_assert_uint_lt(padding, 8 * TAR_BLOCK);
	bundle_rig_close(&rig);
}
END_TEST

START_TEST(every_cut_is_found)
{
	struct err e;
	size_t len;

	bundle_rig_open(&rig);
	len = rig.len;
	for (rig.len = 0; rig.len + 2 * TAR_BLOCK < len; rig.len += 64)
		ck_assert_int_lt(read_rig(&e), 0);
	bundle_rig_close(&rig);
}
END_TEST

/* --- made wrong, with the right checksums of headers ----------------- */

static struct tar_block *header(const char *name)
{
	return bundle_rig_header(&rig, name);
}

static void set(char *field, const char *text)
{
	memcpy(field, text, strlen(text));
	bundle_rig_seal(&rig);
}

START_TEST(members_that_have_no_place_are_refused)
{
	static const struct {
		const char *name, *becomes, *text;
	} cases[] = {
		{ "meta.json", "config", "has 'config' where meta.json has" },
		{ "config", "../config", "a path" },
		{ "config", "/etc/passwd", "a path" },
		{ "config", "confi\xff", "where config has to be" },
		{ "vmstate", "memory", "where vmstate has to be" },
		{ "disk-root.qcow2", "disk-boot.qcow2", "where disk-root" },
		{ "checksums", "checkSums", "where checksums has to be" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tar_block *b;

		bundle_rig_open(&rig);
		b = header(cases[i].name);
		memset(b->name, 0, sizeof(b->name));
		set(b->name, cases[i].becomes);
		expect_refused(cases[i].text);
		bundle_rig_close(&rig);
	}
}
END_TEST

START_TEST(only_plain_files_of_a_known_size_are_taken)
{
	static const char types[] = "1234567gLKSDx";
	size_t i;

	for (i = 0; types[i]; i++) {
		bundle_rig_open(&rig);
		header("config")->type = types[i];
		bundle_rig_seal(&rig);
		expect_refused("");
		bundle_rig_close(&rig);
	}
	bundle_rig_open(&rig);
	set(header("vmstate")->size, "77777777777");
	expect_refused("vmstate: is larger than 67108864 bytes");
	set(header("vmstate")->size, "7777777777x");
	expect_refused("bad number");
	set(header("vmstate")->size, "\x80");
	expect_refused("bad number");
	bundle_rig_close(&rig);
	bundle_rig_open(&rig);
	set(header("disk-root.qcow2")->size, "77777777777");
	expect_refused("disk-root.qcow2: is larger than");
	bundle_rig_close(&rig);
}
END_TEST

START_TEST(sparse_maps_are_checked)
{
	static const struct {
		const char *map, *text;
	} cases[] = {
		{ "x", "bad number" },
		{ "99999999999999999999\n", "bad number" },
		{ "\n", "bad number" },
		{ "-1\n", "bad number" },
		{ "65537\n", "too many extents" },
		/* at, bytes: 8192 bytes follow the map */
		{ "1\n0\n8191\n", "differ" },
		{ "1\n0\n8193\n", "differ" },
		{ "2\n4096\n4096\n0\n4096\n", "not in order" },
		{ "2\n0\n4096\n4095\n4096\n", "not in order" },
		{ "1\n262144\n8192\n", "not in order" },
		{ "1\n262145\n0\n", "not in order" },
		{ "1\n999999999999999999\n999999999999999999\n",
		  "not in order" },
		{ "3\n0\n4096\n4096\n4096\n", "does not end" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *map;

		bundle_rig_open(&rig);
		map = (char *)header("GNUSparseFile.0/memory") + TAR_BLOCK;
		memset(map, '\n', TAR_BLOCK);
		if (!strcmp(cases[i].text, "does not end"))
			memset(map, '1', TAR_BLOCK);
		memcpy(map, cases[i].map, strlen(cases[i].map));
		if (!strcmp(cases[i].text, "does not end"))
			expect_refused("bad number");
		else
			expect_refused(cases[i].text);
		bundle_rig_close(&rig);
	}
}
END_TEST

START_TEST(records_are_checked)
{
	static const struct {
		const char *from, *to, *text;
	} cases[] = {
		{ "GNU.sparse.major=1", "GNU.sparse.major=2", "format 1.0" },
		{ "GNU.sparse.minor=0", "GNU.sparse.minor=1", "format 1.0" },
		{ "GNU.sparse.minor=0", "GNU.sparse.major=1", "record" },
		{ "GNU.sparse.name=memory", "GNU.sparse.name=../xxx", "path" },
		{ "GNU.sparse.name=memory", "GNU.sparse.mame=memory",
		  "record" },
		{ "realsize=262144", "realsize=262143", "is not of" },
		{ "realsize=262144", "realsize=-62144", "record" },
		{ "22 GNU.sparse.major", "21 GNU.sparse.major", "record" },
		{ "22 GNU.sparse.major", "99 GNU.sparse.major", "record" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *at;

		bundle_rig_open(&rig);
		at = memmem(rig.stream, rig.len, cases[i].from,
			    strlen(cases[i].from));
		ck_assert_msg(at != NULL, "no %s", cases[i].from);
		memcpy(at, cases[i].to, strlen(cases[i].to));
		expect_refused(cases[i].text);
		bundle_rig_close(&rig);
	}
}
END_TEST

/* A member more, or another one's checksum: found at the end. */
START_TEST(checksums_name_the_member)
{
	uint8_t *data;

	bundle_rig_open(&rig);
	data = (uint8_t *)header("vmstate") + TAR_BLOCK;
	data[3] ^= 1;
	expect_refused("vmstate: the checksum is wrong");
	bundle_rig_close(&rig);
}
END_TEST

START_TEST(an_end_of_the_sink_ends_it)
{
	struct err e;
	unsigned int n;

	for (n = 1; n <= 5; n++) {
		bundle_rig_open(&rig);
		rig.fails_at = n;
		ck_assert_int_eq(read_rig(&e), -ENOSPC);
		bundle_rig_close(&rig);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_is_written_is_read,
		every_flipped_byte_is_found,
		every_cut_is_found,
		members_that_have_no_place_are_refused,
		only_plain_files_of_a_known_size_are_taken,
		sparse_maps_are_checked,
		records_are_checked,
		checksums_name_the_member,
		an_end_of_the_sink_ends_it,
	};

	return SUITE_RUN("bundle", tests);
}
