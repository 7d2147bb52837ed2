/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine and its life. Owns the machine (KVM, memory, devices,
 * vCPU threads) and the console, and alone writes the lifecycle state.
 * Everything here is for the loop's thread; nothing here blocks. Commands
 * are requests with a completion; the observer hears of every transition.
 */
#ifndef AMBER_VMM_VM_H
#define AMBER_VMM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "vmm/config.h"
#include "vmm/lifecycle.h"
#include "vmm/ram.h"

struct channel;
struct console;
struct machine;
struct vm;

#define VM_REASON_MAX 255 /* bytes of a reason that a person gave */
#define VM_TEXT_MAX   255 /* bytes of an event's text */

/* Who caused something. */
struct vm_actor {
	/* "api", "cli", "signal", "guest", "policy": static text. "cli" is
	 * who executed the VMM, and with that started the VM. */
	const char *kind;
	uint32_t uid; /* of an api or cli actor, else the VMM's own */
	int32_t pid;  /* of an api or cli actor, else 0 */
};

/* Why a state was entered; vm_cause_text() gives the API's words. */
enum vm_cause {
	VM_CAUSE_NONE,
	VM_CAUSE_COMMAND,	 /* "command" */
	VM_CAUSE_SIGNAL,	 /* "signal" */
	VM_CAUSE_GUEST_POWEROFF, /* "guest-poweroff" */
	VM_CAUSE_GUEST_RESET,	 /* "guest-reset" */
	VM_CAUSE_GUEST_PANIC,	 /* "guest-panic" */
	VM_CAUSE_DEBUG_EXIT,   /* "debug-exit": the code is the guest's byte */
	VM_CAUSE_TRIPLE_FAULT, /* "triple-fault" */
	VM_CAUSE_INTERNAL_ERROR, /* "internal-error": KVM could not go on */
	VM_CAUSE_FAIL_ENTRY,	 /* "fail-entry": the CPU refused to enter */
	VM_CAUSE_UNKNOWN_EXIT, /* "unknown-exit": an exit amber has no answer to
				*/
	VM_CAUSE_START_FAILED, /* "start-failed" */
	VM_CAUSE_READY_TIMEOUT,	 /* "ready-timeout" */
	VM_CAUSE_GAVE_UP,	 /* "gave-up": too many restarts */
	VM_CAUSE_IO_ERROR,	 /* "io-error": the host failed a disk */
	VM_CAUSE_RESTORE_FAILED, /* "restore-failed" */
	VM_CAUSE_COUNT
};

const char *vm_cause_text(enum vm_cause cause);

enum vm_event_kind {
	VM_EVENT_STATE,		/* "state": from, to, cause, ... */
	VM_EVENT_BOOT,		/* "boot": text: what was loaded, phases */
	VM_EVENT_BOOT_REFUSED,	/* "boot-refused": text: one kernel's reason */
	VM_EVENT_MILESTONE,	/* "milestone": value */
	VM_EVENT_READY,		/* "ready": duration since the start */
	VM_EVENT_READY_TIMEOUT, /* "ready-timeout" */
	VM_EVENT_PANIC,		/* "panic" */
	VM_EVENT_CRASH_LOADED,	/* "crash-loaded": guest's own crash kernel */
	VM_EVENT_CRASH,		/* "crash": text: decoded reason */
	VM_EVENT_RUNG,		/* "rung": text: a rung of the ladder begins */
	VM_EVENT_RESTART,	/* "restart": value: the attempt; text: delay */
	VM_EVENT_GAVE_UP,	/* "gave-up": value: attempts */
	VM_EVENT_SIGNAL,	/* "powerbutton"/"nmi" sent: text says which */
	VM_EVENT_DEVICE_BROKEN, /* "device-broken": by its driver; text */
	VM_EVENT_IO_ERROR,	/* "io-error": the host failed; text */
	VM_EVENT_LINK,		/* "link": of a network card; text */
	VM_EVENT_BACKEND,	/* "backend": of a device; text */
	VM_EVENT_STILL,		/* "still": for a command; how long it stood */
	VM_EVENT_COUNT
};

const char *vm_event_text(enum vm_event_kind kind);

struct vm_event {
	enum vm_event_kind kind;
	uint64_t wall_ns, mono_ns;
	enum vm_state from, to; /* VM_EVENT_STATE, else both the present one */
	enum vm_cause cause;
	struct vm_actor actor;
	const char *reason;   /* borrowed, may be "" */
	const char *text;     /* borrowed, may be "" */
	uint64_t duration_ns; /* of what ended: the state left, the boot... */
	uint32_t value;
};

/* How the life of the VM (or one boot of it) ended. */
struct vm_end {
	enum vm_cause cause;
	uint32_t code; /* the guest's byte for VM_CAUSE_DEBUG_EXIT */
	char text[VM_TEXT_MAX + 1]; /* for people: "guest powered off" */
};

/*
 * What a machine was when it was put away: the result of a source. Without
 * state it is booted.
 */
struct vm_saved {
	struct buf state;	  /* owned by who asked */
	struct ram_images memory; /* likewise */
	/* Likewise: the directory of the memory's set, where it is written
	 * down which pages are used (vmm/ram_warm.h); -1: none. */
	int set;
	/* The guest is to know that time was another one: its VM generation
	 * ID changes. */
	bool is_other_time;
};

/* Where a machine comes from that is not booted. On a worker's thread. */
struct vm_source {
	void *ctx;
	/* No machine is there any more, or yet. */
	int (*load)(void *ctx, struct vm_saved *out, struct err *e);
	/* Was one built? Once, after load(). */
	void (*done)(void *ctx, bool is_built);
};

/*
 * Where a machine is put away and found again. On a worker's thread, one call
 * at a time. save NULL: this VM can't be suspended.
 */
struct vm_store {
	void *ctx;
	/* All vCPUs are parked, devices quiet. text: what was saved. */
	int (*save)(void *ctx, struct machine *m, char text[VM_TEXT_MAX + 1],
		    struct err *e);
	struct vm_source source;
	bool has_saved; /* when the VM is made: it is suspended */
};

/*
 * What is done with a machine while nothing in it moves: all vCPUs are parked,
 * devices quiet. On a worker's thread, while the loop has no machine. It goes
 * on afterwards as before, unless is_lost was set with an error: then it is
 * good for nothing, and the VM is stopped.
 */
struct vm_still {
	void *ctx;
	int (*work)(void *ctx, struct machine *m, bool *is_lost, struct err *e);
};

struct vm_observer {
	void *ctx;
	/* Each transition and incident, in order. */
	void (*event)(void *ctx, const struct vm_event *ev);
	/* The console has new output: read it with console_read(). */
	void (*console_output)(void *ctx);
	/*
	 * Asks the agent in the guest to shut down (or reboot): 0, or why
	 * it can't be asked (-ENOTCONN...). vm_agent_failed() when it turns
	 * out later that it does not. NULL: this VM has no agent.
	 */
	int (*ask_agent)(void *ctx, bool reboot, struct err *e);
	/*
	 * A policy (or a stop under policy exit) says that the process is to
	 * end. The VM is stopped already. Called once.
	 */
	void (*gone)(void *ctx, const struct vm_end *end);
	struct vm_store store;
};

/*
 * Makes a VM in state defined, or stopped if it ran before in an earlier
 * process. config and loop are borrowed and outlive it.
 * Errors: -ENOMEM, -EINVAL (a bad regex; the text says where).
 */
int vm_create(struct vm **out, struct loop *loop,
	      const struct vm_config *config, bool ran_before,
	      const struct vm_observer *observer, struct err *e);
/* Stops what runs, waits for the vCPU threads, frees all. NULL is fine. */
void vm_destroy(struct vm *vm);

struct vm_result {
	int error;	     /* 0 or a negative errno; -EPERM never */
	bool changed;	     /* false: it was so already */
	bool refused;	     /* by the lifecycle table: 409 */
	enum vm_state state; /* now */
	const char *help;    /* borrowed: the command that would help, or "" */
	const char *rung;    /* borrowed: of the ladder, that worked; or "" */
	const char *text;    /* borrowed: what happened, for people; or "" */
	uint64_t duration_ns;
};

struct vm_request {
	enum vm_command command;
	struct vm_actor actor;
	char reason[VM_REASON_MAX + 1];
	bool emergency; /* pause: stop the vCPUs now, drain nothing */
	bool paused;   /* start, reset: leave it paused at the first instruction
			*/
	bool verified; /* resume: a person has looked at a disk in doubt */
	bool force;    /* shutdown, reboot: the last rung is the forced one */
	uint32_t timeout_ms;	 /* of each rung; 0: the configured one */
	struct vm_still still;	 /* snapshot, rewind */
	struct vm_source source; /* restore */
	bool is_signal;		 /* cause is "signal" rather than "command" */
	/*
	 * Called once, on the loop's thread, perhaps before vm_submit()
	 * returns. The result is borrowed for the call. May be NULL.
	 */
	void (*done)(void *ctx, const struct vm_result *result);
	void *ctx;
};

/* Hands in a command; the request is copied. */
void vm_submit(struct vm *vm, const struct vm_request *request);
/* The agent did not take what ask_agent() asked: the next rung's turn. */
void vm_agent_failed(struct vm *vm, const char *why);
/* Forgets the completion of ctx's requests (its client is gone). */
void vm_forget(struct vm *vm, void *ctx);

struct vm_status {
	enum vm_state state;
	enum vm_cause cause;
	struct vm_actor actor;
	uint64_t since_wall_ns;
	uint64_t uptime_ns; /* since this boot; 0 when there is no machine */
	bool ready;
	bool will_start;   /* a START waits its turn */
	int milestone;	   /* the last one, -1: none */
	uint32_t boots;	   /* boots since the process started */
	uint32_t restarts; /* consecutive ones, by policy */
	uint32_t vcpus, vcpus_parked;
	const char *reason; /* borrowed until the next event */
};

/* At once, whatever else goes on. */
void vm_status(const struct vm *vm, struct vm_status *out);

#define VM_EXIT_KINDS 48 /* KVM_EXIT_* values that are counted */

struct vm_stats {
	uint64_t exits[VM_EXIT_KINDS]; /* by KVM_EXIT_*, over all vCPUs */
	uint64_t exits_total;
	uint64_t cpu_ns;	 /* CPU time of the vCPU threads */
	uint64_t memory_bytes;	 /* of the guest, as configured */
	uint64_t resident_bytes; /* of the guest's memory, on the host */
	uint64_t console_out_bytes, console_in_bytes, console_dropped_bytes;
	uint64_t unknown_accesses; /* port and MMIO accesses nobody owns */
	uint64_t pauses;
	uint64_t last_pause_ns; /* from request until every vCPU was parked */
	uint64_t last_resume_ns;
};

void vm_stats(struct vm *vm, struct vm_stats *out);
/* "io", "mmio", "hlt"...; NULL for values without a name. */
const char *vm_exit_name(unsigned int kvm_exit);

/* The text of the last boot (what lies where, how long), "" before one. */
const char *vm_boot_report(const struct vm *vm);
/* The text of the last crash (registers, bytes, exits), "" without one. */
const char *vm_crash_report(const struct vm *vm);
/* Lines about each device, for people. */
void vm_describe_devices(struct vm *vm, struct buf *out);

/* The end of a named port, across reboots; NULL: no such port. Borrowed. */
struct channel *vm_channel(struct vm *vm, const char *name);
/*
 * The machine, for its devices' figures; NULL: none now. Borrowed until the
 * loop goes on. It may be in a moment (struct vm_still).
 */
struct machine *vm_machine(struct vm *vm);

/* The console: the same one across reboots. Borrowed. */
struct console *vm_console(struct vm *vm);
/* As it was given to vm_create(). */
const struct vm_config *vm_configuration(const struct vm *vm);

#endif
