/* SPDX-License-Identifier: Apache-2.0 */
/* From a set in the store to a stream. */
#include "snapshot/export.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "disk/convert.h"
#include "snapshot/bundle.h"
#include "snapshot/disks.h"
#include "snapshot/memory_view.h"
#include "snapshot/store.h"
#include "vmm/machine_state.h"

struct exporting {
	struct snapshot_export *x; /* borrowed */
	struct snapshot_meta meta; /* owned */
	int set;		   /* owned: its directory */
	struct bundle_writer w;
	struct err *e;
};

static int put_meta(struct exporting *k)
{
	struct snapshot_meta m = k->meta; /* borrows its texts */
	struct buf text;
	int r;

	m.base[0] = '\0'; /* it stands alone there */
	buf_init(&text, SNAPSHOT_META_BYTES);
	r = snapshot_meta_print(&m, &text, k->e);
	if (!r)
		r = bundle_put_bytes(&k->w, STORE_META, text.data, text.len,
				     k->e);
	buf_fini(&text);
	return r;
}

static int put_small(struct exporting *k, const char *name, size_t limit)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, limit);
	r = file_read(k->set, name, limit, &bytes, k->e);
	if (!r)
		r = bundle_put_bytes(&k->w, name, bytes.data, bytes.len, k->e);
	buf_fini(&bytes);
	return r;
}

/* --- memory ---------------------------------------------------------- */

/* A file that is gone with its descriptor. */
static int open_scratch(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *path;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : err_sys(e, -errno, "%s", dir);
	if (asprintf(&path, "%s/amber-export.XXXXXX", dir) < 0)
		return err_sys(e, -ENOMEM, "%s", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = err_sys(e, -errno, "%s", dir);
	else
		unlink(path);
	free(path);
	return fd;
}

/* An increment, with what it stands on. */
static int put_increment(struct exporting *k)
{
	int fd = open_scratch(k->x->scratch, k->e), r;
	struct memory_view view;

	if (fd < 0)
		return fd;
	r = memory_view_open(&view, k->x->dir, &k->meta, k->e);
	if (!r) {
		r = memory_view_flatten(&view, fd, k->e);
		memory_view_close(&view);
	}
	if (!r)
		r = bundle_put_sparse(&k->w, STORE_MEMORY, fd, k->e);
	close(fd);
	return r;
}

static int put_memory(struct exporting *k)
{
	int fd, r;

	if (*k->meta.base)
		return put_increment(k);
	fd = openat(k->set, STORE_MEMORY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(k->e, -errno, STORE_MEMORY);
	r = bundle_put_sparse(&k->w, STORE_MEMORY, fd, k->e);
	close(fd);
	return r;
}

/* --- disks ----------------------------------------------------------- */

/* The whole chain as one image. */
static int flatten(struct exporting *k, struct disk *disk, int fd,
		   const char *name)
{
	struct convert c = { .format = DISK_QCOW2, .options = qcow2_defaults };

	return disk_convert_into(disk, fd, name, &c, k->e);
}

static int put_disk(struct exporting *k, const struct snapshot_disk *d)
{
	char name[TAR_NAME_MAX + 1];
	struct disk *disk;
	int r = snapshot_disk_open(&disk, k->x->config, d, k->e), fd;

	if (r)
		return r;
	bundle_name(BUNDLE_DISK, d->id, name);
	fd = open_scratch(k->x->scratch, k->e);
	r = fd < 0 ? fd : flatten(k, disk, fd, name);
	if (!r)
		r = bundle_put_file(&k->w, name, fd, k->e);
	if (fd >= 0)
		close(fd);
	disk_close(disk);
	return r;
}

/* --- all ------------------------------------------------------------- */

static int put_all(struct exporting *k)
{
	const struct snapshot_meta *m = &k->meta;
	unsigned int i;
	int r = put_meta(k);

	if (!r)
		r = put_small(k, STORE_CONFIG, SNAPSHOT_CONFIG_BYTES);
	if (!r && bundle_has(m, BUNDLE_STATE, 0))
		r = put_small(k, STORE_STATE, MACHINE_STATE_BYTES);
	if (!r && bundle_has(m, BUNDLE_MEMORY, 0))
		r = put_memory(k);
	for (i = 0; i < m->disks && !r; i++)
		if (bundle_has(m, BUNDLE_DISK, i))
			r = put_disk(k, &m->disk[i]);
	return r ? r : bundle_put_end(&k->w, k->e);
}

int snapshot_export(struct snapshot_export *x, struct err *e)
{
	struct exporting k = { .x = x, .set = -1, .e = e };
	int r = store_find(x->dir, x->what, &k.meta, e);

	if (!r) {
		k.set = store_open(x->dir, k.meta.id, e);
		r = k.set < 0 ? k.set : 0;
	}
	bundle_begin(&k.w, x->out, k.meta.created_ns / NS_PER_S);
	if (!r)
		r = put_all(&k);
	x->written = k.w.written;
	bundle_fini(&k.w);
	if (k.set >= 0)
		close(k.set);
	snapshot_meta_fini(&k.meta);
	return r;
}
