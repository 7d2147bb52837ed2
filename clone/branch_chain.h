/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frozen layers of one disk in another directory. Looked at by their
 * headers, while others read them. One thread; it blocks.
 */
#ifndef AMBER_CLONE_BRANCH_CHAIN_H
#define AMBER_CLONE_BRANCH_CHAIN_H

#include "disk/chain.h"
#include "snapshot/meta.h"

struct branch_link {
	char *path; /* owned: where it is */
	char *name; /* owned: what it is called by what stands on it */
};

struct branch_chain {
	struct branch_link *link; /* owned; the layer first */
	unsigned int links;
	/* The last one stands on this file, which stays where it is; owned,
	 * links resolved; NULL: on nothing. */
	char *elsewhere;
	bool must_copy;
};

/* branch_chain_fini() in each case. */
int branch_chain_read(struct branch_chain *c, const char *layer, struct err *e);
void branch_chain_fini(struct branch_chain *c);

/* Is the file with that name among those that get a link? */
bool branch_chain_has(const struct branch_chain *c, const char *name);

/*
 * disk: theirs, in the new VM's configuration, but still what the VM they are
 * of has been allowed. The new one may read their base where that one may, and
 * nowhere else. -EACCES: it may not.
 */
int branch_chain_allow(struct branch_chain *c, struct vm_disk *disk,
		       struct err *e);

/*
 * They are in directory, which is empty, by links, or as one image with the
 * layer's name: *copied. config: of the VM they are of; disk: theirs.
 */
int branch_chain_make(const struct branch_chain *c, const char *directory,
		      const struct vm_config *config,
		      const struct snapshot_disk *disk, bool *copied,
		      struct err *e);

#endif
