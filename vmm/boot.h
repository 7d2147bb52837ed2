/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot loaders: from kernel file, initial RAM disk and command line to guest
 * memory and the first CPU's registers. Map first, I/O second: a plan is
 * made and checked before guest memory is touched, so a refusal has no side
 * effect. Everything is called by the thread that builds the machine, before
 * a vCPU runs; nothing here keeps state.
 *
 * Guest memory must be fresh (all zero) in front of each load: what a kernel
 * expects to be zero is not written, and pages that hold nothing stay
 * untouched. Layout: devices/platform.h.
 *
 * Specifications: Linux Documentation/arch/x86/boot.rst ("boot.rst") with
 * its section "64-bit Boot Protocol" and zero-page.rst; the ELF-64 Object
 * File Format; Xen's x86/HVM direct boot ABI ("PVH", docs/misc/pvh.pandoc).
 */
#ifndef AMBER_VMM_BOOT_H
#define AMBER_VMM_BOOT_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "devices/gmem.h"
#include "vmm/boot_limits.h"
#include "vmm/boot_reader.h"

enum boot_kind {
	BOOT_LINUX64, /* bzImage, 64-bit Linux boot protocol */
	BOOT_ELF_PVH, /* ELF64 with Xen's note 18: 32-bit, paging off */
	BOOT_ELF64,   /* ELF64 without: its entry point in long mode */
};

/* Words for people, such as "bzImage, 64-bit Linux boot protocol". */
const char *boot_kind_text(enum boot_kind kind);

/* The first file_bytes of [gpa, gpa + mem_bytes) come from the file. */
struct boot_segment {
	uint64_t file_offset;
	uint64_t file_bytes; /* <= mem_bytes */
	gpa_t gpa;
	uint64_t mem_bytes;
};

/* A bzImage's setup header lies at these offsets, of file and zero page. */
#define BOOT_HEADER_START 0x1f1
#define BOOT_HEADER_END	  0x290

/*
 * What loading a kernel takes. All segments are inside guest RAM, disjoint
 * and at or above 1 MiB; entry lies in the file part of one, below 4 GiB.
 */
struct boot_plan {
	enum boot_kind kind;
	gpa_t entry;
	struct boot_segment segment[BOOT_SEGMENTS_MAX];
	unsigned int segments;
	gpa_t kernel_start, kernel_end; /* all segments, with their BSS */
	gpa_t initrd_limit;		/* the initrd ends here or lower */
	uint32_t cmdline_max;		/* characters without the NUL */
	uint8_t header[BOOT_HEADER_END - BOOT_HEADER_START];
	uint32_t header_bytes; /* of header; 0 if not a bzImage */
};

/*
 * Reads the kernel's headers and makes the plan; what kind it is, its
 * content says. Guest memory is not touched. Errors: -EINVAL or -ENOEXEC
 * with file, place, value and limit in words; -ENOMEM; what reading says.
 */
int boot_plan_kernel(struct boot_plan *plan, const struct boot_reader *kernel,
		     const struct gmem *mem, struct err *e);

struct boot_request {
	const struct boot_reader *kernel;
	const struct boot_reader *initrd; /* NULL: none */
	const char *cmdline;		  /* NULL: empty */
	gpa_t rsdp; /* ACPI root pointer that is or will be there; 0: none */
};

struct boot_times {
	uint64_t plan_ns, kernel_ns, initrd_ns, tables_ns;
};

/* What was loaded. An address of 0 means that there is no such thing. */
struct boot_result {
	enum boot_kind kind;
	const char *kernel_path, *initrd_path; /* borrowed; NULL: no initrd */
	const char *cmdline;		       /* borrowed from the request */
	gpa_t entry;
	gpa_t kernel_start, kernel_end;
	uint64_t kernel_bytes; /* read from the file */
	gpa_t initrd_start, initrd_end;
	gpa_t cmdline_gpa;
	uint32_t cmdline_bytes; /* the NUL not counted */
	gpa_t gdt;
	gpa_t zero_page;   /* boot_params; not for BOOT_ELF_PVH */
	gpa_t start_info;  /* hvm_start_info; not for BOOT_LINUX64 */
	gpa_t page_tables; /* identity, 4 GiB; not for BOOT_ELF_PVH */
	gpa_t rsdp;
	struct boot_times times;
};

/*
 * Plans and loads: kernel, initrd (page aligned, as high as the kernel and
 * the 3 GiB hole allow), command line, and the tables that the kind needs.
 * Errors as boot_plan_kernel(); -ENOSPC when the initrd does not fit. After
 * an error guest memory is all zero, as it was.
 */
int boot_load(struct boot_result *out, const struct boot_request *req,
	      const struct gmem *mem, struct err *e);

/* A boot list: the first kernel that can be loaded is used. */
struct boot_list {
	const char *const *kernels; /* paths */
	size_t count;
	const char *initrd;  /* path; NULL: none */
	const char *cmdline; /* NULL: empty */
	gpa_t rsdp;
	/* Called for every kernel that is passed over; may be NULL. */
	void (*refused)(void *ctx, const char *path, const struct err *why);
	void *ctx;
};

/*
 * Loads the first kernel of the list that can be loaded; *chosen is its
 * index. Errors: an initrd that can't be opened (no kernel is tried then);
 * else the first kernel's refusal when all were refused; -EINVAL for an
 * empty list.
 */
int boot_first_loadable(struct boot_result *out, size_t *chosen,
			const struct boot_list *list, const struct gmem *mem,
			struct err *e);

/* Appends lines for the boot log: what lies where, how long it took. */
void boot_describe(const struct boot_result *boot, struct buf *out);

/*
 * The registers of the boot CPU for boot->kind. regs is filled in whole. Of
 * sregs, as KVM_GET_SREGS gave it, apic_base is kept and all else is set.
 */
void boot_cpu_state(const struct boot_result *boot, struct kvm_regs *regs,
		    struct kvm_sregs *sregs);

#endif
