/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connects a serial-like device with the outside: a history of the
 * newest output, readable by any number of readers, and a bounded queue of
 * input. It never blocks the guest and never grows: a reader that is too
 * slow loses the oldest output (and is told how much), input beyond the
 * queue is refused (and counted). It outlives machine resets.
 *
 * Two threads at once: the device side (vCPU threads) and the outside (loop
 * thread). Lock order: a device's lock, then the console's. Callbacks run
 * without the console's lock.
 */
#ifndef AMBER_DEVICES_CONSOLE_H
#define AMBER_DEVICES_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CONSOLE_HISTORY_BYTES (1u << 20)
#define CONSOLE_INPUT_BYTES   (1u << 16)

struct console;

struct console_config {
	size_t history_bytes; /* power of two; 0: CONSOLE_HISTORY_BYTES */
	size_t input_bytes;   /* power of two; 0: CONSOLE_INPUT_BYTES */

	/*
	 * Something new can be read, called once per console_ack(). On the
	 * thread that called console_output(), maybe with a device's lock
	 * held: must not block and not call back; loop_post() is made for
	 * it. NULL: nobody is told.
	 */
	void (*on_output)(void *ctx);
	void *ctx;
};

struct console_counters {
	uint64_t output_bytes;	      /* written by the guest */
	uint64_t input_bytes;	      /* accepted for the guest */
	uint64_t input_dropped_bytes; /* refused: the queue was full */
};

/* Errors: -EINVAL (a size that is no power of two), -ENOMEM. */
int console_create(struct console **out, const struct console_config *cfg,
		   struct err *e);

/* No thread may be inside and no device attached any more. NULL is fine. */
void console_destroy(struct console *c);

/* --- the device's side: vCPU threads --------------------------------- */

/* Appends guest output. Never blocks on a reader, never fails. */
void console_output(struct console *c, const void *bytes, size_t len);

/* Takes up to len bytes of queued input; returns how many. Any thread. */
size_t console_take_input(struct console *c, void *to, size_t len);

/*
 * Attaches the device that takes the input; input_ready is called on the
 * loop thread after input arrived, and once from here if input is already
 * waiting. NULL detaches: when this returns the device is not called any
 * more. Any thread, without the device's lock.
 */
void console_set_device(struct console *c, void (*input_ready)(void *ctx),
			void *ctx);

/* --- the outside: loop thread ---------------------------------------- */

/*
 * Copies up to len bytes of output from *cursor on; *cursor moves behind
 * them. *dropped (may be NULL) is the number of bytes that were skipped
 * because the history no longer holds them. Returns the bytes copied.
 */
size_t console_read(struct console *c, uint64_t *cursor, void *to, size_t len,
		    uint64_t *dropped);

/* Bytes ever written: the position of the next byte. Any thread. */
uint64_t console_position(struct console *c);

/* The oldest position that can still be read. Any thread. */
uint64_t console_start(struct console *c);

/*
 * "All output before position seen has been dealt with." Returns true and
 * arms on_output for the next byte when there is nothing newer; returns
 * false when there is: then read on, or come back later (on_output stays
 * silent until an ack succeeds). So no byte goes unannounced. A new console
 * is armed.
 */
bool console_ack(struct console *c, uint64_t seen);

/*
 * Queues input for the guest. Returns the bytes accepted: fewer than len
 * when the queue is full (the rest is counted as dropped).
 */
size_t console_input(struct console *c, const void *bytes, size_t len);

/*
 * Room left in the input queue, so that a reader of a pipe may wait instead
 * of losing bytes. Any thread.
 */
size_t console_input_room(struct console *c);

/* A copy of the counters. Any thread. */
void console_get_counters(struct console *c, struct console_counters *out);

#endif
