/* SPDX-License-Identifier: Apache-2.0 */
/* The server's socket file: where it may lie, who may see it, its end. */
#include "tests/unit/suite.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/client.h"

static struct desk d;
static struct client c;

static char place[64];

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(
		connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void make_place(char *path, size_t size)
{
	snprintf(place, sizeof(place), "/tmp/amber-test-server-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	snprintf(path, size, "%s/vm/api.sock", place);
}

START_TEST(the_socket_is_private_and_leaves_with_the_server)
{
	struct err e = ERR_NONE;
	char path[100], dir[100];
	struct stat st;

	make_place(path, sizeof(path));
	snprintf(dir, sizeof(dir), "%s/vm", place);
	desk_open(&d);
	ck_assert_int_eq(server_listen(d.server, path, false, &e), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	client_init(&c, connect_to(path));
	client_send(&c, STATUS_REQUEST);
	ck_assert(client_await(&c, &d, "labels"));
	client_close(&c);
	desk_close(&d);
	ck_assert_int_ne(stat(path, &st), 0);
	ck_assert_int_ne(stat(dir, &st), 0);
	ck_assert_int_eq(rmdir(place), 0);
}
END_TEST

START_TEST(a_stale_socket_is_replaced_and_a_living_one_is_not)
{
	struct err e = ERR_NONE;
	struct desk second;
	char path[100];
	struct stat st;
	int fd;

	make_place(path, sizeof(path));
	desk_open(&d);
	ck_assert_int_eq(server_listen(d.server, path, false, &e), 0);
	desk_open(&second);
	ck_assert_int_eq(server_listen(second.server, path, false, &e),
			 -EADDRINUSE);
	/* Somebody replaced the file: what is not ours is not removed. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(server_listen(second.server, path, false, &e), 0);
	desk_close(&d);
	ck_assert_int_eq(stat(path, &st), 0);
	desk_close(&second);
	ck_assert_int_ne(stat(path, &st), 0);
	/* A dead process left one behind. */
	snprintf(path, sizeof(path), "%s/vm", place);
	ck_assert_int_eq(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/api.sock", place);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		snprintf(address.sun_path, sizeof(address.sun_path), "%s",
			 path);
		ck_assert_int_eq(
			bind(fd, (struct sockaddr *)&address, sizeof(address)),
			0);
	}
	close(fd);
	desk_open(&d);
	ck_assert_int_eq(server_listen(d.server, path, false, &e), 0);
	desk_close(&d);
	ck_assert_int_eq(rmdir(place), 0);
}
END_TEST

START_TEST(bad_places_for_a_socket_are_refused)
{
	struct err e = ERR_NONE;
	char path[100], lengthy[200];
	int fd;

	make_place(path, sizeof(path));
	desk_open(&d);
	memset(lengthy, 'a', sizeof(lengthy));
	lengthy[0] = '/';
	lengthy[108] = 0;
	ck_assert_int_eq(server_listen(d.server, lengthy, false, &e),
			 -ENAMETOOLONG);
	ck_assert_int_eq(server_listen(d.server, "", false, &e), -ENAMETOOLONG);
	/* in the place of a file that is no socket */
	snprintf(path, sizeof(path), "%s/file", place);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ck_assert_int_eq(server_listen(d.server, path, false, &e), -EEXIST);
	ck_assert_int_eq(unlink(path), 0);
	/* in a directory where anybody may put anything */
	ck_assert_int_eq(chmod(place, 0777), 0);
	ck_assert_int_eq(server_listen(d.server, path, false, &e), -EACCES);
	desk_close(&d);
	ck_assert_int_eq(rmdir(place), 0);
}
END_TEST

START_TEST(without_descriptors_others_keep_working)
{
	struct rlimit old, few = { 0 };
	struct err e = ERR_NONE;
	struct client second;
	char path[100];
	int fds[64], n = 0;

	make_place(path, sizeof(path));
	desk_open(&d);
	ck_assert_int_eq(server_listen(d.server, path, false, &e), 0);
	client_init(&c, connect_to(path));
	client_send(&c, STATUS_REQUEST);
	ck_assert(client_await(&c, &d, "labels"));
	client_init(&second, connect_to(path));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){ 40, old.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (n < 64 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	ck_assert_int_lt(n, 64);
	ck_assert(client_await(&second, &d, "too-many-connections"));
	client_clear(&c);
	client_send(&c, STATUS_REQUEST);
	ck_assert(client_await(&c, &d, "labels"));
	while (n)
		close(fds[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	client_close(&second);
	client_init(&second, connect_to(path));
	client_send(&second, STATUS_REQUEST);
	ck_assert(client_await(&second, &d, "labels"));
	client_close(&second);
	client_close(&c);
	desk_close(&d);
	ck_assert_int_eq(rmdir(place), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_socket_is_private_and_leaves_with_the_server,
		a_stale_socket_is_replaced_and_a_living_one_is_not,
		bad_places_for_a_socket_are_refused,
		without_descriptors_others_keep_working,
	};

	return SUITE_RUN("listener", tests);
}
