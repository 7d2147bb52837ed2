/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two byte queues and who is there. INV-1: a side whose last call found no
 * room, or nothing, is told once that has changed. INV-2: a callback is not
 * called after its side was set anew.
 */
#include "devices/channel.h"

#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

struct way {
	uint8_t bytes[CHANNEL_BYTES];
	size_t start, used;
	uint64_t total;
};

struct channel {
	struct lock lock; /* guards all below */
	struct lock call; /* held during callbacks (INV-2) */
	struct way to_host, to_guest;
	bool host_open, device_open;
	struct channel_side host, device; /* guarded by call */
};

int channel_create(struct channel **out, struct err *e)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (!c)
		return err_sys(e, -ENOMEM, "channel");
	lock_init(&c->lock);
	lock_init(&c->call);
	*out = c;
	return 0;
}

void channel_destroy(struct channel *c)
{
	if (!c)
		return;
	lock_fini(&c->call);
	lock_fini(&c->lock);
	free(c);
}

static size_t put(struct way *w, const uint8_t *bytes, size_t len)
{
	size_t room = CHANNEL_BYTES - w->used, done = 0;

	if (len > room)
		len = room;
	while (done < len) {
		size_t at = (w->start + w->used) % CHANNEL_BYTES;
		size_t n = CHANNEL_BYTES - at;

		if (n > len - done)
			n = len - done;
		memcpy(w->bytes + at, bytes + done, n);
		w->used += n;
		done += n;
	}
	w->total += len;
	return len;
}

static size_t get(struct way *w, uint8_t *to, size_t len)
{
	size_t done = 0;

	if (len > w->used)
		len = w->used;
	while (done < len) {
		size_t n = CHANNEL_BYTES - w->start;

		if (n > len - done)
			n = len - done;
		memcpy(to + done, w->bytes + w->start, n);
		w->start = (w->start + n) % CHANNEL_BYTES;
		w->used -= n;
		done += n;
	}
	return len;
}

static void tell(struct channel *c, const struct channel_side *side)
{
	lock_take(&c->call);
	if (side->changed)
		side->changed(side->ctx);
	lock_release(&c->call);
}

void channel_set_host(struct channel *c, struct channel_side side)
{
	lock_take(&c->call);
	c->host = side;
	lock_release(&c->call);
}

void channel_set_device(struct channel *c, struct channel_side side)
{
	lock_take(&c->call);
	c->device = side;
	lock_release(&c->call);
}

/* A write is news for a reader that may have found nothing. */
static size_t write_way(struct channel *c, struct way *w,
			const struct channel_side *reader, const void *bytes,
			size_t len)
{
	bool was_empty;
	size_t n;

	lock_take(&c->lock);
	was_empty = w->used == 0;
	n = put(w, bytes, len);
	lock_release(&c->lock);
	if (n && was_empty)
		tell(c, reader);
	return n;
}

/* A read is news for a writer that may have found no room. */
static size_t read_way(struct channel *c, struct way *w,
		       const struct channel_side *writer, void *to, size_t len)
{
	bool was_full;
	size_t n;

	lock_take(&c->lock);
	was_full = w->used == CHANNEL_BYTES;
	n = get(w, to, len);
	lock_release(&c->lock);
	if (n && was_full)
		tell(c, writer);
	return n;
}

size_t channel_host_write(struct channel *c, const void *bytes, size_t len)
{
	return write_way(c, &c->to_guest, &c->device, bytes, len);
}

size_t channel_host_read(struct channel *c, void *to, size_t len)
{
	return read_way(c, &c->to_host, &c->device, to, len);
}

size_t channel_device_write(struct channel *c, const void *bytes, size_t len)
{
	return write_way(c, &c->to_host, &c->host, bytes, len);
}

size_t channel_device_read(struct channel *c, void *to, size_t len)
{
	return read_way(c, &c->to_guest, &c->host, to, len);
}

void channel_host_open(struct channel *c, bool is_open)
{
	lock_take(&c->lock);
	c->host_open = is_open;
	/* What the one who left did not read is for nobody. */
	c->to_host.used = 0;
	lock_release(&c->lock);
	tell(c, &c->device);
}

void channel_device_open(struct channel *c, bool is_open)
{
	bool changed;

	lock_take(&c->lock);
	changed = c->device_open != is_open ||
		  (!is_open && c->to_guest.used == CHANNEL_BYTES);
	c->device_open = is_open;
	if (!is_open)
		c->to_guest.used = 0;
	lock_release(&c->lock);
	if (changed)
		tell(c, &c->host);
}

bool channel_is_host_open(struct channel *c)
{
	bool is_open;

	lock_take(&c->lock);
	is_open = c->host_open;
	lock_release(&c->lock);
	return is_open;
}

bool channel_is_device_open(struct channel *c)
{
	bool is_open;

	lock_take(&c->lock);
	is_open = c->device_open;
	lock_release(&c->lock);
	return is_open;
}

void channel_get_counters(struct channel *c, struct channel_counters *out)
{
	lock_take(&c->lock);
	out->to_host_bytes = c->to_host.total;
	out->to_guest_bytes = c->to_guest.total;
	lock_release(&c->lock);
}
