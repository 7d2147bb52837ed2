/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building, driving and taking down a machine. See machine.h for the
 * threads. INV-1: memory slots come before the irqchip and the irqchip
 * before the vCPUs (KVM wants the second; the first saves a grace period).
 * INV-2: a run is ended by one report only.
 */
#include "vmm/machine.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "devices/platform.h"
#include "vmm/acpi.h"
#include "vmm/boot.h"
#include "vmm/machine_private.h"
#include "vmm/machine_state.h"
#include "vmm/ram_gather.h"
#include "vmm/ram_image.h"
#include "vmm/ram_warm.h"

#define DEFAULT_CMDLINE "console=ttyS0"
#define CMDLINE_BYTES	(8u << 10) /* the kernel's own limit is checked later */

struct phase_clock {
	struct buf *report;
	uint64_t last_ns;
};

static void phase(struct phase_clock *clock, const char *name)
{
	uint64_t now = clock_mono_ns();

	if (clock->report)
		buf_printf(clock->report, "phase %-8s %6llu us\n", name,
			   (unsigned long long)((now - clock->last_ns) / 1000));
	clock->last_ns = now;
}

/*
 * A full irqchip has a PIC behind LINT0, open from reset unless this quirk is
 * switched off: every pin below 16 would also arrive as vector = pin. The
 * machine has no PIC (MADT, ACPI 6.4, 5.2.12). Kernels without the capability
 * keep the quirk; guests that mask LINT0, as Linux does, never notice.
 */
static void close_lint0(int vm_fd)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS,
		.args = { KVM_X86_QUIRK_LINT0_REENABLED },
	};

	ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
}

static int create_vm(struct machine *m, struct err *e)
{
	uint64_t identity = KVM_IDENTITY_MAP;
	int r;

	r = kvm_create_vm(&m->kvm);
	if (r < 0)
		return err_sys(e, r, "KVM_CREATE_VM");
	m->vm_fd = r;
	r = ram_set_slots(&m->ram, m->vm_fd, e);
	if (r)
		return r;
	/* Old Intel CPUs need both for real mode; others ignore them. */
	if (ioctl(m->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 &&
	    errno != ENOTTY && errno != EINVAL)
		return err_sys(e, -errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(m->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS) < 0 && errno != ENOTTY &&
	    errno != EINVAL)
		return err_sys(e, -errno, "KVM_SET_TSS_ADDR");
	if (ioctl(m->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_sys(e, -errno, "KVM_CREATE_IRQCHIP");
	close_lint0(m->vm_fd);
	return 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *at;

	for (at = strstr(text, word); at; at = strstr(at + 1, word))
		if ((at == text || at[-1] == ' ') &&
		    (!at[len] || at[len] == ' '))
			return true;
	return false;
}

/*
 * The configured command line; a kernel that was told not to look into the
 * ACPI tables is told where the devices are (Linux, kernel-parameters.txt,
 * virtio_mmio.device).
 */
static int write_cmdline(const struct vm_config *c, struct buf *out)
{
	unsigned int i;

	buf_puts(out, c->append ? c->append : DEFAULT_CMDLINE);
	if (!has_word(buf_text(out), "acpi=off"))
		return out->error;
	for (i = 0; i < machine_virtio_slots(c); i++)
		buf_printf(out, " virtio_mmio.device=4K@%#x:%u",
			   VIRTIO_MMIO_BASE + i * VIRTIO_MMIO_STEP,
			   GSI_VIRTIO + i);
	return out->error;
}

static int load_kernel(struct machine *m, struct boot_result *boot,
		       struct buf *report, struct err *e)
{
	const struct vm_config *c = m->cfg.vm;
	struct acpi_config ac = { .cpus = c->cpus,
				  .virtio_slots = machine_virtio_slots(c) };
	struct acpi_result acpi;
	struct boot_list list = {
		.kernels = (const char *const *)c->kernel,
		.count = c->kernels,
		.initrd = c->initrd,
		.cmdline = buf_text(&m->cmdline),
		.rsdp = ACPI_TABLES,
		.refused = m->cfg.refused,
		.ctx = m->cfg.ops.ctx,
	};
	size_t chosen;
	int r;

	r = boot_first_loadable(boot, &chosen, &list, &m->ram.mem, e);
	if (r)
		return r;
	memcpy(ac.genid, m->cfg.genid, sizeof(ac.genid));
	r = acpi_build(&acpi, &ac, &m->ram.mem, e);
	if (r)
		return r;
	if (report)
		boot_describe(boot, report);
	return 0;
}

static int set_boot_cpu(struct machine *m, const struct boot_result *boot,
			struct err *e)
{
	int fd = m->vcpu[0].fd;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(e, -errno, "boot CPU: KVM_GET_SREGS");
	boot_cpu_state(boot, &regs, &sregs);
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0)
		return err_sys(e, -errno, "boot CPU: KVM_SET_SREGS");
	if (ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(e, -errno, "boot CPU: KVM_SET_REGS");
	return 0;
}

static int load(struct machine *m, struct boot_result *boot, struct buf *report,
		struct err *e)
{
	int r = write_cmdline(m->cfg.vm, &m->cmdline);

	return r ? err_sys(e, r, "command line")
		 : load_kernel(m, boot, report, e);
}

static int map_memory(struct machine *m, struct err *e)
{
	int r = ram_image_map(&m->ram, &m->cfg.memory, e);

	/* Only advice: without it pages are fetched when they are touched. */
	if (!r && m->cfg.set)
		ram_warm_start(&m->warm, &m->ram, *m->cfg.set);
	return r;
}

/* Nothing has begun in a new machine: its devices are quiet at once. */
static int load_state(struct machine *m, struct err *e)
{
	int r;

	if (!machine_quiesce(m))
		return err_set(e, -EBUSY, "a new machine's devices are busy");
	r = machine_load(m, m->cfg.state, m->cfg.state_bytes, e);
	return !r && m->cfg.is_other_time ? machine_renew_genid(m, e) : r;
}

static int build(struct machine *m, struct buf *report, struct err *e)
{
	struct phase_clock clock = { report, clock_mono_ns() };
	struct boot_result boot;
	int r;

	r = kvm_open(&m->kvm, e);
	if (!r)
		r = ram_create(&m->ram, m->cfg.vm->memory_bytes, e);
	/* Before KVM knows of it, and would be told of each change. */
	if (!r && m->cfg.state)
		r = map_memory(m, e);
	if (!r)
		r = create_vm(m, e);
	if (r)
		return r;
	phase(&clock, "kvm");
	if (!m->cfg.state)
		r = load(m, &boot, report, e);
	if (r)
		return r;
	phase(&clock, "load");
	r = machine_add_devices(m, e);
	if (!r)
		r = machine_add_virtio(m, e);
	phase(&clock, "devices");
	if (!r)
		r = machine_add_vcpus(m, e);
	if (!r && !m->cfg.state)
		r = set_boot_cpu(m, &boot, e);
	if (!r)
		r = machine_start_virtio(m, e);
	if (!r)
		r = machine_start_threads(m, e);
	phase(&clock, "cpus");
	if (!r && m->cfg.state)
		r = load_state(m, e);
	return r;
}

int machine_build(struct machine **out, const struct machine_config *config,
		  struct buf *report, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_sys(e, -ENOMEM, "machine");
	m->cfg = *config;
	m->kvm.fd = m->vm_fd = -1;
	lock_init(&m->lock);
	buf_init(&m->crash, CRASH_TEXT_BYTES);
	buf_init(&m->cmdline, CMDLINE_BYTES);
	r = build(m, report, e);
	if (r) {
		machine_destroy(m);
		return r;
	}
	*out = m;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	machine_remove_vcpus(m);
	machine_remove_virtio(m);
	machine_remove_devices(m);
	if (m->vm_fd >= 0)
		close(m->vm_fd);
	ram_warm_stop(m->warm);
	ram_gather_stop(m->gather);
	ram_destroy(&m->ram);
	kvm_close(&m->kvm);
	buf_fini(&m->crash);
	buf_fini(&m->cmdline);
	lock_fini(&m->lock);
	free(m);
}

static void on_quiet(void *ctx)
{
	struct machine *m = ctx;

	if (atomic_fetch_sub(&m->unquiet, 1) == 1)
		m->cfg.ops.all_parked(m->cfg.ops.ctx);
}

bool machine_quiesce(struct machine *m)
{
	unsigned int i;

	if (m->is_quiescing)
		return atomic_load(&m->unquiet) == 0;
	m->is_quiescing = true;
	/* What comes next wants the memory. */
	m->wants_gather |= !ram_gather_is_done(m->gather);
	ram_gather_yield(m->gather);
	/* One more, so that nobody is told before all were asked. */
	atomic_store(&m->unquiet, 1 + m->dev.count);
	for (i = 0; i < m->dev.count; i++) {
		struct device *d = m->dev.all[i];

		if (!d->ops->quiesce || d->ops->quiesce(d, on_quiet, m))
			atomic_fetch_sub(&m->unquiet, 1);
	}
	return atomic_fetch_sub(&m->unquiet, 1) == 1;
}

/* One that was given up and hasn't seen it yet is not waited for. */
static void gather_memory(struct machine *m)
{
	if (!m->wants_gather || m->is_quiescing ||
	    !ram_gather_is_done(m->gather))
		return;
	m->wants_gather = false;
	ram_gather_stop(m->gather);
	ram_gather_start(&m->gather, &m->ram); /* only advice */
}

void machine_gather_memory(struct machine *m)
{
	m->wants_gather = true;
	gather_memory(m);
}

static void wake_devices(struct machine *m)
{
	unsigned int i;

	m->is_quiescing = false;
	for (i = 0; i < m->dev.count; i++) {
		struct device *d = m->dev.all[i];

		if (d->ops->resume)
			d->ops->resume(d);
	}
}

void machine_run(struct machine *m)
{
	uint32_t i;

	lock_take(&m->lock);
	m->ended = false;
	lock_release(&m->lock);
	wake_devices(m);
	atomic_store(&m->running, m->vcpus);
	for (i = 0; i < m->vcpus; i++)
		vcpu_set(&m->vcpu[i], VCPU_RUN);
	ram_warm_run(m->warm);
	gather_memory(m);
}

void machine_park(struct machine *m)
{
	uint32_t i;

	for (i = 0; i < m->vcpus; i++)
		vcpu_set(&m->vcpu[i], VCPU_PARK);
}

bool machine_is_parked(const struct machine *m)
{
	return atomic_load(&m->running) == 0;
}

uint32_t machine_parked_count(const struct machine *m)
{
	return m->vcpus - atomic_load(&m->running);
}

void machine_end_run(struct machine *m, enum vm_cause cause, uint32_t code)
{
	lock_take(&m->lock);
	if (!m->ended) { /* INV-2 */
		m->ended = true;
		m->report.has_end = true;
		m->report.cause = cause;
		m->report.code = code;
	}
	lock_release(&m->lock);
	machine_park(m);
	m->cfg.ops.report(m->cfg.ops.ctx);
}

void machine_take_report(struct machine *m, struct machine_report *out)
{
	lock_take(&m->lock);
	*out = m->report;
	m->report.has_end = m->report.has_crash_loaded = false;
	m->report.has_milestone = false;
	m->report.devices = m->report.devices_lost = 0;
	m->report.has_io_error = m->report.has_io_stop = false;
	lock_release(&m->lock);
}

const char *machine_crash_text(struct machine *m)
{
	return buf_text(&m->crash);
}

void machine_power_button(struct machine *m)
{
	power_button(m->dev.power);
}

int machine_ctrl_alt_del(struct machine *m, struct err *e)
{
	return i8042_ctrl_alt_del(m->dev.i8042, e);
}

void machine_nmi(struct machine *m)
{
	uint32_t i;

	for (i = 0; i < m->vcpus; i++)
		vcpu_nmi(&m->vcpu[i]);
}

void machine_add_stats(const struct machine *m, struct vm_stats *out)
{
	uint32_t i, kind;

	for (i = 0; i < m->vcpus; i++) {
		const struct exit_log *log = &m->vcpu[i].log;

		for (kind = 0; kind < VM_EXIT_KINDS; kind++) {
			uint64_t n = atomic_load_explicit(&log->count[kind],
							  memory_order_relaxed);

			out->exits[kind] += n;
			out->exits_total += n;
		}
		out->unknown_accesses += atomic_load_explicit(
			&log->unknown_accesses, memory_order_relaxed);
		out->cpu_ns += vcpu_cpu_ns(&m->vcpu[i]);
	}
	out->resident_bytes += ram_resident_bytes(&m->ram);
}

void machine_describe(struct machine *m, struct buf *out)
{
	unsigned int i;

	for (i = 0; i < m->dev.count; i++) {
		struct device *d = m->dev.all[i];

		buf_printf(out, "%s.%u:\n", d->ops->name, d->instance);
		if (d->ops->describe)
			d->ops->describe(d, out);
	}
}
