/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader with one position, and a search that goes from month to day to
 * hour to minute, so that it is short however rare a time is.
 */
#include "base/cron.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define YEARS_MAX   41 /* 29 February on one day of the week: 28, or 40 */
#define SECONDS_MAX 253402300799LL /* the end of 9999 */

/* --- reading --------------------------------------------------------- */

static const char *const months[] = { "jan", "feb", "mar", "apr", "may",
				      "jun", "jul", "aug", "sep", "oct",
				      "nov", "dec", NULL };
static const char *const weekdays[] = { "sun", "mon", "tue", "wed",
					"thu", "fri", "sat", NULL };

enum field { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field_row {
	const char *name;
	unsigned int min, max;
	const char *const *words; /* of min and on; NULL: none */
} fields[FIELDS] = {
	[MINUTE] = { "minute", 0, 59, NULL },
	[HOUR] = { "hour", 0, 23, NULL },
	[DAY] = { "day of month", 1, 31, NULL },
	[MONTH] = { "month", 1, 12, months },
	[WEEKDAY] = { "day of week", 0, 7, weekdays },
};

static const struct {
	const char *word, *means;
} short_forms[] = {
	{ "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
	{ "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
	{ "@monthly", "0 0 1 * *" },  { "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
};

struct reader {
	const char *text;
	size_t at, len;
	const struct field_row *row;
	uint64_t set;	 /* of the field */
	bool is_starred; /* it begins with a * */
	struct err *e;
};

static int peek(const struct reader *r)
{
	return r->at < r->len ? (unsigned char)r->text[r->at] : '\0';
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct reader *r)
{
	while (is_blank(peek(r)))
		r->at++;
}

static int bad_character(const struct reader *r)
{
	int c = peek(r);

	if (r->at >= r->len)
		return err_set(r->e, -EINVAL,
			       "%s: ends at character %zu, where a value "
			       "should be",
			       r->row->name, r->at + 1);
	if (c < 0x20 || c > 0x7e)
		return err_set(r->e, -EINVAL,
			       "%s: character %zu (0x%02x) has no place there",
			       r->row->name, r->at + 1, (unsigned int)c);
	return err_set(r->e, -EINVAL,
		       "%s: '%c' (character %zu) has no place there",
		       r->row->name, c, r->at + 1);
}

static size_t word_bytes(const struct reader *r)
{
	size_t n = 0;

	while (r->at + n < r->len && isalnum((unsigned char)r->text[r->at + n]))
		n++;
	return n;
}

static int find_word(const struct field_row *row, const char *text, size_t n)
{
	unsigned int i;

	for (i = 0; row->words && row->words[i]; i++)
		if (n == 3 && !strncasecmp(row->words[i], text, 3))
			return (int)(row->min + i);
	return -1;
}

static int number_of(const char *text, size_t n)
{
	int value = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!isdigit((unsigned char)text[i]) || i == 4)
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

static int read_value(struct reader *r, unsigned int *out)
{
	const char *text = r->text + r->at;
	size_t n = word_bytes(r);
	int value = n ? find_word(r->row, text, n) : -1;

	if (!n)
		return bad_character(r);
	if (value < 0)
		value = number_of(text, n);
	if (value < (int)r->row->min || value > (int)r->row->max)
		return err_set(r->e, -EINVAL,
			       "%s: '%.*s' (character %zu) is not in %u..%u%s",
			       r->row->name, (int)(n < 16 ? n : 16), text,
			       r->at + 1, r->row->min, r->row->max,
			       r->row->words ? " or a name of three letters"
					     : "");
	r->at += n;
	*out = (unsigned int)value;
	return 0;
}

static int read_step(struct reader *r, unsigned int *step)
{
	const char *text = r->text + r->at;
	size_t n = word_bytes(r);
	int value = n ? number_of(text, n) : -1;

	if (!n)
		return bad_character(r);
	if (value < 1 || value > (int)r->row->max)
		return err_set(r->e, -EINVAL,
			       "%s: the step '%.*s' (character %zu) is not in "
			       "1..%u",
			       r->row->name, (int)(n < 16 ? n : 16), text,
			       r->at + 1, r->row->max);
	r->at += n;
	*step = (unsigned int)value;
	return 0;
}

/* "*", "5", "1-5"; *is_range: a step may follow. */
static int read_range(struct reader *r, unsigned int *from, unsigned int *to,
		      bool *is_range)
{
	size_t began = r->at;
	int error;

	*is_range = true;
	if (peek(r) == '*') {
		r->at++;
		*from = r->row->min;
		*to = r->row == &fields[WEEKDAY] ? 6 : r->row->max;
		return 0;
	}
	error = read_value(r, from);
	*to = *from;
	*is_range = peek(r) == '-';
	if (error || !*is_range)
		return error;
	r->at++;
	error = read_value(r, to);
	if (error)
		return error;
	if (r->row == &fields[WEEKDAY] && !*to && *from)
		*to = 7; /* fri-sun */
	if (*to < *from)
		return err_set(r->e, -EINVAL,
			       "%s: %u-%u (character %zu) goes backwards",
			       r->row->name, *from, *to, began + 1);
	return 0;
}

static int read_item(struct reader *r)
{
	unsigned int from, to, step = 1;
	bool is_range;
	int error = read_range(r, &from, &to, &is_range);

	if (!error && peek(r) == '/') {
		if (!is_range)
			return err_set(r->e, -EINVAL,
				       "%s: a step (character %zu) needs a "
				       "range or * before it",
				       r->row->name, r->at + 1);
		r->at++;
		error = read_step(r, &step);
	}
	for (; !error && from <= to; from += step)
		r->set |= 1ULL << from;
	return error;
}

static int read_field(struct reader *r, enum field field)
{
	int error;

	r->row = &fields[field];
	r->set = 0;
	skip_blanks(r);
	r->is_starred = peek(r) == '*';
	for (;;) {
		error = read_item(r);
		if (error || peek(r) != ',')
			break;
		r->at++;
	}
	if (!error && r->at < r->len && !is_blank(peek(r)))
		error = bad_character(r);
	return error;
}

static int read_fields(struct reader *r, struct cron *c)
{
	uint64_t set[FIELDS];
	int field, error;

	for (field = 0; field < FIELDS; field++) {
		error = read_field(r, (enum field)field);
		if (error)
			return error;
		set[field] = r->set;
		if (field == DAY || field == WEEKDAY)
			c->has_star_day |= r->is_starred;
	}
	skip_blanks(r);
	if (r->at < r->len)
		return err_set(r->e, -EINVAL,
			       "there are more than five fields (character "
			       "%zu)",
			       r->at + 1);
	c->minutes = set[MINUTE];
	c->hours = (uint32_t)set[HOUR];
	c->days = (uint32_t)set[DAY];
	c->months = (uint32_t)set[MONTH];
	c->weekdays = (uint32_t)((set[WEEKDAY] | set[WEEKDAY] >> 7) & 0x7f);
	return 0;
}

static int find_short_form(struct reader *r)
{
	size_t i, count = sizeof(short_forms) / sizeof(short_forms[0]);

	for (i = 0; i < count; i++) {
		if (strlen(short_forms[i].word) != r->len ||
		    memcmp(short_forms[i].word, r->text, r->len) != 0)
			continue;
		r->text = short_forms[i].means;
		r->len = strlen(r->text);
		return 0;
	}
	return err_set(r->e, -EINVAL,
		       "what begins with @ is @hourly, @daily, @weekly, "
		       "@monthly or @yearly");
}

int cron_parse(struct cron *out, const char *text, size_t len, struct err *e)
{
	struct reader r = { .text = text, .len = len, .e = e };
	struct cron c = { .minutes = 0 };
	int error = 0;

	if (len > CRON_TEXT_MAX)
		return err_set(e, -EINVAL, "%zu bytes, the limit is %d", len,
			       CRON_TEXT_MAX);
	if (peek(&r) == '@')
		error = find_short_form(&r);
	if (!error)
		error = read_fields(&r, &c);
	if (!error && cron_next(&c, 0) == CRON_NEVER)
		error = err_set(e, -EINVAL, "no month has such a day");
	if (!error)
		*out = c;
	return error;
}

/* --- searching ------------------------------------------------------- */

static bool has(uint64_t set, int value)
{
	return set >> value & 1;
}

static bool is_day(const struct cron *c, const struct tm *tm)
{
	bool day = has(c->days, tm->tm_mday);
	bool weekday = has(c->weekdays, tm->tm_wday);

	return c->has_star_day ? day && weekday : day || weekday;
}

/* One step nearer, to where everything smaller begins; false: it is due. */
static bool step_on(const struct cron *c, struct tm *tm)
{
	if (!has(c->months, tm->tm_mon + 1)) {
		tm->tm_mon++;
		tm->tm_mday = 1;
		tm->tm_hour = tm->tm_min = 0;
	} else if (!is_day(c, tm)) {
		tm->tm_mday++;
		tm->tm_hour = tm->tm_min = 0;
	} else if (!has(c->hours, tm->tm_hour)) {
		tm->tm_hour++;
		tm->tm_min = 0;
	} else if (!has(c->minutes, tm->tm_min)) {
		tm->tm_min++;
	} else {
		return false;
	}
	return true;
}

int64_t cron_next(const struct cron *c, int64_t after)
{
	time_t at = (time_t)(after < 0 ? 0 : after);
	struct tm tm;
	int last;

	if (at > SECONDS_MAX)
		return CRON_NEVER;
	at += 60 - at % 60;
	gmtime_r(&at, &tm);
	last = tm.tm_year + YEARS_MAX;
	while (tm.tm_year <= last && step_on(c, &tm)) {
		at = timegm(&tm); /* puts 32 January right, too */
		gmtime_r(&at, &tm);
	}
	return tm.tm_year <= last && at <= SECONDS_MAX ? (int64_t)at
						       : CRON_NEVER;
}
