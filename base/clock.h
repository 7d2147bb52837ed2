/* SPDX-License-Identifier: Apache-2.0 */
/* Time in nanoseconds: monotonic for durations, wall clock for records. */
#ifndef AMBER_BASE_CLOCK_H
#define AMBER_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/* Nanoseconds of CLOCK_MONOTONIC. Any thread. */
uint64_t clock_mono_ns(void);

/* Nanoseconds since the epoch, CLOCK_REALTIME. Any thread. */
uint64_t clock_wall_ns(void);

#define CLOCK_TEXT_BYTES   32
#define CLOCK_TEXT_LAST_NS (9214646399 * NS_PER_S) /* 2261-12-31T23:59:59Z */

/*
 * Writes wall_ns as RFC 3339 UTC with milliseconds, such as
 * 2026-11-23T23:47:05.120Z, to text (CLOCK_TEXT_BYTES). Returns text.
 */
const char *clock_rfc3339(uint64_t wall_ns, char *text);

/*
 * The same read: seconds with or without a fraction of at most nine digits, Z
 * at the end, from 1970 to 2261. Returns false, and nothing in *wall_ns, when
 * it is no such time.
 */
bool clock_rfc3339_parse(const char *text, uint64_t *wall_ns);

/*
 * "500us", "50ms", "1s": a whole number and its unit, up to an hour, in
 * microseconds. Returns false, and nothing in *us, when it is none.
 */
bool clock_us_parse(const char *text, uint64_t *us);

#endif
