/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console: history and input queue. Entered by vCPU threads (output, take)
 * and the loop thread (the rest); a device is attached and detached by the
 * thread that builds its machine, and after it was detached nothing calls it
 * any more. Lock order: device_lock, a device's own, lock. INV-1: when not
 * armed, on_output has been called since the last successful ack. INV-2:
 * the input ring never holds more than it has room for, so nothing in it is
 * overwritten unread.
 */
#include "devices/console.h"

#include <stdlib.h>

#include "base/lock.h"
#include "base/ring.h"

struct console {
	struct console_config cfg;

	struct lock lock; /* guards down to counters */
	struct ring history;
	struct ring input;
	uint64_t taken; /* the device's cursor in input */
	bool armed;	/* the next byte calls on_output */
	struct console_counters counters;

	struct lock device_lock;	/* held while the device is called */
	void (*input_ready)(void *ctx); /* guarded by device_lock */
	void *device;			/* borrowed; its argument */
};

int console_create(struct console **out, const struct console_config *cfg,
		   struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_sys(e, -ENOMEM, "console");
	lock_init(&c->lock);
	lock_init(&c->device_lock);
	c->cfg = *cfg;
	c->armed = true;
	if (!c->cfg.history_bytes)
		c->cfg.history_bytes = CONSOLE_HISTORY_BYTES;
	if (!c->cfg.input_bytes)
		c->cfg.input_bytes = CONSOLE_INPUT_BYTES;
	r = ring_init(&c->history, c->cfg.history_bytes);
	if (r) {
		err_sys(e, r, "console: history of %zu bytes",
			c->cfg.history_bytes);
		goto fail;
	}
	r = ring_init(&c->input, c->cfg.input_bytes);
	if (r) {
		err_sys(e, r, "console: input queue of %zu bytes",
			c->cfg.input_bytes);
		goto fail;
	}
	*out = c;
	return 0;
fail:
	console_destroy(c);
	return r;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	ring_fini(&c->input);
	ring_fini(&c->history);
	lock_fini(&c->lock);
	lock_fini(&c->device_lock);
	free(c);
}

void console_output(struct console *c, const void *bytes, size_t len)
{
	bool tell;

	if (!len)
		return;
	lock_take(&c->lock);
	ring_write(&c->history, bytes, len);
	c->counters.output_bytes += len;
	tell = c->armed && c->cfg.on_output;
	if (tell)
		c->armed = false;
	lock_release(&c->lock);
	if (tell)
		c->cfg.on_output(c->cfg.ctx);
}

size_t console_take_input(struct console *c, void *to, size_t len)
{
	size_t n;

	lock_take(&c->lock);
	n = ring_read(&c->input, &c->taken, to, len, NULL);
	lock_release(&c->lock);
	return n;
}

static size_t room_locked(const struct console *c) LOCK_NEEDS(c->lock)
{
	return c->input.size - (size_t)ring_behind(&c->input, c->taken);
}

void console_set_device(struct console *c, void (*input_ready)(void *ctx),
			void *ctx)
{
	lock_take(&c->device_lock);
	c->input_ready = input_ready;
	c->device = ctx;
	if (input_ready && console_input_room(c) < c->cfg.input_bytes)
		input_ready(ctx);
	lock_release(&c->device_lock);
}

size_t console_read(struct console *c, uint64_t *cursor, void *to, size_t len,
		    uint64_t *dropped)
{
	size_t n;

	lock_take(&c->lock);
	n = ring_read(&c->history, cursor, to, len, dropped);
	lock_release(&c->lock);
	return n;
}

uint64_t console_position(struct console *c)
{
	uint64_t p;

	lock_take(&c->lock);
	p = c->history.end;
	lock_release(&c->lock);
	return p;
}

uint64_t console_start(struct console *c)
{
	uint64_t p;

	lock_take(&c->lock);
	p = ring_start(&c->history);
	lock_release(&c->lock);
	return p;
}

bool console_ack(struct console *c, uint64_t seen)
{
	bool done;

	lock_take(&c->lock);
	done = seen >= c->history.end;
	if (done)
		c->armed = true;
	lock_release(&c->lock);
	return done;
}

size_t console_input(struct console *c, const void *bytes, size_t len)
{
	size_t n;

	lock_take(&c->lock);
	n = room_locked(c);
	if (n > len)
		n = len;
	ring_write(&c->input, bytes, n);
	c->counters.input_bytes += n;
	c->counters.input_dropped_bytes += len - n;
	lock_release(&c->lock);
	if (!n)
		return 0;
	lock_take(&c->device_lock);
	if (c->input_ready)
		c->input_ready(c->device);
	lock_release(&c->device_lock);
	return n;
}

size_t console_input_room(struct console *c)
{
	size_t n;

	lock_take(&c->lock);
	n = room_locked(c);
	lock_release(&c->lock);
	return n;
}

void console_get_counters(struct console *c, struct console_counters *out)
{
	lock_take(&c->lock);
	*out = c->counters;
	lock_release(&c->lock);
}
