#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Walks guests through their lives by the command line, step by step: a tiny
# one here, and a stock Linux kernel here or, where /dev/kvm can't run one,
# in the rig.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
export AMBER_HOME=$dir/home AMBER_RUN=$dir/run
amber=build/amber
linux=build/guests/linux

cleanup() {
	"$amber" stop --all >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap cleanup EXIT

say() {
	printf '\n== %s\n' "$*"
}

# run COMMAND...: shows it, runs it; the exit status is shown if it isn't 0.
run() {
	printf '$ %s\n' "${*/#build\//}"
	"$@" || printf '(exit status %s)\n' $?
}

say "What this machine can do"
if ! run "$amber" host; then
	exit 1
fi
if [ ! -w /dev/kvm ]; then
	echo "demo: without /dev/kvm no guest can run here" >&2
	exit 1
fi

say "A tiny guest from start to end: its console is the output"
run "$amber" run --once build/guests/hello.elf

say "A runner for scripts: the guest's number is the exit status, a panic has its own"
run "$amber" run --once build/guests/exit.elf --append code=7
run "$amber" run --once --timeout 20 --expect '^ready' build/guests/idle.elf
run "$amber" run --once build/guests/panic.elf

say "A guest that stays"
run "$amber" run --detach --name web --label tier=demo build/guests/button.elf
run "$amber" wait web --for ready --timeout 20
run "$amber" list
run "$amber" pause web --reason 'to show it'
run "$amber" resume web
run "$amber" reset web
run "$amber" wait web --for ready --timeout 20

say "The same over its socket"
run curl -sS --unix-socket "$AMBER_RUN/web/api.sock" http://amber/v1/vm
run curl -sS --unix-socket "$AMBER_RUN/web/api.sock" -X POST \
	-d '{"reason":"curl"}' http://amber/v1/vm/pause
run curl -sS --unix-socket "$AMBER_RUN/web/api.sock" -X POST \
	http://amber/v1/vm/resume

say "Shut down gracefully: the answer names the rung of the ladder that worked"
run "$amber" shutdown web
run "$amber" start web
run "$amber" stop web
run "$amber" journal -n 8 web
run "$amber" delete web

say "Put away on disk, its process ended; and back, in the middle of what it did"
run "$amber" run --detach --name counter --append 'period_ms=300' \
	build/guests/nonce.elf
run "$amber" top -n 2 --interval 1
run "$amber" suspend counter
run "$amber" list
run "$amber" start counter
run "$amber" top -n 2 --interval 1
run "$amber" stop counter
run "$amber" log counter
run "$amber" delete counter

say "Snapshots while the guest runs: a tree; back to one, and forward again"
run "$amber" run --detach --name counter --append 'period_ms=20' \
	build/guests/nonce.elf
run "$amber" snapshot create counter before
run "$amber" snapshot create counter later --incremental
run "$amber" snapshot restore counter before
run "$amber" snapshot list counter --tree
run "$amber" snapshot verify counter
run "$amber" snapshot restore counter later --no-safety

say "Tried out in a throwaway; and another VM that goes on from there"
run "$amber" snapshot verify counter before --boot --expect 'count='
run "$amber" snapshot restore counter before --as other
run "$amber" start counter --peek --from before
run "$amber" list
run "$amber" stop counter counter-peek-1 other
run "$amber" delete other
run "$amber" delete counter

say "Rewound in place: test runs that begin warm, disk and memory together"
run "$amber" disk create "$dir/twin.qcow2" 8M
run "$amber" run --detach --name tests --append 'steps=2000' \
	--disk "$dir/twin.qcow2" --on-poweroff pause build/guests/blk-twin.elf
run "$amber" snapshot create tests warm
run "$amber" snapshot rewind tests --count 3
run "$amber" stop tests
run "$amber" disk info --chain "$dir/twin.qcow2"
run "$amber" delete tests

say "A disk: what a guest flushed is there at the next start"
truncate -s 16M "$dir/disk.raw"
run "$amber" run --once --append 'blocks=64 flush=32' \
	--disk "$dir/disk.raw,format=raw" build/guests/blk-rw.elf
run "$amber" run --once --append 'mode=verify blocks=64 expect=64' \
	--disk "$dir/disk.raw,format=raw,ro" build/guests/blk-rw.elf

say "A network card, a balloon, and limits that change while it runs"
run "$amber" run --detach --name net --net hub=lan --balloon on \
	--disk "$dir/disk.raw,id=data,iops=500" \
	--append 'seconds=60' build/guests/blk-bench.elf
run "$amber" limit net data ops=0
run "$amber" link net net0 down
run "$amber" top -n 2 --interval 1
run "$amber" stop net
run "$amber" delete net

append='console=ttyS0 quiet amber.do=poweroff'
disk_append='console=ttyS0 quiet panic=-1 job=boot'
if "$amber" host --json | grep -q '"runs_linux": true'; then
	say "A stock Debian kernel"
	run "$amber" run --once --timeout 120 --memory 256M --initrd \
		"$linux/initrd.img" --append "$append" "$linux/vmlinuz"
	say "The same kernel with an ext4 root on a disk, and a network"
	cp "$linux/root.raw" "$dir/root.raw"
	run "$amber" run --once --timeout 120 --memory 256M --initrd \
		"$linux/initrd-disk.img" --disk "$dir/root.raw" --net user \
		--rng on --append "$disk_append" "$linux/vmlinuz"
else
	say "A stock Debian kernel, in the rig: this machine's KVM can't run one"
	tests/rig/rig.py run --put build/amber --put build/amber-vmm \
		--lib libcurl.so.4 --put "$linux/vmlinuz" \
		--put "$linux/initrd.img" -- \
		"AMBER_HOME=/tmp/a AMBER_RUN=/tmp/r ./amber run --once" \
		"--memory 256M --initrd initrd.img --append '$append' vmlinuz" |
		tr -d '\r'
	say "The same kernel with an ext4 root on a disk, and a network"
	tests/rig/rig.py run --put build/amber --put build/amber-vmm \
		--lib libcurl.so.4 --put "$linux/vmlinuz" \
		--put "$linux/initrd-disk.img" --file "$linux/root.raw" -- \
		"mkdir -p /d && mount -t ext4 /dev/vdc /d &&" \
		"AMBER_HOME=/tmp/a AMBER_RUN=/tmp/r ./amber run --once" \
		"--memory 256M --disk /d/root.raw --net hub=lan --rng on" \
		"--initrd initrd-disk.img --append '$disk_append' vmlinuz" |
		tr -d '\r'
fi
say "done"
