#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# A stock kernel with more memory than fits below the 32-bit hole. Runs in a
# larger rig, for amber gives no guest more memory than its host has.

. ./lib.sh

plan memory_above_the_hole_below_4_gib_is_used

# The hole begins at 3 GiB: a fourth of this guest's memory is above 4 GiB.
high_memory() {
	amber run --once --timeout $SLOW --kernel vmlinuz --initrd initrd.img \
		--memory 4G --append "console=ttyS0 quiet amber.do=poweroff" \
		</dev/null >/tmp/out 2>&1
	if ! equal "exit status" 0 $?; then
		tail -n 20 /tmp/out
		return 1
	fi
	total=$(tr -d '\r' </tmp/out | sed -n 's/^mem_total_kib=//p')
	[ "${total:-0}" -gt $((3500 * 1024)) ] && return
	echo "mem_total_kib: $total of 4 GiB"
	return 1
}

start_scenario none
promise memory_above_the_hole_below_4_gib_is_used high_memory
