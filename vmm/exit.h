/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do with each exit of KVM_RUN: port and MMIO accesses go to the
 * bus, everything else is answered or becomes a crash with a decoded
 * reason. No KVM call is made here: the unit tests feed it a made-up
 * struct kvm_run. (Linux, Documentation/virt/kvm/api.rst, section 5.)
 */
#ifndef AMBER_VMM_EXIT_H
#define AMBER_VMM_EXIT_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/bus.h"
#include "vmm/vm.h"

/* What the vCPU does next. */
enum exit_verdict {
	EXIT_RESUME, /* go on */
	EXIT_CRASH,  /* the guest can't go on: exit_log.cause says why */
};

#define EXIT_HISTORY 16 /* exits remembered for a crash report */

struct exit_record {
	uint32_t reason; /* KVM_EXIT_* */
	uint8_t size;
	bool is_write;
	uint64_t addr; /* port, guest physical address or hardware reason */
	uint64_t value;
};

/* Written by its vCPU's thread; the counters are read by any thread. */
struct exit_log {
	_Atomic uint64_t count[VM_EXIT_KINDS];
	_Atomic uint64_t unknown_accesses;
	struct exit_record history[EXIT_HISTORY];
	uint64_t total; /* history[(total - 1) % EXIT_HISTORY] is the last */
	enum vm_cause cause; /* of the crash */
};

struct exit_env {
	const struct bus *ports; /* borrowed */
	const struct bus *mmio;	 /* borrowed */
	size_t run_bytes;	 /* of the kvm_run mapping, for data_offset */
};

/* Handles the exit that run describes. vCPU thread. */
enum exit_verdict exit_handle(const struct exit_env *env, struct kvm_run *run,
			      struct exit_log *log);

/* "io", "mmio", "internal-error"...; NULL where there is no such exit. */
const char *exit_name(unsigned int reason);

#endif
