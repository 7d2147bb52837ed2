# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# What the jobs with the disk guest share, beside lib.sh. Its images lie on an
# ext4 file system on /dev/vdc: large, sparse, and with direct I/O.

DISKS=/disks
DATA_MIB=64
FIO_MIB=${FIO_MIB:-1} # what fio writes to each file and disk
APPEND="console=ttyS0 quiet panic=-1"

mount_disks() {
	mkdir -p $DISKS && mount -t ext4 /dev/vdc $DISKS &&
		cd $DISKS || return
}

# fresh_data: an empty second disk.
fresh_data() {
	rm -f $DISKS/data.raw && truncate -s ${DATA_MIB}M $DISKS/data.raw
}

# copy_root NAME: a root of its own for another machine.
copy_root() {
	[ -e "$DISKS/$1" ] || cp $DISKS/root.raw "$DISKS/$1"
}

# run_guest VM WORDS [OPTIONS]...: start the disk guest and don't wait.
run_guest() {
	vm=$1 words=$2
	shift 2
	amber run --name "$vm" --kernel /job/vmlinuz \
		--initrd /job/initrd-disk.img --memory 256M --detach \
		--append "$APPEND $words" "$@"
}

# run_until REGEX VM WORDS [OPTIONS]...: start it and wait for the line. To
# look at the log for it, again and again, would take half of L1's CPU.
run_until() {
	until=$1
	shift
	run_guest "$@" --ready "^$until" && reaches ready
}

# life WORDS [OPTIONS]...: from start to power-off; every job must be good.
life() {
	amber delete "$vm" 2>/dev/null
	run_guest "$vm" "$@" || return
	ends_well
}

# reaches STATE: allow it its time as long as the console moves.
reaches() {
	said=-1
	until amber wait "$vm" --for "$1" --timeout "$SLOW"; do
		was=$said
		said=$(amber log "$vm" | wc -c)
		[ "$said" = "$was" ] && echo "the guest says nothing more" &&
			return 1
	done
}

ends_well() {
	reaches stopped || return
	facts job_end=ok || {
		amber log "$vm" | grep -A 5 '=failed'
		return 1
	}
}

has_fact() {
	[ -n "$(fact "$1")" ]
}

# wait_for_fact KEY=VALUE
wait_for_fact() {
	wait_until has_fact "${1%%=*}" && facts "$1"
}

# allocated FILE: KiB that the host has given to it.
allocated() {
	echo $(($(stat -c %b "$1") / 2))
}

# at_most WHAT LIMIT FOUND
at_most() {
	[ "$3" -le "$2" ] && return
	echo "$1: expected at most $2, found $3"
	return 1
}

# --- a guest with an agent ---------------------------------------------------

# in_guest WORDS: by its shell.
in_guest() {
	amber agent "$vm" exec -- /bin/sh -c "$1"
}

# Files that are written, synced, dropped from memory and read again for ever:
# /run/turns counts them, /run/bad has the turns that found other data. The
# count is renamed into its place: never seen half-written.
# shellcheck disable=SC2016 # the guest's shell expands them
verifier='
mkdir -p /var/tmp/v; n=0
while :; do
	n=$((n + 1)); f=/var/tmp/v/$((n % 4))
	head -c 100000 /dev/urandom >/run/v; s=$(sha256sum </run/v)
	cp /run/v $f; sync; echo 3 >/proc/sys/vm/drop_caches
	[ "$s" = "$(sha256sum <$f)" ] || echo $n >>/run/bad
	echo $n >/run/turn; mv /run/turn /run/turns
done'

# begin_verifying: from now on, in the background.
begin_verifying() {
	in_guest "echo 0 >/run/turns; ($verifier) >/dev/null 2>&1 &"
}
