/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening socket. Loop thread. INV-1: a socket file is removed only
 * when nobody answers behind it, or when it is ours.
 */
#include "control/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

#define SEARCH_ONLY 0711

void listener_init(struct listener *l)
{
	*l = (struct listener){ .fd = -1, .spare = -1 };
}

static int set_address(struct sockaddr_un *address, const char *path,
		       struct err *e)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!len || len >= sizeof(address->sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "%s: a socket's path has 1..%zu characters, "
			       "this has %zu",
			       path, sizeof(address->sun_path) - 1, len);
	memcpy(address->sun_path, path, len + 1);
	return 0;
}

/* Nobody else may rule over the directory; shared: all may pass. */
static int check_dir(const char *dir, bool shared, struct err *e)
{
	struct stat st;
	int fd = file_open_dir(AT_FDCWD, dir, e), r;

	if (fd < 0)
		return fd;
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (!r && shared && st.st_uid == geteuid() &&
	    (st.st_mode & SEARCH_ONLY) != SEARCH_ONLY &&
	    fchmod(fd, SEARCH_ONLY) < 0)
		r = -errno;
	close(fd);
	if (r)
		return err_sys(e, r, "%s", dir);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, -EACCES, "%s belongs to uid %lu", dir,
			       (unsigned long)st.st_uid);
	if ((st.st_mode & 0022) && !(st.st_mode & S_ISVTX))
		return err_set(e, -EACCES,
			       "%s may be written by others (mode %04o)", dir,
			       (unsigned int)st.st_mode & 07777);
	return 0;
}

/* Cuts the last part off; false when there is none or it is in "/". */
static bool cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return false;
	*slash = 0;
	return true;
}

static int prepare_dir(struct listener *l, const char *path, bool shared,
		       struct err *e)
{
	char dir[HOME_SOCKET_BYTES], above[HOME_SOCKET_BYTES];
	int r = 0;

	snprintf(dir, sizeof(dir), "%s", path);
	if (!cut_last(dir))
		return 0;
	if (mkdir(dir, shared ? SEARCH_ONLY : 0700) == 0) {
		l->made_dir = true;
		return check_dir(dir, shared, e);
	}
	/* Parents (such as /run/amber) are for every user to pass through. */
	snprintf(above, sizeof(above), "%s", dir);
	if (errno == ENOENT && cut_last(above)) {
		r = file_make_dirs(above, SEARCH_ONLY, e);
		l->made_dir = !r;
	}
	if (!r)
		r = file_make_dirs(dir, shared ? SEARCH_ONLY : 0700, e);
	return r ? r : check_dir(dir, shared, e);
}

/* Removes a socket that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct err *e)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "%s is there and is no socket",
			       path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, -errno, "socket");
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	r = r < 0 ? errno : 0;
	close(fd);
	if (r == 0 || r == EAGAIN)
		return err_set(e, -EADDRINUSE,
			       "%s: another process answers there", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "%s: can't remove the stale socket",
			       path);
	return 0;
}

static int bind_private(int fd, const struct sockaddr_un *address, bool shared,
			struct err *e)
{
	mode_t old = umask(0177);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	r = r < 0 ? -errno : 0;
	umask(old);
	if (!r && shared && chmod(address->sun_path, 0666) < 0)
		r = -errno;
	if (!r && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	return r ? err_sys(e, r, "%s", address->sun_path) : 0;
}

int listener_open(struct listener *l, const char *path, bool shared,
		  struct err *e)
{
	struct sockaddr_un address;
	struct stat st;
	int r;

	r = set_address(&address, path, e);
	if (!r)
		r = prepare_dir(l, path, shared, e);
	if (!r)
		r = remove_stale(&address, e);
	if (r)
		return r;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return err_sys(e, -errno, "socket");
	r = bind_private(l->fd, &address, shared, e);
	if (r) {
		close(l->fd);
		l->fd = -1;
		return r;
	}
	if (lstat(path, &st) == 0) {
		l->dev = st.st_dev;
		l->inode = st.st_ino;
	}
	memcpy(l->path, address.sun_path, sizeof(l->path));
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int accept_one(const struct listener *l)
{
	int fd;

	do
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd >= 0 ? fd : -errno;
}

int listener_accept(struct listener *l, int *rejected)
{
	int fd = accept_one(l), r;

	*rejected = -1;
	if (fd != -EMFILE && fd != -ENFILE)
		return fd;
	if (l->spare >= 0) {
		close(l->spare);
		l->spare = -1;
		r = accept_one(l);
		*rejected = r >= 0 ? r : -1;
	}
	return -EMFILE;
}

void listener_close_rejected(struct listener *l, int rejected)
{
	close(rejected);
	if (l->spare < 0)
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Does the path still name the socket that we bound? */
static bool is_ours(const struct listener *l)
{
	struct stat st;

	return lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       st.st_dev == l->dev && st.st_ino == l->inode;
}

void listener_close(struct listener *l)
{
	if (l->fd >= 0) {
		if (*l->path && is_ours(l))
			unlink(l->path);
		if (l->made_dir && cut_last(l->path))
			rmdir(l->path);
		close(l->fd);
	}
	if (l->spare >= 0)
		close(l->spare);
	listener_init(l);
}
