/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One VM as the command line sees it: its directory, whether its process
 * lives (the lock says so), and a connection to it. One thread at a time
 * per struct. Invariant: dir is open from cli_vm_open() to cli_vm_close().
 */
#ifndef AMBER_CONTROL_CLI_VM_H
#define AMBER_CONTROL_CLI_VM_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "control/cli/client.h"
#include "control/home.h"
#include "control/record.h"

struct cli_vm {
	char name[VM_NAME_MAX + 1];
	int dir;    /* owned; -1: not open */
	bool alive; /* someone held the lock when it was looked at */
	pid_t pid;  /* who, 0: unknown */
	char socket[HOME_SOCKET_BYTES];
	struct client *client;	   /* owned; NULL until the first request */
	struct client_reply reply; /* owned: of the last request */
};

/*
 * Opens the directory and looks at the lock. -ENOENT: "no such VM", with
 * the nearest name there is. cli_vm_close() in each case.
 */
int cli_vm_open(struct cli_vm *vm, const struct home *h, const char *name,
		struct err *e);
void cli_vm_close(struct cli_vm *vm);

/*
 * A request on vm's socket; see client_request(). A VM that is not alive:
 * -ESRCH "is not running (amber start NAME)".
 */
int cli_vm_request(struct cli_vm *vm, const char *method, const char *target,
		   const char *body, unsigned int timeout_ms, struct err *e);
/*
 * A request and its answer, parsed: *out is the caller's to json_decref().
 * Errors also -EBADMSG (no JSON object).
 */
int cli_vm_ask(struct cli_vm *vm, const char *method, const char *target,
	       const char *body, unsigned int timeout_ms, json_t **out,
	       struct err *e);
/* The same for GET. */
int cli_vm_get(struct cli_vm *vm, const char *target, unsigned int timeout_ms,
	       json_t **out, struct err *e);

/*
 * The number of its last event: what comes after it is to be asked for before
 * anything is looked at.
 */
int cli_vm_last_event(struct cli_vm *vm, unsigned int timeout_ms,
		      uint64_t *last, struct err *e);

/* Error texts for a VM whose process isn't there; returns -ESRCH. */
int cli_vm_not_running(const struct cli_vm *vm, struct err *e);

/*
 * Completes e after a request failed with r: nobody at the socket means
 * that the VM doesn't run, a problem's help becomes the command to type.
 */
int cli_vm_explain(struct cli_vm *vm, const struct client_problem *p, int r,
		   struct err *e);

/*
 * Waits until the process that held the lock is gone, at most timeout_ms,
 * and looks again: vm->alive. No polling (pidfd). Returns 0 when nobody
 * holds the lock, else -ETIMEDOUT.
 */
int cli_vm_await_end(struct cli_vm *vm, int timeout_ms);

/*
 * After the VM was stopped: if its process ends with it, waits for that, so
 * that whoever comes next finds the lock free.
 */
void cli_vm_settle(struct cli_vm *vm);

/* Signals the process that holds the lock; 0, -ESRCH, -EPERM. */
int cli_vm_signal(struct cli_vm *vm, int number);

/* Looks at the lock again. */
void cli_vm_look(struct cli_vm *vm);

/* Its state.json, read as the lock tells. */
int cli_vm_record(const struct cli_vm *vm, struct record *r, struct err *e);

#endif
