/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State codec and container. One thread at a time; the bytes of a load are
 * hostile. INV-1: at <= in_len; INV-2: after an error nothing is stored.
 */
#include "base/state.h"

#include <string.h>
#include <zlib.h>

#include "base/bytes.h"

#define MAGIC	      "AMBERVM\n"
#define MAGIC_BYTES   8
#define ARCH_X86_64   0x8664u
#define HEADER_BYTES  (MAGIC_BYTES + 4 + 4)
#define CRC_AT	      (STATE_NAME_BYTES + 4 + 4 + 4)
#define SECTION_BYTES (CRC_AT + 4)

void state_save(struct state_io *io, const char *section, struct buf *out)
{
	*io = (struct state_io){ .out = out,
				 .section = section,
				 .version = STATE_NEWEST };
}

void state_load(struct state_io *io, const char *section, const uint8_t *in,
		size_t len)
{
	*io = (struct state_io){ .in = in,
				 .in_len = len,
				 .section = section,
				 .version = STATE_NEWEST };
}

bool state_is_loading(const struct state_io *io)
{
	return !io->out;
}

static const uint8_t *consume(struct state_io *io, size_t len)
{
	const uint8_t *p = io->in + io->at;

	if (io->error)
		return NULL;
	if (len > io->in_len - io->at) {
		io->error = -EBADMSG;
		return NULL;
	}
	io->at += len;
	return p;
}

void state_bytes(struct state_io *io, void *bytes, size_t len)
{
	const uint8_t *p;

	if (io->error || !len)
		return;
	if (io->out) {
		io->error = buf_put(io->out, bytes, len);
		return;
	}
	p = consume(io, len);
	if (p)
		memcpy(bytes, p, len);
}

static uint64_t sync_le(struct state_io *io, uint64_t v, size_t n)
{
	uint8_t le[8];

	bytes_put(le, v, n);
	state_bytes(io, le, n);
	return io->error ? v : bytes_get(le, n);
}

void state_u8(struct state_io *io, uint8_t *v)
{
	*v = (uint8_t)sync_le(io, *v, 1);
}

void state_u16(struct state_io *io, uint16_t *v)
{
	*v = (uint16_t)sync_le(io, *v, 2);
}

void state_u32(struct state_io *io, uint32_t *v)
{
	*v = (uint32_t)sync_le(io, *v, 4);
}

void state_u64(struct state_io *io, uint64_t *v)
{
	*v = sync_le(io, *v, 8);
}

void state_bool(struct state_io *io, bool *v)
{
	uint8_t byte = *v;

	state_u8(io, &byte);
	if (byte > 1 && !io->error)
		io->error = -EBADMSG;
	if (!io->error)
		*v = byte;
}

void state_blob(struct state_io *io, void *bytes, uint32_t *len, uint32_t max)
{
	uint32_t n = *len;

	state_u32(io, &n);
	if (n > max && !io->error)
		io->error = -EBADMSG;
	state_bytes(io, bytes, n);
	if (!io->error)
		*len = n;
}

int state_end(struct state_io *io, struct err *e)
{
	if (io->error == -EBADMSG)
		return err_set(e, io->error,
			       "section %s: short or bad value at byte %zu of "
			       "%zu",
			       io->section, io->at, io->in_len);
	if (io->error)
		return err_sys(e, io->error, "section %s", io->section);
	if (state_is_loading(io) && io->at != io->in_len)
		return err_set(e, -EBADMSG,
			       "section %s: %zu bytes left over after %zu",
			       io->section, io->in_len - io->at, io->at);
	return 0;
}

int state_write_header(struct buf *out)
{
	buf_put(out, MAGIC, MAGIC_BYTES);
	buf_put_u32(out, ARCH_X86_64);
	return buf_put_u32(out, STATE_FORMAT_VERSION);
}

/* Over the section's header up to the checksum, and its bytes. */
static uint32_t section_crc(const uint8_t *header, const uint8_t *bytes,
			    size_t len)
{
	uLong crc = crc32_z(0, header, CRC_AT);

	/* zlib takes NULL for "start anew", also when there is nothing. */
	return (uint32_t)(len ? crc32_z(crc, bytes, len) : crc);
}

int state_write_section(struct buf *out, const char *name, uint32_t instance,
			uint32_t version, const uint8_t *bytes, size_t len)
{
	uint8_t header[CRC_AT] = { 0 };
	size_t n = strlen(name);

	if (n >= STATE_NAME_BYTES || len > STATE_SECTION_BYTES)
		return -EINVAL;
	memcpy(header, name, n);
	put_le32(header + STATE_NAME_BYTES, instance);
	put_le32(header + STATE_NAME_BYTES + 4, version);
	put_le32(header + STATE_NAME_BYTES + 8, (uint32_t)len);
	buf_put(out, header, sizeof(header));
	buf_put_u32(out, section_crc(header, bytes, len));
	return buf_put(out, bytes, len);
}

int state_read_header(const uint8_t *in, size_t len, size_t *at, struct err *e)
{
	uint32_t arch, version;

	if (len < HEADER_BYTES || memcmp(in, MAGIC, MAGIC_BYTES) != 0)
		return err_set(e, -EBADMSG, "not an amber state container");
	arch = get_le32(in + MAGIC_BYTES);
	version = get_le32(in + MAGIC_BYTES + 4);
	if (arch != ARCH_X86_64)
		return err_set(e, -EBADMSG, "architecture %#x is not %#x", arch,
			       ARCH_X86_64);
	if (!version || version > STATE_FORMAT_VERSION)
		return err_set(e, -EBADMSG, "format version %u is not in 1..%u",
			       version, STATE_FORMAT_VERSION);
	*at = HEADER_BYTES;
	return 0;
}

int state_read_section(const uint8_t *in, size_t len, size_t *at,
		       struct state_section *s, struct err *e)
{
	const uint8_t *h = in + *at;
	uint32_t crc;

	if (*at == len)
		return 0;
	if (len - *at < SECTION_BYTES)
		return err_set(e, -EBADMSG, "section header at byte %zu is cut",
			       *at);
	memcpy(s->name, h, STATE_NAME_BYTES);
	if (!s->name[0] || s->name[STATE_NAME_BYTES - 1])
		return err_set(e, -EBADMSG, "bad section name at byte %zu",
			       *at);
	s->instance = get_le32(h + 16);
	s->version = get_le32(h + 20);
	s->len = get_le32(h + 24);
	crc = get_le32(h + CRC_AT);
	if (s->len > STATE_SECTION_BYTES || s->len > len - *at - SECTION_BYTES)
		return err_set(e, -EBADMSG,
			       "section %s at byte %zu: length %u is beyond "
			       "the end",
			       s->name, *at, s->len);
	s->bytes = h + SECTION_BYTES;
	if (section_crc(h, s->bytes, s->len) != crc)
		return err_set(e, -EBADMSG, "checksum mismatch in section %s",
			       s->name);
	*at += SECTION_BYTES + s->len;
	return 1;
}

/* --- a container of one section ---------------------------------------- */

int state_write_single(struct buf *out, const char *section, uint32_t version,
		       const struct buf *bytes)
{
	int r = state_write_header(out);

	return r ? r
		 : state_write_section(out, section, 0, version, bytes->data,
				       bytes->len);
}

int state_load_single(struct state_io *io, const char *section,
		      uint32_t version, const char *what, const uint8_t *in,
		      size_t len, struct err *e)
{
	struct state_section found;
	size_t at = 0;
	int r = state_read_header(in, len, &at, e);

	if (!r)
		r = state_read_section(in, len, &at, &found, e);
	if (r < 0)
		return r;
	if (!r || strcmp(found.name, section) != 0)
		return err_set(e, -EBADMSG, "%s: no section %s", what, section);
	if (found.version > version)
		return err_set(e, -ENOTSUP,
			       "%s: version %u, this amber knows %u", what,
			       found.version, version);
	state_load(io, section, found.bytes, found.len);
	io->version = found.version;
	return 0;
}
