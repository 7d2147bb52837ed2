#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# How many instructions pass between the start of the VMM and the first line
# of the Linux guest's initramfs, and in a tiny guest's whole life with little
# and with much memory. Runs in a rig whose clock counts instructions (one is
# 1 ns, one CPU): busy time is clock minus idle time.

. ./lib.sh

plan instructions_to_the_first_line_are_counted \
	instructions_of_a_tiny_run_are_counted

ROUNDS=20

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

# tiny_run MEMORY: sets per_run, the mean over some rounds.
tiny_run() {
	read_busy || return
	started=$busy
	round=0
	while [ $round -lt $ROUNDS ]; do
		amber-vmm --kernel guests/hello.elf --once --console stdio \
			--memory "$1" </dev/null >/tmp/out || return
		round=$((round + 1))
	done
	read_busy || return
	per_run=$(((busy - started) / ROUNDS))
}

tiny_runs() {
	tiny_run 128M || return
	echo "figure instructions_of_a_tiny_run_128_mib $per_run" >/tmp/tiny
	tiny_run 4G || return
	echo "figure instructions_of_a_tiny_run_4_gib $per_run" >>/tmp/tiny
}

start_scenario none
promise instructions_to_the_first_line_are_counted measure
[ -s /tmp/instructions ] && echo "figure" \
	"instructions_to_first_initramfs_line $(cat /tmp/instructions)"
start_scenario none
promise instructions_of_a_tiny_run_are_counted tiny_runs
cat /tmp/tiny
exit 0
