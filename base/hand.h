/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that is there before it is needed, for short work that somebody
 * waits for: it begins as soon as it is woken, where a new thread would have
 * to be made first. One piece of work at a time.
 *
 * Given work by one thread, which learns of the end from the work itself.
 */
#ifndef AMBER_BASE_HAND_H
#define AMBER_BASE_HAND_H

#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"

/* How long each side of such work looks for the other one before it sleeps:
 * docs/decisions/0016. */
#define HAND_LOOK_NS (200 * NS_PER_US)

struct hand;

/* Errors: -ENOMEM, -EAGAIN (no thread to be had). */
int hand_create(struct hand **out, size_t stack_bytes, struct err *e);

/*
 * Work comes soon: it looks for it for a moment, instead of sleeping. Only
 * advice.
 */
void hand_warn(struct hand *h);

/* Has it run work(arg). What it was given before has said that it ended. */
void hand_give(struct hand *h, void (*work)(void *arg), void *arg);

/* Waits until what it was given is done, frees it. NULL is fine. */
void hand_destroy(struct hand *h);

#endif
