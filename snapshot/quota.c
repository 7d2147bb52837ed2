/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of blocks. */
#include "snapshot/quota.h"

#include <stdio.h>
#include <sys/stat.h>

#include "snapshot/size.h"

#define BLOCK	   512ULL /* of st_blocks, whatever the file system's is */
#define SIZE_BYTES 24

/* "1.5 GiB" */
static const char *size_text(uint64_t bytes, char text[SIZE_BYTES])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	size_t i = 0;

	for (; value >= 1024 && units[i + 1]; i++)
		value /= 1024;
	snprintf(text, SIZE_BYTES, "%.1f %ciB", value, units[i]);
	return text;
}

uint64_t quota_taken(int dir, const struct store_list *list)
{
	struct snapshot_size size;
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < list->count; i++) {
		snapshot_size(dir, &list->set[i], &size);
		bytes += size.total;
	}
	return bytes;
}

/* One that is not there will be found out by who opens it. */
static uint64_t disks_bytes(const struct vm_config *config)
{
	uint64_t bytes = 0;
	struct stat st;
	unsigned int i;

	for (i = 0; i < config->disks; i++)
		if (!config->disk[i].read_only &&
		    !stat(config->disk[i].path, &st) && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_blocks * BLOCK;
	return bytes;
}

static uint64_t memory_bytes(int dir, bool is_increment,
			     const struct store_list *list)
{
	struct snapshot_size size;
	size_t i;

	for (i = list->count; i-- > 0;) {
		const struct snapshot_meta *m = &list->set[i];

		if (m->kind == SNAPSHOT_DISK || !*m->base == is_increment)
			continue;
		snapshot_size(dir, m, &size);
		return size.memory;
	}
	return 0;
}

int quota_check(int dir, const struct vm_config *config,
		const struct snapshot_meta *next, bool is_increment,
		const struct store_list *list, struct err *e)
{
	char taken[SIZE_BYTES], more[SIZE_BYTES], quota[SIZE_BYTES];
	uint64_t limit = config->snapshots.quota, adds = 0, has;

	if (!limit)
		return 0;
	has = quota_taken(dir, list);
	if (next->kind != SNAPSHOT_MEMORY)
		adds += disks_bytes(config);
	if (next->kind != SNAPSHOT_DISK)
		adds += memory_bytes(dir, is_increment, list);
	if (has < limit && adds <= limit - has)
		return 0;
	return err_set(e, -EDQUOT,
		       "the snapshots take up %s, one more about %s, the quota "
		       "is %s: remove some (amber snapshot prune, or delete), "
		       "or raise it (snapshots: quota)",
		       size_text(has, taken), size_text(adds, more),
		       size_text(limit, quota));
}

void quota_warning(int dir, const struct vm_config *config, char *text,
		   size_t bytes)
{
	char taken[SIZE_BYTES], limit[SIZE_BYTES];
	struct store_list list;
	uint64_t has;

	*text = '\0';
	if (!config->snapshots.quota_warn || store_list(dir, &list, NULL))
		return;
	has = quota_taken(dir, &list);
	store_list_fini(&list);
	if (has > config->snapshots.quota_warn)
		snprintf(text, bytes,
			 "the snapshots take up %s, more than %s (snapshots: "
			 "quota_warn)",
			 size_text(has, taken),
			 size_text(config->snapshots.quota_warn, limit));
}
