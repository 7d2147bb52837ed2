/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng: asks the entropy device for bytes=N (default 4096) in requests of at
 * most request=N (256), prints how many came and the first eight. FAIL 1: a
 * request gave nothing or more than was asked for, FAIL 2: the bytes are not
 * random: one value more often than one in eight.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/virtio.h"

#define REQUEST_MAX 65536

static struct virtq queue;
static uint8_t bytes[REQUEST_MAX];
static uint64_t seen[256];

static uint64_t most_frequent(void)
{
	uint64_t most = 0;
	unsigned i;

	for (i = 0; i < 256; i++)
		if (seen[i] > most)
			most = seen[i];
	return most;
}

static uint32_t ask(uint64_t n)
{
	struct virtio_buf buf = { bytes, (uint32_t)n };
	uint32_t got;

	if (!virtq_add(&queue, &buf, 0, 1, bytes))
		guest_fail(FAIL_NO_QUEUE);
	virtq_kick(&queue);
	virtq_wait(&queue, &got);
	return got;
}

static uint64_t run(void *dev)
{
	uint64_t want = arg_u64("bytes", 4096);
	uint64_t most = arg_u64("request", 256);
	uint64_t total = 0, requests = 0, first = 0;

	if (most == 0 || most > REQUEST_MAX)
		return FAIL_BAD_NUMBER;
	virtio_start(dev, 0);
	virtq_init(&queue, dev, 0, 8);
	virtio_go(dev);
	while (total < want) {
		uint64_t n = want - total < most ? want - total : most;
		uint32_t got = ask(n);

		if (got == 0 || got > n)
			return 1;
		if (requests++ == 0)
			memcpy(&first, bytes, sizeof(first));
		for (uint32_t i = 0; i < got; i++)
			seen[bytes[i]]++;
		total += got;
	}
	fact_u64("bytes", total);
	fact_u64("requests", requests);
	fact_hex("first", first);
	return total >= 64 && most_frequent() > total / 8 ? 2 : 0;
}

void guest_main(void)
{
	virtio_guest(VIRTIO_ID_RNG, run);
}

GUEST_PVH;
