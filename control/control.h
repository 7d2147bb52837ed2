/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane of one VM, without the transport: owns the VM, its
 * events, its files and everybody who watches; handlers work on it. It is
 * the VM's observer. Loop thread only.
 */
#ifndef AMBER_CONTROL_CONTROL_H
#define AMBER_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "control/call.h"
#include "control/events.h"
#include "control/ops.h"
#include "control/record.h"
#include "control/scribe.h"
#include "snapshot/meta.h"
#include "vmm/vm.h"

struct agent;
struct hand;
struct host_port;
struct console_reader;
struct event_stream;
struct layer_op;
struct policy_timer;
struct restore;
struct snapshot_op;

/* Somebody in the process who follows along: the run's end, standard output. */
struct control_hooks {
	void *ctx;
	/* New console output, each byte once, in order. May be NULL. */
	void (*output)(void *ctx, const void *bytes, size_t len);
	/* There is new output (after output()). May be NULL. */
	void (*output_ready)(void *ctx);
	/* The process is to end; once. */
	void (*gone)(void *ctx, const struct vm_end *end);
	/* An operation on snapshots has ended. May be NULL. */
	void (*op_ended)(void *ctx);
};

struct control_config {
	struct loop *loop;		/* borrowed */
	const struct vm_config *config; /* borrowed */
	int dir; /* borrowed: the VM's directory; -1: nothing is kept */
	struct control_hooks hooks;
};

struct control {
	struct loop *loop;		/* borrowed */
	const struct vm_config *config; /* borrowed */
	int dir;			/* borrowed: of the VM; -1: none */
	struct control_hooks hooks;
	struct vm *vm;	       /* owned */
	struct events *events; /* owned */
	struct scribe *scribe; /* owned */
	struct agent *agent;   /* owned; NULL: no port for one */
	struct host_port *port[VCONSOLE_PORTS_MAX]; /* owned */
	unsigned int ports;
	struct host_port *agent_port; /* one of them, or NULL */
	/* What the agent of a guest that has come back is to do. */
	bool agent_sets_time, agent_thaws;
	uid_t owner;
	pid_t pid;
	bool is_ending; /* gone was told */
	bool no_record; /* state.json is not to be written (--rm) */
	struct vm_end end;

	struct ops ops;
	struct snapshot_op *snapshot_op; /* owned; NULL: none under way */
	struct call *disk_calls; /* commands that wait until it lets go */
	struct hand *hand;	 /* owned; does it; NULL: there was none yet */
	struct restore *at_hand; /* owned; rewound to last; NULL: none */
	char at_hand_what[SNAPSHOT_NAME_MAX + 1]; /* what was asked for */
	struct policy_timer *policy; /* owned; NULL: there is none */
	struct layer_op *layer_op;   /* owned; NULL: no layers are merged */
	char layer_trouble[ERR_TEXT_BYTES]; /* what was told of it last */
	json_t *snapshots; /* owned: all there are; api_snapshot.c */

	struct record record;	 /* the last state.json */
	uint64_t console_cursor; /* what the log and the hooks have */
	uint64_t console_lost;	 /* bytes that were overwritten before that */

	struct call *ready_calls;	/* list: waiting for ready */
	struct console_reader *readers; /* list: attached */
	bool has_writer;		/* one of them writes */
	struct event_stream *streams;	/* list */
	struct loop_timer keepalive;
	struct loop_timer output_timer;	 /* armed: more output is to be read */
	struct loop_timer refused_timer; /* armed: the count below is valid */
	unsigned int refused_count, refused_hidden;
};

int control_create(struct control **out, const struct control_config *config,
		   struct err *e);
/* The carrier has let go of every call before. NULL is fine. */
void control_destroy(struct control *c);

/* Starts to write files, which wait until then; looks which snapshots there
 * are. */
int control_start_files(struct control *c, struct err *e);

/*
 * The end of the process has begun: streams end when they have all, attached
 * readers are let go when they have all. is_drained asks whether they did.
 */
void control_drain(struct control *c);
bool control_is_drained(const struct control *c);
/* Lets every attached reader go, whether it has all or not. */
void control_hang_up(struct control *c); /* api_attach.c */

/* An actor of the API, from the caller's credentials. */
struct vm_actor control_actor(const struct peer *peer);

/* Nobody but a machine uses the disks: commands wait no longer. */
void control_disks_free(struct control *c); /* api_command.c */

/* Puts a record into the journal and tells the watchers. */
void control_note(struct control *c, const struct event_note *note);
/* What nobody asked for, and no guest did: the actor is "policy". */
struct vm_actor control_own_actor(void);
void control_note_own(struct control *c, const char *kind, const char *text,
		      uint64_t duration_ns);
/* What a call did (kind: "command", "refused"), with who asked and why. */
void control_note_call(struct call *call, const char *kind, enum vm_state state,
		       const char *text);
/* The same for a refused request; floods are summed up. */
void control_note_refused(struct control *c, const struct peer *peer,
			  const char *reason, const char *text);

/* Answers what changes something; rung and text may be "". */
void control_answer_done(struct call *call, bool changed, enum vm_state state,
			 const char *rung, const char *text);
/* Answers a command that the state forbids, naming what would help. */
void control_answer_wrong_state(struct call *call, enum vm_command command,
				enum vm_state state, const char *help);

/*
 * The guest has come back from another time: its agent starts anew, sets the
 * clock if that is wanted, and thaws file systems if agent_thaws was set.
 */
void control_guest_is_back(struct control *c); /* ports.c */
/* The guest runs (again): what its agent is to do is begun. */
void control_agent_tasks(struct control *c); /* ports.c */

/* --- for the observer, by the handlers' files --------------------------- */
void control_ready_changed(struct control *c); /* api_ready.c */
void control_op_ended(struct control *c); /* api_ops.c; or the end has come */
void control_console_changed(struct control *c); /* api_attach.c */
void control_console_drain(struct control *c);	 /* api_attach.c */
void control_events_changed(struct control *c);	 /* api_events.c */

#endif
