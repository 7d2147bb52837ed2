/* SPDX-License-Identifier: Apache-2.0 */
/* Holding a disk's requests back until none is in flight. Its queue's thread.
 */
#include "disk/format.h"

static void told(struct io *io, int error)
{
	struct disk *d = IO_OWNER(io, struct disk, quiet);

	(void)error;
	d->holds->quiet(d->holds);
}

void disk_look_quiet(struct disk *d)
{
	if (!d->holds || d->is_quiet || d->in_flight)
		return;
	d->is_quiet = true;
	d->quiet.done = told;
	ioq_conclude(d->q, &d->quiet, 0);
}

void disk_hold(struct disk *d, struct disk_hold *h)
{
	struct disk_hold **end = &d->holds;

	while (*end)
		end = &(*end)->next;
	h->next = NULL;
	*end = h;
	disk_look_quiet(d);
}

void disk_let_go(struct disk *d, struct disk_hold *h)
{
	struct disk_request *r = d->held, *next;

	d->holds = h->next;
	d->is_quiet = false;
	if (d->holds) {
		disk_look_quiet(d);
		return;
	}
	d->held = NULL;
	d->held_end = &d->held;
	for (; r; r = next) {
		next = r->next;
		disk_submit(d, r);
	}
}
