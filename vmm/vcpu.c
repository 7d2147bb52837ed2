/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads. The thread itself runs vcpu_main(); any other thread calls
 * the rest. INV-1: a request that is stored before the kick is seen before
 * the next entry: the thread clears immediate_exit before it looks at want,
 * a requester stores want before it sets immediate_exit. INV-2: parked()
 * follows only after a pending access has been completed. INV-3: every
 * request to run that reaches a parked vCPU is followed by one parked(), also
 * when the request to park comes before the thread has woken up.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

#define STACK_BYTES (256 << 10)

static void on_kick(int signal)
{
	(void)signal;
}

int vcpu_install_kick(struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigemptyset(&sa.sa_mask);
	if (sigaction(VCPU_KICK_SIGNAL, &sa, NULL) < 0)
		return err_sys(e, -errno, "vCPU kick signal");
	return 0;
}

static void set_immediate_exit(struct vcpu *v, uint8_t on)
{
	__atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

static void kick(struct vcpu *v)
{
	set_immediate_exit(v, 1);
	pthread_kill(v->thread, VCPU_KICK_SIGNAL);
}

/* Handles one exit; false when the vCPU must not go on by itself. */
static bool handle_exit(struct vcpu *v)
{
	if (exit_handle(&v->env, v->run, &v->log) == EXIT_RESUME)
		return true;
	lock_take(&v->lock);
	if (v->want == VCPU_RUN)
		v->want = VCPU_PARK;
	lock_release(&v->lock);
	v->ops.crashed(v->ops.ctx, v);
	return false;
}

/*
 * KVM completes a port or MMIO access at the next entry: enter once more
 * with immediate_exit, so that the registers are what the guest sees. A
 * long access comes in pieces, each an exit of its own. An entry that was
 * interrupted has left nothing to complete.
 */
static void retire_access(struct vcpu *v)
{
	set_immediate_exit(v, 1);
	while (v->ops.enter(v) == 0)
		if (!handle_exit(v))
			break;
}

static void run_guest(struct vcpu *v)
{
	bool pending = true;

	while (atomic_load(&v->want) == VCPU_RUN) {
		set_immediate_exit(v, 0);
		if (atomic_load(&v->want) != VCPU_RUN) /* INV-1 */
			break;
		if (atomic_exchange(&v->wants_nmi, false))
			v->ops.nmi(v);
		pending = v->ops.enter(v) == 0;
		if (pending) {
			if (!handle_exit(v))
				return;
		} else if (errno != EINTR && errno != EAGAIN) {
			v->run->exit_reason = KVM_EXIT_UNKNOWN;
			v->run->hw.hardware_exit_reason = (uint64_t)errno;
			handle_exit(v);
			return;
		}
	}
	if (pending)
		retire_access(v);
}

static enum vcpu_want wait_for_work(struct vcpu *v)
{
	enum vcpu_want want;

	lock_take(&v->lock);
	while (v->is_parked && v->want == VCPU_PARK)
		pthread_cond_wait(&v->changed, &v->lock.mutex);
	want = v->want;
	lock_release(&v->lock);
	return want;
}

static void acknowledge(struct vcpu *v)
{
	lock_take(&v->lock);
	v->is_parked = true;
	lock_release(&v->lock);
	v->ops.parked(v->ops.ctx, v);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	while (wait_for_work(v) != VCPU_FINISH) {
		run_guest(v);
		acknowledge(v);
	}
	return NULL;
}

int vcpu_start(struct vcpu *v, struct err *e)
{
	int r;

	lock_init(&v->lock);
	pthread_cond_init(&v->changed, NULL);
	v->want = VCPU_PARK;
	v->is_parked = true;
	/* Only the kick may reach it. */
	r = thread_start(&v->thread, STACK_BYTES, VCPU_KICK_SIGNAL, vcpu_main,
			 v);
	if (r)
		return err_sys(e, r, "thread of vCPU %u", v->index);
	v->has_thread = true;
	return 0;
}

void vcpu_set(struct vcpu *v, enum vcpu_want want)
{
	bool is_parked;

	lock_take(&v->lock);
	if (v->want != VCPU_FINISH)
		atomic_store(&v->want, want);
	is_parked = v->is_parked;
	if (is_parked)
		pthread_cond_signal(&v->changed);
	if (want == VCPU_RUN)
		v->is_parked = false; /* INV-3 */
	lock_release(&v->lock);
	if (!is_parked && want != VCPU_RUN)
		kick(v);
}

void vcpu_nmi(struct vcpu *v)
{
	atomic_store(&v->wants_nmi, true);
	kick(v);
}

void vcpu_join(struct vcpu *v)
{
	if (!v->has_thread)
		return;
	vcpu_set(v, VCPU_FINISH);
	pthread_join(v->thread, NULL);
	v->has_thread = false;
	lock_fini(&v->lock);
	pthread_cond_destroy(&v->changed);
}

uint64_t vcpu_cpu_ns(const struct vcpu *v)
{
	struct timespec ts;
	clockid_t clock;

	if (!v->has_thread || pthread_getcpuclockid(v->thread, &clock) ||
	    clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}
