/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's store, pruned: by the VM's process, or by who holds the lock of a VM
 * that has none. Any thread; it blocks.
 */
#ifndef AMBER_SNAPSHOT_PRUNE_STORE_H
#define AMBER_SNAPSHOT_PRUNE_STORE_H

#include "snapshot/meta.h"
#include "snapshot/prune.h"

/* A label that snapshots are to carry. */
struct prune_label {
	char key[VM_LABEL_MAX + 1];
	char value[VM_LABEL_MAX + 1];
	bool any_value;
};

struct prune_order {
	struct prune_policy policy;
	char purpose[SNAPSHOT_PURPOSE_MAX + 1]; /* "": any */
	struct prune_label label[SNAPSHOT_LABELS_MAX];
	unsigned int labels; /* all of them */
	bool all_expired;    /* purpose and labels are about the rules alone */
	bool is_dry_run;     /* nothing is removed */
};

#define PRUNE_TEXT_BYTES 128

struct prune_report {
	char text[PRUNE_TEXT_BYTES]; /* "2 removed, 3 kept, 61 MiB freed" */
	size_t removed;
	json_t *json; /* owned: docs/api.md, POST /v1/vm/snapshot/prune */
};

/* "KEY[=VALUE]"; -EINVAL names the text. */
int prune_label_parse(struct prune_label *out, const char *text, struct err *e);

/*
 * out is filled on success only. Layers go, or are left to be merged, as
 * remove_snapshots() does it. Errors: -EINVAL (the policy says nothing),
 * store_list()'s, remove_snapshots()'s: e says how many were removed before.
 */
int snapshot_prune(int dir, const struct vm_config *config,
		   const struct prune_order *order, struct prune_report *out,
		   struct err *e);

#endif
