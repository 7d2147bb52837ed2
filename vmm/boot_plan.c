/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans for loading a kernel: tells the formats apart and checks what holds
 * for all of them. Pure but for reading the kernel; no threads of its own.
 * INV-1: every segment of a finished plan lies in one region of RAM.
 * INV-2: no two segments overlap, and none reaches below 1 MiB, where the
 * tables and the ACPI data go.
 * INV-3: the entry point is a byte that comes from the file, below 4 GiB.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/platform.h"
#include "vmm/boot_internal.h"

#define ELF_MAGIC	 0x464c457f /* 7f 'E' 'L' 'F' */
#define BOOT_FLAG	 0xaa55
#define BOOT_FLAG_OFFSET 0x1fe
#define HDRS_MAGIC	 0x53726448 /* 'H' 'd' 'r' 'S' */
#define HDRS_OFFSET	 0x202

#define PROBE_BYTES 0x206

/* What people hand over by mistake. */
static const struct magic {
	uint8_t bytes[3];
	const char *name;
} magics[] = {
	{ { 0x1f, 0x8b, 0x08 }, "gzip-compressed data" },
	{ { 0x28, 0xb5, 0x2f }, "zstd-compressed data" },
	{ { 0xfd, '7', 'z' }, "xz-compressed data" },
	{ { 'B', 'Z', 'h' }, "bzip2-compressed data" },
	{ { 'Q', 'F', 'I' }, "a qcow2 disk image" },
	{ { '0', '7', '0' }, "a cpio archive, perhaps the initrd" },
};

const char *boot_kind_text(enum boot_kind kind)
{
	switch (kind) {
	case BOOT_LINUX64:
		return "bzImage, 64-bit Linux boot protocol";
	case BOOT_ELF_PVH:
		return "ELF64, PVH entry";
	case BOOT_ELF64:
		return "ELF64, long mode entry";
	}
	return "unknown";
}

const char *boot_ram_text(const struct gmem *mem,
			  char text[BOOT_RAM_TEXT_BYTES])
{
	const struct gmem_region *r;
	size_t used;
	unsigned int i;

	used = (size_t)snprintf(text, BOOT_RAM_TEXT_BYTES, "RAM is");
	for (i = 0; i < mem->count && used < BOOT_RAM_TEXT_BYTES; i++) {
		r = &mem->region[i];
		used += (size_t)snprintf(text + used,
					 BOOT_RAM_TEXT_BYTES - used,
					 " [0x%" PRIx64 "-0x%" PRIx64 ")",
					 r->start, r->start + r->bytes);
	}
	return text;
}

int boot_plan_add(struct boot_plan *plan, const struct boot_reader *kernel,
		  const struct boot_segment *s, struct err *e)
{
	if (plan->segments == BOOT_SEGMENTS_MAX)
		return boot_refuse(kernel, e, -EINVAL,
				   "has more than %u segments to load",
				   BOOT_SEGMENTS_MAX);
	plan->segment[plan->segments++] = *s;
	return 0;
}

/* INV-1, the lower half of INV-2, and that the file has the bytes. */
static int check_segment(const struct boot_plan *plan, unsigned int i,
			 const struct boot_reader *kernel,
			 const struct gmem *mem, struct err *e)
{
	const struct boot_segment *s = &plan->segment[i];
	char ram[BOOT_RAM_TEXT_BYTES];

	if (s->file_bytes > s->mem_bytes)
		return boot_refuse(
			kernel, e, -EINVAL,
			"segment %u: 0x%" PRIx64
			" bytes in the file are more than its 0x%" PRIx64
			" bytes in memory",
			i, s->file_bytes, s->mem_bytes);
	if (s->file_offset > kernel->bytes ||
	    s->file_bytes > kernel->bytes - s->file_offset)
		return boot_refuse(
			kernel, e, -EINVAL,
			"segment %u: 0x%" PRIx64 " bytes at offset 0x%" PRIx64
			" leave the file of 0x%" PRIx64 " bytes",
			i, s->file_bytes, s->file_offset, kernel->bytes);
	if (s->gpa < BOOT_HIGH_START)
		return boot_refuse(kernel, e, -EINVAL,
				   "segment %u at 0x%" PRIx64
				   " is below 0x%x, where boot data lies",
				   i, s->gpa, BOOT_HIGH_START);
	if (!gmem_slice(mem, s->gpa, s->mem_bytes))
		return boot_refuse(
			kernel, e, -EINVAL,
			"segment %u: 0x%" PRIx64 " bytes at 0x%" PRIx64
			" are not in guest RAM (%s)",
			i, s->mem_bytes, s->gpa, boot_ram_text(mem, ram));
	return 0;
}

/* The upper half of INV-2. Few segments, so all pairs. */
static int check_overlaps(const struct boot_plan *plan,
			  const struct boot_reader *kernel, struct err *e)
{
	const struct boot_segment *a, *b;
	unsigned int i, j;

	for (i = 0; i < plan->segments; i++) {
		for (j = i + 1; j < plan->segments; j++) {
			a = &plan->segment[i];
			b = &plan->segment[j];
			if (a->gpa < b->gpa + b->mem_bytes &&
			    b->gpa < a->gpa + a->mem_bytes)
				return boot_refuse(
					kernel, e, -EINVAL,
					"segments %u and %u overlap: 0x%" PRIx64
					" bytes at 0x%" PRIx64 ", 0x%" PRIx64
					" bytes at 0x%" PRIx64,
					i, j, a->mem_bytes, a->gpa,
					b->mem_bytes, b->gpa);
		}
	}
	return 0;
}

/* INV-3 */
static int check_entry(const struct boot_plan *plan,
		       const struct boot_reader *kernel, struct err *e)
{
	const struct boot_segment *s;
	unsigned int i;

	if (plan->entry >= BOOT_MAPPED_END)
		return boot_refuse(kernel, e, -EINVAL,
				   "entry point 0x%" PRIx64
				   " is not below 0x%llx",
				   plan->entry, BOOT_MAPPED_END);
	for (i = 0; i < plan->segments; i++) {
		s = &plan->segment[i];
		if (plan->entry >= s->gpa &&
		    plan->entry - s->gpa < s->file_bytes)
			return 0;
	}
	return boot_refuse(kernel, e, -EINVAL,
			   "entry point 0x%" PRIx64
			   " is in no segment that is loaded",
			   plan->entry);
}

/* All that doesn't depend on the format; fills in the kernel's extent. */
static int check_plan(struct boot_plan *plan, const struct boot_reader *kernel,
		      const struct gmem *mem, struct err *e)
{
	const struct boot_segment *s;
	unsigned int i;
	int r;

	if (!plan->segments)
		return boot_refuse(kernel, e, -EINVAL,
				   "has no segment to load");
	plan->kernel_start = UINT64_MAX;
	plan->kernel_end = 0;
	for (i = 0; i < plan->segments; i++) {
		r = check_segment(plan, i, kernel, mem, e);
		if (r)
			return r;
		s = &plan->segment[i];
		if (s->gpa < plan->kernel_start)
			plan->kernel_start = s->gpa;
		if (s->gpa + s->mem_bytes > plan->kernel_end)
			plan->kernel_end = s->gpa + s->mem_bytes;
	}
	r = check_overlaps(plan, kernel, e);
	return r ? r : check_entry(plan, kernel, e);
}

static int not_a_kernel(const struct boot_reader *kernel,
			const uint8_t probe[PROBE_BYTES], struct err *e)
{
	size_t i, n = sizeof(magics) / sizeof(magics[0]);

	for (i = 0; i < n; i++)
		if (!memcmp(probe, magics[i].bytes, sizeof(magics[i].bytes)))
			return boot_refuse(kernel, e, -ENOEXEC,
					   "is not a kernel but %s",
					   magics[i].name);
	return boot_refuse(
		kernel, e, -ENOEXEC,
		"is neither a bzImage (boot flag 0x%04x at 0x1fe, magic 0x%08x "
		"at 0x202) nor ELF (it starts with %02x %02x %02x %02x)",
		get_le16(probe + BOOT_FLAG_OFFSET),
		get_le32(probe + HDRS_OFFSET), probe[0], probe[1], probe[2],
		probe[3]);
}

static int parse(struct boot_plan *plan, const struct boot_reader *kernel,
		 const struct gmem *mem, struct err *e)
{
	uint64_t len =
		kernel->bytes < PROBE_BYTES ? kernel->bytes : PROBE_BYTES;
	uint8_t probe[PROBE_BYTES] = { 0 };
	int r;

	r = boot_read(kernel, 0, probe, len, e);
	if (r)
		return r;
	if (get_le32(probe) == ELF_MAGIC)
		return boot_plan_elf(plan, kernel, e);
	if (get_le16(probe + BOOT_FLAG_OFFSET) == BOOT_FLAG &&
	    get_le32(probe + HDRS_OFFSET) == HDRS_MAGIC)
		return boot_plan_bzimage(plan, kernel, mem, e);
	return not_a_kernel(kernel, probe, e);
}

int boot_plan_kernel(struct boot_plan *plan, const struct boot_reader *kernel,
		     const struct gmem *mem, struct err *e)
{
	const struct gmem_region *low = &mem->region[0];
	struct boot_plan made = { .cmdline_max = BOOT_CMDLINE_MAX };
	char ram[BOOT_RAM_TEXT_BYTES];
	int r;

	if (!gmem_slice(mem, 0, BOOT_HIGH_START))
		return err_set(e, -EINVAL,
			       "guest RAM must begin with [0x0-0x%x): %s",
			       BOOT_HIGH_START, boot_ram_text(mem, ram));
	made.initrd_limit =
		low->bytes < RAM_HOLE_START ? low->bytes : RAM_HOLE_START;
	if (kernel->bytes > BOOT_KERNEL_BYTES_MAX)
		return boot_refuse(kernel, e, -EFBIG,
				   "has %" PRIu64
				   " bytes, more than the limit of %llu",
				   kernel->bytes, BOOT_KERNEL_BYTES_MAX);
	r = parse(&made, kernel, mem, e);
	if (!r)
		r = check_plan(&made, kernel, mem, e);
	if (r)
		return r;
	*plan = made;
	return 0;
}
