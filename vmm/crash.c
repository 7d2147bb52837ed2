/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report about a guest that can't go on: decoded reason, registers,
 * instruction bytes, the last exits. Written by the crashed vCPU's own
 * thread, which KVM wants for register reads.
 */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/machine_private.h"

#define INSN_BYTES 16

static const char *suberror_text(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "KVM could not emulate an instruction";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "two exceptions at once";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit while an event was being delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "an exit reason that KVM did not expect";
	default:
		return "unknown suberror";
	}
}

static void describe_reason(const struct vcpu *v, struct buf *out)
{
	const struct kvm_run *run = v->run;
	const char *name = exit_name(run->exit_reason);

	buf_printf(out, "crash: vCPU %u: %s\n", v->index,
		   vm_cause_text(v->log.cause));
	buf_printf(out, "exit: %u (%s)\n", run->exit_reason,
		   name ? name : "no name");
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		buf_puts(out, "reason: triple fault: an exception while a "
			      "double fault was being delivered\n");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		buf_printf(out, "reason: suberror %u: %s\n",
			   run->internal.suberror,
			   suberror_text(run->internal.suberror));
		break;
	case KVM_EXIT_FAIL_ENTRY:
		buf_printf(out,
			   "reason: the CPU refused to enter the guest: "
			   "hardware reason %#llx on host CPU %u\n",
			   run->fail_entry.hardware_entry_failure_reason,
			   run->fail_entry.cpu);
		break;
	case KVM_EXIT_UNKNOWN:
		buf_printf(out,
			   "reason: hardware exit %#llx, or errno of "
			   "KVM_RUN\n",
			   run->hw.hardware_exit_reason);
		break;
	default:
		buf_puts(out, "reason: an exit that amber has no answer to\n");
	}
}

static void describe_regs(const struct kvm_regs *r, struct buf *out)
{
	buf_printf(out, "rip=%016llx rflags=%08llx\n", r->rip, r->rflags);
	buf_printf(out, "rax=%016llx rbx=%016llx rcx=%016llx rdx=%016llx\n",
		   r->rax, r->rbx, r->rcx, r->rdx);
	buf_printf(out, "rsi=%016llx rdi=%016llx rsp=%016llx rbp=%016llx\n",
		   r->rsi, r->rdi, r->rsp, r->rbp);
	buf_printf(out, "r8 =%016llx r9 =%016llx r10=%016llx r11=%016llx\n",
		   r->r8, r->r9, r->r10, r->r11);
	buf_printf(out, "r12=%016llx r13=%016llx r14=%016llx r15=%016llx\n",
		   r->r12, r->r13, r->r14, r->r15);
}

static void describe_segment(const char *name, const struct kvm_segment *s,
			     struct buf *out)
{
	buf_printf(out,
		   "%s: selector=%04x base=%016llx limit=%08x type=%x dpl=%u "
		   "%s%s\n",
		   name, s->selector, s->base, s->limit, s->type, s->dpl,
		   s->l	   ? "64-bit"
		   : s->db ? "32-bit"
			   : "16-bit",
		   s->unusable ? " unusable" : "");
}

static void describe_sregs(const struct kvm_sregs *s, struct buf *out)
{
	buf_printf(out,
		   "cr0=%08llx cr2=%016llx cr3=%016llx cr4=%08llx "
		   "efer=%llx apic_base=%llx\n",
		   s->cr0, s->cr2, s->cr3, s->cr4, s->efer, s->apic_base);
	describe_segment("cs", &s->cs, out);
	describe_segment("ss", &s->ss, out);
	describe_segment("ds", &s->ds, out);
	describe_segment("tr", &s->tr, out);
	buf_printf(out,
		   "gdt: base=%016llx limit=%04x  idt: base=%016llx "
		   "limit=%04x\n",
		   s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit);
}

static void hex(const uint8_t *bytes, uint32_t len, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		buf_printf(out, " %02x", bytes[i]);
	buf_puts(out, "\n");
}

/* The bytes KVM stumbled over, else what lies at cs:rip. */
static void describe_insn(struct machine *m, struct vcpu *v,
			  const struct kvm_regs *regs,
			  const struct kvm_sregs *sregs, struct buf *out)
{
	const struct kvm_run *run = v->run;
	struct kvm_translation t = { .linear_address =
					     sregs->cs.base + regs->rip };
	uint8_t bytes[INSN_BYTES];
	uint32_t len;

	buf_puts(out, "bytes at rip:");
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    (run->emulation_failure.flags &
	     KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		len = run->emulation_failure.insn_size;
		hex(run->emulation_failure.insn_bytes, len > 15 ? 15 : len,
		    out);
		return;
	}
	if (ioctl(v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid) {
		buf_puts(out, " not mapped\n");
		return;
	}
	len = 4096 - (uint32_t)(t.physical_address & 4095);
	if (len > INSN_BYTES)
		len = INSN_BYTES;
	if (gmem_read(&m->ram.mem, t.physical_address, bytes, len))
		buf_printf(out, " not in RAM (%#llx)\n", t.physical_address);
	else
		hex(bytes, len, out);
}

static void describe_history(const struct exit_log *log, struct buf *out)
{
	uint64_t n = log->total < EXIT_HISTORY ? log->total : EXIT_HISTORY;
	uint64_t i;

	buf_printf(out, "last exits (of %llu), oldest first:\n",
		   (unsigned long long)log->total);
	for (i = log->total - n; i < log->total; i++) {
		const struct exit_record *r = &log->history[i % EXIT_HISTORY];
		const char *name = exit_name(r->reason);

		buf_printf(out, "  %-14s", name ? name : "?");
		if (r->size)
			buf_printf(out, " %s %#llx, %u bytes, %#llx",
				   r->is_write ? "write" : "read",
				   (unsigned long long)r->addr, r->size,
				   (unsigned long long)r->value);
		buf_puts(out, "\n");
	}
}

void crash_describe(struct machine *m, struct vcpu *v, struct buf *out)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	describe_reason(v, out);
	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0) {
		buf_puts(out, "registers: KVM does not give them\n");
	} else {
		describe_regs(&regs, out);
		describe_sregs(&sregs, out);
		describe_insn(m, v, &regs, &sregs, out);
	}
	describe_history(&v->log, out);
}
