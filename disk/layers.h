/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with the layers of a qcow2 disk that no guest uses: commit,
 * stream, rebase. Each can be killed at any moment: until it is done the
 * disk shows what it showed, and beginning again finishes it. One thread;
 * they block.
 */
#ifndef AMBER_DISK_LAYERS_H
#define AMBER_DISK_LAYERS_H

#include "disk/disk_tool.h"

struct layer_job {
	const struct disk_config *config; /* of the top; opened to write */
	int (*progress)(void *ctx, unsigned int permille);
	void *ctx;
};

/*
 * The top's data goes into the image behind it, which grows if need be; then
 * the top is empty. Errors: -EINVAL (nothing is behind), -EBUSY (somebody
 * uses the one behind), -ECANCELED, reading and writing.
 */
int layers_commit(struct layer_job *job, struct err *e);

/*
 * What the images behind the top show is copied into it; then it stands
 * alone. base: the path of one of them, which becomes its backing file; only
 * what is between them is copied. NULL: none. Errors as above.
 */
int layers_stream(struct layer_job *job, const char *base, struct err *e);

/*
 * The same for the image right behind it alone. Of a frozen layer, too, which
 * shows what it showed: it stands for both then.
 */
int layers_merge_below(struct layer_job *job, struct err *e);

/*
 * The top gets another backing file (NULL: none). Unless is_unsafe, what
 * differs is copied into the top first, so that the disk shows what it
 * showed. -ENOSPC: the name does not fit into the header.
 */
int layers_rebase(struct layer_job *job, const char *backing,
		  const char *format, bool is_unsafe, struct err *e);

/*
 * The top is what it was at an internal snapshot, which stays. What was
 * written since is lost. Errors: disk/qcow2_snapshots.h.
 */
int layers_apply(struct layer_job *job, const char *snapshot, struct err *e);

/*
 * A fresh empty image on layer, a frozen qcow2 image beside path, takes the
 * place of the file at path by one rename: the disk is what it was when that
 * layer was frozen. As large as the layer. Nobody uses the file at path, nobody
 * writes to layer; both are locked meanwhile. Nothing needs to be at path.
 *
 * undo: NULL, or gets another name of the replaced file (PATH.old.N), which
 * the caller renames back to path, or unlinks, and frees; NULL when there was
 * none. On an error everything is as it was; but without undo the image may
 * have come when only the last sync of its directory failed.
 * Errors: -EBUSY (in use), -EINVAL (layer is in another directory, or no
 * qcow2 image), -ENOENT, those of writing.
 */
int layer_restore(const char *path, const char *layer, char **undo,
		  const struct file_ops *files, struct err *e);

#endif
