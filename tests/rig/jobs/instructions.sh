#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# How many instructions pass between the start of the VMM and the first line
# of the Linux guest's initramfs. Runs in a rig whose clock counts
# instructions (one is 1 ns, one CPU): busy time is clock minus idle time.

. ./lib.sh

plan instructions_to_the_first_line_are_counted

# Sets busy, the nanoseconds that the CPU was not idle; only builtins. The
# kernel writes ".idle_sleeptime : N" but ".iowait_sleeptime: N".
read_busy() {
	while read -r word value rest; do
		case $word in
		now) busy=${rest%% *} ;;
		.idle_sleeptime) busy=$((busy - ${rest%% *})) ;;
		.iowait_sleeptime:) busy=$((busy - value)) && return ;;
		esac
	done </proc/timer_list
	echo "/proc/timer_list has no idle times" >&2
	return 1
}

# Reads the console; notes the count when init's first line has come.
count_to_first_line() {
	while read -r line; do
		case $line in
		init=entered*)
			read_busy || return
			echo $((busy - started)) >/tmp/instructions
			;;
		esac
	done
}

measure() {
	read_busy || return
	started=$busy
	amber run --once --timeout 600 --kernel vmlinuz --initrd initrd.img \
		--append "console=ttyS0 quiet amber.do=poweroff" \
		--cpus 1 --memory 256M </dev/null | count_to_first_line
	[ -s /tmp/instructions ] && return
	echo "no first line was seen"
	return 1
}

start_scenario none
promise instructions_to_the_first_line_are_counted measure
[ -s /tmp/instructions ] && echo "figure" \
	"instructions_to_first_initramfs_line $(cat /tmp/instructions)"
exit 0
