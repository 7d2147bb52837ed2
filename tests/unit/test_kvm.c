/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/kvm among signals, such as those that stop and continue a process. */
#include "tests/unit/suite.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/kvm.h"
#include "vmm/kvm_trial.h"

#define VMS 40

static struct kvm kvm;
static pthread_t target;
static atomic_bool over;
static atomic_uint came;

static void on_signal(int number)
{
	(void)number;
	atomic_fetch_add(&came, 1);
}

static void *send_signals(void *arg)
{
	unsigned int n = 0;

	(void)arg;
	/* Now and then with room enough for who has to begin anew. */
	while (!atomic_load(&over)) {
		pthread_kill(target, SIGUSR1);
		usleep(n++ % 64 * 50);
	}
	return NULL;
}

/* Without SA_RESTART: what does not ask again fails. */
static pthread_t begin_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	target = pthread_self();
	ck_assert_int_eq(pthread_create(&thread, NULL, send_signals, NULL), 0);
	return thread;
}

static void end_signals(pthread_t thread)
{
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(atomic_load(&came), 0);
}

START_TEST(a_vm_is_created_among_signals)
{
	pthread_t thread = begin_signals();
	int i, fd;

	for (i = 0; i < VMS; i++) {
		fd = kvm_create_vm(&kvm);
		ck_assert_msg(fd >= 0, "VM %d: error %d", i, -fd);
		close(fd);
	}
	end_signals(thread);
}
END_TEST

START_TEST(a_trial_run_is_made_among_signals)
{
	pthread_t thread = begin_signals();
	struct err e = ERR_NONE;
	int i, r;

	for (i = 0; i < VMS; i++) {
		r = kvm_trial_run(&kvm, &e);
		ck_assert_msg(r >= 0, "trial %d: %d, %s", i, r, e.text);
	}
	end_signals(thread);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_vm_is_created_among_signals,
		a_trial_run_is_made_among_signals,
	};
	struct err e = ERR_NONE;

	if (kvm_open(&kvm, &e)) {
		printf("%s\n", e.text);
		return 77;
	}
	return SUITE_RUN("kvm", tests);
}
