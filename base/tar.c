/* SPDX-License-Identifier: Apache-2.0 */
/* Tar headers written; base/tar_read.c reads them. */
#include "base/tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/tar_private.h"

static void octal(char *field, size_t size, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, value);
	memcpy(field, text, size - 1);
}

unsigned int tar_checksum(const struct tar_block *b)
{
	const uint8_t *bytes = (const uint8_t *)b;
	unsigned int sum = 0;
	size_t i;

	for (i = 0; i < sizeof(*b); i++)
		sum += bytes[i];
	for (i = 0; i < sizeof(b->checksum); i++)
		sum += ' ' - (unsigned int)(uint8_t)b->checksum[i];
	return sum;
}

static int put_block(struct buf *out, char type, const char *prefix,
		     const char *name, uint64_t bytes, uint64_t changed_s)
{
	struct tar_block b;

	memset(&b, 0, sizeof(b));
	snprintf(b.name, sizeof(b.name), "%s%s", prefix, name);
	octal(b.mode, sizeof(b.mode), 0600);
	octal(b.uid, sizeof(b.uid), 0);
	octal(b.gid, sizeof(b.gid), 0);
	octal(b.size, sizeof(b.size), bytes);
	octal(b.mtime, sizeof(b.mtime), changed_s & TAR_OCTAL_MAX);
	b.type = type;
	memcpy(b.magic, TAR_MAGIC, sizeof(b.magic));
	octal(b.checksum, sizeof(b.checksum) - 1, tar_checksum(&b));
	b.checksum[sizeof(b.checksum) - 1] = ' ';
	return buf_put(out, &b, sizeof(b));
}

static int put_padding(struct buf *out, uint64_t bytes)
{
	static const uint8_t zeroes[TAR_BLOCK];

	return buf_put(out, zeroes, tar_padding(bytes));
}

/* "20 key=value\n": the number counts itself. */
static void put_record(struct buf *out, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;
	char digits[24];

	while (len !=
	       rest + (size_t)snprintf(digits, sizeof(digits), "%zu", len))
		len++;
	buf_printf(out, "%zu %s=%s\n", len, key, value);
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_record(out, key, text);
}

static void put_records(struct buf *out, const struct tar_member *m)
{
	if (m->is_sparse) {
		put_number(out, TAR_SPARSE "major", 1);
		put_number(out, TAR_SPARSE "minor", 0);
		put_record(out, TAR_SPARSE "name", m->name);
		put_number(out, TAR_SPARSE "realsize", m->real_bytes);
	}
	if (m->bytes > TAR_OCTAL_MAX)
		put_number(out, "size", m->bytes);
}

int tar_put_header(struct buf *out, const struct tar_member *m)
{
	uint64_t bytes = m->bytes > TAR_OCTAL_MAX ? 0 : m->bytes;
	struct buf records;

	buf_init(&records, TAR_RECORDS_BYTES);
	put_records(&records, m);
	if (records.len) {
		put_block(out, TAR_PAX, "PaxHeaders/", m->name, records.len,
			  m->changed_s);
		buf_put(out, records.data, records.len);
		put_padding(out, records.len);
	}
	buf_fini(&records);
	return put_block(out, TAR_FILE, m->is_sparse ? "GNUSparseFile.0/" : "",
			 m->name, bytes, m->changed_s);
}

int tar_put_map(struct buf *out, const struct tar_extent *x, size_t count,
		uint64_t real_bytes)
{
	size_t before = out->len, i;
	bool is_open =
		!count || x[count - 1].at + x[count - 1].bytes < real_bytes;

	buf_printf(out, "%zu\n", count + is_open);
	for (i = 0; i < count; i++)
		buf_printf(out, "%" PRIu64 "\n%" PRIu64 "\n", x[i].at,
			   x[i].bytes);
	/* An empty one says where the file ends. */
	if (is_open)
		buf_printf(out, "%" PRIu64 "\n0\n", real_bytes);
	return put_padding(out, out->len - before);
}

int tar_put_end(struct buf *out)
{
	static const uint8_t zeroes[2 * TAR_BLOCK];

	return buf_put(out, zeroes, sizeof(zeroes));
}
