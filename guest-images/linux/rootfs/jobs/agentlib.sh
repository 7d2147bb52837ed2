# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# The guest agent as a service.

# Path of the port with that name; there is no udev here to link it.
port_device() {
	for f in /sys/class/virtio-ports/*/name; do
		[ -e "$f" ] && read -r found <"$f" && [ "$found" = "$1" ] || continue
		f=${f%/name}
		echo "/dev/${f##*/}"
		return
	done
	echo "no port is called $1" >&2
	return 1
}

has_open() {
	for fd in "/proc/$1/fd/"*; do
		[ "$(readlink "$fd")" = "$2" ] && return
	done
	return 1
}

start_agent() {
	port=$(port_device org.qemu.guest_agent.0) || return
	mkdir -p /run/qemu-ga
	qemu-ga -m virtio-serial -p "$port" -t /run/qemu-ga \
		-l /run/qemu-ga.log </dev/null &
	agent=$!
	within 30 has_open $agent "$port" && return
	cat /run/qemu-ga.log
	return 1
}
