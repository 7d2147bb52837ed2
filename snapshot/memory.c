/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of memory images, from the newest to the full one at the bottom. */
#include "snapshot/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "snapshot/store.h"
#include "vmm/ram_image.h"

static int open_one(int dir, const char *id, struct ram_images *out,
		    struct err *e)
{
	int set = store_open(dir, id, e), fd;

	if (set < 0)
		return set;
	fd = openat(set, STORE_MEMORY, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		int r = err_sys(e, -errno, "snapshot %s: " STORE_MEMORY, id);

		close(set);
		return r;
	}
	close(set);
	out->fd[out->count++] = fd;
	return 0;
}

/* Into *m, which may be the one that stands on it. */
static int step_down(int dir, uint64_t bytes, struct snapshot_meta *m,
		     struct err *e)
{
	char id[SNAPSHOT_ID_CHARS + 1];
	int r;

	memcpy(id, m->base, sizeof(id));
	snapshot_meta_fini(m);
	r = store_find(dir, id, m, e);
	if (r == -ENOENT)
		return err_set(e, -EBADMSG,
			       "snapshot %s, whose memory it stands on, is not "
			       "there",
			       id);
	if (!r && (m->kind == SNAPSHOT_DISK || m->memory_bytes != bytes))
		r = err_set(e, -EBADMSG,
			    "snapshot %s is no memory that it could stand on",
			    id);
	return r;
}

static void turn_round(struct ram_images *images)
{
	unsigned int i;

	for (i = 0; i < images->count / 2; i++) {
		unsigned int j = images->count - 1 - i;
		int fd = images->fd[i];

		images->fd[i] = images->fd[j];
		images->fd[j] = fd;
	}
}

int memory_open(int dir, const struct snapshot_meta *m, struct ram_images *out,
		struct err *e)
{
	struct snapshot_meta at = { .memory_bytes = m->memory_bytes };
	int r;

	out->count = 0;
	memcpy(at.base, m->base, sizeof(at.base));
	r = open_one(dir, m->id, out, e);
	while (!r && *at.base) {
		if (out->count == RAM_IMAGES_MAX)
			r = err_set(e, -ELOOP,
				    "snapshot %s stands on more than %d others",
				    m->name, RAM_IMAGES_MAX - 1);
		else
			r = step_down(dir, m->memory_bytes, &at, e);
		if (!r)
			r = open_one(dir, at.id, out, e);
	}
	snapshot_meta_fini(&at);
	turn_round(out);
	if (r)
		ram_images_close(out);
	return r;
}

int memory_write_map(int set, struct ram_map *map, struct err *e)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, RAM_MAP_BYTES);
	r = ram_map_save(map, &bytes, e);
	if (!r)
		r = file_commit(set, STORE_MAP, bytes.data, bytes.len,
				FILE_DURABLE, e);
	buf_fini(&bytes);
	return r;
}

static int check_map(const struct ram_map *map, const struct snapshot_meta *m,
		     struct err *e)
{
	if (map->bytes == m->memory_bytes && map->is_increment == !!*m->base)
		return 0;
	return err_set(e, -EBADMSG, STORE_MAP ": is of another memory");
}

static int verify(int set, const struct snapshot_meta *m,
		  const struct buf *bytes, struct err *e)
{
	struct ram_map map;
	int r = ram_map_load(&map, bytes->data, bytes->len, e), fd;

	if (r)
		return r;
	r = check_map(&map, m, e);
	fd = openat(set, STORE_MEMORY, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		r = err_sys(e, -errno, STORE_MEMORY);
	if (!r)
		r = ram_map_verify(&map, fd, e);
	if (fd >= 0)
		close(fd);
	ram_map_fini(&map);
	return r;
}

int memory_verify(int dir, const struct snapshot_meta *m, struct err *e)
{
	int set = store_open(dir, m->id, e), r;
	struct buf bytes;

	if (set < 0)
		return set;
	buf_init(&bytes, RAM_MAP_BYTES);
	r = file_read(set, STORE_MAP, RAM_MAP_BYTES, &bytes, e);
	if (!r)
		r = verify(set, m, &bytes, e);
	buf_fini(&bytes);
	close(set);
	return r;
}
