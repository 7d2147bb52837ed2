#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots a guest and walks it through its life over its socket, step by step.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-build}
dir=$(mktemp -d)
socket=$dir/api.sock
vmm=

cleanup() {
	[ -z "$vmm" ] || kill "$vmm" 2>/dev/null || true
	[ -z "$vmm" ] || wait "$vmm" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

say() {
	printf '\n== %s\n' "$*"
}

call() {
	printf '$ %s %s\n' "$1" "$2"
	curl -sS --max-time 60 --unix-socket "$socket" -X "$1" "http://amber$2"
	echo
}

if [ ! -w /dev/kvm ]; then
	echo "demo: /dev/kvm is missing or not writable: no guest can run here" >&2
	exit 1
fi

say "a tiny guest, from start to end"
"$out/amber-vmm" --kernel "$out/guests/hello.elf" --once --console stdio </dev/null

say "a guest that stays, and its socket"
"$out/amber-vmm" --kernel "$out/guests/button.elf" --name demo \
	--socket "$socket" --console none --on-poweroff stop &
vmm=$!
for _ in $(seq 200); do
	[ -S "$socket" ] && break
	kill -0 "$vmm" || exit 1
	sleep 0.02
done
call GET "/v1/vm/ready?wait=20"
call GET /v1/vm
call POST /v1/vm/pause
call POST /v1/vm/resume
call POST /v1/vm/reset
call GET "/v1/vm/ready?wait=20"
say "graceful shutdown: the answer names the rung of the ladder that worked"
call POST /v1/vm/shutdown
call POST /v1/vm/start
call POST /v1/vm/stop
call GET /v1/vm/console
say "done"
