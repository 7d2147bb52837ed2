/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of a VM's life, shared by the files vm*.c. Everything but the
 * job's own thread and the posting callbacks is the loop's thread.
 *
 *   submit -> table -> begin_*() -> [park] -> goal -> [job] -> enter state
 *                                     ^
 *   guest ends its run -> report -----+
 */
#ifndef AMBER_VMM_VM_PRIVATE_H
#define AMBER_VMM_VM_PRIVATE_H

#include <pthread.h>

#include "base/hand.h"
#include "devices/console.h"
#include "vmm/machine.h"
#include "vmm/matcher.h"
#include "vmm/vm.h"

#define VM_WAITERS_MAX	 64
#define VM_REPORT_BYTES	 (16u << 10)
#define VM_REFUSALS_TEXT (VM_KERNELS_MAX * 300u)

/* Why the state is what it is, or is about to become. */
struct vm_why {
	enum vm_cause cause;
	struct vm_actor actor;
	char reason[VM_REASON_MAX + 1];
	uint32_t code;
};

/* What happens when every vCPU is parked. */
enum vm_goal {
	GOAL_NONE,
	GOAL_PAUSE,	/* become paused */
	GOAL_GUEST_END, /* decide what the guest's end means */
	GOAL_RESET,	/* take the machine down and build it anew */
	GOAL_STOP,	/* take the machine down */
	GOAL_IO_ERROR,	/* wait for a person: the host failed a disk */
	GOAL_SUSPEND,	/* put the machine away */
	GOAL_STILL,	/* something is done while nothing moves */
	GOAL_RESTORE,	/* another machine takes this one's place */
};

/* A request whose answer comes later. */
struct vm_waiter {
	struct vm_request request;
	bool joins; /* answered with the operation's end, not decided again */
	struct vm_waiter *next;
};

/* The operation under way: at most one. */
struct vm_op {
	bool is_active;
	struct vm_request request;
	uint64_t started_ns;
	unsigned int rung; /* of the ladder, while it is climbed */
	bool on_ladder;
	bool forced; /* the ladder's last rung was reached */
	char tried[VM_TEXT_MAX + 1];
};

enum vm_job_kind {
	JOB_BUILD,
	JOB_DESTROY,
	JOB_REBUILD,
	JOB_SUSPEND,
	JOB_STILL,
	JOB_RESTORE
};

/* Work that may take long, on a thread of its own. */
struct vm_job {
	enum vm_job_kind kind;
	pthread_t thread;
	struct machine_config config;
	/* To be destroyed; JOB_SUSPEND: saved before; JOB_STILL: kept. */
	struct machine *old;
	const struct vm_store *store; /* borrowed */
	struct vm_still still;	      /* JOB_STILL */
	bool is_lost;		      /* JOB_STILL: the machine is */
	bool restores;		      /* from source, not a kernel */
	struct vm_source source;
	struct vm_saved saved;	    /* owned while it builds */
	char text[VM_TEXT_MAX + 1]; /* JOB_SUSPEND: what was saved */
	struct machine *built;	    /* the result */
	struct buf report;	    /* boot log */
	struct buf refusals;	    /* one line per kernel passed over */
	struct err err;
	uint64_t started_ns;
};

struct vm {
	struct loop *loop;		/* borrowed */
	const struct vm_config *config; /* borrowed */
	struct vm_observer observer;
	struct console *console;			  /* owned */
	struct vport_config port[VCONSOLE_PORTS_MAX - 1]; /* channels owned */
	unsigned int ports;
	uint8_t genid[16];

	enum vm_state state;
	struct vm_why why; /* of the present state */
	uint64_t since_wall_ns, since_mono_ns;

	struct machine *machine; /* owned; NULL: none */
	enum vm_goal goal;
	struct vm_why end;	/* what the guest did, for GOAL_GUEST_END */
	struct vm_why io_error; /* for GOAL_IO_ERROR */
	bool run_after_build;	/* else paused */
	bool restores;		/* the build under way is from source */
	struct vm_source source;
	enum vm_state before; /* it was to be suspended, or still */
	struct vm_op op;
	struct vm_waiter *waiters; /* owned */
	unsigned int waiter_count;
	struct vm_job *job; /* owned; NULL: none */
	struct hand *hand;  /* owned; for moments; NULL: there was none yet */

	uint64_t boot_mono_ns; /* when this boot began */
	uint32_t boots, restarts;
	bool is_ready;
	int milestone;
	struct matcher *ready; /* owned; NULL: milestone only */
	uint64_t console_cursor;

	struct buf boot_report, crash_report;
	struct vm_stats past; /* of machines that are gone */
	uint64_t pauses, last_pause_ns, last_resume_ns;
	uint64_t park_began_ns;
	bool is_gone;

	struct loop_timer rung_timer, ready_timer, restart_timer;
	struct loop_msg report_msg, parked_msg, job_msg, output_msg, settle_msg;
};

/* --- vm_state.c: states, events, answers ------------------------------- */
void vm_enter(struct vm *vm, enum vm_state state, const struct vm_why *why);
void vm_emit(struct vm *vm, enum vm_event_kind kind, const struct vm_why *why,
	     uint64_t duration_ns, uint32_t value, const char *text);
struct vm_why vm_why_of(const struct vm_request *request);
struct vm_why vm_why_guest(enum vm_cause cause, uint32_t code);
/* Answers the operation (and who joined it); no operation is fine. */
void vm_op_end(struct vm *vm, int error, const char *rung, const char *text);
void vm_op_begin(struct vm *vm, const struct vm_request *request);
void vm_answer(struct vm *vm, const struct vm_request *request,
	       const struct vm_result *result);
bool vm_wait(struct vm *vm, const struct vm_request *request, bool joins);
void vm_settle(void *ctx);

/* --- vm_command.c: what the commands do -------------------------------- */
void vm_begin(struct vm *vm, const struct vm_request *request);
/* Parks every vCPU, then goes for the goal; at once when all are parked. */
void vm_park_for(struct vm *vm, enum vm_goal goal);
void vm_on_parked(void *ctx);
/* Runs a built machine: from now on the guest executes. */
void vm_run(struct vm *vm, const struct vm_why *why);

/* --- vm_device.c: what devices have to say ------------------------------ */
void vm_on_devices(struct vm *vm, const struct machine_report *report);
/* All are parked because of a disk. */
void vm_io_error(struct vm *vm);

/* --- vm_suspend.c ------------------------------------------------------- */
void vm_begin_suspend(struct vm *vm, const struct vm_request *request);
/* All are parked: when devices are quiet the machine is put away. */
void vm_suspend_parked(struct vm *vm);
/* On the job's thread. */
void vm_job_suspend(struct vm_job *job);
void vm_job_restore(struct vm_job *job);
/* It goes on as before; the machine is vm's. */
void vm_suspend_failed(struct vm *vm, int error, const char *text);
void vm_suspend_done(struct vm *vm, struct vm_job *job);
/* Building from what was saved has failed: it is there still. */
void vm_restore_failed(struct vm *vm, const struct vm_job *job);

/* --- vm_still.c: a moment without movement ------------------------------ */
void vm_begin_still(struct vm *vm, const struct vm_request *request);
void vm_still_parked(struct vm *vm);
void vm_job_still(struct vm_job *job); /* on the job's thread */
void vm_still_failed(struct vm *vm, int error, const char *text);
void vm_still_done(struct vm *vm, struct vm_job *job);
/* Is such a moment coming, or there? Commands wait for its end. */
bool vm_is_still(const struct vm *vm);
void vm_begin_restore(struct vm *vm, const struct vm_request *request);

/* --- vm_job.c: building and taking down -------------------------------- */
void vm_build(struct vm *vm, enum vm_job_kind kind);
void vm_on_job(void *ctx);
void vm_job_abandon(struct vm *vm);

/* --- vm_ladder.c ------------------------------------------------------- */
void vm_ladder_begin(struct vm *vm);
void vm_ladder_end(struct vm *vm);
/* The name of the rung that is being tried, "" without one. */
const char *vm_ladder_rung(const struct vm *vm);

/* --- vm_guest.c: what the guest does ----------------------------------- */
void vm_on_report(void *ctx);
/* What the machine has to say; true: its run has ended, and was dealt with. */
bool vm_take_report(struct vm *vm);
void vm_on_output(void *ctx);
void vm_guest_ended(struct vm *vm);
void vm_watch_ready(struct vm *vm);
/* The machine is gone for good: stopped, and perhaps the process ends. */
void vm_stopped(struct vm *vm);
/* The process is to end, by what vm->why says. */
void vm_gone(struct vm *vm);

#endif
