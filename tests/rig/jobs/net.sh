#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash source-path=SCRIPTDIR
#
# A stock Debian guest on amber's virtio-net and vsock: through passt, a tap
# device, a hub between two guests, and streams without a network.

# passt changes the root of its name space, which the initramfs that L1 lives
# in does not allow: the job goes on with the same files as a mount of its own.
if [ -z "$OWN_ROOT" ]; then
	export OWN_ROOT=1
	mkdir -p /own && mount --rbind / /own && cd /own &&
		mount --move . / &&
		exec chroot . sh -c 'cd /job && exec sh ./run.sh'
	exit 1
fi

. ./lib.sh
. ./disklib.sh

plan guest_reaches_the_host_through_passt \
	guest_reaches_the_host_through_a_tap \
	two_guests_on_a_hub_exchange_a_file \
	vsock_carries_a_file_to_the_guest_and_back \
	host_reaches_the_guest_by_vsock

PORT=8080 COPY_PORT=8081

# passt copies the addresses of the interface with the default route, and
# maps the router's address to this machine.
# As root it becomes nobody.
make_user() {
	mkdir -p /etc && echo 'nobody:x:65534:65534::/:/bin/false' >/etc/passwd
}

make_uplink() {
	modprobe dummy && ip link add up0 type dummy &&
		ip addr add 192.0.2.2/24 dev up0 && ip link set up0 up &&
		ip route add default via 192.0.2.1 dev up0 &&
		echo 'nameserver 192.0.2.1' >/etc/resolv.conf
}

make_tap() {
	tunctl -t tap0 >/dev/null && ip addr add 198.51.100.1/24 dev tap0 &&
		ip link set tap0 up
}

make_payload() {
	mkdir -p /tmp/www && head -c 2097152 /dev/urandom >/tmp/www/file &&
		sum=$(sha256sum /tmp/www/file) && sum=${sum%% *} &&
		httpd -p $PORT -h /tmp/www
}

# same_copy: what the guest has sent back is what it got.
same_copy() {
	wait_until cmp -s /tmp/www/file /tmp/copy && return
	cmp /tmp/www/file /tmp/copy
	return 1
}

# there_and_back HOST NET WORDS: a file is fetched from HOST and sent back.
there_and_back() {
	rm -f /tmp/copy
	socat -u "TCP-LISTEN:$COPY_PORT,reuseaddr" CREATE:/tmp/copy &
	life "job=net url=http://$1:$PORT/file sha256=$sum $3 copy=$1:$COPY_PORT" \
		--disk root.raw --net "$2" || {
		kill $!
		return 1
	}
	same_copy
}

hub() {
	copy_root other.raw || return
	run_until "serve_sha256=.{64}" server \
		"job=serve net=10.0.0.1/24" --disk other.raw --net hub=lan ||
		return
	served=$(fact serve_sha256)
	vm=client
	life "job=net net=10.0.0.2/24 url=http://10.0.0.1/file sha256=$served" \
		--disk root.raw --net hub=lan || return
	amber shutdown server --timeout $SLOW
}

# The VM's socket and, beside it, PORT appended, one for each port that the
# guest may connect to; a host's connection says CONNECT PORT first.
vsock_socket() {
	echo "$AMBER_RUN/$vm/vsock.sock"
}

vsock() {
	rm -f /tmp/copy
	run_guest "$vm" "job=vsock vsock=1024 sha256=$sum vsock_copy=1025 vsock_echo=1026" \
		--disk root.raw --vsock 3 || return
	socat -u OPEN:/tmp/www/file "UNIX-LISTEN:$(vsock_socket)_1024" &
	socat -u "UNIX-LISTEN:$(vsock_socket)_1025" CREATE:/tmp/copy &
	wait_for_fact vsock_data_arrives_unharmed=ok || return
	wait_for_fact vsock_data_is_sent_back=ok && same_copy
}

vsock_echo() {
	wait_for_fact vsock_listens=1026 || return
	said=$(printf 'CONNECT 1026\nhello\n' |
		socat -t $SLOW - "UNIX-CONNECT:$(vsock_socket)" | tail -n 1)
	equal "the guest's echo" hello "$said" && ends_well
}

mount_disks && make_user && make_uplink && make_tap && make_payload || exit 1
start_scenario passt
promise guest_reaches_the_host_through_passt there_and_back 192.0.2.1 user ""
start_scenario tap
promise guest_reaches_the_host_through_a_tap \
	there_and_back 198.51.100.1 tap=tap0 net=198.51.100.2/24
start_scenario server
promise two_guests_on_a_hub_exchange_a_file hub
start_scenario vsock
promise vsock_carries_a_file_to_the_guest_and_back vsock
promise host_reaches_the_guest_by_vsock vsock_echo
