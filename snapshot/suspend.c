/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a machine away and finding it again. */
#include "snapshot/suspend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/kill_point.h"
#include "snapshot/disks.h"
#include "vmm/machine_state.h"
#include "vmm/ram_image.h"

#define DIR_NAME  "suspend"
#define NEW_NAME  "suspend.new"
#define USED_NAME "suspend.used"
#define STATE	  "vmstate"
#define MEMORY	  "memory"
#define META	  "meta.json"
#define META_MAX  (1u << 20)
#define FORMAT	  1

/* --- what the disks are ---------------------------------------------- */

static int describe_disks(const struct vm_config *c, json_t *disks,
			  struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < c->disks && !r; i++) {
		struct snapshot_disk is = { .path = c->disk[i].path };

		r = snapshot_disk_identify(&is, e);
		if (!r &&
		    json_array_append_new(
			    disks,
			    json_pack("{s:s, s:I, s:I, s:I}", "id",
				      c->disk[i].id, "inode",
				      (json_int_t)is.inode, "bytes",
				      (json_int_t)is.file_bytes, "changed_ns",
				      (json_int_t)is.changed_ns)))
			r = err_sys(e, -ENOMEM, "%s", META);
	}
	return r;
}

static json_int_t number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static int check_disk(const struct vm_disk *disk, const json_t *was,
		      struct err *e)
{
	struct snapshot_disk then = {
		.path = disk->path,
		.inode = (uint64_t)number(was, "inode"),
		.file_bytes = (uint64_t)number(was, "bytes"),
		.changed_ns = (uint64_t)number(was, "changed_ns"),
	};
	int r = snapshot_disk_check(&then, e);

	if (r != -ESTALE)
		return r;
	return err_set(e, -ESTALE,
		       "%s: %s was changed since the VM was suspended: the "
		       "guest would damage it (amber start --cold drops what "
		       "was suspended)",
		       disk->id, disk->path);
}

static int check_disks(const struct vm_config *c, const json_t *disks,
		       struct err *e)
{
	unsigned int i;
	int r = 0;

	if (json_array_size(disks) != c->disks)
		return err_set(e, -EINVAL,
			       "the suspended VM has %zu disks, the "
			       "configuration %u",
			       json_array_size(disks), c->disks);
	for (i = 0; i < c->disks && !r; i++)
		r = check_disk(&c->disk[i], json_array_get(disks, i), e);
	return r;
}

/* --- away ------------------------------------------------------------ */

static int write_state(int dir, struct machine *m, struct err *e)
{
	struct buf state;
	int r;

	buf_init(&state, MACHINE_STATE_BYTES);
	r = machine_save(m, &state, e);
	if (!r)
		r = file_commit(dir, STATE, state.data, state.len, FILE_DURABLE,
				e);
	buf_fini(&state);
	return r;
}

static int write_memory(int dir, struct machine *m,
			struct ram_image_figures *figures, struct err *e)
{
	int fd = openat(dir, MEMORY, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			0600);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "%s", MEMORY);
	r = machine_save_memory(m, fd, figures, e);
	if (!r && fdatasync(fd) < 0)
		r = err_sys(e, -errno, "%s", MEMORY);
	if (close(fd) < 0 && !r)
		r = err_sys(e, -errno, "%s", MEMORY);
	return r;
}

static int write_meta(int dir, const struct vm_config *c,
		      const struct ram_image_figures *figures, struct err *e)
{
	json_t *disks = json_array(), *meta;
	char *text = NULL, now[32];
	int r = disks ? describe_disks(c, disks, e) : -ENOMEM;

	clock_rfc3339(clock_wall_ns(), now);
	meta = json_pack("{s:i, s:s, s:s, s:I, s:I, s:o}", "format", FORMAT,
			 "uuid", c->uuid, "created", now, "memory_bytes",
			 (json_int_t)c->memory_bytes, "pages_written",
			 (json_int_t)figures->written, "disks", disks);
	if (meta)
		text = json_dumps(meta, JSON_INDENT(2));
	json_decref(meta);
	if (!r && !text)
		r = err_sys(e, -ENOMEM, "%s", META);
	if (!r)
		r = file_commit(dir, META, text, strlen(text), FILE_DURABLE, e);
	free(text);
	return r;
}

static int fill(int dir, const struct vm_config *c, struct machine *m,
		struct ram_image_figures *figures, struct err *e)
{
	/* First: what the guest believes to be written is. */
	int r = machine_flush_disks(m, e);

	if (!r)
		r = write_state(dir, m, e);
	if (!r)
		r = write_memory(dir, m, figures, e);
	KILL_POINT("suspend-memory-written");
	return r ? r : write_meta(dir, c, figures, e);
}

static int publish(int dir, int fresh, struct err *e)
{
	if (fsync(fresh) < 0 || renameat(dir, NEW_NAME, dir, DIR_NAME) < 0)
		return err_sys(e, -errno, "%s", DIR_NAME);
	KILL_POINT("suspend-named");
	return fsync(dir) < 0 ? err_sys(e, -errno, "%s", DIR_NAME) : 0;
}

int suspend_save(int dir, const struct vm_config *c, struct machine *m,
		 char text[VM_TEXT_MAX + 1], struct err *e)
{
	struct ram_image_figures figures = { 0 };
	int r = file_remove_tree(dir, NEW_NAME, e), fresh = -1;

	if (!r && mkdirat(dir, NEW_NAME, 0700) < 0)
		r = err_sys(e, -errno, "%s", NEW_NAME);
	if (!r)
		r = fresh = file_open_dir(dir, NEW_NAME, e);
	if (r >= 0)
		r = fill(fresh, c, m, &figures, e);
	if (!r)
		r = publish(dir, fresh, e);
	if (fresh >= 0)
		close(fresh);
	if (r < 0) {
		file_remove_tree(dir, NEW_NAME, NULL);
		return r;
	}
	snprintf(text, VM_TEXT_MAX + 1,
		 "%" PRIu64 " KiB of %" PRIu64 " MiB written",
		 figures.written * 4, c->memory_bytes >> 20);
	return 0;
}

/* --- and back -------------------------------------------------------- */

bool suspend_exists(int dir)
{
	return !faccessat(dir, DIR_NAME "/" META, F_OK, 0);
}

static int check_meta(const json_t *meta, const struct vm_config *c,
		      struct err *e)
{
	const char *uuid = json_string_value(json_object_get(meta, "uuid"));
	json_int_t format = number(meta, "format");

	if (format != FORMAT)
		return err_set(e, -EBADMSG,
			       "%s has format %" JSON_INTEGER_FORMAT
			       ", this amber knows %d",
			       META, format, FORMAT);
	if (!uuid || strcmp(uuid, c->uuid))
		return err_set(e, -EINVAL,
			       "what was suspended is VM %.36s, this one is "
			       "%.36s",
			       uuid ? uuid : "(none)", c->uuid);
	return check_disks(c, json_object_get(meta, "disks"), e);
}

static int read_meta(int dir, const struct vm_config *c, struct err *e)
{
	json_error_t why;
	struct buf text;
	json_t *meta;
	int r;

	buf_init(&text, META_MAX);
	r = file_read(dir, META, META_MAX, &text, e);
	if (!r) {
		meta = json_loadb((const char *)text.data, text.len, 0, &why);
		r = meta ? check_meta(meta, c, e)
			 : err_set(e, -EBADMSG, "%s, line %d: %s", META,
				   why.line, why.text);
		json_decref(meta);
	}
	buf_fini(&text);
	return r;
}

int suspend_load(int dir, const struct vm_config *c, struct vm_saved *out,
		 struct err *e)
{
	int saved = file_open_dir(dir, DIR_NAME, e), r;

	if (saved < 0)
		return saved;
	r = read_meta(saved, c, e);
	if (!r)
		r = file_read(saved, STATE, MACHINE_STATE_BYTES, &out->state,
			      e);
	if (!r) {
		out->memory.fd[0] = openat(saved, MEMORY, O_RDONLY | O_CLOEXEC);
		out->memory.count = out->memory.fd[0] >= 0;
		if (!out->memory.count)
			r = err_sys(e, -errno, "%s", MEMORY);
	}
	close(saved);
	return r;
}

/* The name first: half of it must not be found. */
void suspend_remove(int dir)
{
	file_remove_tree(dir, USED_NAME, NULL);
	if (!renameat(dir, DIR_NAME, dir, USED_NAME))
		fsync(dir);
	file_remove_tree(dir, USED_NAME, NULL);
	file_remove_tree(dir, NEW_NAME, NULL);
}
