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

static int open_image(int set, const char *id, struct ram_images *out,
		      struct err *e)
{
	int fd = openat(set, STORE_MEMORY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(e, -errno, "snapshot %s: " STORE_MEMORY, id);
	out->fd[out->count++] = fd;
	return 0;
}

static int open_first(int dir, const char *id, struct ram_images *out,
		      struct err *e)
{
	int set = store_open(dir, id, e), r;

	if (set < 0)
		return set;
	r = open_image(set, id, out, e);
	close(set);
	return r;
}

/* What a set stands on, and its image, from its directory. */
static int look_into(int set, const char *id, struct snapshot_meta *m,
		     struct ram_images *out, struct err *e)
{
	uint64_t bytes = m->memory_bytes;
	int r;

	memset(m, 0, sizeof(*m));
	r = store_read_meta(set, id, m, e);
	if (r)
		return err_prefix(e, "snapshot %s", id);
	if (m->kind == SNAPSHOT_DISK || m->memory_bytes != bytes)
		return err_set(e, -EBADMSG,
			       "snapshot %s is no memory that it could stand "
			       "on",
			       id);
	return open_image(set, id, out, e);
}

/* Into *m, which may be the one that stands on it. */
static int step_down(int dir, struct snapshot_meta *m, struct ram_images *out,
		     struct err *e)
{
	struct snapshot_meta under = { .memory_bytes = m->memory_bytes };
	int set = store_open(dir, m->base, NULL), r;

	if (set == -ENOENT)
		return err_set(e, -EBADMSG,
			       "snapshot %s, whose memory it stands on, is not "
			       "there",
			       m->base);
	if (set < 0)
		return err_sys(e, set, "snapshot %s", m->base);
	r = look_into(set, m->base, &under, out, e);
	close(set);
	snapshot_meta_fini(m);
	*m = under;
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
	r = open_first(dir, m->id, out, e);
	while (!r && *at.base)
		r = out->count == RAM_IMAGES_MAX
			    ? err_set(e, -ELOOP,
				      "snapshot %s stands on more than %d "
				      "others",
				      m->name, RAM_IMAGES_MAX - 1)
			    : step_down(dir, &at, out, e);
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
	fd = openat(set, STORE_MEMORY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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
