/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks; any thread, no shared state. */
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

const char *clock_rfc3339(uint64_t wall_ns, char *text)
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	unsigned int ms = (unsigned int)(wall_ns % NS_PER_S / NS_PER_MS);
	char date[24];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, CLOCK_TEXT_BYTES, "%s.%03uZ", date, ms);
	return text;
}

/* Seconds of a date that is there, -1: it isn't. */
static int64_t date_seconds(const char *text)
{
	struct tm tm = { .tm_sec = 0 }, right;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t s;

	if (!end || end - text != 19)
		return -1;
	right = tm;
	s = timegm(&right);
	if (right.tm_mday != tm.tm_mday || right.tm_sec != tm.tm_sec)
		return -1; /* 30 February, a leap second */
	return s < 0 || tm.tm_year > 361 ? -1 : (int64_t)s;
}

bool clock_rfc3339_parse(const char *text, uint64_t *wall_ns)
{
	uint64_t ns = 0, unit = NS_PER_S / 10;
	int64_t s = date_seconds(text);
	const char *at = text + 19;

	if (s < 0)
		return false;
	if (*at == '.') {
		for (at++; isdigit((unsigned char)*at) && unit; unit /= 10)
			ns += unit * (uint64_t)(*at++ - '0');
		if (at == text + 20)
			return false;
	}
	if (strcmp(at, "Z") != 0)
		return false;
	*wall_ns = (uint64_t)s * NS_PER_S + ns;
	return true;
}

bool clock_us_parse(const char *text, uint64_t *us)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 } };
	uint64_t value = 0;
	size_t i, digits = strspn(text, "0123456789");

	if (!digits || digits > 10)
		return false;
	for (i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	for (i = 0; i < 3; i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		if (value * units[i].us > 3600ULL * 1000000)
			return false;
		*us = value * units[i].us;
		return true;
	}
	return false;
}
