/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state codec. One sync function per struct both saves and loads, so
 * that the order of fields can't drift:
 *
 *	void serial_sync(struct serial_state *st, struct state_io *io)
 *	{
 *		state_u8(io, &st->ier);
 *		state_bytes(io, st->fifo, sizeof(st->fifo));
 *	}
 *
 * Saving appends little-endian fields to a bounded buffer; loading reads
 * them from bytes that may be hostile. The error is sticky: check it once.
 * A load never reads beyond its bytes, and state_end() refuses left-overs.
 * One thread at a time.
 */
#ifndef AMBER_BASE_STATE_H
#define AMBER_BASE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct state_io {
	struct buf *out;     /* borrowed; NULL when loading */
	const uint8_t *in;   /* borrowed; bytes to load */
	size_t in_len, at;   /* length of in, bytes consumed */
	const char *section; /* borrowed; named in errors */
	int error;	     /* sticky: 0 or a negative errno */
	/* Of the section that is loaded, set behind state_load() by who knows
	 * it; STATE_NEWEST: as it is saved now. */
	uint32_t version;
};

#define STATE_NEWEST UINT32_MAX

void state_save(struct state_io *io, const char *section, struct buf *out);
void state_load(struct state_io *io, const char *section, const uint8_t *in,
		size_t len);
bool state_is_loading(const struct state_io *io);

void state_u8(struct state_io *io, uint8_t *v);
void state_u16(struct state_io *io, uint16_t *v);
void state_u32(struct state_io *io, uint32_t *v);
void state_u64(struct state_io *io, uint64_t *v);
/* One byte, 0 or 1; another value is an error when loading. */
void state_bool(struct state_io *io, bool *v);
/* Exactly len bytes. */
void state_bytes(struct state_io *io, void *bytes, size_t len);
/*
 * A length (32 bits) and that many bytes; *len may be at most max, also
 * when loading: bytes has room for max.
 */
void state_blob(struct state_io *io, void *bytes, uint32_t *len, uint32_t max);

/* 0, or what went wrong: -EBADMSG (short, left over), -ENOSPC, -ENOMEM. */
int state_end(struct state_io *io, struct err *e);

/*
 * The container: a header (magic, architecture, format version), then
 * sections {name, instance, version, length, CRC-32}, each readable
 * without knowing the others (DESIGN 8).
 */
#define STATE_NAME_BYTES     16
#define STATE_FORMAT_VERSION 1
#define STATE_SECTIONS_MAX   4096
#define STATE_SECTION_BYTES  (64u << 20)

struct state_section {
	char name[STATE_NAME_BYTES]; /* terminated */
	uint32_t instance;
	uint32_t version;
	const uint8_t *bytes; /* borrowed from the container's bytes */
	uint32_t len;
};

/* Appends the header; the sections follow. */
int state_write_header(struct buf *out);
/* Appends one section with its checksum. name < STATE_NAME_BYTES. */
int state_write_section(struct buf *out, const char *name, uint32_t instance,
			uint32_t version, const uint8_t *bytes, size_t len);

/* A whole container of one section. */
int state_write_single(struct buf *out, const char *section, uint32_t version,
		       const struct buf *bytes);
/*
 * Begins to load such a one. Errors: -EBADMSG (another section), -ENOTSUP (of
 * a later version, with both numbers); what: named in them.
 */
int state_load_single(struct state_io *io, const char *section,
		      uint32_t version, const char *what, const uint8_t *in,
		      size_t len, struct err *e);

/* Checks the header; *at is then the first section's offset. */
int state_read_header(const uint8_t *in, size_t len, size_t *at, struct err *e);
/*
 * The section at *at, checksum verified; moves *at behind it. Returns 1
 * for a section, 0 at the end, or a negative errno: -EBADMSG with the
 * name of the section and the offset.
 */
int state_read_section(const uint8_t *in, size_t len, size_t *at,
		       struct state_section *s, struct err *e);

#endif
