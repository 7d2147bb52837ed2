/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a set that is there: by the VM's process, or by who holds
 * the lock of a VM that has none. Any thread; they block.
 */
#ifndef AMBER_SNAPSHOT_CHANGE_H
#define AMBER_SNAPSHOT_CHANGE_H

#include "snapshot/meta.h"

enum change_kind { CHANGE_PIN, CHANGE_UNPIN, CHANGE_LABEL, CHANGE_VERDICT };

struct label_change {
	struct vm_label label;
	bool removes;
};

struct snapshot_change {
	enum change_kind kind;
	char what[SNAPSHOT_NAME_MAX + 1]; /* name or ID; "": the current one */
	struct label_change label[SNAPSHOT_LABELS_MAX];
	unsigned int labels;
	struct snapshot_verdict verdict; /* CHANGE_VERDICT */
};

#define CHANGE_TEXT_BYTES 192

struct snapshot_changed {
	char text[CHANGE_TEXT_BYTES]; /* "snapshot one (149fd204) pinned" */
	bool changed;		      /* false: it was so already */
	json_t *set;		      /* owned */
};

/*
 * "KEY=VALUE" sets, "KEY-" removes; printable, at most VM_LABEL_MAX each.
 * -EINVAL names the text.
 */
int label_change_parse(struct label_change *out, const char *text,
		       struct err *e);

/*
 * out is filled on success only. Errors: store_find()'s, -E2BIG (more labels
 * than there may be), those of writing: it is unchanged.
 */
int snapshot_change(int dir, const struct snapshot_change *change,
		    struct snapshot_changed *out, struct err *e);

#endif
