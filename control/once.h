/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a run is over and with which exit status: --once, --timeout and
 * --expect. Loop thread.
 */
#ifndef AMBER_CONTROL_ONCE_H
#define AMBER_CONTROL_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "vmm/matcher.h"
#include "vmm/vm.h"

enum once_verdict {
	ONCE_OPEN,     /* the guest decides */
	ONCE_SEEN,     /* --expect was seen */
	ONCE_TIMEOUT,  /* --timeout is over */
	ONCE_SIGNALLED /* a signal ends it; its number decides */
};

struct once {
	struct matcher *expect; /* owned; NULL: nothing is expected */
	struct loop_timer timer;
	enum once_verdict verdict;
	bool is_once;
	int signal;
	/* The verdict is there: the VM is to be stopped. Once. */
	void (*decided)(void *ctx);
	void *ctx;
};

/*
 * expect: POSIX extended regular expression or NULL; timeout_s 0: none.
 * Errors: -EINVAL with the reason, -ENOMEM.
 */
int once_init(struct once *o, bool is_once, const char *expect, struct err *e);
void once_fini(struct once *o);

/* The clock of --timeout starts to run. */
void once_start(struct once *o, struct loop *loop, uint32_t timeout_s,
		void (*decided)(void *ctx), void *ctx);

/* Console output, each byte once. */
void once_output(struct once *o, const void *bytes, size_t len);
void once_signal(struct once *o, int signal);

/* The exit status for that end (exit_codes.h). */
int once_exit_code(const struct once *o, const struct vm_end *end);

#endif
