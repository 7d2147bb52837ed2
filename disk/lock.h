/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use an image: QEMU's locks, so that neither opens what the other
 * uses. They belong to the open file description and end with it. Any
 * thread.
 */
#ifndef AMBER_DISK_LOCK_H
#define AMBER_DISK_LOCK_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Takes the locks of a writer, who shares with nobody, or of a reader, who
 * shares with readers. -EBUSY: somebody else has it, and the text says who
 * (as far as /proc tells); then nothing is locked.
 */
int image_lock(int fd, bool writes, const char *path, struct err *e);
void image_unlock(int fd);

/*
 * A reader becomes a writer, whatever fd may be used for itself: -EBUSY while
 * others have it; then it is a reader as before. And a writer becomes a
 * reader, which no moment without a lock lies between.
 */
int image_lock_to_write(int fd, const char *path, struct err *e);
void image_lock_to_read(int fd);

#endif
