/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte ring. One thread at a time (the owner's lock). INV-1: byte p of the
 * stream lies at p mod size; INV-2: end - ring_start() <= size. The memory
 * is an anonymous mapping, so that pages nobody wrote cost nothing.
 */
#include "base/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int ring_init(struct ring *r, size_t size)
{
	void *p;

	*r = (struct ring){ .bytes = NULL };
	if (!size || size > RING_BYTES_MAX || (size & (size - 1)))
		return -EINVAL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	r->bytes = p;
	r->size = size;
	return 0;
}

void ring_fini(struct ring *r)
{
	if (!r || !r->bytes)
		return;
	munmap(r->bytes, r->size);
	*r = (struct ring){ .bytes = NULL };
}

/* Bytes from position p to the end of the mapping, at most len. */
static size_t straight(const struct ring *r, uint64_t p, size_t len)
{
	size_t left = r->size - (size_t)(p & (r->size - 1));

	return len < left ? len : left;
}

void ring_write(struct ring *r, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	size_t n;

	if (len > r->size) {
		from += len - r->size;
		r->end += len - r->size;
		len = r->size;
	}
	while (len) {
		n = straight(r, r->end, len);
		memcpy(r->bytes + (r->end & (r->size - 1)), from, n);
		r->end += n;
		from += n;
		len -= n;
	}
}

size_t ring_read(const struct ring *r, uint64_t *cursor, void *to, size_t len,
		 uint64_t *dropped)
{
	uint64_t start = ring_start(r), at = *cursor;
	uint8_t *out = to;
	size_t n, sum = 0;

	if (dropped)
		*dropped = at < start ? start - at : 0;
	if (at < start)
		at = start;
	if (at > r->end)
		at = r->end;
	if (len > r->end - at)
		len = (size_t)(r->end - at);
	while (sum < len) {
		n = straight(r, at, len - sum);
		memcpy(out + sum, r->bytes + (at & (r->size - 1)), n);
		at += n;
		sum += n;
	}
	*cursor = at;
	return sum;
}

uint64_t ring_start(const struct ring *r)
{
	return r->end > r->size ? r->end - r->size : 0;
}

uint64_t ring_behind(const struct ring *r, uint64_t cursor)
{
	return cursor < r->end ? r->end - cursor : 0;
}
