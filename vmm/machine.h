/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One machine: KVM's VM, memory, buses, devices, vCPU threads. There is one
 * way to build it, for a fresh start and for a reset. Built and destroyed by
 * one thread (a worker); driven by the loop's thread in between; reports
 * from vCPU threads through machine_ops.
 */
#ifndef AMBER_VMM_MACHINE_H
#define AMBER_VMM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "devices/device_event.h"
#include "devices/guest_event.h"
#include "vmm/config.h"
#include "vmm/ram.h"
#include "vmm/vm.h"

struct console;
struct machine;
struct vballoon;
struct vnet;
struct vrng;
struct vsock;

/* Called on vCPU threads, with a device's lock perhaps held: only post. */
struct machine_ops {
	void *ctx;
	/* Something is to be fetched with machine_take_report(). */
	void (*report)(void *ctx);
	/* Every vCPU is parked. */
	void (*all_parked)(void *ctx);
};

struct machine_config {
	const struct vm_config *vm; /* borrowed for the machine's life */
	struct console *console;    /* borrowed for the machine's life */
	uint8_t genid[16];	    /* VM generation id */
	/* The ends of the console's named ports; borrowed for its life. */
	struct vport_config port[VCONSOLE_PORTS_MAX - 1];
	unsigned int ports;
	struct machine_ops ops;
	/*
	 * Saved state and memory (vmm/machine_state.h, vmm/ram_image.h) instead
	 * of a kernel; NULL: a fresh start. Borrowed while it is built.
	 */
	const uint8_t *state;
	size_t state_bytes;
	struct ram_images memory; /* not owned */
	const int *set;		  /* the directory of their set; NULL: none */
	bool is_other_time; /* with state: the guest is told by its genid */
	/* A kernel of the boot list was passed over. On the builder's thread.
	 */
	void (*refused)(void *ctx, const char *path, const struct err *why);
};

/*
 * Builds the machine and loads a kernel; every vCPU thread is parked at its
 * first instruction. *report (may be NULL) receives lines for the boot log.
 * On an error everything is undone.
 */
int machine_build(struct machine **out, const struct machine_config *config,
		  struct buf *report, struct err *e);

/* Ends the vCPU threads, frees everything. Any state; NULL is fine. */
void machine_destroy(struct machine *m);

/* Lets devices and all vCPUs run. Only while all are parked. Loop thread. */
void machine_run(struct machine *m);
/* Asks all vCPUs to park; all_parked follows if any ran. Any thread. */
void machine_park(struct machine *m);
bool machine_is_parked(const struct machine *m);
uint32_t machine_parked_count(const struct machine *m);

/*
 * Brings the devices to rest: nothing is begun, what is in flight ends.
 * Returns true when they are; else all_parked follows when they are, then
 * ask again. machine_run() ends it. Only while all vCPUs are parked. Loop.
 */
bool machine_quiesce(struct machine *m);

/*
 * Begins to put memory together again that a snapshot broke into small pages
 * (vmm/ram_gather.h), or will when the machine runs; machine_quiesce() ends it
 * until then. Loop thread.
 */
void machine_gather_memory(struct machine *m);

/*
 * May devices that the host failed go on? accept: a person has looked at
 * disks whose flush failed. Errors: -EIO with what is wrong. Loop thread.
 */
int machine_may_resume(struct machine *m, bool accept, struct err *e);

#define MACHINE_DEVICE_EVENTS 8

struct machine_device_event {
	enum device_event_kind kind;
	char text[DEVICE_ID_MAX + DEVICE_TEXT_MAX + 3]; /* "disk0: ..." */
};

/* What the guest did. The first report that ends the run wins. */
struct machine_report {
	bool has_end; /* vCPUs were told to park */
	enum vm_cause cause;
	uint32_t code; /* debug exit: the byte; reset: guest_reset_source */
	bool has_crash_loaded;
	bool has_milestone;
	uint8_t milestone; /* the last one written */
	struct machine_device_event device[MACHINE_DEVICE_EVENTS];
	unsigned int devices;		/* of them, in order */
	unsigned int devices_lost;	/* more than fit */
	bool has_io_error, has_io_stop; /* a disk's policy wants that */
	char io_text[DEVICE_ID_MAX + DEVICE_TEXT_MAX + 3];
};

/* Fetches and clears; has_end is handed out once. Loop thread. */
void machine_take_report(struct machine *m, struct machine_report *out);
/* The text about the crash, "" without one. Valid until destroy. */
const char *machine_crash_text(struct machine *m);

/* Events for the guest. Loop thread. */
void machine_power_button(struct machine *m);
int machine_ctrl_alt_del(struct machine *m, struct err *e);
void machine_nmi(struct machine *m);

/* Adds this machine's figures to out. Loop thread. */
void machine_add_stats(const struct machine *m, struct vm_stats *out);
void machine_describe(struct machine *m, struct buf *out);

/* The n-th disk, or NULL. Loop thread; valid until destroy. */
struct vblk *machine_disk(struct machine *m, unsigned int n);
struct vrng *machine_rng(struct machine *m);
struct vnet *machine_net(struct machine *m, unsigned int n);
struct vballoon *machine_balloon(struct machine *m);
struct vsock *machine_vsock(struct machine *m);

#endif
