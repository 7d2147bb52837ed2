/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch [-k] ROUNDS COMMAND... [-- COMMAND...]...: starts each command ROUNDS
 * times, each round in another order (what one leaves to the kernel must not
 * always fall on the same one), and prints a line for each start:
 *   INDEX FIRST_BYTE_NS REAPED_NS
 * from just before the exec to the first byte on the command's standard
 * output, and to the end of its process. Their standard input is empty. One
 * thread. A command that prints nothing is an error: status 1. With -k a
 * command is killed after its first byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16
#define LIMIT_MS     30000

extern char **environ;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
	exit(1);
}

static pid_t start(char **argv, int *out, uint64_t *began)
{
	posix_spawn_file_actions_t actions;
	int ends[2], r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		fail("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	*began = now_ns();
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (r) {
		errno = r;
		fail(argv[0]);
	}
	*out = ends[0];
	return pid;
}

/* Waits for output; the process is killed when it takes too long. */
static ssize_t take(int fd, pid_t pid, char *bytes, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, LIMIT_MS) > 0)
		return read(fd, bytes, size);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	errno = ETIMEDOUT;
	fail("no output");
}

static void measure(int index, char **argv, bool kills)
{
	uint64_t began, first;
	char bytes[4096];
	pid_t pid;
	int out;

	pid = start(argv, &out, &began);
	if (take(out, pid, bytes, sizeof(bytes)) <= 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		errno = ENODATA;
		fail(argv[0]);
	}
	first = now_ns();
	if (kills)
		kill(pid, SIGKILL);
	while (take(out, pid, bytes, sizeof(bytes)) > 0)
		;
	if (waitpid(pid, NULL, 0) < 0)
		fail("waitpid");
	printf("%d %llu %llu\n", index, (unsigned long long)(first - began),
	       (unsigned long long)(now_ns() - began));
	close(out);
}

/* The numbers below n in some order; the same ones in every run. */
static void shuffle(int *order, int n)
{
	static unsigned int seed = 1;
	int i, k, t;

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n - 1; i > 0; i--) {
		k = (int)((unsigned int)rand_r(&seed) % (unsigned int)(i + 1));
		t = order[i];
		order[i] = order[k];
		order[k] = t;
	}
}

int main(int argc, char **argv)
{
	char **command[COMMANDS_MAX];
	bool kills = argc > 1 && strcmp(argv[1], "-k") == 0;
	long rounds;
	int n = 0, i;

	argc -= kills;
	argv += kills;
	if (argc < 3 || (rounds = strtol(argv[1], NULL, 10)) < 1) {
		fprintf(stderr, "usage: launch [-k] ROUNDS COMMAND... "
				"[-- COMMAND...]...\n");
		return 2;
	}
	command[n++] = &argv[2];
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		argv[i] = NULL;
		if (n < COMMANDS_MAX)
			command[n++] = &argv[i + 1];
	}
	while (rounds-- > 0) {
		int order[COMMANDS_MAX];

		shuffle(order, n);
		for (i = 0; i < n; i++)
			measure(order[i], command[order[i]], kills);
	}
	return 0;
}
