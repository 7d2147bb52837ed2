#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# The tiny guests under amber on genuine SVM semantics: each ends here as it
# does on any other KVM.

. ./lib.sh

REBOOTED=121 PANICKED=122 CRASHED=123

# Rows: promise, guest, exit status, CPUs, command line. A guest whose status
# is 0 must also have said OK. An empty console input unless the row says so.
rows() {
	cat <<-END
		hello_says_what_the_loader_handed_over hello 0 1
		pvh_entry_works_like_the_long_mode_entry pvh 0 1
		periodic_timer_ticks tick 0 1 count=5 period_ms=20
		one_shot_timer_ticks tick 0 1 count=5 period_ms=20 timer=oneshot
		tsc_deadline_timer_ticks tick 0 1 count=5 period_ms=20 timer=deadline
		nonce_stays_the_same nonce 0 1 count=3 period_ms=20
		two_cpus_start_and_add smp 0 2 adds=1000
		four_cpus_start_and_add smp 0 4 adds=1000
		user_mode_keeps_its_memory ring3 0 1 mib=4 rounds=2
		unknown_ports_read_all_ones pio 0 1 count=300
		unknown_memory_reads_all_ones mmio 0 1 count=300
		serial_output_comes_whole flood 0 1 kib=4
		debug_exit_carries_the_status exit 7 1 code=7
		power_off_by_acpi_ends_the_run poweroff 0 1
		reset_register_reboots reboot $REBOOTED 1
		port_cf9_reboots reboot $REBOOTED 1 by=cf9
		keyboard_controller_reboots reboot $REBOOTED 1 by=kbd
		triple_fault_is_a_crash triple $CRASHED 1
		instruction_kvm_can_not_run_is_a_crash junk $CRASHED 1
		invalid_opcode_without_handler_is_a_crash junk $CRASHED 1 kind=ud2
		panic_device_is_noticed panic $PANICKED 1
	END
}

# run_guest GUEST STATUS CPUS WORDS...
run_guest() {
	guest=$1 status=$2 cpus=$3
	shift 3
	amber run --once --timeout $SLOW --kernel "guests/$guest.elf" \
		--append "$*" --cpus "$cpus" --memory 64M \
		</dev/null >/tmp/out 2>&1
	found=$?
	if [ $found != "$status" ]; then
		echo "exit status: expected $status, found $found"
		tail -n 20 /tmp/out
		return 1
	fi
	[ "$status" != 0 ] || [ "$guest" = poweroff ] ||
		tr -d '\r' </tmp/out | grep -qx OK && return
	echo "the guest did not say OK"
	tail -n 20 /tmp/out
	return 1
}

# As on a real line, what comes before the driver has set up is lost.
echo_line() {
	mkfifo /tmp/in
	amber run --once --timeout $SLOW --kernel guests/echo.elf \
		</tmp/in >/tmp/out &
	exec 5>/tmp/in
	wait_until grep -q ready /tmp/out || return
	printf 'hello\nquit\n' >&5
	exec 5>&-
	wait $! || return
	tr -d '\r' </tmp/out | grep -qx echo=hello
}

rows >/tmp/rows
while read -r name _; do
	plan "$name"
done </tmp/rows
plan serial_input_comes_back

while read -r name guest status cpus words; do
	start_scenario none
	# shellcheck disable=SC2086 # words are separate words
	promise "$name" run_guest "$guest" "$status" "$cpus" $words
done </tmp/rows
start_scenario none
promise serial_input_comes_back echo_line
