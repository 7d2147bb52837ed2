/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF-64 kernels, ELF-64 Object File Format: program headers only, loaded at
 * their physical addresses. The PVH note (Xen's ELF notes, type 18) names a
 * 32-bit entry point; without it the ELF entry point is used. Reads the
 * kernel, changes nothing but the plan; no threads of its own.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "vmm/boot_internal.h"

/* ELF header: offsets and values */
#define EHDR_BYTES     64
#define EI_CLASS       4
#define EI_DATA	       5
#define E_TYPE	       16
#define E_MACHINE      18
#define E_ENTRY	       24
#define E_PHOFF	       32
#define E_PHENTSIZE    54
#define E_PHNUM	       56
#define CLASS_64       2
#define DATA_LITTLE    1
#define TYPE_EXEC      2
#define TYPE_DYN       3
#define MACHINE_X86_64 62

/* Program header: offsets and values */
#define PHDR_BYTES  56
#define P_TYPE	    0
#define P_OFFSET    8
#define P_PADDR	    24
#define P_FILESZ    32
#define P_MEMSZ	    40
#define P_ALIGN	    48
#define PHDR_LOAD   1
#define PHDR_INTERP 3
#define PHDR_NOTE   4

/* Notes: a header of three words, a name, a descriptor */
#define NOTE_BYTES  12
#define NOTE_PHYS32 18
#define NOTE_XEN    "Xen"

struct parse {
	const struct boot_reader *kernel;
	struct boot_plan *plan;
	struct err *e;
	uint64_t note_bytes; /* so far */
	bool has_pvh;
	uint64_t pvh_entry;
};

static int check_ident(const uint8_t *eh, const struct boot_reader *k,
		       struct err *e)
{
	uint16_t type = get_le16(eh + E_TYPE);
	uint16_t machine = get_le16(eh + E_MACHINE);

	if (eh[EI_CLASS] != CLASS_64)
		return boot_refuse(k, e, -EINVAL,
				   "ELF class %u is not 64-bit (%u)",
				   eh[EI_CLASS], CLASS_64);
	if (eh[EI_DATA] != DATA_LITTLE)
		return boot_refuse(k, e, -EINVAL,
				   "ELF data encoding %u is not little-endian "
				   "(%u)",
				   eh[EI_DATA], DATA_LITTLE);
	if (machine != MACHINE_X86_64)
		return boot_refuse(k, e, -EINVAL,
				   "ELF machine %u is not x86-64 (%u)", machine,
				   MACHINE_X86_64);
	if (type != TYPE_EXEC && type != TYPE_DYN)
		return boot_refuse(k, e, -EINVAL,
				   "ELF type %u is neither executable (%u) nor "
				   "shared (%u)",
				   type, TYPE_EXEC, TYPE_DYN);
	return 0;
}

static int check_table(const uint8_t *eh, const struct boot_reader *k,
		       struct err *e)
{
	uint16_t size = get_le16(eh + E_PHENTSIZE);
	uint16_t count = get_le16(eh + E_PHNUM);
	uint64_t offset = get_le64(eh + E_PHOFF);
	uint64_t bytes = (uint64_t)count * PHDR_BYTES;

	if (size != PHDR_BYTES)
		return boot_refuse(k, e, -EINVAL,
				   "ELF program headers of %u bytes, not %u",
				   size, PHDR_BYTES);
	if (count < 1 || count > BOOT_PHNUM_MAX)
		return boot_refuse(k, e, -EINVAL,
				   "ELF program header count %u is not in "
				   "1..%u",
				   count, BOOT_PHNUM_MAX);
	if (offset > k->bytes || bytes > k->bytes - offset)
		return boot_refuse(k, e, -EINVAL,
				   "%u ELF program headers at offset 0x%" PRIx64
				   " leave the file of 0x%" PRIx64 " bytes",
				   count, offset, k->bytes);
	return 0;
}

static uint64_t round_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* The entry point is a word of 4 bytes, or of 8. The first note counts. */
static int take_pvh(struct parse *p, const uint8_t *desc, uint32_t bytes)
{
	if (p->has_pvh)
		return 0;
	if (bytes != 4 && bytes != 8)
		return boot_refuse(p->kernel, p->e, -EINVAL,
				   "PVH note: entry point of %u bytes, not 4 "
				   "or 8",
				   bytes);
	p->has_pvh = true;
	p->pvh_entry = bytes_get(desc, bytes);
	return 0;
}

static int walk_notes(struct parse *p, const uint8_t *at, uint64_t len,
		      uint64_t align)
{
	uint64_t desc_at, end, offset = 0;
	uint32_t name_bytes, desc_bytes;
	const uint8_t *n;
	int r;

	while (len - offset >= NOTE_BYTES) {
		n = at + offset;
		name_bytes = get_le32(n);
		desc_bytes = get_le32(n + 4);
		desc_at = round_up((uint64_t)NOTE_BYTES + name_bytes, align);
		end = desc_at + desc_bytes;
		if (end > len - offset)
			return boot_refuse(
				p->kernel, p->e, -EINVAL,
				"ELF note at 0x%" PRIx64
				": name of %u and descriptor of %u bytes leave "
				"the 0x%" PRIx64 " bytes of notes",
				offset, name_bytes, desc_bytes, len);
		if (get_le32(n + 8) == NOTE_PHYS32 &&
		    name_bytes == sizeof(NOTE_XEN) &&
		    !memcmp(n + NOTE_BYTES, NOTE_XEN, sizeof(NOTE_XEN))) {
			r = take_pvh(p, n + desc_at, desc_bytes);
			if (r)
				return r;
		}
		end = round_up(end, align);
		if (end >= len - offset)
			return 0;
		offset += end;
	}
	return 0;
}

static int read_notes(struct parse *p, const uint8_t *ph)
{
	uint64_t align = get_le64(ph + P_ALIGN) == 8 ? 8 : 4;
	uint64_t bytes = get_le64(ph + P_FILESZ);
	uint8_t *notes;
	int r;

	if (!bytes)
		return 0;
	if (bytes > BOOT_NOTE_BYTES_MAX - p->note_bytes)
		return boot_refuse(p->kernel, p->e, -EINVAL,
				   "ELF notes of more than %u bytes",
				   BOOT_NOTE_BYTES_MAX);
	p->note_bytes += bytes;
	notes = malloc(bytes);
	if (!notes)
		return boot_refuse(p->kernel, p->e, -ENOMEM,
				   "no memory for %" PRIu64 " bytes of notes",
				   bytes);
	r = boot_read(p->kernel, get_le64(ph + P_OFFSET), notes, bytes, p->e);
	if (!r)
		r = walk_notes(p, notes, bytes, align);
	free(notes);
	return r;
}

static int read_phdr(struct parse *p, const uint8_t *ph)
{
	struct boot_segment s = {
		.file_offset = get_le64(ph + P_OFFSET),
		.file_bytes = get_le64(ph + P_FILESZ),
		.gpa = get_le64(ph + P_PADDR),
		.mem_bytes = get_le64(ph + P_MEMSZ),
	};

	switch (get_le32(ph + P_TYPE)) {
	case PHDR_LOAD:
		if (!s.mem_bytes && !s.file_bytes)
			return 0;
		return boot_plan_add(p->plan, p->kernel, &s, p->e);
	case PHDR_NOTE:
		return read_notes(p, ph);
	case PHDR_INTERP:
		return boot_refuse(p->kernel, p->e, -EINVAL,
				   "is a program that asks for an interpreter, "
				   "not a kernel");
	default:
		return 0;
	}
}

int boot_plan_elf(struct boot_plan *plan, const struct boot_reader *kernel,
		  struct err *e)
{
	struct parse p = { .kernel = kernel, .plan = plan, .e = e };
	uint8_t table[BOOT_PHNUM_MAX * PHDR_BYTES], eh[EHDR_BYTES];
	unsigned int i, count;
	int r;

	if (kernel->bytes < EHDR_BYTES)
		return boot_refuse(kernel, e, -EINVAL,
				   "%" PRIu64 " bytes are too few for an ELF "
				   "header of %u",
				   kernel->bytes, EHDR_BYTES);
	r = boot_read(kernel, 0, eh, sizeof(eh), e);
	if (!r)
		r = check_ident(eh, kernel, e);
	if (!r)
		r = check_table(eh, kernel, e);
	if (r)
		return r;
	count = get_le16(eh + E_PHNUM);
	r = boot_read(kernel, get_le64(eh + E_PHOFF), table,
		      (uint64_t)count * PHDR_BYTES, e);
	for (i = 0; i < count && !r; i++)
		r = read_phdr(&p, table + (size_t)i * PHDR_BYTES);
	if (r)
		return r;
	plan->kind = p.has_pvh ? BOOT_ELF_PVH : BOOT_ELF64;
	plan->entry = p.has_pvh ? p.pvh_entry : get_le64(eh + E_ENTRY);
	return 0;
}
