/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of a set is read and held against its checksums. */
#include "snapshot/verify.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/state.h"
#include "disk/disk_tool.h"
#include "disk/qcow2_check.h"
#include "snapshot/disks.h"
#include "snapshot/memory.h"
#include "snapshot/store.h"
#include "vmm/machine_state.h"

/* --- state ----------------------------------------------------------- */

int snapshot_check_state(const struct buf *state, struct err *e)
{
	struct state_section section;
	size_t at = 0;
	int r = state_read_header(state->data, state->len, &at, e);

	if (r)
		return r;
	do
		r = state_read_section(state->data, state->len, &at, &section,
				       e);
	while (r > 0);
	return r;
}

static int verify_state(int dir, const struct snapshot_meta *m, struct err *e)
{
	int set = store_open(dir, m->id, e), r;
	struct buf state;

	if (set < 0)
		return set;
	buf_init(&state, MACHINE_STATE_BYTES);
	r = file_read(set, STORE_STATE, MACHINE_STATE_BYTES, &state, e);
	if (!r)
		r = snapshot_check_state(&state, e);
	buf_fini(&state);
	close(set);
	return r;
}

/* --- memory ---------------------------------------------------------- */

/* The set's own, and each that it stands on. */
static int verify_memory(int dir, const struct snapshot_meta *m,
			 struct verify_figures *figures, struct err *e)
{
	struct snapshot_meta below = { .disks = 0 };
	int r = memory_verify(dir, m, e);

	if (r)
		return err_prefix(e, "snapshot %s", m->name);
	if (++figures->images > RAM_IMAGES_MAX)
		return err_set(e, -ELOOP, "snapshot %s stands on itself",
			       m->name);
	if (!*m->base)
		return 0;
	r = store_find(dir, m->base, &below, e);
	if (!r)
		r = verify_memory(dir, &below, figures, e);
	snapshot_meta_fini(&below);
	return r;
}

/* --- disks ----------------------------------------------------------- */

static int verify_layer(const struct disk *d, unsigned int layer,
			struct verify_figures *figures, struct err *e)
{
	struct qcow2 *q = disk_layer_qcow2(d, layer);
	struct qcow2_check check = { .repair = QCOW2_LOOK };
	int r = q ? qcow2_check(q, &check, e) : 0;

	figures->layers++;
	figures->leaks += check.leaks;
	if (!r && check.corruptions)
		r = err_set(e, -EBADMSG, "%s: %llu errors (amber disk check)",
			    disk_layer_path(d, layer),
			    (unsigned long long)check.corruptions);
	return r;
}

static int verify_disk(const struct vm_config *config,
		       const struct snapshot_disk *disk,
		       struct verify_figures *figures, struct err *e)
{
	struct disk *d;
	unsigned int i;
	int r = snapshot_disk_open(&d, config, disk, e);

	if (r)
		return r;
	for (i = 0; i < disk_layers(d) && !r; i++)
		r = verify_layer(d, i, figures, e);
	disk_close(d);
	return r;
}

int snapshot_verify(int dir, const struct vm_config *config,
		    const struct snapshot_meta *m,
		    struct verify_figures *figures, struct err *e)
{
	unsigned int i;
	int r = 0;

	*figures = (struct verify_figures){ .layers = 0 };
	if (m->kind != SNAPSHOT_DISK) {
		r = verify_state(dir, m, e);
		if (!r)
			r = verify_memory(dir, m, figures, e);
	}
	for (i = 0; i < m->disks && !r; i++) {
		if (!m->disk[i].layer)
			continue;
		r = verify_disk(config, &m->disk[i], figures, e);
		if (r)
			err_prefix(e, "disk %s", m->disk[i].id);
	}
	return r;
}
