/* SPDX-License-Identifier: Apache-2.0 */
/* Tar headers read: hostile, so that each field is checked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/tar_private.h"

static int bad(struct err *e, const char *what)
{
	return err_set(e, -EBADMSG, "the archive is damaged: %s", what);
}

int tar_source_failed(int r, struct err *e)
{
	if (r == -ENODATA)
		return err_set(e, -EBADMSG,
			       "the archive is damaged: it ends too early");
	return err_sys(e, r, "reading the archive");
}

/* --- blocks ---------------------------------------------------------- */

/* Digits up to a blank or NUL; -1: there is something else. */
static int64_t octal(const char *field, size_t size)
{
	int64_t value = 0;
	size_t i;

	for (i = 0; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		value = value * 8 + (field[i] - '0');
	if (!i || i > 12 || (i < size && field[i] && field[i] != ' '))
		return -1;
	return value;
}

static int check_block(const struct tar_block *b, struct err *e)
{
	if (memcmp(b->magic, TAR_MAGIC, sizeof(b->magic)) != 0)
		return err_set(e, -EBADMSG,
			       "it is no tar archive of the kind that amber "
			       "writes");
	if (octal(b->checksum, sizeof(b->checksum)) != (int64_t)tar_checksum(b))
		return bad(e, "a header's checksum is wrong");
	if (b->type != TAR_FILE && b->type != TAR_PAX)
		return bad(e, "something is no plain file");
	if (octal(b->size, sizeof(b->size)) < 0 ||
	    octal(b->mtime, sizeof(b->mtime)) < 0)
		return bad(e, "a header has a bad number");
	return 0;
}

/* 1: *b is a block; 0: the end. */
static int read_block(const struct tar_source *s, struct tar_block *b,
		      struct err *e)
{
	int r = s->read(s->ctx, b, sizeof(*b));

	if (r)
		return tar_source_failed(r, e);
	if (memory_is_zero(b, sizeof(*b)))
		return 0;
	r = check_block(b, e);
	return r ? r : 1;
}

/* --- records --------------------------------------------------------- */

struct records {
	bool has_major, has_minor, has_name, has_real, has_size;
	uint64_t major, minor, real, size;
	char name[TAR_NAME_MAX + 1];
};

static bool decimal(const char *text, size_t len, uint64_t *out)
{
	uint64_t value = 0;
	size_t i;

	if (!len || len > 18)
		return false;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*out = value;
	return true;
}

static bool is_key(const char *text, size_t len, const char *key)
{
	return len == strlen(key) && !memcmp(text, key, len);
}

static bool take_number(const char *value, size_t len, bool *has, uint64_t *out)
{
	bool is_first = !*has;

	*has = true;
	return is_first && decimal(value, len, out);
}

/* key=value; false: unknown, given twice, or no such value. */
static bool take_record(struct records *r, const char *key, size_t key_len,
			const char *value, size_t len)
{
	if (is_key(key, key_len, "size"))
		return take_number(value, len, &r->has_size, &r->size);
	if (is_key(key, key_len, TAR_SPARSE "major"))
		return take_number(value, len, &r->has_major, &r->major);
	if (is_key(key, key_len, TAR_SPARSE "minor"))
		return take_number(value, len, &r->has_minor, &r->minor);
	if (is_key(key, key_len, TAR_SPARSE "realsize"))
		return take_number(value, len, &r->has_real, &r->real);
	if (!is_key(key, key_len, TAR_SPARSE "name") || r->has_name ||
	    len > TAR_NAME_MAX || memchr(value, 0, len))
		return false;
	r->has_name = true;
	memcpy(r->name, value, len);
	return true;
}

/* How many bytes the record at text has; 0: it is none. */
static size_t parse_record(struct records *r, const char *text, size_t left)
{
	const char *blank = memchr(text, ' ', left < 8 ? left : 8);
	const char *equals;
	uint64_t len;
	size_t head;

	if (!blank || !decimal(text, (size_t)(blank - text), &len))
		return 0;
	head = (size_t)(blank - text) + 1;
	if (len > left || len < head + 2 || text[len - 1] != '\n')
		return 0;
	equals = memchr(text + head, '=', len - head);
	if (!equals ||
	    !take_record(r, text + head, (size_t)(equals - text) - head,
			 equals + 1, len - 1 - (size_t)(equals + 1 - text)))
		return 0;
	return len;
}

static int read_records(const struct tar_source *s, const struct tar_block *b,
			struct records *out, struct err *e)
{
	size_t len = (size_t)octal(b->size, sizeof(b->size)), at, n;
	char text[TAR_RECORDS_BYTES];
	int r;

	memset(out, 0, sizeof(*out));
	if (len > sizeof(text) - TAR_BLOCK)
		return bad(e, "a header is too large");
	r = s->read(s->ctx, text, len + tar_padding(len));
	if (r)
		return tar_source_failed(r, e);
	for (at = 0; at < len; at += n) {
		n = parse_record(out, text + at, len - at);
		if (!n)
			return bad(e, "an unknown or wrong record");
	}
	return 0;
}

/* --- members --------------------------------------------------------- */

static int take_name(struct tar_member *m, const char *name, size_t size,
		     struct err *e)
{
	size_t len = strnlen(name, size);

	if (!len || len > TAR_NAME_MAX || memchr(name, '/', len))
		return bad(e, "a name is too long, or a path");
	memcpy(m->name, name, len);
	m->name[len] = '\0';
	return 0;
}

static int take_sparse(struct tar_member *m, const struct records *r,
		       struct err *e)
{
	if (!r->has_major || !r->has_minor || !r->has_name || !r->has_real ||
	    r->major != 1 || r->minor != 0)
		return bad(e, "a sparse file is not of format 1.0");
	m->is_sparse = true;
	m->real_bytes = r->real;
	return take_name(m, r->name, sizeof(r->name), e);
}

static int take_member(struct tar_member *m, const struct tar_block *b,
		       const struct records *r, struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->bytes = r->has_size ? r->size
			       : (uint64_t)octal(b->size, sizeof(b->size));
	m->changed_s = (uint64_t)octal(b->mtime, sizeof(b->mtime));
	m->real_bytes = m->bytes;
	if (b->prefix[0])
		return bad(e, "a name is a path");
	if (r->has_major || r->has_minor || r->has_name || r->has_real)
		return take_sparse(m, r, e);
	return take_name(m, b->name, sizeof(b->name), e);
}

int tar_read_header(const struct tar_source *s, struct tar_member *out,
		    struct err *e)
{
	struct records records = { .has_size = false };
	struct tar_block b;
	int r = read_block(s, &b, e);

	if (r > 0 && b.type == TAR_PAX) {
		r = read_records(s, &b, &records, e);
		if (!r)
			r = read_block(s, &b, e);
		if (!r || (r > 0 && b.type != TAR_FILE))
			r = bad(e, "records belong to nothing");
	}
	if (r <= 0)
		return r;
	r = take_member(out, &b, &records, e);
	return r ? r : 1;
}

/* --- maps ------------------------------------------------------------ */

struct map {
	const struct tar_source *source;
	struct buf *text; /* borrowed: all that was read, whole blocks */
	size_t at, end;	  /* in text: from here to there it is not used yet */
	uint64_t left;	  /* of the member's data, not read yet */
	struct err *e;
};

static int next_block(struct map *m)
{
	char block[TAR_BLOCK];
	int r;

	if (m->left < TAR_BLOCK)
		return bad(m->e, "a map does not end");
	r = m->source->read(m->source->ctx, block, sizeof(block));
	if (r)
		return tar_source_failed(r, m->e);
	m->left -= TAR_BLOCK;
	r = buf_put(m->text, block, sizeof(block));
	m->end = m->text->len;
	return r ? bad(m->e, "a map is too large") : 0;
}

static int next_number(struct map *m, uint64_t *out)
{
	char digits[20];
	size_t n = 0;
	int r;

	for (;;) {
		r = m->at == m->end ? next_block(m) : 0;
		if (r)
			return r;
		if (m->text->data[m->at] == '\n')
			break;
		if (n == sizeof(digits))
			return bad(m->e, "a map has a bad number");
		digits[n++] = (char)m->text->data[m->at++];
	}
	m->at++;
	return decimal(digits, n, out) ? 0
				       : bad(m->e, "a map has a bad number");
}

static int read_extents(struct map *m, const struct tar_member *member,
			struct tar_extent *x, size_t count)
{
	uint64_t end = 0, bytes = 0;
	size_t i;
	int r;

	for (i = 0; i < count; i++) {
		r = next_number(m, &x[i].at);
		if (!r)
			r = next_number(m, &x[i].bytes);
		if (r)
			return r;
		if (x[i].at < end || x[i].at > member->real_bytes ||
		    x[i].bytes > member->real_bytes - x[i].at)
			return bad(m->e, "a map is not in order");
		end = x[i].at + x[i].bytes;
		bytes += x[i].bytes;
	}
	return bytes == m->left ? 0 : bad(m->e, "a map and its data differ");
}

int tar_read_map(const struct tar_source *s, const struct tar_member *member,
		 struct buf *text, struct tar_extent **out, size_t *count,
		 struct err *e)
{
	struct map m = { .source = s,
			 .text = text,
			 .at = text->len,
			 .end = text->len,
			 .left = member->bytes,
			 .e = e };
	struct tar_extent *x;
	uint64_t n = 0;
	int r = next_number(&m, &n);

	if (r)
		return r;
	if (n > TAR_EXTENTS_MAX)
		return bad(e, "a map has too many extents");
	x = calloc(n + 1, sizeof(*x));
	if (!x)
		return err_sys(e, -ENOMEM, "a map");
	r = read_extents(&m, member, x, n);
	if (r) {
		free(x);
		return r;
	}
	*out = x;
	*count = n;
	return 0;
}
