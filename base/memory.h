/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about plain memory; any thread. */
#ifndef AMBER_BASE_MEMORY_H
#define AMBER_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Is all of it zero? */
bool memory_is_zero(const void *memory, size_t n);

#endif
