/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial run: four bytes of guest code that tell whether kernel-mode code
 * runs on the CPU. Some /dev/kvm run it through KVM's instruction emulator,
 * which lacks instructions that every stock Linux kernel uses.
 */
#ifndef AMBER_VMM_KVM_TRIAL_H
#define AMBER_VMM_KVM_TRIAL_H

#include "base/err.h"

struct kvm;

/*
 * 1: kernel-mode code runs natively; 0: it is emulated; negative errno: no
 * VM could be made or run, and the text says which step failed. About a
 * millisecond; any thread.
 */
int kvm_trial_run(const struct kvm *k, struct err *e);

#endif
