/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening end of the control socket: its directory, its file, and
 * accept() when descriptors run out. Loop thread.
 */
#ifndef AMBER_CONTROL_LISTENER_H
#define AMBER_CONTROL_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "control/home.h"

struct listener {
	int fd;	   /* owned; -1: none */
	int spare; /* owned: given up for a moment when there are no more */
	char path[HOME_SOCKET_BYTES]; /* "" when there is no file */
	dev_t dev;		      /* of that file */
	ino_t inode;
	bool made_dir; /* its directory is ours, too */
};

void listener_init(struct listener *l);

/* See server_listen(). */
int listener_open(struct listener *l, const char *path, bool shared,
		  struct err *e);

/*
 * Accepts one connection (non-blocking, O_CLOEXEC). Returns the descriptor,
 * -EAGAIN when there is none, or another negative errno. With
 * -EMFILE and *rejected >= 0, *rejected is a connection that can be told so
 * and must be closed with listener_close_rejected().
 */
int listener_accept(struct listener *l, int *rejected);
void listener_close_rejected(struct listener *l, int rejected);

/*
 * Stops to listen and removes the socket file, if it is still ours, and its
 * directory, if it was made for it and is empty.
 */
void listener_close(struct listener *l);

#endif
