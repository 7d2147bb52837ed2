/* SPDX-License-Identifier: Apache-2.0 */
/* Verdict and exit status of a run. Loop thread. INV-1: the first verdict
 * stays. */
#include "control/once.h"

#include <string.h>

#include "base/clock.h"
#include "control/exit_codes.h"

#define SIGNAL_BASE 128 /* as shells say it */

int once_init(struct once *o, bool is_once, const char *expect, struct err *e)
{
	int r;

	*o = (struct once){ .is_once = is_once };
	if (!expect)
		return 0;
	r = matcher_create(&o->expect, expect, e);
	if (r)
		err_prefix(e, "--expect");
	return r;
}

void once_fini(struct once *o)
{
	loop_disarm(&o->timer);
	matcher_destroy(o->expect);
	o->expect = NULL;
}

static void decide(struct once *o, enum once_verdict verdict)
{
	if (o->verdict != ONCE_OPEN)
		return;
	o->verdict = verdict;
	loop_disarm(&o->timer);
	if (o->decided)
		o->decided(o->ctx);
}

static void on_timeout(void *ctx)
{
	decide(ctx, ONCE_TIMEOUT);
}

void once_start(struct once *o, struct loop *loop, uint32_t timeout_s,
		void (*decided)(void *ctx), void *ctx)
{
	o->decided = decided;
	o->ctx = ctx;
	if (timeout_s)
		loop_arm(loop, &o->timer, timeout_s * NS_PER_S, on_timeout, o);
}

void once_output(struct once *o, const void *bytes, size_t len)
{
	if (o->expect && o->verdict == ONCE_OPEN &&
	    matcher_feed(o->expect, bytes, len))
		decide(o, ONCE_SEEN);
}

void once_signal(struct once *o, int signal)
{
	if (o->verdict != ONCE_OPEN)
		return;
	o->verdict = ONCE_SIGNALLED; /* who caught it ends the VM, too */
	o->signal = signal;
	loop_disarm(&o->timer);
}

static int guest_exit_code(const struct vm_end *end)
{
	switch (end->cause) {
	case VM_CAUSE_DEBUG_EXIT:
		return (int)(end->code & 0xff);
	case VM_CAUSE_GUEST_RESET:
		return EXIT_CODE_REBOOTED;
	case VM_CAUSE_GUEST_PANIC:
		return EXIT_CODE_PANICKED;
	case VM_CAUSE_TRIPLE_FAULT:
	case VM_CAUSE_INTERNAL_ERROR:
	case VM_CAUSE_FAIL_ENTRY:
	case VM_CAUSE_UNKNOWN_EXIT:
		return EXIT_CODE_CRASHED;
	case VM_CAUSE_READY_TIMEOUT:
		return EXIT_CODE_TIMEOUT;
	case VM_CAUSE_START_FAILED:
	case VM_CAUSE_GAVE_UP:
		return EXIT_CODE_FAILED;
	default:
		return EXIT_CODE_OK;
	}
}

int once_exit_code(const struct once *o, const struct vm_end *end)
{
	int code = guest_exit_code(end);

	switch (o->verdict) {
	case ONCE_SEEN:
		return EXIT_CODE_OK;
	case ONCE_TIMEOUT:
		return EXIT_CODE_TIMEOUT;
	case ONCE_SIGNALLED:
		return o->is_once ? SIGNAL_BASE + o->signal : EXIT_CODE_OK;
	case ONCE_OPEN:
		break;
	}
	return o->expect && code == EXIT_CODE_OK ? EXIT_CODE_UNSEEN : code;
}
