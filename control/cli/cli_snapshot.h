/* SPDX-License-Identifier: Apache-2.0 */
/* `amber snapshot`: its operations, each on one VM. Main thread. */
#ifndef AMBER_CONTROL_CLI_SNAPSHOT_H
#define AMBER_CONTROL_CLI_SNAPSHOT_H

#include <jansson.h>

#include "control/cli/cli.h"
#include "control/cli/cli_vm.h"
#include "snapshot/meta.h"
#include "snapshot/take.h"

/*
 * Each: vm is open, args[1] its name; what was printed is all there is to say.
 * Returns 0, and may set *status; or fills e.
 */
int cli_snapshot_create(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e);
int cli_snapshot_restore(const struct cli *cli, struct cli_vm *vm, int *status,
			 struct err *e);
int cli_snapshot_rewind(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e);
int cli_snapshot_delete(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e);
int cli_snapshot_pin(const struct cli *cli, struct cli_vm *vm, int *status,
		     struct err *e);
int cli_snapshot_unpin(const struct cli *cli, struct cli_vm *vm, int *status,
		       struct err *e);
int cli_snapshot_label(const struct cli *cli, struct cli_vm *vm, int *status,
		       struct err *e);
int cli_snapshot_prune(const struct cli *cli, struct cli_vm *vm, int *status,
		       struct err *e);
int cli_snapshot_diff(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e);
int cli_snapshot_export(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e);
int cli_snapshot_import(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e);
int cli_snapshot_list(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e);
int cli_snapshot_show(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e);
int cli_snapshot_verify(const struct cli *cli, struct cli_vm *vm, int *status,
			struct err *e);

/* --expires and --max-pause into o. */
int cli_snapshot_limits(const struct cli *cli, struct snapshot_order *o,
			struct err *e);
/* The labels of the line, as a list of texts. */
json_t *cli_snapshot_labels(const struct cli *cli);
/* N runs from a rewind to the guest's end; *status: of the first bad one. */
int cli_snapshot_loop(const struct cli *cli, struct cli_vm *vm, int *status,
		      struct err *e);
/*
 * One snapshot as a VM that is thrown away: *passed, and noted in the set.
 * out: NULL, or gets what came of it instead of being said.
 */
int cli_snapshot_try(const struct cli *cli, struct cli_vm *vm,
		     const struct snapshot_meta *m, json_t *out, bool *passed,
		     struct err *e);
/*
 * Merges what layers can be of a VM without a process, whose lock is the
 * caller's, with a bar; says: what came of it, not only what went wrong.
 */
void cli_snapshot_merge(const struct cli_vm *vm, const struct vm_config *config,
			bool says);
/* The same for a VM without a process. */
int cli_snapshot_create_offline(const struct cli *cli, struct cli_vm *vm,
				struct err *e);
int cli_snapshot_restore_offline(const struct cli *cli, struct cli_vm *vm,
				 struct err *e);

/* As another VM. */
int cli_snapshot_restore_as(const struct cli *cli, struct cli_vm *vm,
			    struct err *e);

/* Are the words and values right? -EINVAL. */
int cli_snapshot_try_check(const struct cli *cli, struct err *e);
int cli_snapshot_restore_check(const struct cli *cli, struct err *e);
int cli_snapshot_list_check(const struct cli *cli, struct err *e);
int cli_snapshot_create_check(const struct cli *cli, struct err *e);
int cli_snapshot_prune_check(const struct cli *cli, struct err *e);
int cli_snapshot_export_check(const struct cli *cli, struct err *e);
int cli_snapshot_import_check(const struct cli *cli, struct err *e);
int cli_snapshot_label_check(const struct cli *cli, struct err *e);

/* --- what they share ------------------------------------------------- */

/* Posts the body (taken over); *answer is the caller's. */
int cli_snapshot_ask(const struct cli *cli, struct cli_vm *vm,
		     const char *target, json_t *body, json_t **answer,
		     struct err *e);
/* The same of what may take long: with a bar on a terminal, and Ctrl-C. */
int cli_snapshot_ask_long(const struct cli *cli, struct cli_vm *vm,
			  const char *target, json_t *body, json_t **answer,
			  struct err *e);
/* That, and prints what came of it. */
int cli_snapshot_post_long(const struct cli *cli, struct cli_vm *vm,
			   const char *target, json_t *body, struct err *e);
/* Posts the body (taken over) and prints what came of it. */
int cli_snapshot_post(const struct cli *cli, struct cli_vm *vm,
		      const char *target, json_t *body, struct err *e);
/* Prints an answer of such a request; drops it. */
void cli_snapshot_print(const struct cli *cli, const struct cli_vm *vm,
			json_t *answer);
/* "NAME: text" behind a table of what a prune decided. */
void cli_snapshot_print_verdicts(const struct cli_vm *vm, const json_t *answer,
				 struct buf *out);
/* Of its disks, whatever the order's kind; the lock is the caller's. */
int cli_snapshot_take_offline(struct cli_vm *vm, struct snapshot_order *o,
			      struct snapshot_meta *m, struct err *e);
/*
 * The lock of a VM without a process, a descriptor; and what one that was
 * killed had begun to restore is ended.
 */
int cli_snapshot_lock(struct cli_vm *vm, struct err *e);

#endif
