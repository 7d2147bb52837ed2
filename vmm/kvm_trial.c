/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trial run: real mode, one page, "popcnt; hlt". A VM of its own, gone
 * when the function returns; any thread.
 */
#include "vmm/kvm_trial.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/kvm.h"

#define PAGE_BYTES 4096
#define CODE_GPA   0x1000

static const uint8_t code[] = {
	0xf3, 0x0f, 0xb8, 0xc0, /* popcnt %ax, %ax */
	0xf4,			/* hlt: exits, there is no irqchip */
};

static int point_at_code(int vcpu, struct err *e)
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(e, -errno, "trial run: KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return err_sys(e, -errno, "trial run: KVM_SET_SREGS");
	if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return err_sys(e, -errno, "trial run: KVM_SET_REGS");
	return 0;
}

static int run_once(int vcpu, const struct kvm_run *run, struct err *e)
{
	while (ioctl(vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, -errno, "trial run: KVM_RUN");
	return run->exit_reason == KVM_EXIT_HLT;
}

int kvm_trial_run(const struct kvm *k, struct err *e)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = CODE_GPA,
		.memory_size = PAGE_BYTES,
	};
	struct kvm_run *run = MAP_FAILED;
	uint8_t *page;
	int vm = -1, vcpu = -1, r;

	page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return err_sys(e, -errno, "trial run: memory");
	memcpy(page, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)page;
	vm = r = kvm_create_vm(k);
	if (vm < 0) {
		err_sys(e, r, "trial run: KVM_CREATE_VM");
		goto out;
	}
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0) {
		r = err_sys(e, -errno, "trial run: memory slot");
		goto out;
	}
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0) {
		r = err_sys(e, -errno, "trial run: KVM_CREATE_VCPU");
		goto out;
	}
	run = mmap(NULL, k->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
		   0);
	if (run == MAP_FAILED) {
		r = err_sys(e, -errno, "trial run: vCPU mapping");
		goto out;
	}
	r = point_at_code(vcpu, e);
	if (!r)
		r = run_once(vcpu, run, e);
out:
	if (run != MAP_FAILED)
		munmap(run, k->run_bytes);
	if (vcpu >= 0)
		close(vcpu);
	if (vm >= 0)
		close(vm);
	munmap(page, PAGE_BYTES);
	return r;
}
