/* SPDX-License-Identifier: Apache-2.0 */
/* The run directory, from the control socket's path. */
#include "control/run_dir.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* The directory of path: "." when there is no slash. */
static int parent(char *out, size_t size, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (!slash)
		path = ".", len = 1;
	else if (!len)
		len = 1; /* the root */
	if (len >= size)
		return err_set(e, -ENAMETOOLONG,
			       "%s: its directory has more than %zu "
			       "characters",
			       path, size - 1);
	memcpy(out, path, len);
	out[len] = 0;
	return 0;
}

int run_dir_set(struct vm_config *c, const char *socket, bool *is_ours,
		struct err *e)
{
	char above[sizeof(c->run_dir)];
	int r;

	*is_ours = false;
	if (!socket)
		return 0;
	r = parent(c->run_dir, sizeof(c->run_dir), socket, e);
	if (!r)
		r = parent(above, sizeof(above), c->run_dir, e);
	if (r)
		return r;
	if (snprintf(c->hub_dir, sizeof(c->hub_dir), "%s/.hubs", above) >=
	    (int)sizeof(c->hub_dir))
		return err_set(e, -ENAMETOOLONG, "%s/.hubs: too long", above);
	*is_ours = access(c->run_dir, F_OK) < 0 && errno == ENOENT;
	return c->vsock_cid ? file_make_dirs(c->run_dir, 0700, e) : 0;
}

void run_dir_remove(const struct vm_config *c)
{
	rmdir(c->run_dir); /* what is not empty stays */
}
