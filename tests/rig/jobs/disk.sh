#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# A stock Debian guest on amber's virtio-blk: root and a raw second disk, in
# and out of the host's page cache, and space that comes back to the host.

. ./lib.sh
. ./disklib.sh

plan guest_with_a_root_disk_boots \
	second_disk_has_the_identity_given \
	packages_are_unpacked_unharmed \
	fio_verifies_on_file_and_disk \
	data_is_there_after_a_restart \
	data_is_there_after_a_hard_stop \
	trimmed_space_is_free_on_the_host \
	direct_io_verifies_as_well \
	root_is_clean_after_all_that \
	day_of_work_is_done \
	reboot_in_the_guest_boots_it_again

ROOT="--disk root.raw"
DATA="--disk data.raw,id=data"

# shellcheck disable=SC2086 # options are words
two_disks() {
	life "$1" $ROOT $DATA
}

boot() {
	two_disks job=boot && facts root_is_ext4_on_a_virtio_disk=ok \
		every_virtio_device_has_a_driver=ok
}

# After "fio_disk_verifies" everything is flushed: a stop may lose nothing.
hard_stop() {
	amber delete "$vm"
	# shellcheck disable=SC2086 # options are words
	run_until job_end=ok "$vm" "job=fio then=idle mib=$FIO_MIB" \
		$ROOT $DATA || return
	amber stop "$vm" || return
	two_disks "job=verify mib=$FIO_MIB"
}

trim() {
	before=$(allocated root.raw)
	two_disks job=trim || return
	# What was written meanwhile: the job's 32 MiB, and it all went again.
	at_most "KiB of root.raw" "$before" "$(allocated root.raw)" || return
	at_most "KiB of data.raw" 64 "$(allocated data.raw)"
}

# shellcheck disable=SC2086 # options are words
direct() {
	life "job=fio,verify,trim mib=$FIO_MIB" \
		--disk root.raw,cache=none --disk data.raw,id=data,cache=none
}

is_third_boot() {
	amber info "$vm" --json | grep -q '"boots": [3-9]'
}

reboots() {
	amber delete "$vm"
	# shellcheck disable=SC2086 # options are words
	run_guest "$vm" "job=boot then=reboot" $ROOT $DATA || return
	wait_until is_third_boot && amber stop "$vm"
}

# The guest's own e2fsck: the image is the second disk of another guest whose
# root is read-only.
clean() {
	copy_root other.raw || return
	life job=fsck --disk other.raw --disk root.raw,id=data
}

start_scenario disk
mount_disks && fresh_data || exit 1
promise guest_with_a_root_disk_boots boot
promise second_disk_has_the_identity_given facts vdb_serial=data \
	vdb_sectors=$((DATA_MIB * 2048))
promise packages_are_unpacked_unharmed two_disks job=unpack
promise fio_verifies_on_file_and_disk two_disks "job=fio mib=$FIO_MIB"
promise data_is_there_after_a_restart two_disks "job=verify mib=$FIO_MIB"
promise data_is_there_after_a_hard_stop hard_stop
promise trimmed_space_is_free_on_the_host trim
promise direct_io_verifies_as_well direct
promise root_is_clean_after_all_that clean
# shellcheck disable=SC2086 # options are words
promise day_of_work_is_done life "job=day mib=$FIO_MIB" $ROOT,queues=2 \
	$DATA,queues=2,aio=sync --cpus 2 --rng on --balloon on --agent on
promise reboot_in_the_guest_boots_it_again reboots
