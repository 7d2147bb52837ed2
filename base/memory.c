/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about plain memory; any thread, no state. */
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

bool memory_is_zero(const void *memory, size_t n)
{
	const uint8_t *p = memory;

	/* The first bytes, then each with the one before it. */
	return !n || (!*p && (n == 1 || !memcmp(p, p + 1, n - 1)));
}
