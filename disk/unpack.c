/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed clusters (qcow2.rst [Compressed Clusters Descriptor]): raw
 * deflate or a zstd frame. The length that the image names is rounded up to
 * sectors, so that what follows the data is not looked at. Output never
 * exceeds a cluster. Any thread.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "disk/chain.h"

#define ZSTD_WINDOW_LOG 22    /* more than a cluster makes no sense */
#define WINDOW_BITS	(-12) /* raw deflate; QEMU writes 4 KiB windows */

static int unpack_deflate(const uint8_t *in, size_t n, uint8_t *out,
			  size_t out_bytes)
{
	z_stream z;
	int r;

	memset(&z, 0, sizeof(z));
	z.next_in = (uint8_t *)(uintptr_t)in;
	z.avail_in = (unsigned int)n;
	z.next_out = out;
	z.avail_out = (unsigned int)out_bytes;
	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* Full output without the stream's end is what QEMU takes, too. */
	if (z.avail_out || (r != Z_STREAM_END && r != Z_BUF_ERROR && r != Z_OK))
		return -EIO;
	return 0;
}

static int unpack_zstd(const uint8_t *in, size_t n, uint8_t *out,
		       size_t out_bytes)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer from = { in, n, 0 };
	ZSTD_outBuffer to = { out, out_bytes, 0 };
	size_t r = 1, before;

	if (!ctx)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	while (to.pos < to.size) {
		before = from.pos + to.pos;
		r = ZSTD_decompressStream(ctx, &to, &from);
		if (ZSTD_isError(r) || from.pos + to.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return to.pos == to.size && !ZSTD_isError(r) ? 0 : -EIO;
}

int unpack_cluster(uint32_t type, const uint8_t *in, size_t n, uint8_t *out,
		   size_t out_bytes)
{
	return type == QCOW2_COMPRESSION_ZSTD
		       ? unpack_zstd(in, n, out, out_bytes)
		       : unpack_deflate(in, n, out, out_bytes);
}
