/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images, and how one names another. Any thread. */
#include "disk/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

char *path_directory(const char *path)
{
	char *parent = path_parent(path), *resolved;

	resolved = parent ? realpath(parent, NULL) : NULL;
	free(parent);
	return resolved;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool path_is_under(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	if (n == 1)
		return true; /* "/" */
	return !strncmp(path, directory, n) && path[n] == '/';
}

char *disk_backing_path(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char *joined;

	if (*name == '/' || !slash)
		return strdup(name);
	if (asprintf(&joined, "%.*s%s", (int)(slash - path + 1), path, name) <
	    0)
		return NULL;
	return joined;
}

/* Through all links: they may point to another file tomorrow. */
char *disk_backing_name(const char *path, const char *target)
{
	char *here = path_directory(path), *whole, *there, *name = NULL;

	if (!here)
		return NULL;
	whole = realpath(target, NULL);
	there = whole ? path_parent(whole) : NULL;
	if (there)
		name = strdup(strcmp(here, there) ? whole : path_base(whole));
	free(here);
	free(there);
	free(whole);
	return name;
}
