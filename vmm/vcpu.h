/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU: a thread that runs the guest and is steered through a mailbox.
 * It starts parked. A request to park is acknowledged when the thread has
 * left the guest and completed the access that was under way, so that
 * registers and memory agree (api.rst, section 5, "immediate_exit").
 *
 * The thread enters the guest through a function pointer: ioctl(KVM_RUN),
 * or a test's stand-in.
 */
#ifndef AMBER_VMM_VCPU_H
#define AMBER_VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lock.h"
#include "vmm/exit.h"

struct vcpu;

/* The signal that gets a thread out of KVM_RUN; its handler is empty. */
#define VCPU_KICK_SIGNAL SIGRTMIN

enum vcpu_want { VCPU_PARK, VCPU_RUN, VCPU_FINISH };

/* Called on the vCPU's thread. */
struct vcpu_ops {
	void *ctx;
	/* Enters the guest; like ioctl(fd, KVM_RUN): -1 and errno. */
	int (*enter)(struct vcpu *v);
	/* The guest can't go on; log.cause says why. The vCPU parks itself. */
	void (*crashed)(void *ctx, struct vcpu *v);
	/* Nothing of the guest runs on this vCPU until it is told to. */
	void (*parked)(void *ctx, struct vcpu *v);
	/* Delivers a requested NMI (KVM_NMI wants the vCPU's own thread). */
	void (*nmi)(struct vcpu *v);
};

struct vcpu {
	uint32_t index; /* and APIC id */
	int fd;		/* owned; -1 in tests */
	struct kvm_run *run;
	size_t run_bytes;
	struct vcpu_ops ops;
	struct exit_env env;
	struct exit_log log;

	pthread_t thread;
	bool has_thread;
	_Atomic int want; /* enum vcpu_want; written under lock */
	_Atomic bool wants_nmi;
	struct lock lock; /* guards the two below */
	pthread_cond_t changed;
	bool is_parked;
};

/*
 * Prepares v (zeroed by the caller but for index, fd, run, run_bytes, ops,
 * env) and starts its thread, parked. Errors: what pthread_create gives.
 */
int vcpu_start(struct vcpu *v, struct err *e);

/* Tells the thread what to do and returns at once. Any thread. */
void vcpu_set(struct vcpu *v, enum vcpu_want want);
/* Has the thread deliver an NMI before it enters the guest again. */
void vcpu_nmi(struct vcpu *v);

/* Ends the thread and waits for it; a thread that never started is fine. */
void vcpu_join(struct vcpu *v);

/* CPU time of the thread, in nanoseconds. */
uint64_t vcpu_cpu_ns(const struct vcpu *v);

/* Installs the empty handler of VCPU_KICK_SIGNAL; once per process. */
int vcpu_install_kick(struct err *e);

#endif
