/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that is saved, reset and loaded again in place, as a test of all
 * that saves and loads: whatever is not in the state is lost in between.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/machine_private.h"
#include "vmm/machine_state.h"
#include "vmm/vcpu_state.h"

#define PIN_MASKED (1u << 16)

static int reset_vcpu(struct machine *m, uint32_t index,
		      const struct vcpu_msr_list *list, struct vcpu_state *st,
		      struct err *e)
{
	int fd = m->vcpu[index].fd;
	int r = vcpu_state_get(st, m->vm_fd, fd, list, e);

	if (r)
		return r;
	vcpu_state_power_on(st, index);
	return vcpu_state_set(st, m->vm_fd, fd, e);
}

static int reset_vcpus(struct machine *m, struct err *e)
{
	struct vcpu_state *st = malloc(sizeof(*st));
	struct vcpu_msr_list list;
	uint32_t i;
	int r;

	if (!st)
		return err_sys(e, -ENOMEM, "memory for a vCPU's state");
	r = vcpu_msr_list(&list, m->kvm.fd, e);
	for (i = 0; i < m->vcpus && !r; i++) {
		r = reset_vcpu(m, i, &list, st, e);
		if (r)
			err_prefix(e, "reset of vCPU %u", i);
	}
	free(st);
	return r;
}

static void power_on(struct kvm_irqchip *chip)
{
	struct kvm_ioapic_state *a = &chip->chip.ioapic;
	uint64_t base = a->base_address;
	unsigned int i;

	if (chip->chip_id != KVM_IRQCHIP_IOAPIC) {
		memset(&chip->chip.pic, 0, sizeof(chip->chip.pic));
		return;
	}
	memset(a, 0, sizeof(*a));
	a->base_address = base;
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		a->redirtbl[i].bits = PIN_MASKED;
}

static int reset_chips(struct machine *m, struct err *e)
{
	struct kvm_irqchip chip;
	uint32_t id;

	for (id = 0; id < KVM_NR_IRQCHIPS; id++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = id;
		if (ioctl(m->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
			return err_sys(e, -errno, "KVM_GET_IRQCHIP %u", id);
		power_on(&chip);
		if (ioctl(m->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			return err_sys(e, -errno, "KVM_SET_IRQCHIP %u", id);
	}
	return 0;
}

/* Devices first: their lines fall while somebody is there to see it. */
static int reset(struct machine *m, struct err *e)
{
	unsigned int i;
	int r;

	for (i = 0; i < m->dev.count; i++)
		if (m->dev.all[i]->ops->reset)
			m->dev.all[i]->ops->reset(m->dev.all[i]);
	r = reset_chips(m, e);
	return r ? r : reset_vcpus(m, e);
}

int machine_reload(struct machine *m, bool *is_lost, struct err *e)
{
	struct buf state;
	int r;

	*is_lost = false;
	buf_init(&state, MACHINE_STATE_BYTES);
	r = machine_save(m, &state, e);
	if (!r) {
		*is_lost = true;
		r = reset(m, e);
	}
	if (!r)
		r = machine_load(m, state.data, state.len, e);
	if (!r)
		*is_lost = false;
	buf_fini(&state);
	return r;
}
