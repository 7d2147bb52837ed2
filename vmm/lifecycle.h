/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lifecycle of a VM as data: one enum of states, one of commands, and
 * a table that says for every pair what happens. Pure: any thread.
 */
#ifndef AMBER_VMM_LIFECYCLE_H
#define AMBER_VMM_LIFECYCLE_H

#include <stdbool.h>

enum vm_state {
	VM_DEFINED,    /* never started */
	VM_STARTING,   /* the machine is being built */
	VM_RUNNING,    /* vCPUs run */
	VM_PAUSING,    /* waiting for every vCPU to park */
	VM_PAUSED,     /* every vCPU is parked */
	VM_SUSPENDING, /* state is being written to disk */
	VM_SUSPENDED,  /* state is on disk, memory and CPUs are free */
	VM_STOPPING,   /* asked to shut down, or being stopped */
	VM_STOPPED,    /* no machine; may be started again */
	VM_RESETTING,  /* asked to reboot, or being reset */
	VM_RESTORING,  /* a saved state is being loaded */
	VM_CRASHED,    /* the guest can't go on; kept for inspection */
	VM_IO_ERROR,   /* paused because the host could not do its I/O */
	VM_STATE_COUNT
};

enum vm_command {
	VM_CMD_START,
	VM_CMD_PAUSE,
	VM_CMD_RESUME,
	VM_CMD_SHUTDOWN, /* graceful: the ladder */
	VM_CMD_STOP,	 /* forced */
	VM_CMD_REBOOT,	 /* graceful: the ladder, then a fresh boot */
	VM_CMD_RESET,	 /* forced, in place */
	VM_CMD_POWERBUTTON,
	VM_CMD_NMI,
	VM_CMD_SUSPEND, /* to disk; the process ends */
	VM_CMD_SNAPSHOT,
	VM_CMD_RESTORE, /* goes on from a snapshot, as a machine built anew */
	VM_CMD_REWIND,	/* back to the last snapshot, in place */
	VM_CMD_RELOAD,	/* saved, reset and loaded in place: for tests */
	VM_COMMAND_COUNT
};

enum lifecycle_verdict {
	LIFECYCLE_REFUSE,  /* 409, naming the state and what would help */
	LIFECYCLE_DO,	   /* legal: do it */
	LIFECYCLE_ALREADY, /* success, changed: false */
	LIFECYCLE_JOIN,	   /* the same is under way: answer when it ends */
	LIFECYCLE_WAIT,	   /* decide again when this short state has ended */
};

struct lifecycle_rule {
	enum lifecycle_verdict verdict;
	/* The command that would help, for LIFECYCLE_REFUSE; "wait" if only
	 * time does. */
	const char *help;
};

/* The rule for a pair; never NULL for values inside the enums. */
const struct lifecycle_rule *lifecycle_rule(enum vm_state state,
					    enum vm_command command);

/* May the lifecycle go from one state to the other? */
bool lifecycle_may_follow(enum vm_state from, enum vm_state to);

/* Names as in the API: "running", "io-error"; "start", "powerbutton". */
const char *vm_state_text(enum vm_state state);
const char *vm_command_text(enum vm_command command);
/* -1 when there is no such name. */
int vm_state_parse(const char *text);
int vm_command_parse(const char *text);

/* Does a machine exist in this state (memory held, vCPU threads there)? */
bool vm_state_has_machine(enum vm_state state);

#endif
