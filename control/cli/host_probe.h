/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine offers besides KVM: memory, io_uring, userfaultfd,
 * Landlock, cgroups, places to write. Each is tried, not guessed from a
 * version, and what is missing is said with its consequence. Any thread.
 */
#ifndef AMBER_CONTROL_HOST_PROBE_H
#define AMBER_CONTROL_HOST_PROBE_H

#include "control/home.h"
#include "vmm/kvm.h"

#define HOST_PROBE_MAX 16

struct host_probe {
	struct probe_row row[HOST_PROBE_MAX];
	unsigned int rows;
	bool usable; /* nothing that a VM cannot do without is missing */
};

/*
 * Tries everything; a few milliseconds. home may be NULL: then the places
 * are left out. Never fails: what fails is a row. Leaves nothing behind.
 */
void host_probe(struct host_probe *p, const struct home *home);

#endif
