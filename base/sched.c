/* SPDX-License-Identifier: Apache-2.0 */
/* sched_setattr(2), which libc does not wrap. Any thread; no state. */
#include "base/sched.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000 /* the kernel's least */

void sched_be_prompt(void)
{
	struct sched_attr attr;

	/* What the person who started us chose, a niceness say, stays. */
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 ||
	    attr.sched_policy != SCHED_NORMAL)
		return;
	attr.sched_flags = SCHED_FLAG_RESET_ON_FORK;
	attr.sched_runtime = SLICE_NS;
	/* Advice: without it everything works, a little later. */
	syscall(SYS_sched_setattr, 0, &attr, 0);
}
