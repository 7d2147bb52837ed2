/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that change files' names, as the program's own: the at-th one of
 * a kind fails, and after each one the test may look at what is there. For
 * the one file of a test. One thread.
 */
#ifndef AMBER_TESTS_UNIT_NAME_CALLS_H
#define AMBER_TESTS_UNIT_NAME_CALLS_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum name_call { CALL_LINK, CALL_RENAME, CALL_FSYNC, CALL_FCHMOD, NAME_CALLS };

static struct {
	enum name_call call;
	int error;	   /* of that kind; 0: none */
	unsigned int at;   /* counts from 0 */
	unsigned int made; /* of that kind so far */
	void (*look)(void);
} name_calls;

static inline void name_calls_set(enum name_call call, int error,
				  unsigned int at)
{
	name_calls.call = call;
	name_calls.error = error;
	name_calls.at = at;
	name_calls.made = 0;
}

static inline bool name_call_fails(enum name_call call)
{
	if (call != name_calls.call || name_calls.made++ != name_calls.at ||
	    !name_calls.error)
		return false;
	errno = name_calls.error;
	return true;
}

static inline int name_call_end(long r)
{
	int error = errno;
	void (*look)(void) = name_calls.look;

	name_calls.look = NULL; /* it makes such calls itself */
	if (look)
		look();
	name_calls.look = look;
	errno = error;
	return (int)r;
}

int link(const char *from, const char *to)
{
	if (name_call_fails(CALL_LINK))
		return -1;
	return name_call_end(syscall(SYS_link, from, to));
}

int rename(const char *from, const char *to)
{
	if (name_call_fails(CALL_RENAME))
		return -1;
	return name_call_end(syscall(SYS_rename, from, to));
}

int fsync(int fd)
{
	if (name_call_fails(CALL_FSYNC))
		return -1;
	return name_call_end(syscall(SYS_fsync, fd));
}

int fchmod(int fd, mode_t mode)
{
	if (name_call_fails(CALL_FCHMOD))
		return -1;
	return name_call_end(syscall(SYS_fchmod, fd, mode));
}

#endif
