/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the state container and what every device loads from it. The first
 * byte says how to use the rest: as a container, as the bytes of one
 * device's section, as contents for a container that must read back, or as
 * changes to a valid container.
 */
#include "tests/unit/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STATE_LIMIT (1u << 20)
#define INPUT_MAX   65536

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* A device in whatever state must bear any access. */
static void poke(struct board *b)
{
	unsigned int i;
	uint64_t port;

	for (i = 0; i < b->port.count; i++) {
		const struct bus_range *r = &b->port.range[i];

		for (port = r->start; port < r->start + r->bytes; port++) {
			board_in(b, port);
			board_out(b, port, 0xf2);
			board_out(b, port, 0x03);
			board_in(b, port);
		}
	}
	i8042_ctrl_alt_del(b->i8042, NULL);
	console_input(b->console, "0123456789abcdefg", 17);
}

/* What is taken is what is saved again; what isn't has a reason. */
static void load_one(struct device *d, const uint8_t *bytes, size_t len)
{
	struct err e = ERR_NONE;
	struct buf again;

	if (board_load(d, bytes, len, &e)) {
		must(e.code < 0 && e.text[0]);
		return;
	}
	buf_init(&again, STATE_LIMIT);
	must(!board_save(d, &again));
	must(again.len == len && !memcmp(again.data, bytes, len));
	buf_fini(&again);
	board_resume(d);
}

static void load_container(struct board *b, const uint8_t *in, size_t len)
{
	struct err e = ERR_NONE;
	struct state_section s;
	struct device *d;
	size_t at;
	int r;

	r = state_read_header(in, len, &at, &e);
	while (!r) {
		r = state_read_section(in, len, &at, &s, &e);
		if (r != 1)
			break;
		must(at <= len && s.bytes + s.len == in + at);
		d = board_find(b, s.name);
		if (d)
			load_one(d, s.bytes, s.len);
		r = 0;
	}
	must(r == 0 || (e.code == r && e.text[0]));
}

static void load_section(struct board *b, const uint8_t *in, size_t len)
{
	if (len)
		load_one(b->device[in[0] % BOARD_DEVICES], in + 1, len - 1);
}

static void reads_back(const uint8_t *in, size_t len)
{
	struct state_section s;
	struct buf b;
	size_t at, half = len / 2;

	buf_init(&b, STATE_LIMIT);
	state_write_header(&b);
	must(!state_write_section(&b, "a", 1, 2, in, half));
	must(!state_write_section(&b, "b", 3, 4, in + half, len - half));
	must(!state_read_header(b.data, b.len, &at, NULL));
	must(state_read_section(b.data, b.len, &at, &s, NULL) == 1);
	must(s.len == half && (!half || !memcmp(s.bytes, in, half)));
	must(state_read_section(b.data, b.len, &at, &s, NULL) == 1);
	must(s.instance == 3 && s.version == 4 && s.len == len - half);
	must(!memcmp(s.bytes, in + half, s.len));
	must(state_read_section(b.data, b.len, &at, &s, NULL) == 0);
	buf_fini(&b);
}

/* Changes: pairs of an offset (16 bits) and a byte. */
static void load_changed(struct board *board, const uint8_t *in, size_t len)
{
	struct buf all, one;
	unsigned int i;

	buf_init(&all, STATE_LIMIT);
	buf_init(&one, STATE_LIMIT);
	state_write_header(&all);
	for (i = 0; i < BOARD_DEVICES; i++) {
		struct device *d = board->device[i];

		buf_reset(&one);
		must(!board_save(d, &one));
		state_write_section(&all, d->ops->name, d->instance,
				    d->ops->state_version, one.data, one.len);
	}
	must(!all.error);
	for (; len >= 3; in += 3, len -= 3)
		all.data[(in[0] | in[1] << 8) % all.len] ^= in[2];
	load_container(board, all.data, all.len);
	buf_fini(&one);
	buf_fini(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct board b;
	uint8_t *copy;
	size_t len;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	len = size - 1;
	copy = malloc(len); /* so that ASan sees its exact end */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, len);
	board_init(&b);
	if (data[0] % 4 == 0)
		load_container(&b, copy, len);
	else if (data[0] % 4 == 1)
		load_section(&b, copy, len);
	else if (data[0] % 4 == 2)
		reads_back(copy, len);
	else
		load_changed(&b, copy, len);
	poke(&b);
	board_fini(&b);
	free(copy);
	return 0;
}
