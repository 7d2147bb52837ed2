/* SPDX-License-Identifier: Apache-2.0 */
/* Dying where a test wants it. Of test builds only. */
#include "base/kill_point.h"

#ifdef AMBER_KILL_POINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 128

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *passed[NAMES_MAX];
static unsigned int names, times;

static int is_first(const char *name)
{
	unsigned int i;

	for (i = 0; i < names; i++)
		if (!strcmp(passed[i], name))
			return 0;
	if (names < NAMES_MAX)
		passed[names++] = name;
	return 1;
}

static void log_name(const char *file, const char *name)
{
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, name, strlen(name)) < 0 ||
	    write(fd, "\n", 1) < 0)
		abort();
	close(fd);
}

static int is_due(const char *at, const char *name)
{
	size_t n = strlen(name);
	unsigned long count;

	if (strncmp(at, name, n) || (at[n] && at[n] != ':'))
		return 0;
	count = at[n] ? strtoul(at + n + 1, NULL, 10) : 1;
	return ++times == count;
}

void kill_point_pass(const char *name)
{
	const char *at = getenv("AMBER_KILL_AT");
	const char *file = getenv("AMBER_KILL_LOG");

	if (!at && !file)
		return;
	pthread_mutex_lock(&mutex);
	if (file && is_first(name))
		log_name(file, name);
	if (at && is_due(at, name))
		kill(getpid(), SIGKILL);
	pthread_mutex_unlock(&mutex);
}

#else

/* An empty translation unit is none. */
typedef int kill_points_are_for_tests;

#endif
