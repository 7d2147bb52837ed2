/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of QEMU's guest agent (package qemu-guest-agent in the
 * guest), over any channel of bytes: one request at a time, one line of JSON
 * each way. Everything from the guest is hostile: its size, shape and time
 * are bounded. Loop thread only. INV-1: `done` of a call runs exactly once,
 * unless it was forgotten. INV-2: a reply only ever answers the request that
 * it follows: after a timeout or anything unexpected nothing is believed
 * before a synchronisation with a fresh random number.
 */
#ifndef AMBER_CONTROL_AGENT_H
#define AMBER_CONTROL_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

#define AGENT_VERSION_BYTES 32

struct agent;

struct agent_config {
	struct loop *loop; /* borrowed */
	/*
	 * Gives bytes to the guest; returns how many were taken. When not
	 * all were: agent_writable() once there is room. Must not call back
	 * into the agent.
	 */
	size_t (*send)(void *ctx, const void *bytes, size_t len);
	void *ctx;
	uint64_t heartbeat_ns; /* ping when idle for so long; 0: never */
	uint64_t sync_ns;      /* until it is tried again; 0: the limit's */
};

/*
 * The end of a call: e is NULL on success, and ret then what the agent
 * returned (borrowed; NULL for commands that return nothing). Errors:
 * -ENOTCONN    the guest has no agent at the port
 * -ECONNRESET  the port was closed before the answer
 * -ETIMEDOUT   no answer in time
 * -EREMOTEIO   the agent refused: e has its words
 * -EBADMSG     what came is no answer
 * -EFBIG       the answer is beyond the limits
 * -EBUSY       too many wait already
 * -E2BIG       the request is beyond the limits
 * -ECANCELED   agent_destroy()
 * -ENOMEM
 */
typedef void (*agent_done)(void *ctx, const json_t *ret, const struct err *e);

struct agent_status {
	bool connected;			   /* the guest has the port open */
	bool in_sync;			   /* and answers */
	char version[AGENT_VERSION_BYTES]; /* "" when not known */
	uint64_t seen_wall_ns;		   /* last valid answer; 0: never */
	uint64_t rtt_ns;      /* of the last ping or synchronisation; 0: none */
	unsigned int waiting; /* calls: the one under way and the queue */
	uint64_t stray_bytes; /* that nobody asked for */
	uint64_t bad_replies; /* that were no answer */
	uint64_t syncs;	      /* that were begun */
};

/* Errors: -ENOMEM. */
int agent_create(struct agent **out, const struct agent_config *config,
		 struct err *e);
/* Ends every call with -ECANCELED. Not from a done. NULL is fine. */
void agent_destroy(struct agent *a);

/* --- for the channel ---------------------------------------------------- */

/*
 * The guest opened or closed the port. After a reset or a restore the
 * stream is another: false, then true if the port is open.
 */
void agent_connected(struct agent *a, bool open);
/* Bytes from the guest, split anyhow. */
void agent_input(struct agent *a, const void *bytes, size_t len);
/* The channel has room again. */
void agent_writable(struct agent *a);

/* --- for callers -------------------------------------------------------- */

void agent_status(const struct agent *a, struct agent_status *out);

/*
 * Any command of the agent. arguments: an object whose reference is taken
 * over, or NULL. timeout_ns counts from now, waiting in the queue included.
 * done may run before this returns.
 */
void agent_call(struct agent *a, const char *command, json_t *arguments,
		uint64_t timeout_ns, agent_done done, void *ctx);

/*
 * Whoever waits with ctx is gone: its done will not run. What was not sent
 * yet is dropped; what was sent has its effect in the guest.
 */
void agent_forget(struct agent *a, void *ctx);

/* guest-ping: agent_status() then has the round-trip time. */
void agent_ping(struct agent *a, uint64_t timeout_ns, agent_done done,
		void *ctx);
/* guest-info: version and commands. */
void agent_info(struct agent *a, uint64_t timeout_ns, agent_done done,
		void *ctx);
/* guest-get-osinfo, guest-network-get-interfaces. */
void agent_osinfo(struct agent *a, uint64_t timeout_ns, agent_done done,
		  void *ctx);
void agent_interfaces(struct agent *a, uint64_t timeout_ns, agent_done done,
		      void *ctx);
/* guest-fsfreeze-...: ret is the number of file systems, or the status. */
void agent_freeze(struct agent *a, uint64_t timeout_ns, agent_done done,
		  void *ctx);
void agent_thaw(struct agent *a, uint64_t timeout_ns, agent_done done,
		void *ctx);
void agent_freeze_status(struct agent *a, uint64_t timeout_ns, agent_done done,
			 void *ctx);
/* guest-set-time to the host's wall clock as of the moment of sending. */
void agent_set_time(struct agent *a, uint64_t timeout_ns, agent_done done,
		    void *ctx);

enum agent_shutdown {
	AGENT_POWERDOWN,
	AGENT_REBOOT,
	AGENT_HALT,
};

/*
 * guest-shutdown, which has no answer on success. It succeeds (ret NULL)
 * when it was delivered: the agent answered a synchronisation that was sent
 * behind it without having refused it, or it closed the port after all of
 * the request had been taken. What the guest then does shows in the VM's
 * state.
 */
void agent_shutdown(struct agent *a, enum agent_shutdown mode,
		    uint64_t timeout_ns, agent_done done, void *ctx);

/* --- running a command -------------------------------------------------- */

struct agent_exec_result {
	int status;	       /* exit status, when signal is 0 */
	int signal;	       /* that ended it; or a Windows exception */
	struct buf out, err;   /* borrowed: what it wrote */
	bool out_cut, err_cut; /* the agent kept only a part */
};

typedef void (*agent_exec_done)(void *ctx, const struct agent_exec_result *r,
				const struct err *e);

/*
 * guest-exec without a shell: words[0] is the program (found by PATH). Its
 * output is collected, its end polled for. After -ETIMEDOUT it runs on in
 * the guest. Errors as above. words are not kept.
 */
void agent_exec(struct agent *a, const char *const *words, size_t count,
		uint64_t timeout_ns, agent_exec_done done, void *ctx);

#endif
