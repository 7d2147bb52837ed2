/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the layers behind the top have what: found once by asking one after
 * the other, then remembered, so that depth costs nothing. Those layers never
 * change while the chain is open. Bounded: pages of entries in slots, a newer
 * page takes the slot of an older one. One thread.
 */
#include "disk/chain_places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BITS 9 /* entries of a page */
#define SLOTS	  1024

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/*
 * An entry: 0 unknown, else bits 0-1 what it is (1 zeroes, 2 data), bits 2-9
 * the layer, bits 10-63 the offset in that layer's file in sectors.
 */
#define KIND_ZEROES 1u
#define KIND_DATA   2u

struct page {
	uint64_t number;
	uint64_t entry[1 << PAGE_BITS];
};

struct places {
	unsigned int unit_bits;
	struct page *slot[SLOTS]; /* owned; NULL: not used yet */
};

int places_create(struct places **out, unsigned int unit_bits)
{
	struct places *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->unit_bits = unit_bits;
	*out = p;
	return 0;
}

void places_destroy(struct places *p)
{
	unsigned int i;

	for (i = 0; p && i < SLOTS; i++)
		free(p->slot[i]);
	free(p);
}

static uint64_t encode(const struct chain_extent *x, uint64_t more)
{
	if (x->kind == QCOW2_ZEROES)
		return KIND_ZEROES | (uint64_t)x->layer << 2;
	return KIND_DATA | (uint64_t)x->layer << 2 |
	       (x->host + more) / 512 << 10;
}

static struct page *find(const struct places *p, uint64_t number)
{
	struct page *page = p->slot[number % SLOTS];

	return page && page->number == number ? page : NULL;
}

/* Does entry e go on where `first`, n units before it, leads? */
static bool goes_on(const struct places *p, uint64_t first, uint64_t e,
		    uint64_t n)
{
	if ((first & 3) == KIND_ZEROES)
		return e == first;
	return e == first + ((n << p->unit_bits) / 512 << 10);
}

bool places_find(const struct places *p, uint64_t guest, uint64_t bytes,
		 struct chain_extent *out)
{
	uint64_t unit = guest >> p->unit_bits, n = 1, first;
	uint64_t i = unit & ((1u << PAGE_BITS) - 1);
	uint64_t in_unit = guest & ((UINT64_C(1) << p->unit_bits) - 1);
	struct page *page = find(p, unit >> PAGE_BITS);

	if (!page || !page->entry[i])
		return false;
	first = page->entry[i];
	while (i + n < 1u << PAGE_BITS &&
	       (n << p->unit_bits) - in_unit < bytes &&
	       goes_on(p, first, page->entry[i + n], n))
		n++;
	*out = (struct chain_extent){
		.kind = (first & 3) == KIND_ZEROES ? QCOW2_ZEROES : QCOW2_DATA,
		.layer = (unsigned int)(first >> 2 & 0xff),
		.bytes = MIN(bytes, (n << p->unit_bits) - in_unit),
		.host = (first >> 10) * 512 + in_unit,
	};
	if (out->kind == QCOW2_ZEROES)
		out->host = 0;
	return true;
}

uint64_t places_page_end(const struct places *p, uint64_t guest)
{
	uint64_t bytes = UINT64_C(1) << (p->unit_bits + PAGE_BITS);

	return (guest & ~(bytes - 1)) + bytes;
}

void places_add(struct places *p, uint64_t guest, const struct chain_extent *x)
{
	uint64_t unit = guest >> p->unit_bits, number = unit >> PAGE_BITS;
	uint64_t i = unit & ((1u << PAGE_BITS) - 1), n;
	struct page **slot = &p->slot[number % SLOTS];

	if ((x->kind != QCOW2_DATA && x->kind != QCOW2_ZEROES) || x->host % 512)
		return;
	if (!*slot)
		*slot = calloc(1, sizeof(**slot));
	if (!*slot)
		return; /* it is found the long way */
	if ((*slot)->number != number) {
		memset(*slot, 0, sizeof(**slot));
		(*slot)->number = number;
	}
	for (n = 0;
	     i + n < 1u << PAGE_BITS && (n + 1) << p->unit_bits <= x->bytes;
	     n++)
		(*slot)->entry[i + n] = encode(x, n << p->unit_bits);
}
