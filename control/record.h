/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json: the last known state of a VM, for those who look while no VMM
 * runs. It is a memory aid, not a proof: the lock is. Any thread.
 */
#ifndef AMBER_CONTROL_RECORD_H
#define AMBER_CONTROL_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "vmm/lifecycle.h"
#include "vmm/vm.h"

#define RECORD_CAUSE_BYTES 32
/* The cause of a record that says "running" while nobody holds the lock. */
#define RECORD_VMM_DIED "vmm-died"

struct record {
	enum vm_state state;
	char cause[RECORD_CAUSE_BYTES];
	char since[32]; /* RFC 3339 */
	uint32_t code;	/* of a guest that ended through the debug exit */
	char text[VM_TEXT_MAX + 1];
	char reason[VM_REASON_MAX + 1];
	uint32_t boots, restarts;
	uint32_t cpus;
	uint64_t memory_bytes;
	pid_t pid; /* of the VMM that wrote it */
};

/* Prints it as JSON with a final line feed. Returns out->error. */
int record_to_json(const struct record *r, struct buf *out);
int record_from_json(struct record *r, const char *text, size_t len,
		     const char *what, struct err *e);

/*
 * dir/state.json of a VM whose lock is free: no file is VM_DEFINED; a state
 * that needs a living VMM becomes VM_STOPPED with cause vmm-died.
 */
int record_load_offline(struct record *r, int dir, struct err *e);

/* dir/state.json as it is. -ENOENT when there is none. */
int record_load(struct record *r, int dir, struct err *e);

#endif
