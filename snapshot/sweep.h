/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that was killed has left beside disks. A name alone decides
 * nothing: a file goes when it is beside a disk of the VM, has exactly such a
 * name, is a regular one of the disk's owner or ours, nobody has locked it, and
 * it is what has that name:
 *
 *   DISK.new.XXXXXX     empty, or it says that it stands on a layer of the disk
 *   DISK.was.ID         after restore_recover(): the top that was given up
 *   DISK.old.N          another name of a file that keeps one
 *   STEM.ID.qcow2       another name of the disk's own file
 */
#ifndef AMBER_SNAPSHOT_SWEEP_H
#define AMBER_SNAPSHOT_SWEEP_H

#include "vmm/config.h"

/*
 * How many were removed. No process has the disks open, and restore_recover()
 * was called. What can't be looked at stays. It blocks.
 */
unsigned int sweep_disks(const struct vm_config *config);

#endif
