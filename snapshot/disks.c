/* SPDX-License-Identifier: Apache-2.0 */
/* Names of layers, and whether a disk's file is what it was. */
#include "snapshot/disks.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".qcow2"

int snapshot_layer_path(const char *path, const char *id, char **out,
			struct err *e)
{
	char *file = realpath(path, NULL), *name;
	size_t len, suffix = strlen(SUFFIX);
	int n;

	*out = NULL;
	if (!file)
		return err_sys(e, -errno, "%s", path);
	name = strrchr(file, '/') + 1;
	len = strlen(file);
	if (strlen(name) > suffix && !strcmp(file + len - suffix, SUFFIX))
		len -= suffix;
	if (strlen(name) + SNAPSHOT_ID_CHARS + 1 + suffix > NAME_MAX) {
		free(file);
		return err_set(e, -ENAMETOOLONG, "%s: the name is too long",
			       path);
	}
	n = asprintf(out, "%.*s.%s" SUFFIX, (int)len, file, id);
	free(file);
	if (n >= 0)
		return 0;
	*out = NULL;
	return err_sys(e, -ENOMEM, "%s", path);
}

int snapshot_disk_identify(struct snapshot_disk *d, struct err *e)
{
	struct stat st;

	if (stat(d->path, &st) < 0)
		return err_sys(e, -errno, "%s", d->path);
	d->inode = st.st_ino;
	d->file_bytes = (uint64_t)st.st_size;
	d->changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 +
			(uint64_t)st.st_mtim.tv_nsec;
	return 0;
}

int snapshot_disk_check(const struct snapshot_disk *d, struct err *e)
{
	struct snapshot_disk is = { .path = d->path };
	int r = snapshot_disk_identify(&is, e);

	if (r)
		return r;
	if (is.inode == d->inode && is.file_bytes == d->file_bytes &&
	    is.changed_ns == d->changed_ns)
		return 0;
	return err_set(e, -ESTALE,
		       "%s: %s was changed since: the guest would damage it",
		       d->id, d->path);
}

int snapshot_disk_open(struct disk **out, const struct vm_config *config,
		       const struct snapshot_disk *d, struct err *e)
{
	int i = vm_config_disk(config, d->id);
	const char *const allowed[] = {
		DISK_BESIDE, i < 0 ? NULL : config->disk[i].allow_backing, NULL
	};
	struct disk_config open = {
		.path = d->layer,
		.format = DISK_QCOW2,
		.read_only = true,
		.allow_backing = allowed,
	};

	return disk_open(out, &open, e);
}
