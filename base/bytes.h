/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little- and big-endian fields of byte strings, without pointer casts: for
 * wire formats and guest structures. The caller has checked the bounds.
 */
#ifndef AMBER_BASE_BYTES_H
#define AMBER_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t bytes_get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)bytes_get(p, 2);
}

static inline uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)bytes_get(p, 4);
}

static inline uint64_t get_le64(const uint8_t *p)
{
	return bytes_get(p, 8);
}

static inline void bytes_put(uint8_t *p, uint64_t v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void put_le16(uint8_t *p, uint16_t v)
{
	bytes_put(p, v, 2);
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	bytes_put(p, v, 4);
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	bytes_put(p, v, 8);
}

static inline uint64_t bytes_get_be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)bytes_get_be(p, 2);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)bytes_get_be(p, 4);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	return bytes_get_be(p, 8);
}

static inline void bytes_put_be(uint8_t *p, uint64_t v, size_t n)
{
	while (n--) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	bytes_put_be(p, v, 2);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	bytes_put_be(p, v, 4);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	bytes_put_be(p, v, 8);
}

#endif
