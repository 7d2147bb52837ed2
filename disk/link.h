/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frozen layers under names in another directory, where an image of its own
 * can stand on them: nothing is copied, and each directory may be deleted
 * without the other. Any thread; it blocks.
 */
#ifndef AMBER_DISK_LINK_H
#define AMBER_DISK_LINK_H

#include "disk/disk.h"

/*
 * Gives every layer of d a hard link in directory under the last part of its
 * name, all or none; with is_top also the top. A name that is the same file
 * already is left. Errors: -EINVAL (a layer that may be written, that names
 * its backing file by a path, two of one name), -EEXIST (another file has
 * the name), -EXDEV (another file system: the text says what to do).
 */
int layers_link(const struct disk *d, bool is_top, const char *directory,
		struct err *e);

#endif
