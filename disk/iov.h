/* SPDX-License-Identifier: Apache-2.0 */
/* Copying between plain memory and a part of scattered memory. Pure. */
#ifndef AMBER_DISK_IOV_H
#define AMBER_DISK_IOV_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

/* Calls copy for each piece of [skip, skip + bytes) of iov. */
static inline void
iov_each(const struct iovec *iov, unsigned int n, uint64_t skip, uint64_t bytes,
	 void (*copy)(uint8_t *piece, size_t len, void *flat), uint8_t *flat)
{
	unsigned int i;
	size_t len;

	for (i = 0; i < n && bytes; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		len = iov[i].iov_len - (size_t)skip;
		len = len < bytes ? len : (size_t)bytes;
		copy((uint8_t *)iov[i].iov_base + skip, len, flat);
		flat = flat ? flat + len : NULL;
		bytes -= len;
		skip = 0;
	}
}

static inline void iov_copy_in(uint8_t *piece, size_t len, void *flat)
{
	memcpy(piece, flat, len);
}

static inline void iov_copy_out(uint8_t *piece, size_t len, void *flat)
{
	memcpy(flat, piece, len);
}

static inline void iov_copy_zero(uint8_t *piece, size_t len, void *flat)
{
	(void)flat;
	memset(piece, 0, len);
}

/* From flat memory to iov. */
static inline void iov_put(const struct iovec *iov, unsigned int n,
			   uint64_t skip, const void *from, uint64_t bytes)
{
	iov_each(iov, n, skip, bytes, iov_copy_in, (uint8_t *)(uintptr_t)from);
}

/* From iov to flat memory. */
static inline void iov_get(const struct iovec *iov, unsigned int n,
			   uint64_t skip, void *to, uint64_t bytes)
{
	iov_each(iov, n, skip, bytes, iov_copy_out, to);
}

static inline void iov_zero(const struct iovec *iov, unsigned int n,
			    uint64_t skip, uint64_t bytes)
{
	iov_each(iov, n, skip, bytes, iov_copy_zero, NULL);
}

#endif
