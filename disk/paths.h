/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images, and the names by which they name each other. Any thread;
 * what is returned is malloc()ed, NULL is no memory unless said otherwise.
 */
#ifndef AMBER_DISK_PATHS_H
#define AMBER_DISK_PATHS_H

#include <stdbool.h>

/* The directory that path is in, as it stands there; "." where none does. */
char *path_parent(const char *path);
/* And with all links resolved; NULL and errno: it isn't there. */
char *path_directory(const char *path);
/* What is behind the last slash. Inside path. */
const char *path_base(const char *path);
/* Is path, links resolved, somewhere in directory, resolved as well? */
bool path_is_under(const char *path, const char *directory);

/* The path of a backing file that the image at path names: relative to it. */
char *disk_backing_path(const char *path, const char *name);
/*
 * The name that the image at path, which need not be there yet, has for the
 * file at target: its last part where both are in one directory, else the
 * whole path, links resolved. NULL and errno: one of them isn't there.
 */
char *disk_backing_name(const char *path, const char *target);

#endif
