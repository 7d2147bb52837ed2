/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a hard limit and a sticky error: writers check
 * once at the end. One owner, one thread at a time. A pointer from
 * buf_data() is valid until the next call that changes the buffer.
 */
#ifndef AMBER_BASE_BUF_H
#define AMBER_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned */
	size_t len;    /* bytes used */
	size_t room;   /* bytes allocated */
	size_t limit;  /* bytes that may ever be used */
	int error;     /* sticky: 0, -ENOSPC (limit) or -ENOMEM */
};

/* An empty buffer that never holds more than limit bytes. */
void buf_init(struct buf *b, size_t limit);

/* Frees the bytes; the struct may be initialised again. NULL is fine. */
void buf_fini(struct buf *b);

/* Empties the buffer and clears the sticky error; keeps the memory. */
void buf_reset(struct buf *b);

/* Appends; after an error nothing more is appended. Returns b->error. */
int buf_put(struct buf *b, const void *bytes, size_t len);
int buf_puts(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* Little-endian integers. */
int buf_put_u8(struct buf *b, uint8_t v);
int buf_put_u16(struct buf *b, uint16_t v);
int buf_put_u32(struct buf *b, uint32_t v);
int buf_put_u64(struct buf *b, uint64_t v);

/*
 * The bytes as a string: a NUL is kept behind the last byte (it does not
 * count in len). Returns "" for an empty or failed buffer.
 */
const char *buf_text(struct buf *b);

#endif
