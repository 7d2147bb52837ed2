#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots tiny guests with amber-vmm alone: the exit status tells how it ended.
set -u
cd "$(dirname "$0")/../.." || exit 1
vmm=${OUT:-build}/amber-vmm
guests=build/guests

if [ ! -w /dev/kvm ]; then
	echo "skip tiny_guests_boot: /dev/kvm is missing or not writable"
	exit 0
fi

# expect NAME STATUS GUEST ARGS...: the guest ends with STATUS.
expect() {
	local name=$1 want=$2 guest=$3 got
	shift 3
	timeout 60 "$vmm" --kernel "$guests/$guest.elf" --once --console stdio \
		"$@" </dev/null >/dev/null 2>&1
	got=$?
	if [ "$got" = "$want" ]; then
		echo "ok   $name"
	else
		echo "FAIL $name: exit status $got, not $want"
	fi
}

expect hello_ends_with_ok 0 hello
expect the_guests_byte_is_the_exit_status 42 exit --append code=42
expect pvh_kernel_boots 0 pvh
expect power_off_is_success 0 poweroff
expect acpi_reset_is_a_reboot 121 reboot --append by=acpi
expect panic_has_its_own_status 122 panic
expect triple_fault_is_a_crash 123 triple
expect bad_opcode_is_a_crash 123 junk
expect four_cpus_start 0 smp --cpus 4
expect ring3_computes_in_user_mode 0 ring3
expect timer_ticks 0 tick --append count=5
expect flood_of_ports_is_survived 0 pio --append count=1000
expect flood_of_mmio_is_survived 0 mmio --append count=1000
expect spinning_guest_times_out 124 spin --timeout 1
expect halted_guest_times_out 124 haltoff --timeout 1
expect expected_text_ends_the_run 0 idle --expect ready --timeout 20
