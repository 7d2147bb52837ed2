#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rules about the tree that a compiler does not know: the direction of
# includes, licence lines, calls that have no place, the length of files.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0

complain() {
	echo "lint: $*" >&2
	bad=1
}

files() {
	git ls-files --cached --others --exclude-standard -- "$@"
}

layers=(base disk devices vmm snapshot clone control)

check_includes() {
	local i allowed layer where
	allowed=
	for ((i = 0; i < ${#layers[@]}; i++)); do
		layer=${layers[i]}
		allowed="$allowed${allowed:+|}$layer"
		where=$(files "$layer/*.[ch]" | xargs -r grep -nE '^#include "' |
			grep -vE "#include \"($allowed)/")
		[ -z "$where" ] || complain "$layer includes upwards:"$'\n'"$where"
	done
}

# The command line knows the rest of control; amber-vmm doesn't know it.
check_command_line() {
	local where
	where=$(files 'control/*.[ch]' ':!control/cli' |
		xargs grep -nE '#include "control/cli/')
	[ -z "$where" ] || complain "control includes control/cli:"$'\n'"$where"
}

check_licence() {
	local f
	for f in $(files '*.c' '*.h' '*.S' '*.sh' '*.py' '*.mk' '*.ld' '*.md' \
		Makefile .ci/run .gitignore .clang-format); do
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
			complain "$f: no SPDX line"
	done
}

check_calls() {
	local where
	where=$(files 'base/*.c' 'disk/*.c' 'devices/*.c' 'vmm/*.c' \
		'snapshot/*.c' 'clone/*.c' 'control/*.c' |
		xargs grep -nE '\b(sprintf|strcpy|strcat|strtok|alloca|usleep|nanosleep|sleep)\(')
	[ -z "$where" ] || complain "calls that have no place here:"$'\n'"$where"
	# Habit 16: what a guest reaches may not end the process.
	where=$(files 'devices/*.c' 'vmm/exit.c' 'vmm/vcpu.c' 'vmm/machine*.c' |
		xargs grep -nE '\b(assert|abort|exit|_exit)\(')
	[ -z "$where" ] || complain "a guest could end the process:"$'\n'"$where"
}

check_length() {
	local f n
	for f in $(files '*.c' '*.h' '*.S' '*.sh' '*.py'); do
		n=$(wc -l <"$f")
		[ "$n" -le 600 ] || complain "$f: $n lines, more than 600"
	done
}

check_format() {
	command -v clang-format >/dev/null || {
		echo "lint: clang-format is missing: the format is not checked"
		return
	}
	# shellcheck disable=SC2046
	clang-format --dry-run -Werror $(files '*.c' '*.h') 2>&1 |
		grep -m 20 'error:' && complain "run make fmt"
}

check_shell() {
	command -v shellcheck >/dev/null || {
		echo "lint: shellcheck is missing: scripts are not checked"
		return
	}
	# shellcheck disable=SC2046
	shellcheck -S warning $(files '*.sh' .ci/run) || complain "shellcheck"
}

check_static() {
	command -v cppcheck >/dev/null || {
		echo "lint: cppcheck is missing: no static analysis"
		return
	}
	cppcheck --quiet --error-exitcode=1 -j2 --std=c11 -I. -D_GNU_SOURCE \
		--enable=warning,performance,portability \
		--suppressions-list=tests/cppcheck.txt "${present[@]}" ||
		complain "cppcheck"
}

# Locks and what they guard (base/annotate.h), and gcc's warnings by clang.
check_clang() {
	command -v clang >/dev/null || {
		echo "lint: clang is missing: locks are not checked"
		return
	}
	# shellcheck disable=SC2046
	printf '%s\n' $(files '*.c' ':!guest-images' ':!tests') |
		xargs -P2 -I{} clang -std=gnu11 -D_GNU_SOURCE -I. -fsyntax-only \
			-Wall -Wextra -Wshadow -Wcast-qual -Wpointer-arith \
			-Wwrite-strings -Wundef -Wvla -Wformat=2 \
			-Wstrict-prototypes -Wmissing-prototypes \
			-Wimplicit-fallthrough -Wthread-safety \
			-Wno-gcc-compat -Werror {} ||
		complain "clang"
}

present=()
for layer in "${layers[@]}"; do
	[ ! -d "$layer" ] || present+=("$layer")
done

check_includes
check_command_line
check_licence
check_calls
check_length
check_format
check_shell
check_static
check_clang
[ "$bad" = 0 ] && echo "lint: ok"
exit "$bad"
