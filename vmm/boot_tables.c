/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader writes for the kernel to find: command line, GDT, zero
 * page, PVH start info, identity page tables. Only for the thread that builds
 * the machine. INV-1: every address written is a constant of platform.h
 * below 1 MiB, which the plan has proved to be RAM.
 */
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/platform.h"
#include "vmm/boot_internal.h"

#define PAGE_BYTES 4096

/* boot_params, zero-page.rst; the setup header within has file offsets. */
#define ZP_RSDP		     0x070
#define ZP_EXT_RAMDISK_IMAGE 0x0c0
#define ZP_EXT_RAMDISK_SIZE  0x0c4
#define ZP_EXT_CMD_LINE	     0x0c8
#define ZP_E820_ENTRIES	     0x1e8
#define ZP_VID_MODE	     0x1fa
#define ZP_BOOT_FLAG	     0x1fe
#define ZP_HEADER	     0x202
#define ZP_VERSION	     0x206
#define ZP_TYPE_OF_LOADER    0x210
#define ZP_LOADFLAGS	     0x211
#define ZP_CODE32_START	     0x214
#define ZP_RAMDISK_IMAGE     0x218
#define ZP_RAMDISK_SIZE	     0x21c
#define ZP_EXT_LOADER_VER    0x226
#define ZP_EXT_LOADER_TYPE   0x227
#define ZP_CMD_LINE	     0x228
#define ZP_CMDLINE_SIZE	     0x238
#define ZP_SETUP_DATA	     0x250
#define ZP_E820_TABLE	     0x2d0
#define E820_BYTES	     20
#define BOOT_FLAG	     0xaa55
#define HDRS_MAGIC	     0x53726448
#define VERSION_2_12	     0x020c
#define LOADER_UNDEFINED     0xff
#define LOADED_HIGH	     0x01
#define VID_MODE_NORMAL	     0xffff

/* hvm_start_info version 1 and what it points to, all within its page */
#define SI_MAGIC	   0x336ec578
#define SI_VERSION	   1
#define SI_VERSION_AT	   4
#define SI_MODULES	   12 /* count */
#define SI_MODULE_LIST	   16
#define SI_CMDLINE	   24
#define SI_RSDP		   32
#define SI_MEMMAP	   40
#define SI_MEMMAP_ENTRIES  48
#define SI_MODULE	   0x40 /* start, bytes, command line */
#define SI_MODULE_CMDLINE  0x60 /* one NUL: fresh memory is zero */
#define SI_MAP		   0x80
#define SI_MAP_ENTRY_BYTES 24

/* Descriptors, Intel SDM vol. 3A 3.4.5; base 0, limit 4 GiB */
#define GDT_CODE64 0x00af9b000000ffffULL
#define GDT_CODE32 0x00cf9b000000ffffULL
#define GDT_DATA   0x00cf93000000ffffULL
#define GDT_TSS	   (0x00008b0000000000ULL | BOOT_TSS_LIMIT)

/* Page table entries, Intel SDM vol. 3A 4.5 */
#define PTE_PRESENT   0x01
#define PTE_WRITE     0x02
#define PTE_LARGE     0x80
#define PTES	      (PAGE_BYTES / 8)
#define LARGE_BYTES   (2ULL << 20)
#define MAPPED_TABLES 4 /* page directories of 1 GiB each */

unsigned int boot_memory_map(const struct gmem *mem,
			     struct boot_range map[BOOT_MAP_MAX])
{
	const struct gmem_region *r;
	unsigned int i, n = 0;

	for (i = 0; i < mem->count; i++) {
		r = &mem->region[i];
		if (r->start) {
			map[n++] = (struct boot_range){ r->start, r->bytes,
							BOOT_MAP_RAM };
			continue;
		}
		map[n++] = (struct boot_range){ 0, BOOT_LOW_END, BOOT_MAP_RAM };
		map[n++] = (struct boot_range){ BOOT_LOW_END,
						BOOT_HIGH_START - BOOT_LOW_END,
						BOOT_MAP_RESERVED };
		if (r->bytes > BOOT_HIGH_START)
			map[n++] =
				(struct boot_range){ BOOT_HIGH_START,
						     r->bytes - BOOT_HIGH_START,
						     BOOT_MAP_RAM };
	}
	return n;
}

static void write_cmdline(struct boot_result *out, const struct gmem *mem)
{
	gmem_write(mem, BOOT_CMDLINE, out->cmdline,
		   (uint64_t)out->cmdline_bytes + 1);
	out->cmdline_gpa = BOOT_CMDLINE;
}

static void write_gdt(struct boot_result *out, const struct gmem *mem)
{
	bool flat32 = out->kind == BOOT_ELF_PVH;
	uint8_t gdt[BOOT_GDT_BYTES] = { 0 };

	put_le64(gdt + BOOT_CS, flat32 ? GDT_CODE32 : GDT_CODE64);
	put_le64(gdt + BOOT_DS, GDT_DATA);
	put_le64(gdt + BOOT_TR, GDT_TSS);
	gmem_write(mem, BOOT_GDT, gdt, sizeof(gdt));
	out->gdt = BOOT_GDT;
}

static uint64_t initrd_bytes(const struct boot_result *out)
{
	return out->initrd_end - out->initrd_start;
}

/* The kernel's own header, or a minimal one for an ELF kernel. */
static void fill_header(uint8_t *zp, const struct boot_plan *plan)
{
	if (plan->header_bytes) {
		memcpy(zp + BOOT_HEADER_START, plan->header,
		       plan->header_bytes);
		zp[ZP_LOADFLAGS] &= LOADED_HIGH;
		return;
	}
	put_le16(zp + ZP_BOOT_FLAG, BOOT_FLAG);
	put_le32(zp + ZP_HEADER, HDRS_MAGIC);
	put_le16(zp + ZP_VERSION, VERSION_2_12);
	zp[ZP_LOADFLAGS] = LOADED_HIGH;
	put_le32(zp + ZP_CMDLINE_SIZE, plan->cmdline_max);
}

/* The fields that boot.rst has the loader write. */
static void fill_loader_fields(uint8_t *zp, const struct boot_result *out)
{
	uint64_t bytes = initrd_bytes(out);

	put_le16(zp + ZP_VID_MODE, VID_MODE_NORMAL);
	zp[ZP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	zp[ZP_EXT_LOADER_VER] = 0;
	zp[ZP_EXT_LOADER_TYPE] = 0;
	put_le32(zp + ZP_CODE32_START, (uint32_t)out->kernel_start);
	put_le32(zp + ZP_RAMDISK_IMAGE, (uint32_t)out->initrd_start);
	put_le32(zp + ZP_EXT_RAMDISK_IMAGE,
		 (uint32_t)(out->initrd_start >> 32));
	put_le32(zp + ZP_RAMDISK_SIZE, (uint32_t)bytes);
	put_le32(zp + ZP_EXT_RAMDISK_SIZE, (uint32_t)(bytes >> 32));
	put_le32(zp + ZP_CMD_LINE, BOOT_CMDLINE);
	put_le32(zp + ZP_EXT_CMD_LINE, 0);
	put_le64(zp + ZP_SETUP_DATA, 0);
	put_le64(zp + ZP_RSDP, out->rsdp);
}

static void write_zero_page(struct boot_result *out,
			    const struct boot_plan *plan,
			    const struct gmem *mem)
{
	uint8_t zp[PAGE_BYTES] = { 0 }, *entry = zp + ZP_E820_TABLE;
	struct boot_range map[BOOT_MAP_MAX];
	unsigned int i, n = boot_memory_map(mem, map);

	fill_header(zp, plan);
	fill_loader_fields(zp, out);
	zp[ZP_E820_ENTRIES] = (uint8_t)n;
	for (i = 0; i < n; i++, entry += E820_BYTES) {
		put_le64(entry, map[i].start);
		put_le64(entry + 8, map[i].bytes);
		put_le32(entry + 16, map[i].type);
	}
	gmem_write(mem, BOOT_ZERO_PAGE, zp, sizeof(zp));
	out->zero_page = BOOT_ZERO_PAGE;
}

static void write_start_info(struct boot_result *out, const struct gmem *mem)
{
	uint8_t si[SI_MAP + BOOT_MAP_MAX * SI_MAP_ENTRY_BYTES] = { 0 };
	struct boot_range map[BOOT_MAP_MAX];
	unsigned int i, n = boot_memory_map(mem, map);
	uint8_t *entry = si + SI_MAP;

	put_le32(si, SI_MAGIC);
	put_le32(si + SI_VERSION_AT, SI_VERSION);
	put_le64(si + SI_CMDLINE, out->cmdline_gpa);
	put_le64(si + SI_RSDP, out->rsdp);
	put_le64(si + SI_MEMMAP, BOOT_START_INFO + SI_MAP);
	put_le32(si + SI_MEMMAP_ENTRIES, n);
	for (i = 0; i < n; i++, entry += SI_MAP_ENTRY_BYTES) {
		put_le64(entry, map[i].start);
		put_le64(entry + 8, map[i].bytes);
		put_le32(entry + 16, map[i].type);
	}
	if (out->initrd_path) {
		put_le32(si + SI_MODULES, 1);
		put_le64(si + SI_MODULE_LIST, BOOT_START_INFO + SI_MODULE);
		put_le64(si + SI_MODULE, out->initrd_start);
		put_le64(si + SI_MODULE + 8, initrd_bytes(out));
		put_le64(si + SI_MODULE + 16,
			 BOOT_START_INFO + SI_MODULE_CMDLINE);
	}
	gmem_write(mem, BOOT_START_INFO, si, sizeof(si));
	out->start_info = BOOT_START_INFO;
}

static void write_page_tables(struct boot_result *out, const struct gmem *mem)
{
	uint8_t *pml4 = gmem_slice(mem, BOOT_PAGE_TABLES,
				   BOOT_PAGE_TABLE_PAGES * PAGE_BYTES);
	uint8_t *pdpt, *pd;
	uint64_t i;

	if (!pml4) /* INV-1 */
		return;
	pdpt = pml4 + PAGE_BYTES;
	pd = pdpt + PAGE_BYTES;
	put_le64(pml4,
		 (BOOT_PAGE_TABLES + PAGE_BYTES) | PTE_PRESENT | PTE_WRITE);
	for (i = 0; i < MAPPED_TABLES; i++)
		put_le64(pdpt + i * 8,
			 (BOOT_PAGE_TABLES + (2 + i) * PAGE_BYTES) |
				 PTE_PRESENT | PTE_WRITE);
	for (i = 0; i < (uint64_t)MAPPED_TABLES * PTES; i++)
		put_le64(pd + i * 8,
			 i * LARGE_BYTES | PTE_PRESENT | PTE_WRITE | PTE_LARGE);
	out->page_tables = BOOT_PAGE_TABLES;
}

void boot_write_tables(struct boot_result *out, const struct boot_plan *plan,
		       const struct gmem *mem)
{
	write_cmdline(out, mem);
	write_gdt(out, mem);
	if (out->kind != BOOT_ELF_PVH) {
		write_zero_page(out, plan, mem);
		write_page_tables(out, mem);
	}
	if (out->kind != BOOT_LINUX64)
		write_start_info(out, mem);
}
