#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh SUITE[@DIR]...: runs suites of tests against the build in DIR
# (default: build) and closes with one count of all. Suites: unit boot cli
# model kill rig fuzz. A test prints "ok NAME", "FAIL NAME" or "skip NAME: why";
# a unit test's program that exits with 77 was skipped and has said why.
set -u
shopt -s nullglob
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
# Check's limits for a single test are for a machine that does nothing else.
export CK_TIMEOUT_MULTIPLIER=4

# The random sweeps of the unit tests are for the fast build. A sanitizer is
# there for each path, not for each state, and has a slice of them.
slice_sweeps() {
	[ "$OUT" != build ] || return 0
	export CRASH_STATES="${CRASH_STATES:-500}" TWIN_STEPS="${TWIN_STEPS:-60}"
	export TRACK_STEPS="${TRACK_STEPS:-4}" REWIND_STEPS="${REWIND_STEPS:-30}"
	export PRUNE_ROUNDS="${PRUNE_ROUNDS:-1000}"
}

# count LOG: adds its lines to the totals.
count() {
	passed=$((passed + $(grep -c '^ok ' <<<"$1")))
	failed=$((failed + $(grep -c '^FAIL ' <<<"$1")))
	skipped=$((skipped + $(grep -c '^skip ' <<<"$1")))
}

# run_unit PROGRAM: Check prints "100%: Checks: N, Failures: F, Errors: E";
# what comes of it is said in one piece, for others run beside it. In a shell of
# its own, whose SECONDS are the program's.
run_unit() {
	local log status line total bad name
	name=$(basename "$1")
	log=$(timeout 300 "$1" 2>&1)
	status=$?
	if [ "$status" = 77 ]; then
		echo "skip $name: $(tail -n 1 <<<"$log")"
		return
	fi
	line=$(grep -E '^[0-9]+%: Checks: ' <<<"$log" | tail -n 1)
	line=${line:-Checks: 1, Failures: 1, Errors: 0}
	total=$(sed -E 's/.*Checks: ([0-9]+).*/\1/' <<<"$line")
	bad=$(($(sed -E 's/.*Failures: ([0-9]+), Errors: ([0-9]+).*/\1+\2/' <<<"$line")))
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	if [ "$bad" = 0 ]; then
		echo "ok   $name ($total), $SECONDS s"
	else
		printf 'FAIL %s (%d of %d), exit status %d\n%s\n' "$name" \
			"$bad" "$total" "$status" \
			"$(tail -n 30 <<<"$log" | sed 's/^/  | /')"
	fi
}
export -f run_unit

# Every unit test's program, as many at once as there are CPUs.
run_units() {
	local test log good bad none
	log=$(slice_sweeps; for test in "$OUT"/unit/test_*; do
		[[ $test == *.d || ! -x $test ]] || echo "$test"
	done | xargs -r -P "$(nproc)" -n 1 bash -c 'run_unit "$1"' _) || {
		echo "FAIL unit: a program was lost"
		failed=$((failed + 1))
	}
	printf '%s\n' "$log"
	read -r good bad none < <(awk -F '[()]' '
		/^ok / { good += $2 }
		/^FAIL / { split($2, n, " "); bad += n[1]; good += n[3] - n[1] }
		/^skip / { none++ }
		END { print good + 0, bad + 0, none + 0 }' <<<"$log")
	passed=$((passed + good))
	failed=$((failed + bad))
	skipped=$((skipped + none))
}

# script_log SECONDS PROGRAM...: what it says. One that fails, or ends before
# its time, without a FAIL line is a failed test.
script_log() {
	local log status seconds=$1
	shift
	log=$(timeout "$seconds" "$@" 2>&1)
	status=$?
	printf '%s\n' "$log"
	if [ "$status" = 124 ]; then
		echo "FAIL $*: not done after $seconds s"
	elif ! grep -qE '^(FAIL|skip) ' <<<"$log" &&
		{ [ "$status" != 0 ] || ! grep -q '^ok ' <<<"$log"; }; then
		echo "FAIL $*: exit status $status"
	fi
}
export -f script_log

# run_script SECONDS PROGRAM...: its lines are counted.
run_script() {
	local log
	log=$(script_log "$@")
	printf '%s\n' "$log"
	count "$log"
}

# run_alone SCRIPT: what it says, and how long it took.
run_alone() {
	local began=$SECONDS
	case $1 in
	*.py) script_log 600 python3 -B "$1" ;;
	*.sh) script_log 600 bash "$1" ;;
	esac
	echo "  $1: $((SECONDS - began)) s"
}
export -f run_alone

# longest_first SCRIPT...: so that those that run side by side end so as well.
longest_first() {
	local long='/test_(reload|layers|branch|kill_snapshots)\.py$'
	printf '%s\n' "$@" | grep -E "$long"
	printf '%s\n' "$@" | grep -vE "$long"
}

# run_beside SCRIPT...: as many at once as there are CPUs, and what each says in
# one piece.
run_beside() {
	local dir log test
	dir=$(mktemp -d) || exit 1
	longest_first "$@" | xargs -P "$(nproc)" -I {} bash -c \
		'run_alone "$1" >"$2/$(basename "$1")"' _ {} "$dir"
	for test; do
		log=$(cat "$dir/$(basename "$test")") || log="FAIL $test: lost"
		printf '%s\n' "$log"
		count "$log"
	done
	rm -r "$dir"
}

run_suite() {
	local seconds
	case $1 in
	unit) run_units ;;
	boot | cli | model | kill) run_beside tests/"$1"/test_*.{sh,py} ;;
	rig)
		run_script 300 python3 -B tests/rig/test_rig.py unit
		run_script 1500 python3 -B tests/rig/run_rig_tests.py --build "$OUT"
		;;
	fuzz)
		seconds=${FUZZ_SECONDS:-3}
		run_script $((600 + 20 * seconds)) bash tests/fuzz.sh "$seconds"
		;;
	*)
		echo "check.sh: no suite $1" >&2
		exit 2
		;;
	esac
}

export OUT
for suite; do
	OUT=build
	[[ $suite != *@* ]] || OUT=${suite#*@}
	echo "--- $suite"
	began=$SECONDS
	run_suite "${suite%@*}"
	echo "--- $suite: $((SECONDS - began)) s"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
