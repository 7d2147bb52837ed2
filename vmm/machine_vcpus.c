/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's vCPUs: made and configured by the builder's thread; what
 * they report while they run comes in on their own threads.
 */
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/cpuid.h"
#include "vmm/machine_private.h"

#define MSR_IA32_MISC_ENABLE	0x1a0
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MISC_ENABLE_FAST_STRING 1ULL
#define MTRR_ENABLE		(1ULL << 11)
#define MTRR_WRITE_BACK		6ULL

static int enter(struct vcpu *v)
{
	return ioctl(v->fd, KVM_RUN, 0);
}

static void deliver_nmi(struct vcpu *v)
{
	/* Without KVM_CAP_USER_NMI it fails; `amber host` says so. */
	ioctl(v->fd, KVM_NMI, 0);
}

/*
 * The first crash of a run is described by its vCPU and ends the run once
 * the text is complete; another vCPU that crashes meanwhile only parks, so
 * that nobody reads a report that is still being written.
 */
static void on_crashed(void *ctx, struct vcpu *v)
{
	struct machine *m = ctx;
	bool describes, waits;
	struct buf text;

	lock_take(&m->lock);
	waits = m->is_describing;
	describes = !waits && m->crash.len == 0;
	m->is_describing = waits || describes;
	lock_release(&m->lock);
	if (waits)
		return;
	if (describes) {
		buf_init(&text, CRASH_TEXT_BYTES);
		crash_describe(m, v, &text);
		lock_take(&m->lock);
		buf_puts(&m->crash, buf_text(&text));
		m->is_describing = false;
		lock_release(&m->lock);
		buf_fini(&text);
	}
	machine_end_run(m, v->log.cause, 0);
}

static void on_parked(void *ctx, struct vcpu *v)
{
	struct machine *m = ctx;

	(void)v;
	if (atomic_fetch_sub(&m->running, 1) == 1)
		m->cfg.ops.all_parked(m->cfg.ops.ctx);
}

/* What firmware would leave behind (SDM volume 4; Linux expects both). */
static int set_msrs(struct vcpu *v, struct err *e)
{
	static const struct kvm_msr_entry wanted[] = {
		{ .index = MSR_IA32_MISC_ENABLE,
		  .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_MTRR_DEF_TYPE,
		  .data = MTRR_ENABLE | MTRR_WRITE_BACK },
	};
	union {
		struct kvm_msrs head; /* ends in an array without a size */
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(wanted)];
	} msrs = { .room = { 0 } };
	const int count = sizeof(wanted) / sizeof(wanted[0]);
	int r;

	msrs.head.nmsrs = count;
	memcpy(msrs.head.entries, wanted, sizeof(wanted));
	r = ioctl(v->fd, KVM_SET_MSRS, &msrs);

	if (r < 0)
		return err_sys(e, -errno, "vCPU %u: KVM_SET_MSRS", v->index);
	if (r < count)
		return err_set(e, -ENOTSUP, "vCPU %u: KVM refuses MSR %#x",
			       v->index, wanted[r].index);
	return 0;
}

static int add_vcpu(struct machine *m, struct kvm_cpuid2 *cpuid, struct err *e)
{
	struct vcpu *v = &m->vcpu[m->vcpus];
	void *run;

	*v = (struct vcpu){
		.index = m->vcpus,
		.run_bytes = m->kvm.run_bytes,
		.ops = { m, enter, on_crashed, on_parked, deliver_nmi },
		.env = { &m->ports, &m->mmio, m->kvm.run_bytes },
	};
	v->fd = ioctl(m->vm_fd, KVM_CREATE_VCPU, (unsigned long)v->index);
	if (v->fd < 0)
		return err_sys(e, -errno, "vCPU %u: KVM_CREATE_VCPU", v->index);
	m->vcpus++;
	run = mmap(NULL, v->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   v->fd, 0);
	if (run == MAP_FAILED)
		return err_sys(e, -errno, "vCPU %u: mapping", v->index);
	v->run = run;
	cpuid_set_apic_id(cpuid, v->index);
	if (ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0)
		return err_sys(e, -errno, "vCPU %u: KVM_SET_CPUID2", v->index);
	return set_msrs(v, e);
}

int machine_add_vcpus(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->cfg.vm;
	struct cpuid_config cc = {
		.cpus = c->cpus,
		.tsc_deadline = m->kvm.has_tsc_deadline,
		.disable = c->cpu_disable,
		.disables = c->cpu_disables,
	};
	struct kvm_cpuid2 *cpuid = NULL;
	uint32_t i;
	int r, khz;

	m->vcpu = calloc(c->cpus, sizeof(*m->vcpu));
	if (!m->vcpu)
		return err_sys(e, -ENOMEM, "%u vCPUs", c->cpus);
	r = cpuid_supported(m->kvm.fd, &cpuid, e);
	if (r)
		return r;
	khz = ioctl(m->vm_fd, KVM_GET_TSC_KHZ, 0);
	cc.tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	r = cpuid_apply(cpuid, &cc, e);
	for (i = 0; !r && i < c->cpus; i++)
		r = add_vcpu(m, cpuid, e);
	cpuid_set_apic_id(cpuid, 0);
	m->cpuid = cpuid;
	return r;
}

int machine_start_threads(struct machine *m, struct err *e)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < m->vcpus; i++)
		r = vcpu_start(&m->vcpu[i], e);
	return r;
}

void machine_remove_vcpus(struct machine *m)
{
	uint32_t i;

	for (i = 0; i < m->vcpus; i++)
		if (m->vcpu[i].has_thread)
			vcpu_set(&m->vcpu[i], VCPU_FINISH);
	for (i = 0; i < m->vcpus; i++) {
		struct vcpu *v = &m->vcpu[i];

		vcpu_join(v);
		if (v->run)
			munmap(v->run, v->run_bytes);
		close(v->fd);
	}
	free(m->vcpu);
	free(m->cpuid);
	m->vcpu = NULL;
	m->cpuid = NULL;
	m->vcpus = 0;
}
