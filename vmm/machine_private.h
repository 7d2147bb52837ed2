/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's insides, shared by the files machine*.c and crash.c. */
#ifndef AMBER_VMM_MACHINE_PRIVATE_H
#define AMBER_VMM_MACHINE_PRIVATE_H

#include <stdatomic.h>

#include "base/lock.h"
#include "devices/bus.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/irq.h"
#include "devices/milestone.h"
#include "devices/power.h"
#include "devices/pvpanic.h"
#include "devices/reset_port.h"
#include "devices/serial.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/ram.h"
#include "vmm/vcpu.h"

#define MACHINE_DEVICES_MAX 16
#define CRASH_TEXT_BYTES    8192

struct machine_devices {
	struct serial *serial;
	struct i8042 *i8042;
	struct power *power;
	struct reset_port *reset_port;
	struct pvpanic *pvpanic;
	struct debug_exit *debug_exit;
	struct milestone *milestone;
	struct device *all[MACHINE_DEVICES_MAX]; /* borrowed from above */
	unsigned int count;
};

struct machine {
	struct machine_config cfg;
	struct kvm kvm; /* owned */
	int vm_fd;	/* owned; -1: none */
	struct ram ram; /* owned */
	struct bus ports, mmio;
	struct machine_devices dev; /* owned */
	struct vcpu *vcpu;	    /* owned, cpus of them */
	uint32_t vcpus;		    /* how many were made */
	_Atomic uint32_t running;   /* vCPUs that are not parked */

	struct lock lock; /* guards the report and the crash text */
	struct machine_report report;
	bool ended;	    /* a report that ends the run was made */
	bool is_describing; /* a vCPU writes the crash text */
	struct buf crash;   /* complete when a crash is reported */
};

/* Makes all devices and puts them on the buses. */
int machine_add_devices(struct machine *m, struct err *e);
void machine_remove_devices(struct machine *m);

/* Makes the vCPUs: CPUID, MSRs; and starts their threads, parked. */
int machine_add_vcpus(struct machine *m, struct err *e);
int machine_start_threads(struct machine *m, struct err *e);
void machine_remove_vcpus(struct machine *m);

/* Ends the guest's run: the first cause wins, all vCPUs park. */
void machine_end_run(struct machine *m, enum vm_cause cause, uint32_t code);

/* Appends the report about v's crash. On v's thread. */
void crash_describe(struct machine *m, struct vcpu *v, struct buf *out);

#endif
