/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/kvm: opened once, its version and capabilities checked. What is
 * missing is said in words with the consequence. (Linux,
 * Documentation/virt/kvm/api.rst, sections 3 and 4.)
 */
#ifndef AMBER_VMM_KVM_H
#define AMBER_VMM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define KVM_DEVICE "/dev/kvm"

struct kvm {
	int fd;		  /* of /dev/kvm; -1: not open */
	size_t run_bytes; /* of a vCPU's shared struct kvm_run mapping */
	bool has_tsc_deadline;
};

/*
 * Opens /dev/kvm and checks what no VM can do without. Errors name the
 * cause and the cure: -ENOENT, -EACCES, -ENOTSUP (version, capability).
 */
int kvm_open(struct kvm *k, struct err *e);
void kvm_close(struct kvm *k);

/*
 * KVM_CREATE_VM, tried again when a signal cuts it short: the kernel starts
 * threads in it and takes locks of all mappings, and gives up on either when a
 * signal is pending, be it one that stops and continues the process. Returns a
 * descriptor that the caller owns, or -errno. Any thread.
 */
int kvm_create_vm(const struct kvm *k);

enum probe_status { PROBE_OK, PROBE_DEGRADED, PROBE_MISSING };

/* "ok", "degraded", "missing" */
const char *probe_status_text(enum probe_status status);

#define PROBE_TEXT_BYTES 192
#define KVM_PROBE_MAX	 40

struct probe_row {
	const char *name; /* static */
	enum probe_status status;
	char text[PROBE_TEXT_BYTES]; /* what that means */
};

struct kvm_probe {
	struct probe_row row[KVM_PROBE_MAX];
	unsigned int rows;
	bool usable;	 /* a VM can run */
	bool runs_linux; /* kernel-mode code runs natively */
};

/*
 * The full report: every capability that amber uses now or in a stated
 * feature, and a trial run of a few instructions that tells whether
 * kernel-mode code runs on the CPU or through an emulator. Takes some
 * milliseconds; any thread. Never fails: what fails is a row.
 */
void kvm_probe(struct kvm_probe *p);

#endif
