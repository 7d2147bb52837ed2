/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy() and memset() as in C11 7.24; any CPU, any privilege. */
#ifndef GUEST_RUNTIME_MEMORY_H
#define GUEST_RUNTIME_MEMORY_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);

#endif
