# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# What the rig's jobs share. A job runs in L1 under busybox ash, says what
# it will check (plan), and then keeps or breaks each promise. Its lines,
# which run_rig_tests.py reads:
#   plan NAME                         before anything is done
#   promise NAME ok|failed|skipped CENTISECONDS [reason]
#   figure NAME NUMBER
# Everything else is commentary, shown only when a promise was broken.
# A scenario is a chain: what comes after a broken promise is not tried.
#
# Limits count seconds without progress of an emulated machine under an
# emulated machine, so they are generous; nothing here waits for a fixed time
# to see something happen.

export AMBER_HOME=/tmp/amber AMBER_RUN=/run/amber
SLOW=120

# Hundredths of a second since L1 was booted.
now() {
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

plan() {
	for p; do
		echo "plan $p"
	done
}

# start_scenario VM: the promises that follow are about this machine.
start_scenario() {
	vm=$1
	broken=
}

# promise NAME COMMAND...: kept when the command succeeds; what it prints is
# the reason when it does not.
promise() {
	name=$1
	shift
	if [ -n "$broken" ]; then
		echo "promise $name failed 0 not tried after $broken"
		return
	fi
	began=$(now)
	if reason=$("$@" 2>&1); then
		echo "promise $name ok $(($(now) - began))"
		return
	fi
	broken=$name
	echo "promise $name failed $(($(now) - began)) $(
		echo "$reason" | tr '\n' ';')"
	evidence
}

# What the machine left behind, as commentary; none: there is no such machine.
evidence() {
	[ "$vm" != none ] || return
	echo "--- $vm: info"
	amber info "$vm" --json
	echo "--- $vm: journal"
	amber journal "$vm" --json | tail -n 20
	echo "--- $vm: console"
	amber log "$vm" | tail -n 40
}

exec 4>&1 # a port, which can't be opened again

# sign_of_life WORDS...: from within a promise that takes long.
sign_of_life() {
	echo "$@" >&4
}

# equal WHAT EXPECTED FOUND
equal() {
	[ "$2" = "$3" ] && return
	echo "$1: expected '$2', found '$3'"
	return 1
}

# fact KEY: the value of the last line KEY=value on the machine's console.
fact() {
	amber log "$vm" | tr -d '\r' | sed -n "s/^$1=//p" | tail -n 1
}

# facts KEY=VALUE...: each must stand on the console as it is.
facts() {
	for f; do
		equal "${f%%=*}" "${f#*=}" "$(fact "${f%%=*}")" || return
	done
}

# occurrences LINE: how often a whole line stands on the console.
occurrences() {
	amber log "$vm" | tr -d '\r' | grep -cxF "$1"
}

# wait_until COMMAND...: until it succeeds, or SLOW seconds have passed.
wait_until() {
	deadline=$(($(now) + SLOW * 100))
	until "$@"; do
		if [ "$(now)" -gt $deadline ]; then
			echo "in vain for $SLOW s: $*"
			return 1
		fi
		sleep 0.2
	done
}

# wait_for STATE: until the machine is in it.
wait_for() {
	amber wait "$vm" --for "$1" --timeout $SLOW
}
