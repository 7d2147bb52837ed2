# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# What the jobs of the Linux guest share. Each thing that must be so is one
# fact on the console, NAME=ok or NAME=failed (lines after it, in front of
# which "| " stands, say why); figures are NAME=NUMBER. Each character is an
# exit of the virtual machine: facts are short, and programs are quiet.

read -r cmdline </proc/cmdline
broken=0

# word KEY DEFAULT: the value of KEY=value on the kernel command line.
word() {
	value=$2
	for w in $cmdline; do
		case $w in
		"$1"=*) value=${w#*=} ;;
		esac
	done
	echo "$value"
}

# check NAME COMMAND...: the command's success becomes a fact.
check() {
	local fact=$1
	shift
	if "$@" >/run/why.$$ 2>&1; then
		echo "$fact=ok"
		return
	fi
	echo "$fact=failed"
	tail -n 15 /run/why.$$ | sed 's/^/| /'
	broken=1
	return 1
}

# skipped NAME...: what this machine has not been given the means for.
skipped() {
	for name; do
		echo "$name=skipped"
	done
}

# equal WHAT EXPECTED FOUND
equal() {
	[ "$2" = "$3" ] && return
	echo "$1: expected '$2', found '$3'"
	return 1
}

# within SECONDS COMMAND...: until it succeeds; the limit counts from now.
within() {
	tries=$(($1 * 5))
	shift
	until "$@"; do
		if [ $tries = 0 ]; then
			echo "in vain: $*"
			return 1
		fi
		tries=$((tries - 1))
		sleep 0.2
	done
}

# run_job NAME: in a shell of its own; says and returns what came of it.
run_job() {
	# shellcheck source=/dev/null # there are many
	if (broken=0 && . "/jobs/$1" && exit $broken); then
		echo "job_$1=ok"
	else
		echo "job_$1=failed"
		return 1
	fi
}
