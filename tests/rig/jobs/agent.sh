#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# Debian's stock guest agent over amber's virtio console, the balloon, and
# the entropy device.

. ./lib.sh
. ./disklib.sh

plan agent_answers \
	agent_says_what_the_guest_is \
	agent_runs_a_command_and_brings_its_output \
	agent_brings_the_status_of_a_command \
	agent_answers_after_pause_and_resume \
	memory_that_the_guest_frees_is_the_host_s_again \
	stock_linux_goes_on_after_suspend_and_start \
	stock_linux_is_restored_and_rewound_while_it_writes \
	snapshot_is_tried_as_a_vm_of_its_own \
	shutdown_asks_the_agent_first \
	file_system_is_clean_after_snapshots \
	power_button_still_shuts_the_guest_down \
	missing_agent_is_an_error \
	balloon_takes_memory_and_gives_it_back \
	entropy_comes_from_the_device

start_agent() {
	run_until agent_is_up=ok "$vm" job=agent --cpus 2 --disk top.qcow2 \
		--agent on --balloon on || return
	wait_until amber agent "$vm" ping
}

info() {
	amber agent "$vm" info | grep -q 7.2 && return
	echo "no version of the agent in: $(amber agent "$vm" info)"
	return 1
}

output() {
	equal "uname in the guest" Linux "$(amber agent "$vm" exec -- /bin/uname)"
}

exit_status() {
	amber agent "$vm" exec -- /bin/sh -c 'exit 7'
	equal "status of the command" 7 $?
}

pause_and_resume() {
	amber pause "$vm" && amber resume "$vm" && amber agent "$vm" ping
}

resident_mib() {
	amber stats "$vm" --json |
		sed -n 's/.*"resident_bytes": \([0-9]*\)[0-9]\{6\}.*/\1/p'
}

has_given_back() {
	[ $((peak - $(resident_mib))) -ge 60 ]
}

# Free page reporting, nobody asks for anything.
freed_memory() {
	in_guest "mount -t tmpfs t /mnt && head -c 90000000 /dev/zero >/mnt/x" ||
		return
	peak=$(resident_mib)
	amber agent "$vm" exec -- /bin/umount /mnt || return
	wait_until has_given_back && return
	echo "$peak MB at the peak, $(resident_mib) MB after it was freed"
	return 1
}

# Its process ends; the agent answers in the next one, from the same memory.
suspend_and_start() {
	amber agent "$vm" exec -- /bin/sh -c 'echo kept >/run/kept' || return
	for turn in 1 2 3; do
		amber suspend "$vm" && amber start "$vm" &&
			wait_until amber agent "$vm" ping || return
		equal "what was in memory, turn $turn" kept \
			"$(amber agent "$vm" exec -- /bin/cat /run/kept)" ||
			return
	done
}

turns() {
	in_guest 'cat /run/turns'
}

# Two more turns than now, of which the first may be over already.
verifies() {
	until_turn=$(($(turns) + 2)) || return
	wait_until has_turned
}

has_turned() {
	[ "$(turns)" -ge "$until_turn" ]
}

back_and_forth() {
	begin_verifying && verifies || return
	amber snapshot create "$vm" one && verifies || return
	for how in "restore $vm one --no-safety" "restore $vm one --no-safety" \
		"rewind $vm" "rewind $vm" "rewind $vm" "rewind $vm" \
		"rewind $vm"; do
		# shellcheck disable=SC2086 # words
		amber snapshot $how && wait_until amber agent "$vm" ping ||
			return
	done
	verifies || return
	equal "turns with other data" "" "$(in_guest 'cat /run/bad 2>&-')"
	said=$(in_guest 'dmesg | grep -E "BUG|stall|I/O error|EXT4-fs error"')
	equal "the kernel's log" "" "$said"
}

# With the agent's word, a command's, and its status.
tried() {
	amber snapshot create "$vm" tried && in_guest 'echo more >/run/later' &&
		amber snapshot verify "$vm" tried --boot --timeout $SLOW &&
		amber snapshot verify "$vm" tried --boot --timeout $SLOW \
			--probe 'test -s /run/turns && ! test -e /run/later' ||
		return
	said=$(amber snapshot verify "$vm" tried --boot --timeout $SLOW \
		--probe 'exit 3' 2>&1)
	equal "status of a probe that fails" 1 $? || return
	case $said in *"ended with status 3"*) ;; *) echo "$said" && return 1 ;; esac
	amber snapshot show "$vm" tried | grep -q "^tried: .*FAILED (probe)" &&
		amber agent "$vm" ping && equal "VMs that are left" 1 \
		"$(amber list --quiet | wc -l)"
}

# The guest's own e2fsck, in another machine.
clean() {
	copy_root other.raw && life job=fsck --disk other.raw \
		--disk top.qcow2,id=data && amber disk check top.qcow2
}

by_agent() {
	said=$(amber shutdown "$vm" --timeout $SLOW) || return
	case $said in *"(agent, "*) return ;; esac
	echo "$said"
	return 1
}

power_button() {
	amber powerbutton "$vm" && wait_for stopped
}

# The port is there, but nobody has opened it in the guest.
no_agent() {
	run_until job_end=ok "$vm" "job=boot then=idle" --disk root.raw \
		--agent on || return
	if amber agent "$vm" ping; then
		echo "somebody answered"
		return 1
	fi
	amber stop "$vm"
}

balloon() {
	run_until balloon_watches=1 "$vm" "job=balloon balloon=watch" \
		--disk root.raw --balloon on || return
	amber balloon "$vm" 160M || return
	wait_for_fact balloon_takes_memory=ok || return
	amber balloon "$vm" 256M || return
	ends_well && facts balloon_gives_memory_back=ok
}

mount_disks && amber disk create -b root.raw -F raw top.qcow2 || exit 1
start_scenario agent
promise agent_answers start_agent
promise agent_says_what_the_guest_is info
promise agent_runs_a_command_and_brings_its_output output
promise agent_brings_the_status_of_a_command exit_status
promise agent_answers_after_pause_and_resume pause_and_resume
promise memory_that_the_guest_frees_is_the_host_s_again freed_memory
promise stock_linux_goes_on_after_suspend_and_start suspend_and_start
promise stock_linux_is_restored_and_rewound_while_it_writes back_and_forth
promise snapshot_is_tried_as_a_vm_of_its_own tried
promise shutdown_asks_the_agent_first by_agent
start_scenario clean
promise file_system_is_clean_after_snapshots clean
start_scenario button
start_agent || exit 1
promise power_button_still_shuts_the_guest_down power_button
start_scenario absent
promise missing_agent_is_an_error no_agent
start_scenario balloon
promise balloon_takes_memory_and_gives_it_back balloon
start_scenario entropy
promise entropy_comes_from_the_device life job=rng --disk root.raw --rng on
