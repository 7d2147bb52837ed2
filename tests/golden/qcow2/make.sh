#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How the images of this directory were made, with QEMU 7.2. They are kept:
# run it only to add new ones.
set -eu
cd "$(dirname "$0")"

fresh() { # NAME OPTIONS...: an empty image, unless it is there
	name=$1
	shift
	[ ! -e "$name.qcow2" ] || return 1
	qemu-img create -q -f qcow2 "$@" "$name.qcow2" 120K
}

scribble() {
	qemu-io -c "write -P 1 3k 9k" -c "write -P 2 50k 2k" \
		-c "write -z 20k 10k" -c "write -P 3 100k 5k" \
		-c "discard 104k 4k" "$1.qcow2" >/dev/null
}

text() {
	i=0
	while [ $i -lt 3000 ]; do
		echo "line $i of a text"
		i=$((i + 1))
	done >text.raw
	truncate -s 120K text.raw
}

for row in "plain-512 cluster_size=512" "plain-4k cluster_size=4k" \
	"v2-4k compat=0.10,cluster_size=4k" \
	"wide-4k cluster_size=4k,refcount_bits=64" \
	"bits-512 cluster_size=512,refcount_bits=1" \
	"extended-16k cluster_size=16k,extended_l2=on" \
	"lazy-4k cluster_size=4k,lazy_refcounts=on"; do
	name=${row%% *}
	if fresh "$name" -o "${row#* }"; then
		scribble "$name"
	fi
done
text
for row in "zlib-4k cluster_size=4k" \
	"zstd-4k cluster_size=4k,compression_type=zstd"; do
	name=${row%% *}
	[ -e "$name.qcow2" ] || qemu-img convert -c -O qcow2 \
		-o "${row#* }" text.raw "$name.qcow2"
done
rm text.raw
if fresh snapshots-4k -o cluster_size=4k; then
	scribble snapshots-4k
	qemu-img snapshot -c one snapshots-4k.qcow2
	qemu-io -c "write -P 8 2k 30k" snapshots-4k.qcow2 >/dev/null
	qemu-img snapshot -c two snapshots-4k.qcow2
	qemu-io -c "write -P 9 40k 3k" snapshots-4k.qcow2 >/dev/null
fi
if fresh over-4k -o cluster_size=4k -b plain-512.qcow2 -F qcow2; then
	qemu-io -c "write -P 9 0 8k" -c "write -z 50k 1k" over-4k.qcow2 >/dev/null
fi
if fresh bitmap-4k -o cluster_size=4k; then
	scribble bitmap-4k
	qemu-img bitmap --add bitmap-4k.qcow2 b0
	qemu-io -c "write -P 8 2k 3k" bitmap-4k.qcow2 >/dev/null
fi
