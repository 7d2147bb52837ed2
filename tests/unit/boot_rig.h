/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the boot loaders: guest memory in one or two regions, and
 * small valid kernels to damage. The one thread of a test uses it.
 */
#ifndef AMBER_TESTS_UNIT_BOOT_RIG_H
#define AMBER_TESTS_UNIT_BOOT_RIG_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "devices/gmem.h"
#include "devices/platform.h"
#include "vmm/boot.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

/* Adds fresh memory, of which only touched pages cost anything. */
static inline void rig_add(struct gmem *mem, gpa_t start, uint64_t bytes)
{
	void *host = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host == MAP_FAILED || gmem_add(mem, start, bytes, host))
		abort();
}

/* RAM of the amber machine: below the hole, the rest from 4 GiB on. */
static inline void rig_memory(struct gmem *mem, uint64_t bytes)
{
	*mem = (struct gmem){ 0 };
	if (bytes <= RAM_HOLE_START) {
		rig_add(mem, 0, bytes);
		return;
	}
	rig_add(mem, 0, RAM_HOLE_START);
	rig_add(mem, RAM_HOLE_END, bytes - RAM_HOLE_START);
}

/* Makes all memory zero again. */
static inline void rig_fresh(struct gmem *mem)
{
	unsigned int i;

	for (i = 0; i < mem->count; i++)
		madvise(mem->region[i].host, mem->region[i].bytes,
			MADV_DONTNEED);
}

static inline void rig_free(struct gmem *mem)
{
	unsigned int i;

	for (i = 0; i < mem->count; i++)
		munmap(mem->region[i].host, mem->region[i].bytes);
	mem->count = 0;
}

struct image {
	uint8_t bytes[2048];
	size_t len;
};

#define BZ_KERNEL	0x400 /* file offset: one sector of setup */
#define BZ_KERNEL_BYTES 0x240
#define BZ_LOAD		0x1000000
#define BZ_INIT_BYTES	0x2000

/* A bzImage, protocol 2.15, of 0x240 bytes of kernel that are all 0x90. */
static inline void image_bzimage(struct image *im)
{
	uint8_t *b = im->bytes;

	memset(im, 0, sizeof(*im));
	b[0x1f1] = 1;				   /* setup_sects */
	put_le32(b + 0x1f4, BZ_KERNEL_BYTES / 16); /* syssize */
	put_le16(b + 0x1fe, 0xaa55);
	put_le16(b + 0x200, 0x6aeb);
	memcpy(b + 0x202, "HdrS", 4);
	put_le16(b + 0x206, 0x020f);
	b[0x211] = 0x81;		    /* loadflags */
	put_le32(b + 0x22c, 0x7fffffff);    /* initrd_addr_max */
	put_le32(b + 0x230, 0x200000);	    /* kernel_alignment */
	b[0x234] = 1;			    /* relocatable_kernel */
	put_le16(b + 0x236, 0x003f);	    /* xloadflags */
	put_le32(b + 0x238, 2047);	    /* cmdline_size */
	put_le32(b + 0x248, 0x210);	    /* payload_offset */
	put_le32(b + 0x24c, 0x30);	    /* payload_length */
	put_le64(b + 0x258, BZ_LOAD);	    /* pref_address */
	put_le32(b + 0x260, BZ_INIT_BYTES); /* init_size */
	memset(b + BZ_KERNEL, 0x90, BZ_KERNEL_BYTES);
	im->len = BZ_KERNEL + BZ_KERNEL_BYTES;
}

#define ELF_PHDRS     64
#define ELF_CODE      0x200 /* file offset */
#define ELF_CODE_LEN  0x100
#define ELF_DATA      0x300
#define ELF_DATA_LEN  0x80
#define ELF_NOTE      0x180
#define ELF_LOAD      0x200000
#define ELF_DATA_LOAD 0x202000
#define ELF_DATA_MEM  0x1000
#define ELF_ENTRY     0x200010
#define ELF_PVH_ENTRY 0x200020

static inline uint8_t *image_phdr(struct image *im, unsigned int i)
{
	return im->bytes + ELF_PHDRS + (size_t)i * 56;
}

static inline void image_set_phdr(struct image *im, unsigned int i,
				  uint32_t type, uint64_t offset, uint64_t gpa,
				  uint64_t file, uint64_t memory)
{
	uint8_t *ph = image_phdr(im, i);

	put_le32(ph, type);
	put_le64(ph + 8, offset);
	put_le64(ph + 16, gpa);
	put_le64(ph + 24, gpa);
	put_le64(ph + 32, file);
	put_le64(ph + 40, memory);
	put_le64(ph + 48, 4);
}

/* An ELF64 kernel: code, data with BSS, an empty segment. */
static inline void image_elf(struct image *im)
{
	uint8_t *b = im->bytes;

	memset(im, 0, sizeof(*im));
	memcpy(b, "\177ELF\2\1\1", 7);
	put_le16(b + 16, 2);  /* e_type */
	put_le16(b + 18, 62); /* e_machine */
	put_le64(b + 24, ELF_ENTRY);
	put_le64(b + 32, ELF_PHDRS);
	put_le16(b + 54, 56); /* e_phentsize */
	put_le16(b + 56, 3);  /* e_phnum */
	image_set_phdr(im, 0, 1, ELF_CODE, ELF_LOAD, ELF_CODE_LEN,
		       ELF_CODE_LEN);
	image_set_phdr(im, 1, 1, ELF_DATA, ELF_DATA_LOAD, ELF_DATA_LEN,
		       ELF_DATA_MEM);
	image_set_phdr(im, 2, 1, 0, 0, 0, 0);
	memset(b + ELF_CODE, 0x90, ELF_CODE_LEN);
	memset(b + ELF_DATA, 0xda, ELF_DATA_LEN);
	im->len = ELF_DATA + ELF_DATA_LEN;
}

/* The same with the PVH note behind another note. */
static inline void image_pvh(struct image *im)
{
	uint8_t *n = im->bytes + ELF_NOTE;

	image_elf(im);
	put_le16(im->bytes + 56, 2);
	put_le32(n, 4);
	put_le32(n + 4, 2);
	put_le32(n + 8, 1);
	memcpy(n + 12, "Abc", 4);
	n += 20;
	put_le32(n, 4);
	put_le32(n + 4, 8);
	put_le32(n + 8, 18);
	memcpy(n + 12, "Xen", 4);
	put_le64(n + 16, ELF_PVH_ENTRY);
	put_le16(im->bytes + 56, 3);
	image_set_phdr(im, 2, 4, ELF_NOTE, 0, 44, 44);
}

static inline struct boot_reader image_reader(const struct image *im)
{
	struct boot_reader r;

	boot_reader_bytes(&r, im->bytes, im->len, "/k");
	return r;
}

#endif
