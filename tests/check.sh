#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test program and closes with a count. A program that exits with
# 77 was skipped and has said why.
set -u
cd "$(dirname "$0")/.." || exit 1
out=${OUT:-build}
passed=0 failed=0 skipped=0

# run_unit PROGRAM: Check prints "100%: Checks: N, Failures: F, Errors: E".
run_unit() {
	local log status line total bad
	log=$("timeout" 300 "$1" 2>&1)
	status=$?
	line=$(grep -E '^[0-9]+%: Checks: ' <<<"$log" | tail -n 1)
	if [ "$status" = 77 ]; then
		skipped=$((skipped + 1))
		echo "skip $(basename "$1"): $(tail -n 1 <<<"$log")"
		return
	fi
	total=$(sed -E 's/.*Checks: ([0-9]+).*/\1/' <<<"${line:-Checks: 1}")
	bad=$(sed -E 's/.*Failures: ([0-9]+), Errors: ([0-9]+).*/\1+\2/' <<<"${line:-Failures: 1, Errors: 0}")
	bad=$((bad))
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	passed=$((passed + total - bad))
	failed=$((failed + bad))
	if [ "$bad" = 0 ]; then
		echo "ok   $(basename "$1") ($total)"
	else
		echo "FAIL $(basename "$1")"
		printf '%s\n' "$log" | tail -n 20
	fi
}

# run_script PROGRAM...: prints "ok NAME", "FAIL NAME", "skip NAME: why".
run_script() {
	local log
	log=$("$@" 2>&1)
	printf '%s\n' "$log"
	passed=$((passed + $(grep -c '^ok ' <<<"$log")))
	failed=$((failed + $(grep -c '^FAIL ' <<<"$log")))
	skipped=$((skipped + $(grep -c '^skip ' <<<"$log")))
	if ! grep -qE '^(ok|FAIL|skip) ' <<<"$log"; then
		echo "FAIL $1: ran no test"
		failed=$((failed + 1))
	fi
}

for program in "$out"/unit/test_*; do
	[ -x "$program" ] && [ -f "$program" ] && case $program in
	*.d) ;;
	*) run_unit "$program" ;;
	esac
done
for script in tests/boot/*.sh; do
	[ -f "$script" ] && run_script bash "$script"
done
for script in tests/cli/test_*.py tests/model/test_*.py; do
	run_script timeout 600 python3 -B "$script"
done
run_script timeout 300 python3 -B tests/rig/test_rig.py unit
run_script timeout 900 tests/rig/run_rig_tests.py --build "$out"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
