/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that compilers call by themselves. Any CPU, CPL0 or CPL3;
 * large blocks belong to CPL3. No state.
 */
#include "guest-images/runtime/memory.h"

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb"
			 : "+D"(at), "+S"(from), "+c"(n)
			 :
			 : "memory");
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb"
			 : "+D"(at), "+c"(n)
			 : "a"(byte)
			 : "memory");
	return to;
}
