/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648, the usual alphabet, with padding). Strict: text that is
 * not what base64_encode() could have written is refused. Pure; any thread.
 */
#ifndef AMBER_CONTROL_BASE64_H
#define AMBER_CONTROL_BASE64_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Appends the bytes that text stands for. Errors: -EINVAL (no base64; to
 * is then as before), or to->error.
 */
int base64_decode(struct buf *to, const char *text, size_t len);

/* Appends bytes as base64. Returns to->error. */
int base64_encode(struct buf *to, const void *bytes, size_t len);

#endif
