/* SPDX-License-Identifier: Apache-2.0 */
/* A port's socket on the host when the host is short of things. */
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/host_port.h"

static struct err e;

/* Without descriptors a client waits; nobody turns in circles for it. */
START_TEST(a_client_that_can_not_be_accepted_costs_nothing)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct rlimit old, low;
	struct channel *channel;
	struct host_port *port;
	char dir[] = "/tmp/amber-port-XXXXXX";
	unsigned int rounds = 0;
	struct loop *loop;
	uint64_t end;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(loop_create(&loop, &e), 0);
	ck_assert_int_eq(channel_create(&channel, &e), 0);
	ck_assert_int_eq(
		host_port_create(&port, loop, channel, dir, "p", NULL, &e), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/p.sock", dir);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&a, sizeof(a)),
			 0);
	end = clock_mono_ns() + NS_PER_S / 4;
	for (; clock_mono_ns() < end; rounds++)
		ck_assert_int_eq(loop_step(loop, 250), 0);
	ck_assert_uint_le(rounds, 8);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	end = clock_mono_ns() + 10 * NS_PER_S;
	while (!channel_is_host_open(channel) && clock_mono_ns() < end)
		ck_assert_int_eq(loop_step(loop, 250), 0);
	ck_assert(channel_is_host_open(channel));
	close(fd);
	host_port_destroy(port);
	channel_destroy(channel);
	loop_destroy(loop);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_client_that_can_not_be_accepted_costs_nothing,
	};

	return SUITE_RUN("host port", tests);
}
