/* SPDX-License-Identifier: Apache-2.0 */
/* A machine that is what it was, in place. */
#include <errno.h>
#include <sys/random.h>

#include "vmm/acpi.h"
#include "vmm/machine_private.h"
#include "vmm/machine_state.h"
#include "vmm/ram_image.h"
#include "vmm/ram_warm.h"

int machine_renew_genid(struct machine *m, struct err *e)
{
	uint8_t genid[ACPI_GENID_BYTES];
	int r;

	if (getrandom(genid, sizeof(genid), 0) != sizeof(genid))
		return err_sys(e, -errno, "VM generation id: getrandom");
	r = gmem_write(&m->ram.mem, ACPI_GENID, genid, sizeof(genid));
	if (r)
		return err_sys(e, r, "VM generation id");
	power_genid_changed(m->dev.power);
	return 0;
}

/* What the guest has done since is not reported any more. */
static void forget_reports(struct machine *m)
{
	lock_take(&m->lock);
	m->report = (struct machine_report){ .has_end = false };
	m->ended = m->is_describing = false;
	buf_reset(&m->crash);
	lock_release(&m->lock);
}

int machine_rewind(struct machine *m, const uint8_t *state, size_t len,
		   const struct ram_images *memory, struct err *e)
{
	int r;

	ram_warm_drop(m->warm);
	r = ram_image_rewind(&m->ram, memory, e);
	if (!r)
		r = machine_load(m, state, len, e);
	if (r)
		return r;
	forget_reports(m);
	return machine_renew_genid(m, e);
}
