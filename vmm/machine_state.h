/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole machine but its memory, as bytes: what it is made of, vCPUs,
 * interrupt controllers, clock, devices (base/state.h: sections). Loading
 * decodes all, validates all, and only then gives anything to KVM.
 */
#ifndef AMBER_VMM_MACHINE_STATE_H
#define AMBER_VMM_MACHINE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct machine;
struct ram_freeze;
struct ram_image_figures;

#define MACHINE_STATE_BYTES (64u << 20) /* at most */

/*
 * Appends the container to out. All vCPUs are parked and machine_quiesce()
 * has returned true. Loop thread, or the builder's.
 */
int machine_save(struct machine *m, struct buf *out, struct err *e);

/*
 * All that the guest wrote to its disks is on them, and they are not written
 * to any more before machine_run(). Blocks. Errors: those of the flush.
 */
int machine_flush_disks(struct machine *m, struct err *e);

/* The memory into fd, an empty file (vmm/ram_image.h). Blocks. */
int machine_save_memory(struct machine *m, int fd,
			struct ram_image_figures *figures, struct err *e);
/* The same behind the back of the guest (vmm/ram_freeze.h). */
int machine_freeze_memory(struct machine *m, struct ram_freeze *f, int fd,
			  struct err *e);

/*
 * Puts saved state into a machine of the same configuration, parked and
 * quiet, whose memory is the one that was saved. On an error the machine is
 * good for nothing but machine_destroy(). Errors: -EBADMSG (damaged; names
 * the section), -ENOTSUP (a section of a newer version, a CPU that differs:
 * both values), -EINVAL (another machine: says what differs). machine_run()
 * lets it go on.
 */
int machine_load(struct machine *m, const uint8_t *bytes, size_t len,
		 struct err *e);

#endif
