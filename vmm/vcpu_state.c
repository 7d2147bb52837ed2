/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's state between KVM and plain data. The thread that builds or saves
 * the machine; the vCPU is parked.
 */
#include "vmm/vcpu_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Not state of the guest, or of a host that it must not depend on. */
static const uint32_t left_out[] = {
	0x345,	    /* IA32_PERF_CAPABILITIES: a part of CPUID */
	0x10a,	    /* IA32_ARCH_CAPABILITIES: likewise */
	0x48c,	    /* IA32_VMX_EPT_VPID_CAP: likewise */
	0x40000080, /* HV_X64_MSR_TSC_EMULATION_STATUS..: amber is no Hyper-V */
};

/* --- which MSRs ------------------------------------------------------ */

static bool is_left_out(uint32_t index)
{
	size_t i;

	for (i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (left_out[i] == index)
			return true;
	/* VMX capabilities are CPUID by other means (SDM 3, appendix A). */
	return index >= 0x480 && index <= 0x491;
}

int vcpu_msr_list(struct vcpu_msr_list *list, int kvm_fd, struct err *e)
{
	const uint32_t room = 2 * VCPU_MSRS_MAX;
	struct kvm_msr_list *all =
		calloc(1, sizeof(*all) + room * sizeof(all->indices[0]));
	uint32_t i;
	int r = 0;

	if (!all)
		return err_sys(e, -ENOMEM, "list of MSRs");
	all->nmsrs = room;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, all) < 0)
		r = err_sys(e, -errno, "KVM_GET_MSR_INDEX_LIST");
	list->count = 0;
	for (i = 0; i < all->nmsrs && !r; i++) {
		if (is_left_out(all->indices[i]))
			continue;
		if (list->count == VCPU_MSRS_MAX)
			r = err_set(e, -E2BIG, "KVM saves %u MSRs, amber %d",
				    all->nmsrs, VCPU_MSRS_MAX);
		else
			list->index[list->count++] = all->indices[i];
	}
	free(all);
	return r;
}

/* --- fetching -------------------------------------------------------- */

union msrs {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) +
		     VCPU_MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

/* Some that are listed can't be read with this CPUID: those are passed over. */
static int get_msrs(struct vcpu_state *st, int fd,
		    const struct vcpu_msr_list *list, struct err *e)
{
	union msrs m;
	uint32_t at = 0, i;
	int n;

	st->msrs = 0;
	while (at < list->count) {
		memset(&m.head, 0, sizeof(m.head));
		m.head.nmsrs = list->count - at;
		for (i = 0; i < m.head.nmsrs; i++)
			m.head.entries[i] = (struct kvm_msr_entry){
				.index = list->index[at + i]
			};
		n = ioctl(fd, KVM_GET_MSRS, &m);
		if (n < 0)
			return err_sys(e, -errno, "KVM_GET_MSRS");
		for (i = 0; i < (uint32_t)n; i++)
			st->msr[st->msrs++] =
				(struct vcpu_msr){ m.head.entries[i].index,
						   m.head.entries[i].data };
		at += (uint32_t)n + 1;
	}
	return 0;
}

static int get_xsave(struct vcpu_state *st, int vm_fd, int fd, struct err *e)
{
	int bytes = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	st->xsave_bytes = bytes > 4096 ? (uint32_t)bytes : 4096;
	if (st->xsave_bytes > VCPU_XSAVE_MAX)
		return err_set(e, -E2BIG, "the FPU's state has %u bytes",
			       st->xsave_bytes);
	if (ioctl(fd, bytes > 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, st->xsave) <
	    0)
		return err_sys(e, -errno, "KVM_GET_XSAVE");
	return 0;
}

static int get(int fd, unsigned long request, void *to, const char *name,
	       struct err *e)
{
	return ioctl(fd, request, to) < 0 ? err_sys(e, -errno, "%s", name) : 0;
}

#define GET(request, member) get(fd, request, member, #request, e)

/* MP state first: asking for it takes in what was sent to the CPU. Events
 * last: the others may add some. */
int vcpu_state_get(struct vcpu_state *st, int vm_fd, int fd,
		   const struct vcpu_msr_list *list, struct err *e)
{
	int r, khz;

	memset(st, 0, sizeof(*st));
	r = GET(KVM_GET_MP_STATE, &st->mp);
	if (!r)
		r = GET(KVM_GET_REGS, &st->regs);
	if (!r)
		r = GET(KVM_GET_SREGS, &st->sregs);
	if (!r)
		r = get_xsave(st, vm_fd, fd, e);
	if (!r)
		r = GET(KVM_GET_XCRS, &st->xcrs);
	if (!r)
		r = GET(KVM_GET_DEBUGREGS, &st->debug);
	if (!r)
		r = GET(KVM_GET_LAPIC, &st->lapic);
	if (!r)
		r = get_msrs(st, fd, list, e);
	if (!r)
		r = GET(KVM_GET_VCPU_EVENTS, &st->events);
	khz = ioctl(fd, KVM_GET_TSC_KHZ, 0);
	st->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	return r;
}

/* --- putting back ---------------------------------------------------- */

static int explain_msr(int fd, const struct vcpu_msr *msr, struct err *e)
{
	union msrs m;

	memset(&m.head, 0, sizeof(m.head));
	m.head.nmsrs = 1;
	m.head.entries[0] = (struct kvm_msr_entry){ .index = msr->index };
	/* One that can't be written and has the value already is fine. */
	if (ioctl(fd, KVM_GET_MSRS, &m) == 1 &&
	    m.head.entries[0].data == msr->value)
		return 0;
	return err_set(e, -ENOTSUP,
		       "this host's KVM refuses MSR %#x with the value %#llx",
		       msr->index, (unsigned long long)msr->value);
}

static int set_msrs(const struct vcpu_state *st, int fd, struct err *e)
{
	union msrs m;
	uint32_t at = 0, i;
	int n, r = 0;

	while (at < st->msrs && !r) {
		memset(&m.head, 0, sizeof(m.head));
		m.head.nmsrs = st->msrs - at;
		for (i = 0; i < m.head.nmsrs; i++)
			m.head.entries[i] = (struct kvm_msr_entry){
				.index = st->msr[at + i].index,
				.data = st->msr[at + i].value
			};
		n = ioctl(fd, KVM_SET_MSRS, &m);
		if (n < 0)
			return err_sys(e, -errno, "KVM_SET_MSRS");
		at += (uint32_t)n;
		if (at < st->msrs)
			r = explain_msr(fd, &st->msr[at++], e);
	}
	return r;
}

/* The guest counts time in TSC ticks: a host's others are scaled, if it can. */
static int set_tsc_khz(const struct vcpu_state *st, int fd, struct err *e)
{
	int here = ioctl(fd, KVM_GET_TSC_KHZ, 0);

	if (!st->tsc_khz || here <= 0 || (uint32_t)here == st->tsc_khz ||
	    !ioctl(fd, KVM_SET_TSC_KHZ, (unsigned long)st->tsc_khz))
		return 0;
	return err_set(e, -ENOTSUP,
		       "the guest's TSC has %u kHz, this host's %d, and KVM "
		       "can't scale it",
		       st->tsc_khz, here);
}

static int set(int fd, unsigned long request, const void *from,
	       const char *name, struct err *e)
{
	return ioctl(fd, request, from) < 0 ? err_sys(e, -errno, "%s", name)
					    : 0;
}

#define SET(request, member) set(fd, request, member, #request, e)

/*
 * XCRs say what XSAVE's area holds. The LAPIC's address and mode are in SREGS;
 * the TSC deadline MSR depends on the LAPIC's timer mode. Events last: others
 * clear them.
 */
int vcpu_state_set(const struct vcpu_state *st, int vm_fd, int fd,
		   struct err *e)
{
	int r = set_tsc_khz(st, fd, e);

	(void)vm_fd;
	if (!r)
		r = SET(KVM_SET_MP_STATE, &st->mp);
	if (!r)
		r = SET(KVM_SET_REGS, &st->regs);
	if (!r)
		r = SET(KVM_SET_SREGS, &st->sregs);
	/* A host without XSAVE has none, and refuses even that. */
	if (!r && st->xcrs.nr_xcrs)
		r = SET(KVM_SET_XCRS, &st->xcrs);
	if (!r)
		r = SET(KVM_SET_XSAVE, st->xsave);
	if (!r)
		r = SET(KVM_SET_DEBUGREGS, &st->debug);
	if (!r)
		r = SET(KVM_SET_LAPIC, &st->lapic);
	if (!r)
		r = set_msrs(st, fd, e);
	return r ? r : SET(KVM_SET_VCPU_EVENTS, &st->events);
}
