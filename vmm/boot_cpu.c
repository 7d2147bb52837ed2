/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot CPU's first state. Pure; any thread. Linux's 64-bit entry: boot.rst
 * "64-bit Boot Protocol"; PVH: Xen's "x86/HVM direct boot ABI"; the plain
 * ELF64 entry is amber's own: as Linux's, with the start info in rdi.
 */
#include "vmm/boot_internal.h"

#define CR0_PE 0x00000001
#define CR0_ET 0x00000010 /* always 1 in a CPU */
#define CR0_NE 0x00000020
#define CR0_PG 0x80000000

#define CR4_PAE 0x20

#define EFER_LME 0x100
#define EFER_LMA 0x400

#define RFLAGS_FIXED 0x2

#define SEGMENT_CODE 0xb /* execute, read, accessed */
#define SEGMENT_DATA 0x3 /* read, write, accessed */
#define SEGMENT_TSS  0xb /* busy; 32-bit, or 64-bit in long mode */
#define SEGMENT_LDT  0x2

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
}

static void set_segments(struct kvm_sregs *s, const struct boot_result *boot)
{
	struct kvm_segment data = flat(BOOT_DS, SEGMENT_DATA);

	s->cs = flat(BOOT_CS, SEGMENT_CODE);
	if (boot->kind != BOOT_ELF_PVH) {
		s->cs.l = 1;
		s->cs.db = 0;
	}
	s->ds = s->es = s->ss = s->fs = s->gs = data;
	s->tr = (struct kvm_segment){
		.limit = BOOT_TSS_LIMIT,
		.selector = BOOT_TR,
		.type = SEGMENT_TSS,
		.present = 1,
	};
	s->ldt = (struct kvm_segment){ .type = SEGMENT_LDT, .unusable = 1 };
	s->gdt = (struct kvm_dtable){ .base = boot->gdt,
				      .limit = BOOT_GDT_BYTES - 1 };
	s->idt = (struct kvm_dtable){ 0 };
}

void boot_cpu_state(const struct boot_result *boot, struct kvm_regs *regs,
		    struct kvm_sregs *sregs)
{
	struct kvm_sregs s = { .apic_base = sregs->apic_base };

	*regs = (struct kvm_regs){ .rip = boot->entry, .rflags = RFLAGS_FIXED };
	set_segments(&s, boot);
	if (boot->kind == BOOT_ELF_PVH) {
		s.cr0 = CR0_PE | CR0_ET;
		regs->rbx = boot->start_info;
	} else {
		s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
		s.cr3 = boot->page_tables;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
		regs->rsi = boot->zero_page;
		regs->rdi = boot->start_info;
	}
	*sregs = s;
}
