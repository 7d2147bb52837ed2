/* SPDX-License-Identifier: Apache-2.0 */
/* Opening /dev/kvm, and the table of capabilities; any thread. */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/kvm_trial.h"

struct capability {
	const char *name;
	int number;
	bool required;
	const char *without; /* the consequence */
};

/* The required ones first: kvm_open() stops at the first optional one. */
static const struct capability capabilities[] = {
	{ "user memory", KVM_CAP_USER_MEMORY, true, "no guest memory" },
	{ "in-kernel irqchip", KVM_CAP_IRQCHIP, true,
	  "no interrupts, no second CPU" },
	{ "extended CPUID", KVM_CAP_EXT_CPUID, true, "no CPU model" },
	{ "immediate exit", KVM_CAP_IMMEDIATE_EXIT, true,
	  "a pause could be missed" },
	{ "MP state", KVM_CAP_MP_STATE, true, "no second CPU" },
	{ "sync MMU", KVM_CAP_SYNC_MMU, true,
	  "guest memory could not be given back or shared" },
	{ "TSS address", KVM_CAP_SET_TSS_ADDR, false,
	  "no guests on old Intel CPUs" },
	{ "identity map address", KVM_CAP_SET_IDENTITY_MAP_ADDR, false,
	  "no guests on old Intel CPUs" },
	{ "TSC deadline timer", KVM_CAP_TSC_DEADLINE_TIMER, false,
	  "guests calibrate the LAPIC timer by themselves" },
	{ "kvmclock", KVM_CAP_CLOCKSOURCE, false,
	  "guests keep time by the TSC alone" },
	{ "adjust clock", KVM_CAP_ADJUST_CLOCK, false,
	  "restored guests see the clock jump" },
	{ "TSC frequency", KVM_CAP_GET_TSC_KHZ, false,
	  "guests are not told the TSC frequency" },
	{ "irqfd", KVM_CAP_IRQFD, false,
	  "virtio interrupts take an ioctl each" },
	{ "ioeventfd", KVM_CAP_IOEVENTFD, false, "virtio kicks stop the vCPU" },
	{ "MSI", KVM_CAP_SIGNAL_MSI, false, "no MSI interrupts" },
	{ "vCPU events", KVM_CAP_VCPU_EVENTS, false, "no snapshots" },
	{ "XSAVE", KVM_CAP_XSAVE, false, "no snapshots of AVX state" },
	{ "XCRS", KVM_CAP_XCRS, false, "no snapshots of AVX state" },
	{ "debug registers", KVM_CAP_DEBUGREGS, false,
	  "debug registers are lost in snapshots" },
	{ "dirty log, manual protect", KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, false,
	  "incremental snapshots pause longer" },
	{ "dirty ring", KVM_CAP_DIRTY_LOG_RING, false,
	  "the dirty log is used instead" },
	{ "read-only memory", KVM_CAP_READONLY_MEM, false, "no ROM regions" },
	{ "x2APIC API", KVM_CAP_X2APIC_API, false, "no more than 254 vCPUs" },
	{ "NMI", KVM_CAP_USER_NMI, false, "the nmi command does nothing" },
	{ "binary statistics", KVM_CAP_BINARY_STATS_FD, false,
	  "no statistics from inside KVM" },
};

#define CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

static int open_device(struct err *e)
{
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
		return err_set(e, -errno,
			       KVM_DEVICE " is missing: load the kvm_intel or "
					  "kvm_amd module, or switch on "
					  "virtualisation in the firmware");
	if (errno == EACCES || errno == EPERM)
		return err_set(e, -errno,
			       KVM_DEVICE ": permission denied: add this user "
					  "to the group kvm");
	return err_sys(e, -errno, KVM_DEVICE);
}

int kvm_open(struct kvm *k, struct err *e)
{
	const struct capability *c;
	int r;

	*k = (struct kvm){ .fd = -1 };
	r = open_device(e);
	if (r < 0)
		return r;
	k->fd = r;
	r = ioctl(k->fd, KVM_GET_API_VERSION, 0);
	if (r != KVM_API_VERSION) {
		r = err_set(e, -ENOTSUP,
			    KVM_DEVICE ": API version %d is not %d", r,
			    KVM_API_VERSION);
		goto fail;
	}
	for (c = capabilities; c->required; c++) {
		if (ioctl(k->fd, KVM_CHECK_EXTENSION, c->number) > 0)
			continue;
		r = err_set(e, -ENOTSUP,
			    KVM_DEVICE ": capability %d (%s) is missing: %s",
			    c->number, c->name, c->without);
		goto fail;
	}
	k->has_tsc_deadline = ioctl(k->fd, KVM_CHECK_EXTENSION,
				    KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	r = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (r < 0) {
		r = err_sys(e, -errno, KVM_DEVICE ": KVM_GET_VCPU_MMAP_SIZE");
		goto fail;
	}
	k->run_bytes = (size_t)r;
	return 0;
fail:
	kvm_close(k);
	return r;
}

int kvm_create_vm(const struct kvm *k)
{
	int fd;

	do
		fd = ioctl(k->fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

void kvm_close(struct kvm *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

const char *probe_status_text(enum probe_status status)
{
	static const char *const text[] = { "ok", "degraded", "missing" };

	return text[status];
}

static struct probe_row *add_row(struct kvm_probe *p, const char *name,
				 enum probe_status status, const char *text)
{
	struct probe_row *row = &p->row[p->rows++];

	row->name = name;
	row->status = status;
	snprintf(row->text, sizeof(row->text), "%s", text);
	return row;
}

static void probe_capabilities(struct kvm_probe *p, int fd)
{
	size_t i;

	for (i = 0; i < CAPABILITIES; i++) {
		const struct capability *c = &capabilities[i];
		bool there = ioctl(fd, KVM_CHECK_EXTENSION, c->number) > 0;

		if (there)
			add_row(p, c->name, PROBE_OK, "");
		else
			add_row(p, c->name,
				c->required ? PROBE_MISSING : PROBE_DEGRADED,
				c->without);
	}
}

static void probe_kernel_mode(struct kvm_probe *p, const struct kvm *k)
{
	struct err e = ERR_NONE;
	int r = kvm_trial_run(k, &e);

	p->runs_linux = r == 1;
	if (r == 1)
		add_row(p, "kernel-mode code", PROBE_OK, "runs on the CPU");
	else if (r == 0)
		add_row(p, "kernel-mode code", PROBE_DEGRADED,
			"runs through KVM's instruction emulator: tiny guests "
			"work, stock Linux kernels can't boot");
	else
		add_row(p, "kernel-mode code", PROBE_MISSING, e.text);
}

void kvm_probe(struct kvm_probe *p)
{
	struct err e = ERR_NONE;
	char text[64];
	struct kvm k;

	*p = (struct kvm_probe){ .usable = false };
	if (kvm_open(&k, &e)) {
		add_row(p, KVM_DEVICE, PROBE_MISSING, e.text);
		return;
	}
	snprintf(text, sizeof(text), "API version %d", KVM_API_VERSION);
	add_row(p, KVM_DEVICE, PROBE_OK, text);
	p->usable = true;
	probe_capabilities(p, k.fd);
	probe_kernel_mode(p, &k);
	kvm_close(&k);
}
