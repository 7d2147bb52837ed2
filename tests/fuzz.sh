#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh SECONDS: every fuzzer first runs its committed corpus (which holds
# every input that once crashed), then looks for new ones for SECONDS.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-5}
bad=0

for program in build/fuzz/fuzz_*; do
	[ -x "$program" ] && [ -f "$program" ] || continue
	name=$(basename "$program")
	corpus=tests/fuzz/corpus/${name#fuzz_}
	found=build/fuzz/corpus/$name
	mkdir -p "$found"
	if [ ! -d "$corpus" ]; then
		echo "FAIL $name: no corpus in $corpus"
		bad=1
		continue
	fi
	if "timeout" $((seconds + 120)) "$program" -max_total_time="$seconds" \
		-timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/crash-$name-" "$found" "$corpus" \
		>"build/fuzz/$name.log" 2>&1; then
		echo "ok   $name ($(sed -n 's/^stat::number_of_executed_units: *//p' \
			"build/fuzz/$name.log") inputs)"
	else
		echo "FAIL $name: see build/fuzz/$name.log"
		tail -n 20 "build/fuzz/$name.log"
		bad=1
	fi
done
exit "$bad"
