/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare program's guest memory: an ELF64 kernel and what it is entered
 * with. Runs once, in the main thread, before any vCPU. A kernel that lies
 * about itself ends the process; nothing is written outside the memory.
 */
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/bench/bare.h"

#define MAX_ELF_BYTES  (16u << 20)
#define MAX_ELF_PARTS  64
#define PVH_ENTRY_NOTE 18

static uint8_t *ram;

static void put(uint64_t gpa, const void *bytes, size_t n)
{
	if (gpa > opt.memory_bytes || n > opt.memory_bytes - gpa)
		finish(END_USAGE, "the guest does not fit into its memory");
	memcpy(ram + gpa, bytes, n);
}

static void put64(uint64_t gpa, uint64_t value)
{
	put(gpa, &value, sizeof(value));
}

static void put32(uint64_t gpa, uint32_t value)
{
	put(gpa, &value, sizeof(value));
}

/* RSDP, XSDT and MADT: just enough for a guest to find its CPUs. */
static void put_acpi(void)
{
	const uint64_t rsdp = ACPI_TABLES, xsdt = rsdp + 64, madt = xsdt + 64;
	uint64_t at = madt + 44;
	unsigned i;

	put(rsdp, "RSD PTR ", 8);
	ram[rsdp + 15] = 2;
	put64(rsdp + 24, xsdt);
	put(xsdt, "XSDT", 4);
	put32(xsdt + 4, 44);
	put64(xsdt + 36, madt);
	put(madt, "APIC", 4);
	put32(madt + 36, LAPIC_BASE);
	for (i = 0; i < opt.cpus; i++) {
		put32(at, 9 | 16 << 8);
		put32(at + 4, i);
		put32(at + 8, 1);
		put32(at + 12, i);
		at += 16;
	}
	put32(madt + 4, (uint32_t)(at - madt));
}

static void put_map_entry(uint64_t at, uint64_t start, uint64_t end)
{
	put64(at, start);
	put64(at + 8, end - start);
	put32(at + 16, 1);
}

/* hvm_start_info version 1 (Xen, public/arch-x86/hvm/start_info.h) */
static void put_start_info(void)
{
	const uint64_t map = BOOT_START_INFO + 64;

	put32(BOOT_START_INFO, 0x336ec578);
	put32(BOOT_START_INFO + 4, 1);
	put64(BOOT_START_INFO + 24, BOOT_CMDLINE);
	put64(BOOT_START_INFO + 32, ACPI_TABLES);
	put64(BOOT_START_INFO + 40, map);
	put32(BOOT_START_INFO + 48, 2);
	put_map_entry(map, 0, BOOT_LOW_END);
	put_map_entry(map + 24, BOOT_HIGH_START, opt.memory_bytes);
	put(BOOT_CMDLINE, opt.append, strlen(opt.append) + 1);
}

/* The first 4 GiB as 2 MiB pages, for the kernel only. */
static void put_page_tables(void)
{
	const uint64_t pdpt = BOOT_PAGE_TABLES + 0x1000, pd = pdpt + 0x1000;
	uint64_t i;

	put64(BOOT_PAGE_TABLES, pdpt | 3);
	for (i = 0; i < 4; i++)
		put64(pdpt + i * 8, (pd + i * 0x1000) | 3);
	for (i = 0; i < 2048; i++)
		put64(pd + i * 8, i << 21 | 0x83);
}

/* The 32-bit entry of a PVH note in the n bytes at at, 0: there is none. */
static uint64_t find_pvh_note(const uint8_t *at, size_t n)
{
	Elf64_Nhdr note;
	uint64_t head, size;
	uint32_t entry;

	while (n >= sizeof(note)) {
		memcpy(&note, at, sizeof(note));
		head = sizeof(note) + ((note.n_namesz + 3ull) & ~3ull);
		size = head + ((note.n_descsz + 3ull) & ~3ull);
		if (size > n)
			break;
		if (note.n_type == PVH_ENTRY_NOTE &&
		    note.n_descsz >= sizeof(entry)) {
			memcpy(&entry, at + head, sizeof(entry));
			return entry;
		}
		at += size;
		n -= size;
	}
	return 0;
}

/* The whole file, mapped. */
static const uint8_t *map_kernel(uint64_t *bytes)
{
	int fd = must(open(opt.kernel, O_RDONLY | O_CLOEXEC), opt.kernel);
	struct stat st;
	void *at;

	must(fstat(fd, &st), opt.kernel);
	*bytes = (uint64_t)st.st_size;
	if (*bytes < sizeof(Elf64_Ehdr) || *bytes > MAX_ELF_BYTES)
		finish(END_USAGE, "the guest is no small ELF file");
	at = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		must(-1, "mmap");
	return at;
}

/* A part [offset, offset + n) of a file of that many bytes, or the end. */
static const uint8_t *part(const uint8_t *file, uint64_t bytes, uint64_t offset,
			   uint64_t n)
{
	if (offset > bytes || n > bytes - offset)
		finish(END_USAGE, "the guest's ELF headers point outside it");
	return file + offset;
}

/* Loads the kernel; *pvh says which of the two entries the result is. */
static uint64_t load_elf(bool *pvh)
{
	uint64_t bytes, entry = 0;
	const uint8_t *file = map_kernel(&bytes);
	const uint8_t *at;
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	unsigned i;

	memcpy(&eh, file, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phnum > MAX_ELF_PARTS)
		finish(END_USAGE, "the guest is no ELF64 file");
	for (i = 0; i < eh.e_phnum; i++) {
		at = part(file, bytes, eh.e_phoff + i * sizeof(ph), sizeof(ph));
		memcpy(&ph, at, sizeof(ph));
		at = part(file, bytes, ph.p_offset, ph.p_filesz);
		if (ph.p_type == PT_LOAD)
			put(ph.p_paddr, at, ph.p_filesz);
		if (ph.p_type == PT_NOTE && opt.entry != ENTRY_ELF)
			entry = find_pvh_note(at, ph.p_filesz);
	}
	if (opt.entry == ENTRY_PVH && entry == 0)
		finish(END_USAGE, "the guest has no PVH note");
	*pvh = entry != 0;
	return *pvh ? entry : eh.e_entry;
}

uint64_t load_guest(uint8_t *memory, bool *pvh)
{
	uint64_t entry;

	ram = memory;
	put_acpi();
	put_start_info();
	entry = load_elf(pvh);
	if (!*pvh)
		put_page_tables();
	return entry;
}
