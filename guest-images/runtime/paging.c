/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One set of page tables for all CPUs: the first 16 GiB identity-mapped and
 * open to CPL3, since these guests test the machine and not themselves. With
 * 1 GiB pages a few stores make it; without them the first 4 GiB are mapped
 * as 2 MiB pages. Made by the first CPU, loaded by each.
 */
#include "guest-images/runtime/trap.h"

#define PRESENT_WRITABLE_USER 0x7
#define LARGE_PAGE	      0x80
#define GIB_PAGES_MAPPED      16

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[4][512] __attribute__((aligned(4096)));

static bool has_gib_pages(void)
{
	return cpuid(0x80000000).eax >= 0x80000001 &&
	       (cpuid(0x80000001).edx >> 26 & 1);
}

static void map_gib_pages(void)
{
	uint64_t i;

	for (i = 0; i < GIB_PAGES_MAPPED; i++)
		pdpt[i] = i << 30 | LARGE_PAGE | PRESENT_WRITABLE_USER;
}

static void map_2mib_pages(void)
{
	uint64_t *entry = pd[0];
	uint64_t i;

	for (i = 0; i < 4 * 512; i++)
		entry[i] = i << 21 | LARGE_PAGE | PRESENT_WRITABLE_USER;
	for (i = 0; i < 4; i++)
		pdpt[i] = (uint64_t)pd[i] | PRESENT_WRITABLE_USER;
}

void paging_init(void)
{
	if (pml4[0] == 0) {
		if (has_gib_pages())
			map_gib_pages();
		else
			map_2mib_pages();
		pml4[0] = (uint64_t)pdpt | PRESENT_WRITABLE_USER;
	}
	if (read_cr3() != (uint64_t)pml4)
		write_cr3((uint64_t)pml4);
}
