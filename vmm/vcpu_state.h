/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that KVM knows of a vCPU, as plain data: fetched, saved, loaded and put
 * back. (Linux, Documentation/virt/kvm/api.rst; the order of putting back is
 * the one that each of KVM's own dependencies wants, see the .c.)
 */
#ifndef AMBER_VMM_VCPU_STATE_H
#define AMBER_VMM_VCPU_STATE_H

#include <linux/kvm.h>
#include <stdint.h>

#include "base/err.h"
#include "base/state.h"

#define VCPU_STATE_VERSION 1
#define VCPU_MSRS_MAX	   256
#define VCPU_XSAVE_MAX	   16384 /* Intel AMX needs 11 KiB */

struct vcpu_msr {
	uint32_t index;
	uint64_t value;
};

struct vcpu_state {
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint32_t xsave_bytes;
	uint8_t xsave[VCPU_XSAVE_MAX]; /* as XSAVE writes it (SDM 1, 13.4) */
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic; /* the register page (SDM 3, 10.4.1) */
	uint32_t msrs;
	struct vcpu_msr msr[VCPU_MSRS_MAX];
	struct kvm_vcpu_events events;
	uint32_t tsc_khz;
};

/* Which MSRs KVM can save; count is at most VCPU_MSRS_MAX. */
struct vcpu_msr_list {
	uint32_t count;
	uint32_t index[VCPU_MSRS_MAX];
};

/* kvm_fd: /dev/kvm. Errors: -E2BIG (more than VCPU_MSRS_MAX). */
int vcpu_msr_list(struct vcpu_msr_list *list, int kvm_fd, struct err *e);

/*
 * Fetches the state of the parked vCPU fd of the machine vm_fd. Errors name
 * the call that failed.
 */
int vcpu_state_get(struct vcpu_state *st, int vm_fd, int fd,
		   const struct vcpu_msr_list *list, struct err *e);
/*
 * Puts it back into a parked vCPU with the same CPUID. -ENOTSUP: this host's
 * KVM refuses an MSR, and the text has its number and value, or the clock of
 * the TSC differs and can't be scaled.
 */
int vcpu_state_set(const struct vcpu_state *st, int vm_fd, int fd,
		   struct err *e);

/*
 * Makes of a state that was fetched from a vCPU with this index the one at
 * power-on; MSRs that are no part of that are left out.
 */
void vcpu_state_power_on(struct vcpu_state *st, uint32_t index);

void vcpu_state_sync(struct vcpu_state *st, struct state_io *io);

#endif
