/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of the AML that amber's DSDT is made of, for tests: written from
 * ACPI 6.4, chapter 20.2, without the encoder's header, so that the two can
 * disagree. Anything unknown fails the test. One thread.
 */
#ifndef AMBER_TESTS_UNIT_AML_READ_H
#define AMBER_TESTS_UNIT_AML_READ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/suite.h"

#define AML_OBJECTS_MAX 8
#define AML_DEVICES_MAX 1100

enum aml_kind { AML_INTEGER, AML_STRING, AML_PACKAGE, AML_BUFFER };

struct aml_span {
	const uint8_t *p, *end;
};

struct aml_object {
	char name[5];
	enum aml_kind kind;
	uint64_t value;	      /* AML_INTEGER */
	const char *text;     /* AML_STRING */
	struct aml_span span; /* AML_PACKAGE: elements, AML_BUFFER: bytes */
	unsigned int count;   /* AML_PACKAGE: elements */
};

struct aml_unit { /* a device, or the root in unit[0] */
	char name[5];
	struct aml_object object[AML_OBJECTS_MAX];
	unsigned int objects;
	int method_args; /* of _EVT; -1: none */
};

struct aml_tree {
	struct aml_unit unit[AML_DEVICES_MAX];
	unsigned int units;
};

static inline uint8_t aml_byte(struct aml_span *s)
{
	ck_assert_msg(s->p < s->end, "AML ends early");
	return *s->p++;
}

static inline struct aml_span aml_take(struct aml_span *s, size_t len)
{
	struct aml_span part = { s->p, s->p + len };

	ck_assert_msg(len <= (size_t)(s->end - s->p), "AML ends early");
	s->p += len;
	return part;
}

/* What a PkgLength spans, without itself. */
static inline struct aml_span aml_block(struct aml_span *s)
{
	const uint8_t *start = s->p;
	uint8_t lead = aml_byte(s);
	size_t total = lead & (lead >> 6 ? 0x0f : 0x3f);
	unsigned int i;

	for (i = 0; i < lead >> 6; i++)
		total |= (size_t)aml_byte(s) << (4 + 8 * i);
	ck_assert_uint_ge(total, (size_t)(s->p - start));
	return aml_take(s, total - (size_t)(s->p - start));
}

/* One NameSeg, with or without the root before it. */
static inline void aml_name_seg(struct aml_span *s, char name[5])
{
	if (*s->p == '\\')
		aml_byte(s);
	memcpy(name, aml_take(s, 4).p, 4);
	name[4] = 0;
}

static inline uint64_t aml_number(struct aml_span *s, uint8_t op)
{
	switch (op) {
	case 0x00:
	case 0x01:
		return op;
	case 0x0a:
		return aml_byte(s);
	case 0x0b:
		return bytes_get(aml_take(s, 2).p, 2);
	case 0x0c:
		return bytes_get(aml_take(s, 4).p, 4);
	case 0x0e:
		return bytes_get(aml_take(s, 8).p, 8);
	default:
		ck_abort_msg("AML: 0x%02x is not a number", op);
		return 0;
	}
}

static inline void aml_read_object(struct aml_span *s, struct aml_object *o)
{
	uint8_t op = aml_byte(s);
	size_t size;

	if (op == 0x0d) {
		o->kind = AML_STRING;
		o->text = (const char *)s->p;
		while (aml_byte(s))
			;
	} else if (op == 0x12) {
		o->kind = AML_PACKAGE;
		o->span = aml_block(s);
		o->count = aml_byte(&o->span);
	} else if (op == 0x11) {
		o->kind = AML_BUFFER;
		o->span = aml_block(s);
		size = aml_number(&o->span, aml_byte(&o->span));
		ck_assert_uint_eq(size, (size_t)(o->span.end - o->span.p));
	} else {
		o->kind = AML_INTEGER;
		o->value = aml_number(s, op);
	}
}

static inline void aml_read_terms(struct aml_span s, struct aml_tree *t,
				  unsigned int at);

static inline void aml_read_device(struct aml_span s, struct aml_tree *t)
{
	unsigned int at = t->units++;

	ck_assert_uint_lt(at, AML_DEVICES_MAX);
	aml_name_seg(&s, t->unit[at].name);
	t->unit[at].method_args = -1;
	aml_read_terms(s, t, at);
}

static inline void aml_read_extended(struct aml_span *s, struct aml_tree *t)
{
	uint8_t op = aml_byte(s);
	char name[5];

	if (op == 0x82) {
		aml_read_device(aml_block(s), t);
	} else if (op == 0x81) {
		aml_block(s);
	} else {
		ck_assert_uint_eq(op, 0x80); /* a region of I/O ports */
		aml_name_seg(s, name);
		ck_assert_uint_eq(aml_byte(s), 1);
		aml_number(s, aml_byte(s));
		aml_number(s, aml_byte(s));
	}
}

static inline void aml_read_method(struct aml_span s, struct aml_unit *u)
{
	char name[5];

	aml_name_seg(&s, name);
	ck_assert_str_eq(name, "_EVT");
	u->method_args = aml_byte(&s) & 7;
}

static inline void aml_read_name(struct aml_span *s, struct aml_unit *u)
{
	struct aml_object *o = &u->object[u->objects++];

	ck_assert_uint_le(u->objects, AML_OBJECTS_MAX);
	aml_name_seg(s, o->name);
	aml_read_object(s, o);
}

static inline void aml_read_scope(struct aml_span s, struct aml_tree *t)
{
	char name[5];

	aml_name_seg(&s, name);
	ck_assert_str_eq(name, "_SB_");
	aml_read_terms(s, t, 0);
}

static inline void aml_read_terms(struct aml_span s, struct aml_tree *t,
				  unsigned int at)
{
	uint8_t op;

	while (s.p < s.end) {
		op = aml_byte(&s);
		if (op == 0x08)
			aml_read_name(&s, &t->unit[at]);
		else if (op == 0x10)
			aml_read_scope(aml_block(&s), t);
		else if (op == 0x14)
			aml_read_method(aml_block(&s), &t->unit[at]);
		else if (op == 0x5b)
			aml_read_extended(&s, t);
		else
			ck_abort_msg("AML: 0x%02x is not a term", op);
	}
}

/* Reads a whole definition block, header included. */
static inline void aml_read(struct aml_tree *t, const uint8_t *table)
{
	struct aml_span s = { table + 36, table + get_le32(table + 4) };

	memset(t, 0, sizeof(*t));
	t->units = 1;
	t->unit[0].method_args = -1;
	aml_read_terms(s, t, 0);
}

static inline const struct aml_object *aml_get(const struct aml_unit *u,
					       const char *name)
{
	unsigned int i;

	for (i = 0; i < u->objects; i++)
		if (strcmp(u->object[i].name, name) == 0)
			return &u->object[i];
	return NULL;
}

/* _HID as text, an EISA id unpacked. */
static inline void aml_hid(const struct aml_unit *u, char text[16])
{
	const struct aml_object *o = aml_get(u, "_HID");
	uint32_t v;

	ck_assert_ptr_nonnull(o);
	if (o->kind == AML_STRING) {
		snprintf(text, 16, "%s", o->text);
		return;
	}
	v = __builtin_bswap32((uint32_t)o->value);
	snprintf(text, 16, "%c%c%c%04X", '@' + (int)(v >> 26 & 31),
		 '@' + (int)(v >> 21 & 31), '@' + (int)(v >> 16 & 31),
		 v & 0xffff);
}

#endif
