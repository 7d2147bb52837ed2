/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads with a stand-in for KVM_RUN: the mailbox, the acknowledgement
 * and a storm of pause, resume and stop. No KVM; made for TSan too.
 */
#include "tests/unit/suite.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/vcpu.h"

#define CPUS	    3
#define RUN_BYTES   4096
#define STORM_STEPS 2000

enum guest { GUEST_SPINS, GUEST_HALTS, GUEST_DOES_IO, GUEST_CRASHES };

struct rig {
	struct vcpu vcpu[CPUS];
	struct bus ports, mmio;
	_Atomic int guest;
	_Atomic int running;
	_Atomic unsigned int entries, crashes, nmis, retired;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static struct rig rig;

static bool told_to_leave(struct vcpu *v)
{
	return __atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST);
}

/* Like the kernel: leaves with EINTR for immediate_exit or a signal. */
static int fake_enter(struct vcpu *v)
{
	atomic_fetch_add(&rig.entries, 1);
	if (told_to_leave(v)) {
		atomic_fetch_add(&rig.retired, 1);
		errno = EINTR;
		return -1;
	}
	switch (atomic_load(&rig.guest)) {
	case GUEST_SPINS:
		while (!told_to_leave(v))
			;
		errno = EINTR;
		return -1;
	case GUEST_HALTS: {
		/* The kick may come before poll: bounded, then look again. */
		poll(NULL, 0, 5);
		errno = EINTR;
		return -1;
	}
	case GUEST_CRASHES:
		v->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	default:
		v->run->exit_reason = KVM_EXIT_MMIO;
		v->run->mmio.phys_addr = 0x1234;
		v->run->mmio.len = 4;
		v->run->mmio.is_write = 0;
		return 0;
	}
}

static void on_crashed(void *ctx, struct vcpu *v)
{
	(void)ctx;
	(void)v;
	atomic_fetch_add(&rig.crashes, 1);
}

static void on_parked(void *ctx, struct vcpu *v)
{
	(void)ctx;
	(void)v;
	pthread_mutex_lock(&rig.lock);
	rig.running--;
	pthread_cond_signal(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static void on_nmi(struct vcpu *v)
{
	(void)v;
	atomic_fetch_add(&rig.nmis, 1);
}

static void set_all(enum vcpu_want want)
{
	int i;

	if (want == VCPU_RUN)
		rig.running = CPUS;
	for (i = 0; i < CPUS; i++)
		vcpu_set(&rig.vcpu[i], want);
}

static void wait_parked(void)
{
	pthread_mutex_lock(&rig.lock);
	while (rig.running)
		pthread_cond_wait(&rig.changed, &rig.lock);
	pthread_mutex_unlock(&rig.lock);
}

static void setup(enum guest guest)
{
	struct err e = ERR_NONE;
	int i;

	memset(&rig, 0, sizeof(rig));
	pthread_mutex_init(&rig.lock, NULL);
	pthread_cond_init(&rig.changed, NULL);
	rig.guest = guest;
	ck_assert_int_eq(vcpu_install_kick(&e), 0);
	for (i = 0; i < CPUS; i++) {
		struct vcpu *v = &rig.vcpu[i];

		v->index = (uint32_t)i;
		v->fd = -1;
		v->run = calloc(1, RUN_BYTES);
		v->run_bytes = RUN_BYTES;
		v->ops = (struct vcpu_ops){ NULL, fake_enter, on_crashed,
					    on_parked, on_nmi };
		v->env = (struct exit_env){ &rig.ports, &rig.mmio, RUN_BYTES };
		ck_assert_int_eq(vcpu_start(v, &e), 0);
	}
}

static void teardown(void)
{
	int i;

	for (i = 0; i < CPUS; i++) {
		vcpu_join(&rig.vcpu[i]);
		free(rig.vcpu[i].run);
	}
}

START_TEST(vcpu_starts_parked)
{
	setup(GUEST_SPINS);
	teardown();
	ck_assert_uint_eq(rig.entries, 0);
}
END_TEST

START_TEST(parked_vcpu_does_not_enter_the_guest)
{
	unsigned int entries;

	setup(GUEST_DOES_IO);
	set_all(VCPU_RUN);
	while (rig.entries < 100)
		sched_yield();
	set_all(VCPU_PARK);
	wait_parked();
	entries = rig.entries;
	poll(NULL, 0, 20);
	ck_assert_uint_eq(rig.entries, entries);
	teardown();
}
END_TEST

START_TEST(pending_access_is_retired_before_the_acknowledgement)
{
	setup(GUEST_DOES_IO);
	set_all(VCPU_RUN);
	while (rig.entries < 100)
		sched_yield();
	set_all(VCPU_PARK);
	wait_parked();
	ck_assert_uint_ge(rig.retired, CPUS);
	teardown();
}
END_TEST

START_TEST(spinning_and_halted_guests_can_be_parked)
{
	setup(GUEST_SPINS);
	set_all(VCPU_RUN);
	while (rig.entries < CPUS)
		sched_yield();
	set_all(VCPU_PARK);
	wait_parked();
	rig.guest = GUEST_HALTS;
	set_all(VCPU_RUN);
	poll(NULL, 0, 2);
	set_all(VCPU_PARK);
	wait_parked();
	teardown();
}
END_TEST

START_TEST(crashed_vcpu_parks_itself)
{
	setup(GUEST_CRASHES);
	set_all(VCPU_RUN);
	wait_parked();
	ck_assert_uint_eq(rig.crashes, CPUS);
	ck_assert_int_eq(rig.vcpu[0].log.cause, VM_CAUSE_TRIPLE_FAULT);
	teardown();
}
END_TEST

START_TEST(nmi_is_delivered_by_the_vcpus_own_thread)
{
	setup(GUEST_SPINS);
	set_all(VCPU_RUN);
	while (rig.entries < CPUS)
		sched_yield();
	vcpu_nmi(&rig.vcpu[1]);
	while (!rig.nmis)
		sched_yield();
	set_all(VCPU_PARK);
	wait_parked();
	ck_assert_uint_eq(rig.nmis, 1);
	teardown();
}
END_TEST

START_TEST(storm_of_requests_loses_no_acknowledgement)
{
	unsigned int seed = 1;
	int step;

	setup(GUEST_DOES_IO);
	for (step = 0; step < STORM_STEPS; step++) {
		rig.guest = (int)((unsigned int)rand_r(&seed) % 3);
		set_all(VCPU_RUN);
		if (rand_r(&seed) % 4 == 0)
			vcpu_nmi(&rig.vcpu[rand_r(&seed) % CPUS]);
		if (rand_r(&seed) % 3 == 0)
			sched_yield();
		set_all(VCPU_PARK);
		if (rand_r(&seed) % 5 == 0)
			set_all(VCPU_PARK); /* twice does no harm */
		wait_parked();
	}
	set_all(VCPU_RUN);
	teardown(); /* ended while it runs */
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		vcpu_starts_parked,
		parked_vcpu_does_not_enter_the_guest,
		pending_access_is_retired_before_the_acknowledgement,
		spinning_and_halted_guests_can_be_parked,
		crashed_vcpu_parks_itself,
		nmi_is_delivered_by_the_vcpus_own_thread,
		storm_of_requests_loses_no_acknowledgement,
	};

	return SUITE_RUN("vcpu", tests);
}
