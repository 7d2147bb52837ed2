/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 by groups of three bytes and four characters. Pure; any thread.
 */
#include "control/base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0..63, or -1 for what is no character of the alphabet. */
static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* One group whose last `pads` characters are padding; -EINVAL or 0. */
static int decode_group(const char *text, size_t pads, uint8_t out[3])
{
	uint32_t bits = 0;
	size_t i;
	int v;

	for (i = 0; i < 4; i++) {
		v = i < 4 - pads ? value_of(text[i]) : 0;
		if (v < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)v;
	}
	/* Bits that padding cuts off are zero. */
	if (bits & ((1u << (8 * pads)) - 1))
		return -EINVAL;
	out[0] = (uint8_t)(bits >> 16);
	out[1] = (uint8_t)(bits >> 8);
	out[2] = (uint8_t)bits;
	return 0;
}

int base64_decode(struct buf *to, const char *text, size_t len)
{
	size_t before = to->len, pads = 0, at;
	uint8_t group[3];

	if (len % 4)
		return -EINVAL;
	for (at = 0; at < len; at += 4) {
		if (at + 4 == len && text[at + 3] == '=')
			pads = text[at + 2] == '=' ? 2 : 1;
		if (decode_group(text + at, pads, group)) {
			to->len = before;
			return -EINVAL;
		}
		if (buf_put(to, group, 3 - pads))
			return to->error;
	}
	return 0;
}

int base64_encode(struct buf *to, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	char group[4];
	uint32_t bits;
	size_t at, n;

	for (at = 0; at < len; at += 3) {
		n = len - at < 3 ? len - at : 3;
		bits = (uint32_t)from[at] << 16;
		if (n > 1)
			bits |= (uint32_t)from[at + 1] << 8;
		if (n > 2)
			bits |= from[at + 2];
		group[0] = alphabet[bits >> 18];
		group[1] = alphabet[bits >> 12 & 63];
		group[2] = n > 1 ? alphabet[bits >> 6 & 63] : '=';
		group[3] = n > 2 ? alphabet[bits & 63] : '=';
		buf_put(to, group, 4);
	}
	return to->error;
}
