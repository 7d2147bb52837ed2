/* SPDX-License-Identifier: Apache-2.0 */
/* Peer credentials and roles; any thread, no state. */
#include "control/authz.h"

#include <stdlib.h>
#include <sys/socket.h>

/* A process can't have more (NGROUPS_MAX of Linux). */
#define GROUPS_MAX 65536

const char *authz_role_text(enum vm_role role)
{
	static const char *const names[] = { "none", "viewer", "operator",
					     "admin" };

	return role <= VM_ROLE_ADMIN ? names[role] : "none";
}

bool authz_has_grants(const struct vm_config *c)
{
	return c->grants > 0;
}

static bool is_in(gid_t gid, const gid_t *gids, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (gids[i] == gid)
			return true;
	return false;
}

enum vm_role authz_role(const struct vm_config *c, uid_t owner, uid_t uid,
			const gid_t *gids, size_t count)
{
	enum vm_role best = VM_ROLE_NONE;
	unsigned int i;

	if (uid == 0 || uid == owner)
		return VM_ROLE_ADMIN;
	for (i = 0; i < c->grants; i++) {
		const struct vm_grant *g = &c->grant[i];
		bool match =
			g->is_gid ? is_in(g->id, gids, count) : g->id == uid;

		if (match && g->role > best)
			best = g->role;
	}
	return best;
}

static bool needs_groups(const struct vm_config *c)
{
	unsigned int i;

	for (i = 0; i < c->grants; i++)
		if (c->grant[i].is_gid)
			return true;
	return false;
}

/* The peer's supplementary groups and gid; the caller frees *out. */
static int get_groups(int fd, gid_t gid, gid_t **out, size_t *count)
{
	socklen_t bytes = 0;
	gid_t *gids;
	int r;

	/* The first call only tells how large the list is. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) < 0 &&
	    errno != ERANGE)
		return -errno;
	if (bytes > GROUPS_MAX * sizeof(*gids))
		return -E2BIG;
	gids = malloc(bytes + sizeof(*gids));
	if (!gids)
		return -ENOMEM;
	if (bytes &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &bytes) < 0) {
		r = -errno;
		free(gids);
		return r;
	}
	*count = bytes / sizeof(*gids);
	gids[(*count)++] = gid;
	*out = gids;
	return 0;
}

int authz_identify(struct peer *peer, int fd, const struct vm_config *c,
		   uid_t owner, struct err *e)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);
	gid_t *gids = NULL;
	size_t count = 0;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0)
		return err_sys(e, -errno, "peer credentials");
	if (cred.uid != 0 && cred.uid != owner && needs_groups(c)) {
		r = get_groups(fd, cred.gid, &gids, &count);
		if (r)
			return err_sys(e, r, "groups of the peer");
	}
	*peer = (struct peer){
		.uid = cred.uid,
		.pid = cred.pid,
		.role = authz_role(c, owner, cred.uid, gids, count),
	};
	free(gids);
	return 0;
}
