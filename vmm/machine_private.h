/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's insides, shared by the files machine*.c and crash.c. */
#ifndef AMBER_VMM_MACHINE_PRIVATE_H
#define AMBER_VMM_MACHINE_PRIVATE_H

#include <stdatomic.h>

#include "base/lock.h"
#include "devices/bus.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/io_thread.h"
#include "devices/irq.h"
#include "devices/milestone.h"
#include "devices/net_passt.h"
#include "devices/platform.h"
#include "devices/power.h"
#include "devices/pvpanic.h"
#include "devices/reset_port.h"
#include "devices/serial.h"
#include "devices/vballoon.h"
#include "devices/vblk.h"
#include "devices/vconsole.h"
#include "devices/vnet.h"
#include "devices/vrng.h"
#include "devices/vsock.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/ram.h"
#include "vmm/vcpu.h"

#define MACHINE_DEVICES_MAX (16 + VIRTIO_MMIO_MAX)
#define CRASH_TEXT_BYTES    8192

/* Devices in virtio-mmio slots, in the order of the slots. */
struct machine_virtio {
	struct virtio *slot[VIRTIO_MMIO_MAX]; /* borrowed from below */
	int irq_fd[VIRTIO_MMIO_MAX]; /* owned irqfds; -1: KVM_IRQ_LINE */
	unsigned int slots;
	struct vblk *disk[VM_DISKS_MAX];
	unsigned int disks;
	struct machine_net {
		struct vnet *vnet;
		struct net_passt *passt;  /* NULL: another backend */
		struct io_thread *thread; /* of this card */
	} net[VM_NETS_MAX];
	unsigned int nets;
	struct vconsole *console;
	struct vballoon *balloon;
	struct vsock *vsock;
	struct vrng *rng;
	struct io_thread *thread; /* of the small devices; NULL: none */
};

struct machine_devices {
	struct serial *serial;
	struct i8042 *i8042;
	struct power *power;
	struct reset_port *reset_port;
	struct pvpanic *pvpanic;
	struct debug_exit *debug_exit;
	struct milestone *milestone;
	struct machine_virtio virtio;
	struct device *all[MACHINE_DEVICES_MAX]; /* borrowed from above */
	unsigned int count;
};

struct machine {
	struct machine_config cfg;
	struct kvm kvm;		   /* owned */
	int vm_fd;		   /* owned; -1: none */
	struct ram ram;		   /* owned */
	struct ram_warm *warm;	   /* owned; NULL: no pages are fetched ahead */
	struct ram_gather *gather; /* owned; NULL: none are put together */
	bool wants_gather;	   /* when it runs again */
	struct bus ports, mmio;
	struct machine_devices dev; /* owned */
	struct vcpu *vcpu;	    /* owned, cpus of them */
	struct kvm_cpuid2 *cpuid;   /* owned: what they all have; APIC id 0 */
	uint32_t vcpus;		    /* how many were made */
	_Atomic uint32_t running;   /* vCPUs that are not parked */
	bool is_quiescing;	    /* since machine_quiesce(); loop thread */
	_Atomic uint32_t unquiet;   /* devices that are not quiet yet */

	struct lock lock; /* guards the report and the crash text */
	struct machine_report report;
	bool ended;	    /* a report that ends the run was made */
	bool is_describing; /* a vCPU writes the crash text */
	struct buf crash;   /* complete when a crash is reported */
	struct buf cmdline; /* of the kernel */
};

/* Makes all devices and puts them on the buses. */
int machine_add_devices(struct machine *m, struct err *e);
void machine_remove_devices(struct machine *m);

/* virtio devices: machine_virtio.c. Slots that the configuration needs. */
unsigned int machine_virtio_slots(const struct vm_config *c);
int machine_add_virtio(struct machine *m, struct err *e);
int machine_start_virtio(struct machine *m, struct err *e);
/*
 * For machine_net.c and its like: what a device in the next slot has, and
 * putting it there.
 */
struct virtio_config machine_next_slot(struct machine *m, const char *id);
int machine_fill_slot(struct machine *m, struct virtio *v, struct err *e);
int machine_add_net(struct machine *m, unsigned int n, struct err *e);
void machine_remove_net(struct machine_net *net);

/* Ends their threads, then destroys them. */
void machine_remove_virtio(struct machine *m);
/* A device's word, for the next report. Any thread. */
void machine_note_device(struct machine *m, enum device_event_kind kind,
			 const char *device, const char *text);

/* Makes the vCPUs: CPUID, MSRs; and starts their threads, parked. */
int machine_add_vcpus(struct machine *m, struct err *e);
int machine_start_threads(struct machine *m, struct err *e);
void machine_remove_vcpus(struct machine *m);

/* Ends the guest's run: the first cause wins, all vCPUs park. */
void machine_end_run(struct machine *m, enum vm_cause cause, uint32_t code);

/* Appends the report about v's crash. On v's thread. */
void crash_describe(struct machine *m, struct vcpu *v, struct buf *out);

#endif
