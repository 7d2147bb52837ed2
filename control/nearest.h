/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean ...?" for commands, options and keys. Pure: any thread. */
#ifndef AMBER_CONTROL_NEAREST_H
#define AMBER_CONTROL_NEAREST_H

#include <stddef.h>

/* Longer words are never near anything. */
#define NEAREST_WORD_MAX 48

/*
 * Single-character insertions, removals, replacements and swaps of
 * neighbours that turn one word into the other.
 */
unsigned int nearest_distance(const char *a, const char *b);

/*
 * The candidate nearest to word, or NULL when none is near: at most a
 * third of the word's length (at least one) away, or word is its beginning.
 */
const char *nearest(const char *word, const char *const *candidates,
		    size_t count);

#endif
