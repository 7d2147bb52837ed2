/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory in every width that an instruction has: exactly one access of
 * 1, 2, 4 or 8 bytes, aligned or not. Any CPU, any privilege. No state.
 */
#ifndef GUEST_RUNTIME_MMIO_H
#define GUEST_RUNTIME_MMIO_H

#include <stdint.h>

/* All ones in width bytes: what a read gives where nothing is. */
static inline uint64_t mmio_ones(unsigned width)
{
	return width >= 8 ? UINT64_MAX : (1ull << width * 8) - 1;
}

static inline uint64_t mmio_read(uint64_t address, unsigned width)
{
	uint64_t value = 0;

	switch (width) {
	case 1:
		__asm__ volatile("movb (%1), %b0"
				 : "+r"(value)
				 : "r"(address)
				 : "memory");
		break;
	case 2:
		__asm__ volatile("movw (%1), %w0"
				 : "+r"(value)
				 : "r"(address)
				 : "memory");
		break;
	case 4:
		__asm__ volatile("movl (%1), %k0"
				 : "=r"(value)
				 : "r"(address)
				 : "memory");
		break;
	default:
		__asm__ volatile("movq (%1), %0"
				 : "=r"(value)
				 : "r"(address)
				 : "memory");
		break;
	}
	return value;
}

static inline void mmio_write(uint64_t address, unsigned width, uint64_t value)
{
	switch (width) {
	case 1:
		__asm__ volatile("movb %b0, (%1)"
				 :
				 : "r"(value), "r"(address)
				 : "memory");
		break;
	case 2:
		__asm__ volatile("movw %w0, (%1)"
				 :
				 : "r"(value), "r"(address)
				 : "memory");
		break;
	case 4:
		__asm__ volatile("movl %k0, (%1)"
				 :
				 : "r"(value), "r"(address)
				 : "memory");
		break;
	default:
		__asm__ volatile("movq %0, (%1)"
				 :
				 : "r"(value), "r"(address)
				 : "memory");
		break;
	}
}

#endif
