/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit dispatch. vCPU threads, each with its own run and log. INV-1: data
 * of a port access is only touched inside the kvm_run mapping.
 */
#include "vmm/exit.h"

#include <string.h>

#include "base/bytes.h"

static const char *const names[VM_EXIT_KINDS] = {
	[KVM_EXIT_UNKNOWN] = "unknown",
	[KVM_EXIT_EXCEPTION] = "exception",
	[KVM_EXIT_IO] = "io",
	[KVM_EXIT_HYPERCALL] = "hypercall",
	[KVM_EXIT_DEBUG] = "debug",
	[KVM_EXIT_HLT] = "hlt",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window",
	[KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "fail-entry",
	[KVM_EXIT_INTR] = "intr",
	[KVM_EXIT_SET_TPR] = "set-tpr",
	[KVM_EXIT_TPR_ACCESS] = "tpr-access",
	[KVM_EXIT_NMI] = "nmi",
	[KVM_EXIT_INTERNAL_ERROR] = "internal-error",
	[KVM_EXIT_SYSTEM_EVENT] = "system-event",
	[KVM_EXIT_IOAPIC_EOI] = "ioapic-eoi",
	[KVM_EXIT_HYPERV] = "hyperv",
	[KVM_EXIT_X86_RDMSR] = "rdmsr",
	[KVM_EXIT_X86_WRMSR] = "wrmsr",
	[KVM_EXIT_DIRTY_RING_FULL] = "dirty-ring-full",
	[KVM_EXIT_AP_RESET_HOLD] = "ap-reset-hold",
	[KVM_EXIT_X86_BUS_LOCK] = "bus-lock",
	[KVM_EXIT_XEN] = "xen",
};

const char *exit_name(unsigned int reason)
{
	return reason < VM_EXIT_KINDS ? names[reason] : NULL;
}

/* One writer, so a load and a store do; no locked instruction. */
static void bump(_Atomic uint64_t *counter)
{
	atomic_store_explicit(
		counter,
		atomic_load_explicit(counter, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

static struct exit_record *record(struct exit_log *log, uint32_t reason)
{
	struct exit_record *r = &log->history[log->total++ % EXIT_HISTORY];

	*r = (struct exit_record){ .reason = reason };
	if (reason < VM_EXIT_KINDS)
		bump(&log->count[reason]);
	return r;
}

static enum exit_verdict crash(struct exit_log *log, enum vm_cause cause)
{
	log->cause = cause;
	return EXIT_CRASH;
}

/* One element of a port access; count > 1 comes from string instructions. */
static void port_element(const struct exit_env *env, const struct kvm_run *run,
			 uint8_t *data, struct exit_log *log,
			 struct exit_record *rec)
{
	uint64_t value = bytes_get(data, run->io.size);
	bool known;

	if (run->io.direction == KVM_EXIT_IO_OUT) {
		known = bus_write(env->ports, run->io.port, run->io.size,
				  value);
	} else {
		known = bus_read(env->ports, run->io.port, run->io.size,
				 &value);
		bytes_put(data, value, run->io.size);
	}
	rec->value = value;
	if (!known)
		bump(&log->unknown_accesses);
}

static enum exit_verdict on_io(const struct exit_env *env, struct kvm_run *run,
			       struct exit_log *log, struct exit_record *rec)
{
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;
	uint64_t offset = run->io.data_offset;
	uint32_t i;

	rec->addr = run->io.port;
	rec->size = run->io.size;
	rec->is_write = run->io.direction == KVM_EXIT_IO_OUT;
	if (!run->io.size || run->io.size > 4 || offset > env->run_bytes ||
	    bytes > env->run_bytes - offset)
		return crash(log, VM_CAUSE_UNKNOWN_EXIT);
	for (i = 0; i < run->io.count; i++) {
		port_element(env, run, (uint8_t *)run + offset, log, rec);
		offset += run->io.size;
	}
	return EXIT_RESUME;
}

static enum exit_verdict on_mmio(const struct exit_env *env,
				 struct kvm_run *run, struct exit_log *log,
				 struct exit_record *rec)
{
	uint64_t value;
	bool known;

	rec->addr = run->mmio.phys_addr;
	rec->size = (uint8_t)run->mmio.len;
	rec->is_write = run->mmio.is_write;
	if (!run->mmio.len || run->mmio.len > sizeof(run->mmio.data))
		return crash(log, VM_CAUSE_UNKNOWN_EXIT);
	if (run->mmio.is_write) {
		value = bytes_get(run->mmio.data, run->mmio.len);
		known = bus_write(env->mmio, run->mmio.phys_addr, rec->size,
				  value);
	} else {
		known = bus_read(env->mmio, run->mmio.phys_addr, rec->size,
				 &value);
		bytes_put(run->mmio.data, value, run->mmio.len);
	}
	rec->value = value;
	if (!known)
		bump(&log->unknown_accesses);
	return EXIT_RESUME;
}

/* Only where a filter asks for these exits; the answer is a #GP. */
static enum exit_verdict on_msr(struct kvm_run *run, struct exit_record *rec)
{
	rec->addr = run->msr.index;
	rec->is_write = run->exit_reason == KVM_EXIT_X86_WRMSR;
	rec->value = run->msr.data;
	run->msr.error = 1;
	return EXIT_RESUME;
}

enum exit_verdict exit_handle(const struct exit_env *env, struct kvm_run *run,
			      struct exit_log *log)
{
	struct exit_record *rec = record(log, run->exit_reason);

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return on_io(env, run, log, rec);
	case KVM_EXIT_MMIO:
		return on_mmio(env, run, log, rec);
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return on_msr(run, rec);
	case KVM_EXIT_HLT:
	case KVM_EXIT_INTR:
	case KVM_EXIT_NMI:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_TPR_ACCESS:
	case KVM_EXIT_IOAPIC_EOI:
	case KVM_EXIT_X86_BUS_LOCK:
		return EXIT_RESUME;
	case KVM_EXIT_SHUTDOWN:
		return crash(log, VM_CAUSE_TRIPLE_FAULT);
	case KVM_EXIT_INTERNAL_ERROR:
		rec->addr = run->internal.suberror;
		return crash(log, VM_CAUSE_INTERNAL_ERROR);
	case KVM_EXIT_FAIL_ENTRY:
		rec->addr = run->fail_entry.hardware_entry_failure_reason;
		return crash(log, VM_CAUSE_FAIL_ENTRY);
	case KVM_EXIT_UNKNOWN:
		rec->addr = run->hw.hardware_exit_reason;
		return crash(log, VM_CAUSE_UNKNOWN_EXIT);
	default:
		return crash(log, VM_CAUSE_UNKNOWN_EXIT);
	}
}
