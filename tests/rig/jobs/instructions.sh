#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# How many instructions pass between the start of the VMM and the first line
# of the Linux guest's initramfs. Runs in a rig whose clock counts
# instructions (one is 1 ns, one CPU): busy time is clock minus idle time.

. ./lib.sh

plan instructions_to_the_first_line_are_counted

# Sets busy, the nanoseconds that the CPU was not idle; only builtins.
read_busy() {
	while read -r word _ rest; do
		case $word in
		now) busy=${rest%% *} ;;
		.idle_sleeptime) busy=$((busy - ${rest%% *})) ;;
		.iowait_sleeptime) busy=$((busy - ${rest%% *})) && break ;;
		esac
	done </proc/timer_list
}

# Reads the console; notes the count when init's first line has come.
count_to_first_line() {
	while read -r line; do
		case $line in
		init=entered*)
			read_busy
			echo $((busy - started)) >/tmp/instructions
			;;
		esac
	done
}

measure() {
	read_busy
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
