/* SPDX-License-Identifier: Apache-2.0 */
/* Roles by uid and gid; who gets in over a real socket. */
#include "tests/unit/suite.h"

#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "control/config_value.h"
#include "tests/unit/client.h"

#define OWNER	 1000
#define STRANGER 65534

static struct vm_config config;

static void grant(enum vm_role role, bool is_gid, uint32_t id)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(
		config_add_grant(&config, "access", role, is_gid, id, &e), 0);
}

static enum vm_role role_of(uid_t uid, const gid_t *gids, size_t count)
{
	return authz_role(&config, OWNER, uid, gids, count);
}

START_TEST(owner_and_root_are_admin_and_nobody_else_is_anything)
{
	const gid_t wheel[] = { 0, 4, 27 };

	vm_config_init(&config);
	ck_assert_int_eq(role_of(OWNER, NULL, 0), VM_ROLE_ADMIN);
	ck_assert_int_eq(role_of(0, NULL, 0), VM_ROLE_ADMIN);
	ck_assert_int_eq(role_of(1001, NULL, 0), VM_ROLE_NONE);
	ck_assert_int_eq(role_of(1001, wheel, 3), VM_ROLE_NONE);
	ck_assert(!authz_has_grants(&config));
}
END_TEST

START_TEST(the_highest_grant_of_user_and_groups_counts)
{
	const gid_t none[] = { 100 }, ops[] = { 100, 27 }, both[] = { 4, 27 };

	vm_config_init(&config);
	grant(VM_ROLE_VIEWER, false, 1001);
	grant(VM_ROLE_OPERATOR, true, 27);
	grant(VM_ROLE_ADMIN, true, 4);
	ck_assert_int_eq(role_of(1001, none, 1), VM_ROLE_VIEWER);
	ck_assert_int_eq(role_of(1001, ops, 2), VM_ROLE_OPERATOR);
	ck_assert_int_eq(role_of(1001, both, 2), VM_ROLE_ADMIN);
	ck_assert_int_eq(role_of(1002, none, 1), VM_ROLE_NONE);
	/* a uid is no gid */
	ck_assert_int_eq(role_of(27, none, 1), VM_ROLE_NONE);
	ck_assert(authz_has_grants(&config));
}
END_TEST

START_TEST(grants_end_at_their_limit)
{
	struct err e = ERR_NONE;
	uint32_t i;

	vm_config_init(&config);
	for (i = 0; i < VM_GRANTS_MAX; i++)
		grant(VM_ROLE_ADMIN, true, i);
	grant(VM_ROLE_ADMIN, true, 0); /* is there already */
	ck_assert_int_lt(
		config_add_grant(&config, "access", VM_ROLE_ADMIN, true, i, &e),
		0);
	grant(VM_ROLE_ADMIN, false, i);
	grant(VM_ROLE_VIEWER, true, i);
}
END_TEST

START_TEST(the_kernel_tells_who_is_at_the_other_end)
{
	struct err e = ERR_NONE;
	struct peer peer;
	int pair[2];

	vm_config_init(&config);
	grant(VM_ROLE_VIEWER, true, getgid()); /* so groups are asked for */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(authz_identify(&peer, pair[0], &config, getuid(), &e),
			 0);
	ck_assert_uint_eq(peer.uid, getuid());
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert_int_eq(peer.role, VM_ROLE_ADMIN);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_lt(authz_identify(&peer, 0, &config, getuid(), &e), 0);
}
END_TEST

/* --- another user, for real (root only) --------------------------------- */

/* In a child: becomes uid with group gid, asks, and prints the answer. */
static void stranger(const char *path, gid_t gid, const char *request, int out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char text[2048];
	ssize_t n;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (setgroups(1, &gid) || setgid(STRANGER) || setuid(STRANGER) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		_exit(1);
	send(fd, request, strlen(request), MSG_NOSIGNAL);
	n = recv(fd, text, sizeof(text), 0);
	_exit(n > 0 && write(out, text, (size_t)n) == n ? 0 : 2);
}

static void ask_as_stranger(struct desk *d, const char *path, gid_t gid,
			    const char *request, const char *expected)
{
	int out[2], status = 0;
	char text[2049] = "";
	pid_t child;
	ssize_t n;

	ck_assert_int_eq(pipe(out), 0);
	child = fork();
	if (!child)
		stranger(path, gid, request, out[1]);
	close(out[1]);
	while (waitpid(child, &status, WNOHANG) == 0)
		desk_step(d);
	ck_assert_int_eq(status, 0);
	n = read(out[0], text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	ck_assert_msg(strstr(text, expected) != NULL, "%s", text);
	close(out[0]);
}

START_TEST(other_users_get_in_with_a_grant_only)
{
	char place[] = "/tmp/amber-test-authz-XXXXXX", path[64];
	struct err e = ERR_NONE;
	struct desk d;

	if (getuid() != 0)
		return; /* can't become somebody else */
	ck_assert_ptr_nonnull(mkdtemp(place));
	ck_assert_int_eq(chmod(place, 0711), 0);
	snprintf(path, sizeof(path), "%s/vm/api.sock", place);
	desk_open(&d);
	ck_assert_int_eq(server_listen(d.server, path, true, &e), 0);
	ask_as_stranger(&d, path, 4242, STATUS_REQUEST, "forbidden");
	plane_expect_record(&d.plane, "refused", "connect: no role");
	ck_assert_int_eq(config_add_grant(&d.plane.config, "", VM_ROLE_VIEWER,
					  true, 4242, &e),
			 0);
	ask_as_stranger(&d, path, 4242, STATUS_REQUEST, "\"labels\"");
	ask_as_stranger(&d, path, 4243, STATUS_REQUEST, "forbidden");
	ask_as_stranger(&d, path, 4242, POST("/v1/vm/start", "0"), "forbidden");
	plane_expect_record(&d.plane, "refused", "start: forbidden");
	ask_as_stranger(&d, path, 4242, ATTACH(""), "forbidden");
	ask_as_stranger(&d, path, 4242, ATTACH("?readonly=1"), "101");
	ck_assert_int_eq(config_add_grant(&d.plane.config, "", VM_ROLE_OPERATOR,
					  false, STRANGER, &e),
			 0);
	ask_as_stranger(&d, path, 4243, POST("/v1/vm/start", "0"), "changed");
	desk_close(&d);
	ck_assert_int_eq(rmdir(place), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		owner_and_root_are_admin_and_nobody_else_is_anything,
		the_highest_grant_of_user_and_groups_counts,
		grants_end_at_their_limit,
		the_kernel_tells_who_is_at_the_other_end,
		other_users_get_in_with_a_grant_only,
	};

	return SUITE_RUN("authz", tests);
}
