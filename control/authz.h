/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a socket, and what they may do. The owner of
 * the VMM's process and root are admin; others have the highest role that
 * the configuration grants to their uid or to one of their groups. Any
 * thread; no state.
 */
#ifndef AMBER_CONTROL_AUTHZ_H
#define AMBER_CONTROL_AUTHZ_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "vmm/config.h"

struct peer {
	uid_t uid;
	pid_t pid;
	enum vm_role role;
};

/*
 * The role of a user with these groups (the primary one included). Pure.
 */
enum vm_role authz_role(const struct vm_config *c, uid_t owner, uid_t uid,
			const gid_t *gids, size_t count);

/*
 * Asks the kernel who connected (SO_PEERCRED, SO_PEERGROUPS) and fills
 * *peer. Role VM_ROLE_NONE is a success: nobody we know.
 */
int authz_identify(struct peer *peer, int fd, const struct vm_config *c,
		   uid_t owner, struct err *e);

/* "none", "viewer", "operator", "admin" */
const char *authz_role_text(enum vm_role role);

/* Does the configuration let anybody but owner and root in? */
bool authz_has_grants(const struct vm_config *c);

#endif
