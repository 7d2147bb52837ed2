/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a snapshot of a running or paused VM:
 *
 *   snapshot_begin()    what can be made ready is, while the guest runs
 *   snapshot_moment()   nothing of the machine moves: state, memory, disks
 *   snapshot_finish()   memory is written behind the guest's back, the set
 *                       is there by one rename
 *   snapshot_end()      what is not finished is gone
 *
 * The disks are right whatever happens in between: a layer that no set names
 * is in the list of unused ones (snapshot/unused.h). One thread at a time, not
 * the loop's: they block.
 */
#ifndef AMBER_SNAPSHOT_TAKE_H
#define AMBER_SNAPSHOT_TAKE_H

#include "snapshot/meta.h"
#include "vmm/vm.h"

/* What is asked for. */
struct snapshot_order {
	enum snapshot_kind kind;
	enum snapshot_consistency consistency;
	char name[SNAPSHOT_NAME_MAX + 1]; /* "": one is made up */
	char purpose[SNAPSHOT_PURPOSE_MAX + 1];
	const char *version;	 /* of amber */
	const char *config_json; /* kept in the set; borrowed */
	bool is_pinned;
	uint64_t expires_ns;   /* 0: never */
	uint64_t max_pause_ns; /* that the guest may stand; 0: as it comes */
	/* Only the memory that is not the current snapshot's any more; a full
	 * one where there is none to stand on. */
	bool incremental;
	/* Of what is given up by going back: the configuration's quota and
	 * names don't hold it up. */
	bool is_safety;
	struct vm_label label[SNAPSHOT_LABELS_MAX];
	unsigned int labels;
	uint64_t disk_bytes[VM_DISKS_MAX]; /* as the guest sees them */
	/* Of progress_create(), borrowed until snapshot_end(); or NULL. */
	struct progress *progress;
};

struct snapshot_take;

/*
 * dir (the VM's), config: borrowed until snapshot_end(). Errors: -EEXIST (the
 * name is taken), -EINVAL (no name, or none that the VM's configuration wants),
 * -EDQUOT, -ENOTSUP (a raw disk can't have layers), those of writing.
 */
int snapshot_begin(struct snapshot_take **out, int dir,
		   const struct vm_config *config,
		   const struct snapshot_order *order, struct err *e);

/*
 * A vm_still's work; ctx is the take. It loses no machine. -ETIME: longer than
 * it may; nothing was done to the disks.
 */
int snapshot_moment(void *ctx, struct machine *m, bool *is_lost, struct err *e);

/*
 * pause_ns: how long the guest stood, for the record. Errors: -ENOSPC...,
 * -ETIME (longer than it may).
 */
int snapshot_finish(struct snapshot_take *t, uint64_t pause_ns, struct err *e);

/*
 * The disks of a VM without a process, whose lock is the caller's: kind disk,
 * whatever the order says. m: of what was taken; snapshot_meta_fini() in each
 * case. Errors: those above and disk_open()'s.
 */
int snapshot_offline(int dir, const struct vm_config *config,
		     const struct snapshot_order *order,
		     struct snapshot_meta *m, struct err *e);

/* Valid until snapshot_end(); complete when it is finished. */
const struct snapshot_meta *snapshot_taken(const struct snapshot_take *t);

void snapshot_end(struct snapshot_take *t);

#endif
