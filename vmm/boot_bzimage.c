/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup header of a bzImage, boot.rst "The Real-Mode Kernel Header" and
 * "64-bit Boot Protocol". Every field is hostile until it was checked here.
 * Reads the kernel, changes nothing but the plan; no threads of its own.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "vmm/boot_internal.h"

/* Offsets in the file, boot.rst; the header ends behind handover_offset. */
#define SETUP_SECTS	 0x1f1
#define SYSSIZE		 0x1f4
#define HEADER_LENGTH	 0x201
#define HEADER_LENGTH_AT 0x202
#define VERSION		 0x206
#define LOADFLAGS	 0x211
#define INITRD_ADDR_MAX	 0x22c
#define KERNEL_ALIGNMENT 0x230
#define RELOCATABLE	 0x234
#define XLOADFLAGS	 0x236
#define CMDLINE_SIZE	 0x238
#define PAYLOAD_OFFSET	 0x248
#define PAYLOAD_LENGTH	 0x24c
#define PREF_ADDRESS	 0x258
#define INIT_SIZE	 0x260
#define HEADER_END_2_12	 0x268

#define VERSION_2_12	0x020c
#define LOADED_HIGH	0x01
#define XLF_KERNEL_64	0x0001
#define SECTOR_BYTES	512
#define PARAGRAPH_BYTES 16
#define ENTRY_64	0x200

/* The header's fields, of their own width. */
struct header {
	uint8_t setup_sects;
	uint32_t syssize; /* paragraphs */
	uint32_t end;	  /* offset behind the header */
	uint16_t version;
	uint8_t loadflags;
	uint32_t initrd_addr_max; /* the last byte that may be used */
	uint32_t kernel_alignment;
	uint8_t relocatable;
	uint16_t xloadflags;
	uint32_t cmdline_size;
	uint32_t payload_offset, payload_length;
	uint64_t pref_address;
	uint32_t init_size;
};

static void decode(struct header *h, const uint8_t page[BOOT_HEADER_END])
{
	h->setup_sects = page[SETUP_SECTS];
	h->syssize = get_le32(page + SYSSIZE);
	h->end = HEADER_LENGTH_AT + page[HEADER_LENGTH];
	h->version = get_le16(page + VERSION);
	h->loadflags = page[LOADFLAGS];
	h->initrd_addr_max = get_le32(page + INITRD_ADDR_MAX);
	h->kernel_alignment = get_le32(page + KERNEL_ALIGNMENT);
	h->relocatable = page[RELOCATABLE];
	h->xloadflags = get_le16(page + XLOADFLAGS);
	h->cmdline_size = get_le32(page + CMDLINE_SIZE);
	h->payload_offset = get_le32(page + PAYLOAD_OFFSET);
	h->payload_length = get_le32(page + PAYLOAD_LENGTH);
	h->pref_address = get_le64(page + PREF_ADDRESS);
	h->init_size = get_le32(page + INIT_SIZE);
}

/* What kind of kernel it is: only those with a 64-bit entry are booted. */
static int check_protocol(const struct header *h, const struct boot_reader *k,
			  struct err *e)
{
	if (h->version < VERSION_2_12)
		return boot_refuse(k, e, -EINVAL,
				   "boot protocol %u.%02u is older than 2.12",
				   h->version >> 8, h->version & 0xff);
	if (h->end < HEADER_END_2_12 || h->end > BOOT_HEADER_END)
		return boot_refuse(k, e, -EINVAL,
				   "setup header ends at 0x%x, not in "
				   "0x%x..0x%x",
				   h->end, HEADER_END_2_12, BOOT_HEADER_END);
	if (!(h->loadflags & LOADED_HIGH))
		return boot_refuse(k, e, -EINVAL,
				   "loadflags 0x%02x lack LOADED_HIGH (0x01): "
				   "a zImage, not a bzImage",
				   h->loadflags);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return boot_refuse(k, e, -EINVAL,
				   "xloadflags 0x%04x lack XLF_KERNEL_64 "
				   "(0x0001): no 64-bit entry point",
				   h->xloadflags);
	if (!h->relocatable)
		return boot_refuse(k, e, -EINVAL,
				   "relocatable_kernel is 0; only relocatable "
				   "kernels are loaded");
	if (h->setup_sects < 1 || h->setup_sects > BOOT_SETUP_SECTS_MAX)
		return boot_refuse(k, e, -EINVAL,
				   "setup_sects %u is not in 1..%u",
				   h->setup_sects, BOOT_SETUP_SECTS_MAX);
	return 0;
}

/* Where the kernel proper is in the file, and that it is there in full. */
static int find_kernel(struct boot_segment *s, const struct header *h,
		       const struct boot_reader *k, struct err *e)
{
	uint64_t start = (h->setup_sects + 1u) * SECTOR_BYTES;
	uint64_t want = (uint64_t)h->syssize * PARAGRAPH_BYTES;
	uint64_t have = k->bytes > start ? k->bytes - start : 0;
	uint64_t payload_end = (uint64_t)h->payload_offset + h->payload_length;

	if (want <= ENTRY_64)
		return boot_refuse(k, e, -EINVAL,
				   "syssize 0x%x (0x%" PRIx64
				   " bytes) has no room for the entry point "
				   "at 0x%x",
				   h->syssize, want, ENTRY_64);
	/* syssize is rounded up to paragraphs. */
	if (want > have + PARAGRAPH_BYTES - 1)
		return boot_refuse(k, e, -EINVAL,
				   "is cut short: 0x%" PRIx64
				   " bytes of kernel (syssize) at offset "
				   "0x%" PRIx64 ", 0x%" PRIx64 " are there",
				   want, start, have);
	if (payload_end > want)
		return boot_refuse(k, e, -EINVAL,
				   "payload (offset 0x%x, length 0x%x) leaves "
				   "the 0x%" PRIx64 " bytes of kernel",
				   h->payload_offset, h->payload_length, want);
	s->file_offset = start;
	s->file_bytes = want < have ? want : have;
	return 0;
}

static int place_kernel(struct boot_segment *s, const struct header *h,
			const struct boot_reader *k, const struct gmem *mem,
			struct err *e)
{
	uint32_t align = h->kernel_alignment;
	char ram[BOOT_RAM_TEXT_BYTES];

	if (!align || (align & (align - 1)))
		return boot_refuse(k, e, -EINVAL,
				   "kernel_alignment 0x%x is not a power of "
				   "two",
				   align);
	if (h->pref_address & (align - 1))
		return boot_refuse(k, e, -EINVAL,
				   "pref_address 0x%" PRIx64
				   " is not a multiple of kernel_alignment "
				   "0x%x",
				   h->pref_address, align);
	if (h->init_size < s->file_bytes)
		return boot_refuse(k, e, -EINVAL,
				   "init_size 0x%x is less than the 0x%" PRIx64
				   " bytes of kernel",
				   h->init_size, s->file_bytes);
	if (!gmem_slice(mem, h->pref_address, h->init_size))
		return boot_refuse(k, e, -EINVAL,
				   "needs 0x%x bytes (init_size) at 0x%" PRIx64
				   " (pref_address), not all of it guest RAM "
				   "(%s)",
				   h->init_size, h->pref_address,
				   boot_ram_text(mem, ram));
	s->gpa = h->pref_address;
	s->mem_bytes = h->init_size;
	return 0;
}

/* Whole header into the plan: it goes into the zero page, zero-page.rst. */
static void keep_header(struct boot_plan *plan, const struct header *h,
			const uint8_t page[BOOT_HEADER_END])
{
	uint32_t i;

	plan->header_bytes = h->end - BOOT_HEADER_START;
	for (i = 0; i < plan->header_bytes; i++)
		plan->header[i] = page[BOOT_HEADER_START + i];
}

int boot_plan_bzimage(struct boot_plan *plan, const struct boot_reader *kernel,
		      const struct gmem *mem, struct err *e)
{
	uint8_t page[BOOT_HEADER_END];
	struct boot_segment s = { 0 };
	struct header h;
	int r;

	if (kernel->bytes < BOOT_HEADER_END)
		return boot_refuse(kernel, e, -EINVAL,
				   "%" PRIu64 " bytes are too few for a "
				   "bzImage's setup header, which ends at %u",
				   kernel->bytes, BOOT_HEADER_END);
	r = boot_read(kernel, 0, page, sizeof(page), e);
	if (r)
		return r;
	decode(&h, page);
	r = check_protocol(&h, kernel, e);
	if (!r)
		r = find_kernel(&s, &h, kernel, e);
	if (!r)
		r = place_kernel(&s, &h, kernel, mem, e);
	if (!r)
		r = boot_plan_add(plan, kernel, &s, e);
	if (r)
		return r;
	plan->kind = BOOT_LINUX64;
	plan->entry = s.gpa + ENTRY_64;
	if ((uint64_t)h.initrd_addr_max + 1 < plan->initrd_limit)
		plan->initrd_limit = (uint64_t)h.initrd_addr_max + 1;
	if (h.cmdline_size < plan->cmdline_max)
		plan->cmdline_max = h.cmdline_size;
	keep_header(plan, &h, page);
	return 0;
}
