/* SPDX-License-Identifier: Apache-2.0 */
/* Allocated blocks of the files of a set. */
#include "snapshot/size.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/ram_warm.h"

#define BLOCK 512ULL /* of st_blocks, whatever the file system's is */

static uint64_t taken(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_blocks * BLOCK;
}

void snapshot_size(int dir, const struct snapshot_meta *m,
		   struct snapshot_size *out)
{
	int set = store_open(dir, m->id, NULL);
	unsigned int i;

	memset(out, 0, sizeof(*out));
	if (set >= 0) {
		out->memory = taken(set, STORE_MEMORY);
		out->state = taken(set, STORE_STATE) + taken(set, STORE_MAP) +
			     taken(set, STORE_META) + taken(set, STORE_CONFIG) +
			     taken(set, RAM_WARM_FILE);
		close(set);
	}
	for (i = 0; i < m->disks; i++)
		if (m->disk[i].layer)
			out->layers += taken(AT_FDCWD, m->disk[i].layer);
	out->total = out->memory + out->state + out->layers;
}

json_t *snapshot_size_json(const struct snapshot_size *size)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I}", "memory", (json_int_t)size->memory,
		"state", (json_int_t)size->state, "layers",
		(json_int_t)size->layers, "total", (json_int_t)size->total);
}

json_t *snapshot_sized_json(int dir, const struct snapshot_meta *m)
{
	struct snapshot_size size;
	json_t *json = snapshot_meta_json(m);

	snapshot_size(dir, m, &size);
	json_object_set_new(json, "size", snapshot_size_json(&size));
	return json;
}
