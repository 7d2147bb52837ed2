/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's state field by field (base/state.h): what is saved are numbers of
 * the architecture, never a struct of the kernel's. Pure.
 */
#include <errno.h>

#include "vmm/vcpu_state.h"

static void sync_u64s(struct state_io *io, __u64 *v, unsigned int n)
{
	uint64_t value;

	for (; n--; v++) {
		value = *v;
		state_u64(io, &value);
		*v = value;
	}
}

static void sync_regs(struct kvm_regs *r, struct state_io *io)
{
	__u64 *const all[] = { &r->rax, &r->rbx, &r->rcx,   &r->rdx, &r->rsi,
			       &r->rdi, &r->rsp, &r->rbp,   &r->r8,  &r->r9,
			       &r->r10, &r->r11, &r->r12,   &r->r13, &r->r14,
			       &r->r15, &r->rip, &r->rflags };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sync_u64s(io, all[i], 1);
}

static void sync_segment(struct kvm_segment *s, struct state_io *io)
{
	sync_u64s(io, &s->base, 1);
	state_u32(io, &s->limit);
	state_u16(io, &s->selector);
	state_u8(io, &s->type);
	state_u8(io, &s->present);
	state_u8(io, &s->dpl);
	state_u8(io, &s->db);
	state_u8(io, &s->s);
	state_u8(io, &s->l);
	state_u8(io, &s->g);
	state_u8(io, &s->avl);
	state_u8(io, &s->unusable);
}

static void sync_table(struct kvm_dtable *t, struct state_io *io)
{
	sync_u64s(io, &t->base, 1);
	state_u16(io, &t->limit);
}

static void sync_sregs(struct kvm_sregs *s, struct state_io *io)
{
	struct kvm_segment *const all[] = { &s->cs, &s->ds, &s->es, &s->fs,
					    &s->gs, &s->ss, &s->tr, &s->ldt };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sync_segment(all[i], io);
	sync_table(&s->gdt, io);
	sync_table(&s->idt, io);
	sync_u64s(io, &s->cr0, 1);
	sync_u64s(io, &s->cr2, 1);
	sync_u64s(io, &s->cr3, 1);
	sync_u64s(io, &s->cr4, 1);
	sync_u64s(io, &s->cr8, 1);
	sync_u64s(io, &s->efer, 1);
	sync_u64s(io, &s->apic_base, 1);
	sync_u64s(io, s->interrupt_bitmap,
		  sizeof(s->interrupt_bitmap) / sizeof(s->interrupt_bitmap[0]));
}

static void sync_xcrs(struct kvm_xcrs *x, struct state_io *io)
{
	uint32_t i;

	state_u32(io, &x->nr_xcrs);
	if (x->nr_xcrs > KVM_MAX_XCRS) {
		io->error = io->error ? io->error : -EBADMSG;
		return;
	}
	for (i = 0; i < x->nr_xcrs; i++) {
		state_u32(io, &x->xcrs[i].xcr);
		sync_u64s(io, &x->xcrs[i].value, 1);
	}
}

static void sync_debug(struct kvm_debugregs *d, struct state_io *io)
{
	sync_u64s(io, d->db, sizeof(d->db) / sizeof(d->db[0]));
	sync_u64s(io, &d->dr6, 1);
	sync_u64s(io, &d->dr7, 1);
}

static void sync_msrs(struct vcpu_state *st, struct state_io *io)
{
	uint32_t i;

	state_u32(io, &st->msrs);
	if (st->msrs > VCPU_MSRS_MAX) {
		io->error = io->error ? io->error : -EBADMSG;
		return;
	}
	for (i = 0; i < st->msrs; i++) {
		state_u32(io, &st->msr[i].index);
		state_u64(io, &st->msr[i].value);
	}
}

static void sync_events(struct kvm_vcpu_events *v, struct state_io *io)
{
	uint64_t payload = v->exception_payload;

	state_u8(io, &v->exception.injected);
	state_u8(io, &v->exception.nr);
	state_u8(io, &v->exception.has_error_code);
	state_u8(io, &v->exception.pending);
	state_u32(io, &v->exception.error_code);
	state_u8(io, &v->interrupt.injected);
	state_u8(io, &v->interrupt.nr);
	state_u8(io, &v->interrupt.soft);
	state_u8(io, &v->interrupt.shadow);
	state_u8(io, &v->nmi.injected);
	state_u8(io, &v->nmi.pending);
	state_u8(io, &v->nmi.masked);
	state_u32(io, &v->sipi_vector);
	state_u32(io, &v->flags);
	state_u8(io, &v->smi.smm);
	state_u8(io, &v->smi.pending);
	state_u8(io, &v->smi.smm_inside_nmi);
	state_u8(io, &v->smi.latched_init);
	state_u8(io, &v->triple_fault.pending);
	state_u8(io, &v->exception_has_payload);
	state_u64(io, &payload);
	v->exception_payload = payload;
}

void vcpu_state_sync(struct vcpu_state *st, struct state_io *io)
{
	state_u32(io, &st->mp.mp_state);
	sync_regs(&st->regs, io);
	sync_sregs(&st->sregs, io);
	state_blob(io, st->xsave, &st->xsave_bytes, VCPU_XSAVE_MAX);
	sync_xcrs(&st->xcrs, io);
	sync_debug(&st->debug, io);
	state_bytes(io, st->lapic.regs, sizeof(st->lapic.regs));
	sync_msrs(st, io);
	sync_events(&st->events, io);
	state_u32(io, &st->tsc_khz);
}
