/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole machine but its memory, as bytes: what it is made of, vCPUs,
 * interrupt controllers, clock, devices (base/state.h: sections). Loading
 * decodes all, validates all, and only then gives anything to KVM.
 */
#ifndef AMBER_VMM_MACHINE_STATE_H
#define AMBER_VMM_MACHINE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct machine;
struct ram;
struct ram_freeze;
struct ram_freeze_order;
struct ram_images;
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
int machine_freeze_memory(struct machine *m, struct ram_freeze *f,
			  const struct ram_freeze_order *order, struct err *e);

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

/*
 * The guest finds another VM generation ID, and is told (ACPI 6.4, 4.8.4.2 and
 * the device's own specification). Parked and quiet. Errors: getrandom()'s.
 */
int machine_renew_genid(struct machine *m, struct err *e);

/*
 * Everything is as it was when state and memory were saved from this very
 * configuration; the machine is parked and quiet, and stays so. What the guest
 * had done since, its end too, is forgotten. Memory that shows these images
 * already loses what was written since. On an error the machine is good for
 * nothing but machine_destroy(). Any one thread; the loop has no hold of it.
 */
int machine_rewind(struct machine *m, const uint8_t *state, size_t len,
		   const struct ram_images *memory, struct err *e);

/*
 * For tests: all that machine_save() saves is saved, reset to power-on and
 * loaded again; memory and disks stay, and so does the VM generation ID. The
 * guest goes on as if nothing had been, but for the connections of its vsock
 * (devices/vsock.h). Parked and quiet. *is_lost with an error: the machine is
 * good for nothing but machine_destroy(). Any one thread; the loop has no
 * hold of it.
 */
int machine_reload(struct machine *m, bool *is_lost, struct err *e);

#endif
