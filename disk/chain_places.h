/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of the layers behind the top of a chain. Bounded
 * memory: 4 MiB. One thread. Private to disk/chain*.c.
 */
#ifndef AMBER_DISK_CHAIN_PLACES_H
#define AMBER_DISK_CHAIN_PLACES_H

#include "disk/chain.h"

/* Units of 1 << unit_bits bytes: no layer has smaller ones. -ENOMEM. */
int places_create(struct places **out, unsigned int unit_bits);
void places_destroy(struct places *p);

/* What is known about guest, for at most bytes; false: nothing. */
bool places_find(const struct places *p, uint64_t guest, uint64_t bytes,
		 struct chain_extent *out);
/* Where what is remembered together with guest ends. */
uint64_t places_page_end(const struct places *p, uint64_t guest);
/* Remembers the whole units of x; guest is the start of one. */
void places_add(struct places *p, uint64_t guest, const struct chain_extent *x);

#endif
