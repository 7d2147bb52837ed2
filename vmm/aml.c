/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AML encoding; section numbers are those of ACPI 6.4. One owner, one
 * thread. Invariant: a block's content follows its mark directly, so its
 * PkgLength can be inserted when the block ends and its size is known;
 * inner blocks end before outer ones, so no mark moves.
 */
#include "vmm/aml.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"

/* 6.4.3.6: flags of an extended interrupt descriptor */
#define INTERRUPT_CONSUMER 0x1
#define INTERRUPT_EDGE	   0x2

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXTENDED = 0x5b,
	OP_LOCAL0 = 0x60,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,

	/* behind OP_EXTENDED */
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
};

#define LOCALS		 8
#define METHOD_ARGS_MAX	 7
#define REGION_SYSTEM_IO 1
#define NULL_NAME	 0

/* 20.2.5.2, FieldFlags: DWordAcc, NoLock, WriteAsZeros */
#define FIELD_DWORD_ZEROS (3 | 2 << 5)

static void fail(struct aml *a, int error)
{
	if (!a->error)
		a->error = error;
}

static void put(struct aml *a, uint8_t byte)
{
	buf_put_u8(a->out, byte);
}

static void put_extended(struct aml *a, uint8_t op)
{
	put(a, OP_EXTENDED);
	put(a, op);
}

void aml_init(struct aml *a, struct buf *out)
{
	*a = (struct aml){ .out = out };
}

int aml_finish(struct aml *a)
{
	if (a->depth)
		fail(a, -EINVAL);
	return a->error ? a->error : a->out->error;
}

static bool seg_char(char c, size_t at)
{
	if ((c >= 'A' && c <= 'Z') || c == '_')
		return true;
	return at > 0 && c >= '0' && c <= '9';
}

/* Copies one padded NameSeg; returns the characters used, 0 if it is bad. */
static size_t take_segment(uint8_t seg[4], const char *text)
{
	size_t n = 0;

	memset(seg, '_', 4);
	while (n < 4 && seg_char(text[n], n)) {
		seg[n] = (uint8_t)text[n];
		n++;
	}
	return text[n] == 0 || text[n] == '.' ? n : 0;
}

/* Splits a path without its root; returns the segments, 0 if it is bad. */
static unsigned int split_path(uint8_t segs[AML_SEGMENTS_MAX][4],
			       const char *path)
{
	unsigned int count = 0;
	size_t n;

	while (count < AML_SEGMENTS_MAX) {
		n = take_segment(segs[count++], path);
		if (n == 0)
			return 0;
		path += n;
		if (*path == 0)
			return count;
		path++;
	}
	return 0;
}

/* NameString (20.2.2). */
static void put_path(struct aml *a, const char *path)
{
	uint8_t segs[AML_SEGMENTS_MAX][4];
	bool root = path[0] == '\\';
	unsigned int count;

	count = split_path(segs, path + root);
	if (count == 0) {
		fail(a, -EINVAL);
		return;
	}
	if (root)
		put(a, '\\');
	if (count == 2)
		put(a, OP_DUAL_NAME);
	if (count > 2) {
		put(a, OP_MULTI_NAME);
		put(a, (uint8_t)count);
	}
	buf_put(a->out, segs, count * 4);
}

/* Puts bytes in front of what was written since the offset at. */
static void insert(struct aml *a, size_t at, const uint8_t *bytes, size_t n)
{
	struct buf *out = a->out;
	size_t tail = out->len - at;

	if (buf_put(out, bytes, n))
		return;
	memmove(out->data + at + n, out->data + at, tail);
	memcpy(out->data + at, bytes, n);
}

/*
 * PkgLength (20.2.4) of content bytes; it counts itself. Returns the bytes
 * used.
 */
static size_t pkg_length(uint8_t to[4], size_t content)
{
	size_t more = 0, i, total;

	if (content + 1 <= 0x3f) {
		to[0] = (uint8_t)(content + 1);
		return 1;
	}
	do {
		more++;
		total = content + 1 + more;
	} while (more < 3 && total >> (4 + 8 * more));
	to[0] = (uint8_t)(more << 6 | (total & 0xf));
	for (i = 0; i < more; i++)
		to[1 + i] = (uint8_t)(total >> (4 + 8 * i));
	return 1 + more;
}

static void open_block(struct aml *a)
{
	if (a->depth == AML_DEPTH_MAX) {
		fail(a, -EINVAL);
		return;
	}
	a->mark[a->depth++] = a->out->len;
}

void aml_end(struct aml *a)
{
	uint8_t length[4];
	size_t mark, content;

	if (a->depth == 0) {
		fail(a, -EINVAL);
		return;
	}
	mark = a->mark[--a->depth];
	content = a->out->len - mark;
	if (content > AML_PKG_LENGTH_MAX - sizeof(length)) {
		fail(a, -E2BIG);
		return;
	}
	insert(a, mark, length, pkg_length(length, content));
}

void aml_scope(struct aml *a, const char *path)
{
	put(a, OP_SCOPE);
	open_block(a);
	put_path(a, path);
}

void aml_device(struct aml *a, const char *path)
{
	put_extended(a, EXT_DEVICE);
	open_block(a);
	put_path(a, path);
}

void aml_method(struct aml *a, const char *path, unsigned int args,
		bool serialized)
{
	if (args > METHOD_ARGS_MAX)
		fail(a, -EINVAL);
	put(a, OP_METHOD);
	open_block(a);
	put_path(a, path);
	put(a, (uint8_t)((args & 7) | (serialized ? 1 << 3 : 0)));
}

void aml_package(struct aml *a, uint8_t elements)
{
	put(a, OP_PACKAGE);
	open_block(a);
	put(a, elements);
}

static void put_local(struct aml *a, unsigned int local)
{
	if (local >= LOCALS)
		fail(a, -EINVAL);
	put(a, (uint8_t)(OP_LOCAL0 + (local & 7)));
}

void aml_if_local_has(struct aml *a, unsigned int local, uint64_t mask)
{
	put(a, OP_IF);
	open_block(a);
	put(a, OP_AND);
	put_local(a, local);
	aml_integer(a, mask);
	put(a, NULL_NAME);
}

void aml_name(struct aml *a, const char *path)
{
	put(a, OP_NAME);
	put_path(a, path);
}

void aml_integer(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		put(a, (uint8_t)v); /* ZeroOp, OneOp */
	} else if (v <= UINT8_MAX) {
		put(a, OP_BYTE);
		put(a, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		put(a, OP_WORD);
		buf_put_u16(a->out, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		put(a, OP_DWORD);
		buf_put_u32(a->out, (uint32_t)v);
	} else {
		put(a, OP_QWORD);
		buf_put_u64(a->out, v);
	}
}

void aml_string(struct aml *a, const char *ascii)
{
	const char *p;

	for (p = ascii; *p; p++)
		if (*p < 0x01 || *p > 0x7e)
			fail(a, -EINVAL);
	put(a, OP_STRING);
	buf_put(a->out, ascii, strlen(ascii) + 1);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 19.6.37: three letters of five bits, four digits, the high byte first. */
static bool eisa_number(uint32_t *out, const char *id)
{
	uint32_t v = 0;
	int i, digit;

	if (strlen(id) != 7)
		return false;
	for (i = 0; i < 3; i++) {
		if (id[i] < 'A' || id[i] > 'Z')
			return false;
		v = v << 5 | (uint32_t)(id[i] - 0x40);
	}
	for (; i < 7; i++) {
		digit = hex_digit(id[i]);
		if (digit < 0)
			return false;
		v = v << 4 | (uint32_t)digit;
	}
	*out = __builtin_bswap32(v);
	return true;
}

void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v;

	if (!eisa_number(&v, id)) {
		fail(a, -EINVAL);
		return;
	}
	put(a, OP_DWORD);
	buf_put_u32(a->out, v);
}

void aml_port_region(struct aml *a, const char *path, uint16_t port,
		     uint8_t bytes)
{
	put_extended(a, EXT_REGION);
	put_path(a, path);
	put(a, REGION_SYSTEM_IO);
	aml_integer(a, port);
	aml_integer(a, bytes);
}

void aml_field_u32(struct aml *a, const char *region, const char *field)
{
	uint8_t seg[4];

	if (take_segment(seg, field) != strlen(field) || field[0] == 0)
		fail(a, -EINVAL);
	put_extended(a, EXT_FIELD);
	open_block(a);
	put_path(a, region);
	put(a, FIELD_DWORD_ZEROS);
	buf_put(a->out, seg, sizeof(seg));
	put(a, 32); /* in bits: a PkgLength of one byte */
	aml_end(a);
}

void aml_load_local(struct aml *a, const char *path, unsigned int local)
{
	put(a, OP_STORE);
	put_path(a, path);
	put_local(a, local);
}

void aml_notify(struct aml *a, const char *path, uint64_t value)
{
	put(a, OP_NOTIFY);
	put_path(a, path);
	aml_integer(a, value);
}

void aml_resources(struct aml *a)
{
	put(a, OP_BUFFER);
	open_block(a);
}

/* 6.4.2.5: I/O port descriptor, 16-bit decode, one possible place. */
void aml_ports(struct aml *a, uint16_t first, uint8_t count)
{
	put(a, 0x47);
	put(a, 1);
	buf_put_u16(a->out, first);
	buf_put_u16(a->out, first);
	put(a, 1);
	put(a, count);
}

/* 6.4.3.4: 32-bit fixed memory range, read-write. */
void aml_memory32(struct aml *a, uint32_t base, uint32_t bytes)
{
	put(a, 0x86);
	buf_put_u16(a->out, 9);
	put(a, 1);
	buf_put_u32(a->out, base);
	buf_put_u32(a->out, bytes);
}

/*
 * 6.4.3.6: extended interrupt, consumer, edge, active high, exclusive. Not
 * the short IRQ descriptor: systems may apply ISA overrides to that one.
 */
static void interrupt(struct aml *a, uint32_t gsi, uint8_t flags)
{
	put(a, 0x89);
	buf_put_u16(a->out, 6);
	put(a, flags);
	put(a, 1);
	buf_put_u32(a->out, gsi);
}

void aml_interrupt_edge(struct aml *a, uint32_t gsi)
{
	interrupt(a, gsi, INTERRUPT_CONSUMER | INTERRUPT_EDGE);
}

void aml_interrupt_level(struct aml *a, uint32_t gsi)
{
	interrupt(a, gsi, INTERRUPT_CONSUMER);
}

void aml_resources_end(struct aml *a)
{
	uint8_t size[3] = { OP_WORD };
	size_t mark, bytes;

	if (a->depth == 0) {
		fail(a, -EINVAL);
		return;
	}
	/* 6.4.2.9: a checksum of 0 means that there is none */
	put(a, 0x79);
	put(a, 0);
	mark = a->mark[a->depth - 1];
	bytes = a->out->len - mark;
	if (bytes > UINT16_MAX)
		fail(a, -E2BIG);
	put_le16(size + 1, (uint16_t)bytes);
	insert(a, mark, size, sizeof(size));
	aml_end(a);
}
