#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh SECONDS: every fuzzer first runs its committed corpus (which holds
# every input that once crashed), then looks for new ones for SECONDS.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-5}

# run_fuzzer PROGRAM SECONDS
run_fuzzer() {
	local name corpus found
	name=$(basename "$1")
	corpus=tests/fuzz/corpus/${name#fuzz_}
	found=build/fuzz/corpus/$name
	mkdir -p "$found"
	if [ ! -d "$corpus" ]; then
		echo "FAIL $name: no corpus in $corpus"
		return 1
	fi
	if timeout $(($2 + 120)) "$1" -max_total_time="$2" \
		-timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/crash-$name-" "$found" "$corpus" \
		>"build/fuzz/$name.log" 2>&1; then
		echo "ok   $name ($(sed -n 's/^stat::number_of_executed_units: *//p' \
			"build/fuzz/$name.log") inputs)"
	else
		printf 'FAIL %s: see build/fuzz/%s.log\n%s\n' "$name" "$name" \
			"$(tail -n 20 "build/fuzz/$name.log")"
		return 1
	fi
}
export -f run_fuzzer

# As many at once as there are CPUs; xargs fails when one of them has failed.
for program in build/fuzz/fuzz_*; do
	[ -x "$program" ] && [ -f "$program" ] && echo "$program"
done | xargs -r -P "$(nproc)" -I{} bash -c 'run_fuzzer "$@"' _ {} "$seconds"
