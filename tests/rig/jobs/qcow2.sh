#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# A stock Debian guest on copy-on-write disks: its root is an overlay over an
# image that QEMU made and compressed, its second disk an image of amber's.

. ./lib.sh
. ./disklib.sh

plan guest_boots_from_a_chain_over_an_image_of_qemu \
	fio_verifies_on_copy_on_write_disks \
	copied_on_write_data_is_there_after_a_hard_stop \
	direct_io_verifies_on_copy_on_write_disks \
	streamed_root_boots_alone \
	images_are_whole_after_all_that

ROOT="--disk top.qcow2"
DATA="--disk data.qcow2,id=data"

make_images() {
	amber disk create -b root.qcow2 -F qcow2 mid.qcow2 &&
		amber disk create -b mid.qcow2 -F qcow2 top.qcow2 &&
		amber disk create -o extended_l2=on data.qcow2 ${DATA_MIB}M
}

# shellcheck disable=SC2086 # options are words
two_disks() {
	life "$1" $ROOT $DATA
}

hard_stop() {
	amber delete "$vm"
	# shellcheck disable=SC2086 # options are words
	run_until job_end=ok "$vm" "job=fio then=idle mib=$FIO_MIB" \
		$ROOT $DATA || return
	amber stop "$vm" || return
	two_disks "job=verify mib=$FIO_MIB"
}

# shellcheck disable=SC2086 # options are words
direct() {
	life "job=fio,verify,trim mib=$FIO_MIB" \
		--disk top.qcow2,cache=none --disk data.qcow2,id=data,cache=none
}

alone() {
	amber disk stream top.qcow2 && rm mid.qcow2 &&
		two_disks "job=boot,fio,verify mib=$FIO_MIB"
}

whole() {
	for image in top.qcow2 data.qcow2 root.qcow2; do
		amber disk check $image || return
	done
}

start_scenario qcow2
mount_disks && make_images || exit 1
promise guest_boots_from_a_chain_over_an_image_of_qemu two_disks job=boot
promise fio_verifies_on_copy_on_write_disks two_disks "job=fio,verify mib=$FIO_MIB"
promise copied_on_write_data_is_there_after_a_hard_stop hard_stop
promise direct_io_verifies_on_copy_on_write_disks direct
promise streamed_root_boots_alone alone
promise images_are_whole_after_all_that whole
