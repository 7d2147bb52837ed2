/* SPDX-License-Identifier: Apache-2.0 */
/* Texts from elsewhere that are to be shown. */
#include <string.h>

#include "base/utf8.h"
#include "tests/unit/suite.h"

static const struct {
	const char *from, *to; /* to: what can be shown of it */
} rows[] = {
	{ "", "" },
	{ "plain ~", "plain ~" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "a\tb\nc\x7f\x1b[1m", "a?b?c??[1m" },
	{ "cut \xe2\x82", "cut ??" },
	{ "\xff\xc0\xaf", "???" },	/* never, overlong */
	{ "\xed\xa0\x80x", "???x" },	/* a surrogate */
	{ "\xf4\x90\x80\x80", "????" }, /* above U+10FFFF */
};

START_TEST(what_can_not_be_shown_is_a_question_mark)
{
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		utf8_copy_printable(text, sizeof(text), rows[i].from);
		ck_assert_str_eq(text, rows[i].to);
		ck_assert(utf8_is_printable(text));
		ck_assert_int_eq(utf8_is_printable(rows[i].from),
				 !strcmp(rows[i].from, rows[i].to));
	}
}
END_TEST

START_TEST(no_character_is_cut)
{
	char text[6];

	utf8_copy_printable(text, sizeof(text), "abcd\xc3\xa4");
	ck_assert_str_eq(text, "abcd");
	utf8_copy_printable(text, sizeof(text), "abc\xc3\xa4");
	ck_assert_str_eq(text, "abc\xc3\xa4");
	utf8_copy_printable(text, 1, "\xff");
	ck_assert_str_eq(text, "");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_can_not_be_shown_is_a_question_mark,
		no_character_is_cut,
	};

	return SUITE_RUN("utf8", tests);
}
