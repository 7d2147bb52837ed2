/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's CPUID: what KVM supports, plus the topology, the hypervisor
 * leaves and the features that a person switched off. (Intel SDM volume 2,
 * CPUID; AMD APM volume 3, appendix E; Linux, virt/kvm/x86/cpuid.rst.)
 */
#ifndef AMBER_VMM_CPUID_H
#define AMBER_VMM_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define CPUID_ENTRIES_MAX 256

struct cpuid_config {
	uint32_t cpus; /* one socket, one thread per core */
	bool tsc_deadline;
	uint32_t tsc_khz;	   /* 0: unknown, the timing leaf is left out */
	const char (*disable)[16]; /* borrowed names of features */
	unsigned int disables;
};

/* KVM_GET_SUPPORTED_CPUID of kvm_fd; free() the result. */
int cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out, struct err *e);

/*
 * Applies config to the supported table, the same for every vCPU.
 * Pure. Errors: -EINVAL names an unknown feature, -ENOSPC.
 */
int cpuid_apply(struct kvm_cpuid2 *table, const struct cpuid_config *config,
		struct err *e);

/* Puts in what differs by vCPU: its APIC id. Pure. */
void cpuid_set_apic_id(struct kvm_cpuid2 *table, uint32_t apic_id);

/* Is there a feature of that name ("xsave", "cx16")? */
bool cpuid_feature_known(const char *name);
/* The i-th known name, for help and completion; NULL behind the last. */
const char *cpuid_feature_name(unsigned int i);

#endif
