/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the boot loaders share with each other and with nobody
 * else. The parsers fill in a plan; boot_plan.c checks what holds for all.
 */
#ifndef AMBER_VMM_BOOT_INTERNAL_H
#define AMBER_VMM_BOOT_INTERNAL_H

#include "vmm/boot.h"

/* Identity mapping and 32-bit entries reach up to here. */
#define BOOT_MAPPED_END (1ULL << 32)

/* Selectors of the GDT that is loaded; boot.rst names the first two. */
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define BOOT_TR 0x20

/* Six entries: two null, code, data, and a TSS of double width. */
#define BOOT_GDT_BYTES 48
#define BOOT_TSS_LIMIT 0x67

/* PML4, PDPT and four page directories of 2 MiB pages. */
#define BOOT_PAGE_TABLE_PAGES 6

/* Parsers: header and segments as the file has them, RAM not yet checked. */
int boot_plan_bzimage(struct boot_plan *plan, const struct boot_reader *kernel,
		      const struct gmem *mem, struct err *e);
int boot_plan_elf(struct boot_plan *plan, const struct boot_reader *kernel,
		  struct err *e);

/* Appends a segment. -EINVAL with a text when there is no room. */
int boot_plan_add(struct boot_plan *plan, const struct boot_reader *kernel,
		  const struct boot_segment *s, struct err *e);

#define BOOT_RAM_TEXT_BYTES 192

/* The RAM as words, "RAM is [0x0-0x8000000)". Returns text. */
const char *boot_ram_text(const struct gmem *mem,
			  char text[BOOT_RAM_TEXT_BYTES]);

/* One entry of the memory map; types as in ACPI 6.4, table 15.4. */
struct boot_range {
	gpa_t start;
	uint64_t bytes;
	uint32_t type;
};

#define BOOT_MAP_RAM	  1
#define BOOT_MAP_RESERVED 2
#define BOOT_MAP_MAX	  (GMEM_REGIONS_MAX + 2)

/* Fills in map in ascending order and returns the number of entries. */
unsigned int boot_memory_map(const struct gmem *mem,
			     struct boot_range map[BOOT_MAP_MAX]);

/*
 * Writes command line, GDT and what out->kind needs of zero page, start
 * info and page tables, and stores their addresses in out. The low 1 MiB is
 * known to be RAM.
 */
void boot_write_tables(struct boot_result *out, const struct boot_plan *plan,
		       const struct gmem *mem);

#endif
