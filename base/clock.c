/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks; any thread, no shared state. */
#include "base/clock.h"

#include <stdio.h>
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
