/* SPDX-License-Identifier: Apache-2.0 */
/* Working sets: looked for, saved, loaded. */
#include "vmm/ram_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/state.h"
#include "vmm/ram_scan.h"

#define VERSION 1
#define SECTION "working-set"
#define PAGE	4096ULL

/* --- what is there ----------------------------------------------------- */

struct look {
	const struct ram *ram;
	struct ram_ranges ranges;
};

static int note(void *ctx, uint8_t *host, uint64_t bytes, struct err *e)
{
	struct look *l = ctx;
	uint64_t at = (uint64_t)(host - l->ram->host);

	(void)e;
	ram_ranges_add(&l->ranges, at, at + bytes);
	return 0;
}

int ram_set_look(struct ram_set *set, const struct ram *ram, struct err *e)
{
	struct look look = { ram, { .max = RAM_SET_RANGES, .gap = 1 } };
	const struct ram_scan touched = {
		.any = RAM_SCAN_TOUCHED,
		.found = note,
		.ctx = &look,
	};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r;

	if (pagemap < 0)
		return err_sys(e, -errno, "/proc/self/pagemap");
	look.ranges.range = calloc(RAM_SET_RANGES, sizeof(struct ram_range));
	r = look.ranges.range
		    ? ram_scan(pagemap, &touched, ram->host, ram->bytes, e)
		    : err_sys(e, -ENOMEM, "working set");
	close(pagemap);
	if (r)
		free(look.ranges.range);
	else
		*set = (struct ram_set){ ram->bytes, look.ranges.range,
					 look.ranges.count };
	return r;
}

/* --- as a container ---------------------------------------------------- */

static void sync_ranges(struct ram_set *set, struct state_io *io)
{
	uint32_t i;

	for (i = 0; i < set->count; i++) {
		state_u64(io, &set->range[i].from);
		state_u64(io, &set->range[i].to);
	}
}

int ram_set_save(struct ram_set *set, struct buf *out, struct err *e)
{
	struct state_io io;
	struct buf bytes;
	int r;

	buf_init(&bytes, RAM_SET_BYTES);
	state_save(&io, SECTION, &bytes);
	state_u64(&io, &set->bytes);
	state_u32(&io, &set->count);
	sync_ranges(set, &io);
	r = state_end(&io, e);
	if (!r)
		r = state_write_single(out, SECTION, VERSION, &bytes);
	buf_fini(&bytes);
	return r && !(e && e->code) ? err_sys(e, r, "working set") : r;
}

static int check(const struct ram_set *set, struct err *e)
{
	uint64_t end = 0;
	uint32_t i;

	for (i = 0; i < set->count; i++) {
		const struct ram_range *g = &set->range[i];

		if (g->from % PAGE || g->to % PAGE || g->from >= g->to ||
		    (i && g->from <= end) || g->to > set->bytes)
			return err_set(e, -EBADMSG,
				       "working set: range %u is %#llx to "
				       "%#llx",
				       i, (unsigned long long)g->from,
				       (unsigned long long)g->to);
		end = g->to;
	}
	return 0;
}

static int load_ranges(struct ram_set *set, struct state_io *io, struct err *e)
{
	int r;

	state_u64(io, &set->bytes);
	state_u32(io, &set->count);
	if (!io->error && set->count > RAM_SET_RANGES)
		return err_set(e, -EBADMSG, "working set: %u ranges",
			       set->count);
	set->range =
		calloc(io->error ? 1 : set->count + 1, sizeof(*set->range));
	if (!set->range)
		return err_sys(e, -ENOMEM, "working set");
	if (!io->error)
		sync_ranges(set, io);
	r = state_end(io, e);
	return r ? r : check(set, e);
}

int ram_set_load(struct ram_set *set, const uint8_t *bytes, size_t len,
		 struct err *e)
{
	struct state_io io;
	int r = state_load_single(&io, SECTION, VERSION, "working set", bytes,
				  len, e);

	*set = (struct ram_set){ .bytes = 0 };
	if (r)
		return r;
	r = load_ranges(set, &io, e);
	if (r)
		ram_set_fini(set);
	return r;
}

void ram_set_fini(struct ram_set *set)
{
	free(set->range);
	*set = (struct ram_set){ .bytes = 0 };
}
