#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# Stock Linux on two CPUs that is put away and comes back, is restored and
# reloaded in place, again and again, while it writes to its disk and talks to
# the host: the connection lives on, the clock is right, the data is what it
# was. Its peer is L1's own TCP, behind a tap.

. ./lib.sh
. ./disklib.sh

CYCLES=${CYCLES:-3}
RELOADS=$((CYCLES * 8))

plan guest_writes_and_talks_to_the_host \
	tcp_connection_survives_suspend_and_start \
	stock_linux_goes_on_through_cycles_of_suspend \
	clock_is_the_host_s_after_suspend_and_start \
	tcp_connection_survives_a_restore \
	stock_linux_goes_on_through_cycles_of_restore \
	clock_is_the_host_s_after_a_restore \
	stock_linux_goes_on_through_reloads \
	kernel_has_nothing_to_complain_about \
	file_system_is_clean_after_all_cycles \
	frozen_clock_goes_on_from_where_it_was

PORT=8090 HOST=198.51.100.1 GUEST=198.51.100.2

make_tap() {
	tunctl -t tap0 >/dev/null && ip addr add $HOST/24 dev tap0 &&
		ip link set tap0 up
}

is_back() {
	wait_until amber agent "$vm" ping
}

# --- what the guest does all the while ----------------------------------

# One connection. Each line has a number and a checksum of it, and comes back
# from the other side; another one, or the end, is noted.
# shellcheck disable=SC2016
talker='
n=0
while :; do
	n=$((n + 1)); line="$n $(echo $n | sha256sum)"
	echo "$line"; read -r back || { echo "$n: ended" >>/run/bad; exit; }
	[ "$line" = "$back" ] || echo "$n: $back" >>/run/bad
	echo $n >/run/line; mv /run/line /run/talk; sleep 0.2
done'

begin_work() {
	in_guest 'dmesg -c >/dev/null' &&
		in_guest "ip link set eth0 up && ip addr add $GUEST/24 dev eth0" &&
		begin_verifying && in_guest 'echo 0 >/run/talk' &&
		in_guest "echo '$talker' >/run/talker.sh" &&
		in_guest "socat TCP:$HOST:$PORT 'EXEC:sh /run/talker.sh' \
			>/run/socat.log 2>&1 </dev/null &" &&
		goes_on
}

# Turns of the disk, lines of the connection, and what went wrong.
# shellcheck disable=SC2016
progress() {
	in_guest 'echo $(cat /run/turns) $(cat /run/talk) $(cat /run/bad 2>&-)'
}

has_reached() {
	# shellcheck disable=SC2046 # words
	set -- $(progress)
	[ "${1:-0}" -ge "$turns" ] && [ "${2:-0}" -ge "$lines" ] || return
	shift 2
	wrong=$*
}

# Disk and connection have got two steps further: the second one is wholly of
# this time. The host's side of the connection is the one that it was.
goes_on() {
	# shellcheck disable=SC2046
	set -- $(progress)
	turns=$((${1:-0} + 2)) lines=$((${2:-0} + 2))
	wait_until has_reached || return
	equal "what went wrong in the guest" "" "$wrong" &&
		equal "connections that the host has had" 1 \
			"$(wc -l </tmp/accepted)"
}

start_guest() {
	: >/tmp/accepted
	socat "TCP-LISTEN:$PORT,reuseaddr,fork" \
		"SYSTEM:echo >>/tmp/accepted; exec cat" >/dev/null 2>&1 &
	run_until agent_is_up=ok "$vm" job=agent --cpus 2 --disk top.qcow2 \
		--agent on --net tap=tap0 && is_back && begin_work
}

# --- there and back -----------------------------------------------------

suspend_and_start() {
	amber suspend "$vm" && amber start "$vm" && is_back
}

# To the moment in which it is: what the host has of the connection is still
# true then. The one before is deleted, for layers are merged meanwhile.
restore() {
	amber pause "$vm" && amber snapshot create "$vm" "now$turn" &&
		amber snapshot restore "$vm" "now$turn" --no-safety &&
		is_back || return
	[ "$turn" = 1 ] ||
		amber snapshot delete "$vm" "now$((turn - 1))"
}

# cycles COMMAND: the disk's and the connection's data are right every time.
cycles() {
	turn=1
	while [ $turn -lt "$CYCLES" ]; do
		turn=$((turn + 1))
		if ! "$1" || ! goes_on; then
			echo "in cycle $turn"
			return 1
		fi
		sign_of_life "cycle $turn"
	done
}

once() {
	turn=1
	"$1" && goes_on
}

# --- the time of day ------------------------------------------------------

guest_time() {
	in_guest 'date +%s'
}

# is_near WHAT EXPECTED FOUND: emulated machines need time to ask.
is_near() {
	[ $(($3 - $2)) -le 5 ] && [ $(($2 - $3)) -le 5 ] && return
	echo "$1: $2 expected, $3 found"
	return 1
}

has_host_s_time() {
	is_near "the guest's clock" "$(date +%s)" "$(guest_time)"
}

# The host's clock goes on by an hour while the guest stands still.
an_hour_passes() {
	date -s "@$(($(date +%s) + 3600))" >/dev/null
}

clock_after_start() {
	amber suspend "$vm" && an_hour_passes && amber start "$vm" &&
		is_back && wait_until has_host_s_time && goes_on
}

clock_after_restore() {
	amber pause "$vm" && amber snapshot create "$vm" hour &&
		an_hour_passes &&
		amber snapshot restore "$vm" hour --no-safety && is_back &&
		wait_until has_host_s_time && goes_on
}

# Nobody sets its clock: the agent would have by the time it answers.
frozen_clock() {
	run_until agent_is_up=ok "$vm" job=agent --disk root.raw --agent on \
		--clock freeze && is_back || return
	before=$(guest_time)
	amber suspend "$vm" && an_hour_passes && amber start "$vm" &&
		is_back && is_near "the guest's clock" "$before" \
		"$(guest_time)" && amber stop "$vm"
}

# --- in place -------------------------------------------------------------

reload() {
	said=$(printf '%s\r\n' 'POST /v1/vm/reload HTTP/1.1' 'Host: amber' \
		'Content-Length: 0' 'Connection: close' '' |
		socat -t $SLOW - "UNIX-CONNECT:$AMBER_RUN/$vm/api.sock")
	case $said in *" 200 "*) return ;; esac
	echo "$said"
	return 1
}

reloads() {
	turn=0
	while [ $turn -lt "$RELOADS" ]; do
		turn=$((turn + 1))
		reload || return
		sign_of_life "reload $turn"
	done
	goes_on && reload && goes_on
}

# --- afterwards -----------------------------------------------------------

complaints() {
	said=$(in_guest "dmesg | grep -E \
'BUG|WARNING|stall|lockup|blocked for|I/O error|EXT4-fs|unstable'")
	equal "the kernel's log" "" "$said" &&
		amber shutdown "$vm" --timeout $SLOW
}

# The guest's own e2fsck, in another machine.
clean() {
	copy_root other.raw && life job=fsck --disk other.raw \
		--disk top.qcow2,id=data && amber disk check top.qcow2
}

mount_disks && amber disk create -b root.raw -F raw top.qcow2 &&
	make_tap || exit 1
start_scenario linux
promise guest_writes_and_talks_to_the_host start_guest
promise tcp_connection_survives_suspend_and_start once suspend_and_start
promise stock_linux_goes_on_through_cycles_of_suspend cycles suspend_and_start
promise clock_is_the_host_s_after_suspend_and_start clock_after_start
promise tcp_connection_survives_a_restore once restore
promise stock_linux_goes_on_through_cycles_of_restore cycles restore
promise clock_is_the_host_s_after_a_restore clock_after_restore
promise stock_linux_goes_on_through_reloads reloads
promise kernel_has_nothing_to_complain_about complaints
start_scenario clean
promise file_system_is_clean_after_all_cycles clean
start_scenario frozen
promise frozen_clock_goes_on_from_where_it_was frozen_clock
