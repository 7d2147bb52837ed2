#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# A stock Debian kernel under amber on genuine SVM semantics: boots with one
# and two vCPUs, is paused, resumed, rebooted, shut down; its panic is seen.

. ./lib.sh

# No tricks on the command line: a console, and quiet because each character
# is an exit of an emulated machine.
APPEND="console=ttyS0 quiet"
MEMORY_MIB=256

plan stock_kernel_boots_with_one_vcpu \
	acpi_tables_bring_no_complaint \
	guest_has_the_memory_and_command_line_asked_for \
	guest_keeps_time_with_kvm_clock \
	paused_guest_stands_still_and_resumed_guest_goes_on \
	graceful_reboot_boots_the_guest_again \
	power_button_shuts_the_guest_down \
	stock_kernel_boots_with_two_vcpus \
	two_vcpus_are_paused_and_resumed \
	ctrl_alt_del_is_the_next_rung_when_the_button_is_ignored \
	kernel_panic_is_noticed \
	reset_brings_a_panicked_guest_back \
	single_run_reports_a_panic \
	single_run_ends_with_the_expected_text \
	guest_that_powers_off_ends_with_success \
	guest_that_reboots_says_so

# boot CPUS WORDS...: start the machine and wait until it is ready.
boot() {
	cpus=$1
	shift
	amber run --name "$vm" --kernel vmlinuz --initrd initrd.img \
		--append "$APPEND $*" --cpus "$cpus" \
		--memory "${MEMORY_MIB}M" --detach || return
	wait_for ready || return
	facts "cpus=$cpus"
}

has_word() {
	case ",$3," in
	*,"$2",* | *,"$2":*) return 0 ;;
	esac
	echo "$1: no $2 in $3"
	return 1
}

acpi() {
	facts acpi_complaints=0 power_button=1 pvpanic=1 || return
	tables=$(fact acpi_tables)
	for t in APIC DSDT FACP; do
		has_word acpi_tables $t "$tables" || return
	done
	devices=$(fact acpi_devices)
	for d in PNP0C0C PNP0501 PNP0303 QEMU0001 ACPI0013; do
		has_word acpi_devices $d "$devices" || return
	done
}

# The kernel keeps some memory to itself, no more than a quarter of it.
memory_and_command_line() {
	facts "cmdline=$APPEND amber.do=count" || return
	total=$(($(fact mem_total_kib) / 1024))
	[ $total -le $MEMORY_MIB ] && [ $total -ge $((MEMORY_MIB * 3 / 4)) ] &&
		return
	echo "mem_total_kib: $total MiB of $MEMORY_MIB MiB"
	return 1
}

counted_beyond() {
	[ "$(fact count)" -gt "$1" ]
}

# The guest counts about once a second. Standing still can only be seen by
# looking for a while; going on is waited for.
pause_and_resume() {
	wait_until counted_beyond 0 || return
	amber pause "$vm" || return
	wait_for paused || return
	before=$(fact count)
	sleep 3
	equal "count while paused" "$before" "$(fact count)" || return
	amber resume "$vm" || return
	wait_for running || return
	wait_until counted_beyond "$before"
}

ready_twice() {
	[ "$(occurrences 'amber-guest: ready')" = 2 ]
}

reboot_gracefully() {
	amber reboot "$vm" || return
	wait_until ready_twice || return
	equal "boots seen on the console" 2 "$(occurrences init=entered)"
}

shut_down() {
	amber shutdown "$vm" --timeout 10 || return
	wait_for stopped || return
	facts "$1=1"
}

panic() {
	amber run --name "$vm" --kernel vmlinuz --initrd initrd.img \
		--append "$APPEND amber.do=panic" --cpus 1 \
		--memory "${MEMORY_MIB}M" --detach || return
	wait_for paused || return
	amber journal "$vm" --json | grep -q '"cause": "guest-panic"' && return
	echo "the journal does not name the panic"
	return 1
}

reset_after_panic() {
	amber reset "$vm" --reason "try again" || return
	wait_until ready_twice || return
	amber stop "$vm"
}

# once STATUS ARGUMENTS...: a run without a name, its console in /tmp/out.
once() {
	wanted=$1
	shift
	amber run --once --timeout $SLOW --kernel vmlinuz --initrd initrd.img \
		"$@" </dev/null >/tmp/out 2>&1
	equal "exit status" "$wanted" $? && return
	tail -n 20 /tmp/out
	return 1
}

start_scenario one
promise stock_kernel_boots_with_one_vcpu boot 1 amber.do=count
promise acpi_tables_bring_no_complaint acpi
promise guest_has_the_memory_and_command_line_asked_for memory_and_command_line
promise guest_keeps_time_with_kvm_clock facts kvm_clock=1
promise paused_guest_stands_still_and_resumed_guest_goes_on pause_and_resume
promise graceful_reboot_boots_the_guest_again reboot_gracefully
promise power_button_shuts_the_guest_down shut_down powerbutton

start_scenario two
promise stock_kernel_boots_with_two_vcpus \
	boot 2 amber.do=count amber.ignore=powerbutton
promise two_vcpus_are_paused_and_resumed pause_and_resume
promise ctrl_alt_del_is_the_next_rung_when_the_button_is_ignored \
	shut_down ctrlaltdel

start_scenario panics
promise kernel_panic_is_noticed panic
promise reset_brings_a_panicked_guest_back reset_after_panic

start_scenario none
promise single_run_reports_a_panic once 122 --append "$APPEND amber.do=panic"
start_scenario none
promise single_run_ends_with_the_expected_text \
	once 0 --append "$APPEND amber.do=idle" --expect '^amber-guest: ready'
start_scenario none
promise guest_that_powers_off_ends_with_success \
	once 0 --append "$APPEND amber.do=poweroff"
start_scenario none
promise guest_that_reboots_says_so once 121 --append "$APPEND amber.do=reboot"
