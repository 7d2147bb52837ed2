/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of every virtio device: changing any state changes the saved
 * bytes; restoring brings back the identical bytes; impossible and random
 * bytes are refused or harmless. A row per device (virtio_contract_rows.h);
 * that none is missing is checked by test_device_contract.c.
 */
#include <limits.h>

#include "tests/unit/suite.h"
#include "tests/unit/virtio_contract_rows.h"

#define STATE_LIMIT 4096

static void contract_init(struct contract *c, const struct row *row)
{
	struct virtio_config v;

	memset(c, 0, sizeof(*c));
	rig_init(&c->rig);
	ck_assert_int_eq(loop_create(&c->loop, NULL), 0);
	v = rig_config(&c->rig, "dev0");
	snprintf(v.id, sizeof(v.id), "%s0", row->kind + strlen("virtio-"));
	row->make(c, v);
	ck_assert_str_eq(c->rig.device->ops->name, row->kind);
}

static void contract_fini(struct contract *c, const struct row *row)
{
	row->destroy(c);
	loop_destroy(c->loop);
	rig_fini(&c->rig);
}

static void save(struct contract *c, struct buf *out)
{
	struct device *d = c->rig.device;
	struct state_io io;

	ck_assert(d->ops->quiesce(d, NULL, NULL));
	buf_reset(out);
	state_save(&io, d->ops->name, out);
	d->ops->sync(d, &io);
	ck_assert_int_eq(state_end(&io, NULL), 0);
}

static int load(struct contract *c, const uint8_t *bytes, size_t len,
		struct err *e)
{
	struct device *d = c->rig.device;
	struct state_io io;
	int r;

	d->ops->quiesce(d, NULL, NULL);
	state_load(&io, d->ops->name, bytes, len);
	d->ops->sync(d, &io);
	r = state_end(&io, e);
	if (!r)
		r = d->ops->validate(d, e);
	if (!r)
		r = d->ops->restored(d, e);
	return r;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

static size_t own_at(const struct row *row)
{
	return COMMON_BYTES + row->queues * QUEUE_BYTES;
}

/* --- steps that every device has ------------------------------------- */

static const struct row *row_now;

static void acknowledge(struct contract *c)
{
	rig_write(&c->rig, 0x70, VIRTIO_ACKNOWLEDGE);
}

static void select_device_features(struct contract *c)
{
	rig_write(&c->rig, 0x14, 0x8000000);
}

static void select_driver_features(struct contract *c)
{
	rig_write(&c->rig, 0x24, 0xffffffff);
}

static void select_queue(struct contract *c)
{
	rig_write(&c->rig, 0x30, 1);
}

/* Also ones that nobody offers: they are refused later, not now. */
static void write_features(struct contract *c)
{
	rig_write(&c->rig, 0x20, 0xffffffff);
}

static void negotiate(struct contract *c)
{
	ck_assert(
		rig_negotiate(&c->rig, row_now->features | VIRTIO_F_VERSION_1));
}

static void size_queue(struct contract *c)
{
	rig_write(&c->rig, 0x38, 8);
}

static void place_table(struct contract *c)
{
	rig_write(&c->rig, 0x80, 0x1000);
}

static void place_driver_area(struct contract *c)
{
	rig_write(&c->rig, 0x94, 0x1);
}

static void place_device_area(struct contract *c)
{
	rig_write(&c->rig, 0xa0, 0x1000);
}

static void ready_queue(struct contract *c)
{
	rig_set_queue(&c->rig, 0, 8);
}

static void start(struct contract *c)
{
	rig_start(&c->rig, row_now->features, row_now->queues, 8);
}

static void break_it(struct contract *c)
{
	rig_write(&c->rig, 0x44, 1);
}

static void (*const common_step[])(struct contract *c) = {
	acknowledge,
	select_device_features,
	select_driver_features,
	select_queue,
	write_features,
	negotiate,
	size_queue,
	place_table,
	place_driver_area,
	ready_queue,
	place_device_area,
	start,
	break_it,
};

#define COMMON_STEPS (sizeof(common_step) / sizeof(common_step[0]))

/* --- the promises ---------------------------------------------------- */

static bool asks_when_back(const struct row *row, const struct buf *bytes)
{
	uint64_t features;

	memcpy(&features, bytes->data + FEATURES_AT, sizeof(features));
	return row->restored_at >= 0 && bytes->data[0] & VIRTIO_DRIVER_OK &&
	       (!row->restored_if || features & row->restored_if);
}

/* A twin with the same memory is loaded; it must save the same again. */
static void saving_is_restored(const struct row *row, struct contract *c,
			       const struct buf *bytes)
{
	struct err e = ERR_NONE;
	struct contract twin;
	struct buf again;

	buf_init(&again, STATE_LIMIT);
	contract_init(&twin, row);
	memcpy(twin.rig.ram, c->rig.ram, RIG_RAM);
	memcpy(twin.rig.high, c->rig.high, RIG_HIGH_RAM);
	ck_assert_msg(!load(&twin, bytes->data, bytes->len, &e), "%s", e.text);
	save(&twin, &again);
	ck_assert_uint_eq(again.len, bytes->len);
	if (asks_when_back(row, bytes)) {
		size_t at = own_at(row) + (size_t)row->restored_at;

		ck_assert_uint_eq(again.data[at], 1);
		again.data[at] = bytes->data[at];
		/* Its driver hears of it: generation, and an interrupt. */
		if (row->restored_if)
			memcpy(again.data + GENERATION_AT,
			       bytes->data + GENERATION_AT, 8);
	}
	ck_assert_msg(same(bytes, &again), "%s: restored bytes differ",
		      row->kind);
	twin.rig.device->ops->resume(twin.rig.device);
	rig_settle(twin.loop);
	buf_fini(&again);
	contract_fini(&twin, row);
}

static void step_is_saved(const struct row *row, const char *kind, size_t n,
			  void (*step)(struct contract *c))
{
	struct buf idle, now;
	struct contract c;

	row_now = row;
	buf_init(&idle, STATE_LIMIT);
	buf_init(&now, STATE_LIMIT);
	contract_init(&c, row);
	save(&c, &idle);
	ck_assert_msg(idle.len == own_at(row) + row->bytes, "%s: %zu bytes",
		      row->kind, idle.len);
	c.rig.device->ops->resume(c.rig.device);
	step(&c);
	save(&c, &now);
	ck_assert_msg(!same(&idle, &now), "%s: %s step %zu is not in the state",
		      row->kind, kind, n);
	saving_is_restored(row, &c, &now);
	contract_fini(&c, row);
	buf_fini(&idle);
	buf_fini(&now);
}

START_TEST(every_step_changes_the_bytes_and_is_restored)
{
	const struct row *row;
	size_t n;

	for (row = rows; row < rows + ROWS; row++) {
		for (n = 0; n < COMMON_STEPS; n++)
			step_is_saved(row, "common", n, common_step[n]);
		for (n = 0; row->step[n]; n++)
			step_is_saved(row, "own", n, row->step[n]);
	}
}
END_TEST

START_TEST(reset_gives_the_power_on_bytes)
{
	const struct row *row;
	struct buf idle, now;
	struct contract c;

	buf_init(&idle, STATE_LIMIT);
	buf_init(&now, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++) {
		row_now = row;
		contract_init(&c, row);
		save(&c, &idle);
		c.rig.device->ops->resume(c.rig.device);
		start(&c);
		rig_settle(c.loop);
		c.rig.device->ops->reset(c.rig.device);
		save(&c, &now);
		ck_assert_msg(same(&idle, &now), "%s: reset", row->kind);
		contract_fini(&c, row);
	}
	buf_fini(&idle);
	buf_fini(&now);
}
END_TEST

/* Offsets from the start of the section: common and queue 0. */
static const struct impossible common_impossible[] = {
	{ { { 0, 4 } }, "status 0x4" },
	{ { { 0, 8 }, { 20, 0x80 } }, "are not all offered" },
	{ { { 25, 4 } }, "interrupt status 0x4" },
	{ { { 29, 3 } }, "queue 0: queue size 3" },
	{ { { 30, 2 } }, "queue 0: queue size 512 (limit" },
	{ { { 31, 1 } }, "queue 0: a ready queue of size 0" },
	{ { { 31, 2 } }, "section virtio-" },
	{ { { 56, 1 } }, "queue 0: 1 chains taken, 0 given back" },
	{ { { 58, 1 } }, "queue 0: 0 chains taken, 1 given back" },
	{ { { 0, 12 }, { 29, 8 }, { 31, 1 } }, "" }, /* rings at 0: may be */
};

static void is_refused(const struct row *row, const struct impossible *bad,
		       size_t base)
{
	struct err e = ERR_NONE;
	struct contract c;
	struct buf idle;
	unsigned int i;
	int r;

	buf_init(&idle, STATE_LIMIT);
	contract_init(&c, row);
	save(&c, &idle);
	for (i = 0; i < 3; i++)
		if (bad->poke[i].value || !i)
			idle.data[base + (size_t)bad->poke[i].offset] =
				bad->poke[i].value;
	r = load(&c, idle.data, idle.len, &e);
	ck_assert_msg((r < 0) == (*bad->says != 0), "%s: '%s' was taken",
		      row->kind, bad->says);
	ck_assert_msg(strstr(e.text, bad->says), "%s: says: %s", bad->says,
		      e.text);
	buf_fini(&idle);
	contract_fini(&c, row);
}

START_TEST(impossible_values_are_refused_with_their_name)
{
	const struct row *row;
	size_t n;

	for (row = rows; row < rows + ROWS; row++) {
		for (n = 0; n < sizeof(common_impossible) /
					sizeof(common_impossible[0]);
		     n++)
			is_refused(row, &common_impossible[n], 0);
		for (n = 0; row->impossible[n].says; n++)
			is_refused(row, &row->impossible[n], own_at(row));
	}
}
END_TEST

START_TEST(rings_that_are_not_in_ram_are_refused)
{
	const struct row *row;
	struct err e = ERR_NONE;
	struct contract c;
	struct buf bytes;

	buf_init(&bytes, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++) {
		row_now = row;
		contract_init(&c, row);
		start(&c);
		save(&c, &bytes);
		bytes.data[COMMON_BYTES + 3 + 7] = 0x80; /* desc */
		ck_assert_int_eq(load(&c, bytes.data, bytes.len, &e), -EFAULT);
		ck_assert_msg(strstr(e.text, "descriptor table at 0x8000"),
			      "%s", e.text);
		contract_fini(&c, row);
	}
	buf_fini(&bytes);
}
END_TEST

START_TEST(cut_and_longer_sections_are_refused)
{
	const struct row *row;
	struct buf bytes;
	struct contract c;
	size_t len;

	buf_init(&bytes, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++) {
		contract_init(&c, row);
		save(&c, &bytes);
		for (len = 0; len < bytes.len; len++)
			ck_assert_int_eq(load(&c, bytes.data, len, NULL),
					 -EBADMSG);
		buf_put_u8(&bytes, 0);
		ck_assert_int_eq(load(&c, bytes.data, bytes.len, NULL),
				 -EBADMSG);
		contract_fini(&c, row);
	}
	buf_fini(&bytes);
}
END_TEST

static uint32_t seed = 1;

static uint32_t dice(uint32_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % sides;
}

static void random_use(struct contract *c)
{
	static const uint32_t regs[] = { 0x10, 0x14, 0x20, 0x24, 0x30,	0x34,
					 0x38, 0x44, 0x50, 0x60, 0x64,	0x70,
					 0x80, 0x90, 0xa0, 0xfc, 0x100, 0x104 };
	uint32_t reg = regs[dice(sizeof(regs) / sizeof(regs[0]))];

	if (dice(2))
		rig_read(&c->rig, reg);
	else
		rig_write(&c->rig, reg, dice(2) ? dice(16) : dice(UINT32_MAX));
	if (!dice(4))
		rig_settle(c->loop);
}

/* A state that was reached, with some of its bytes changed. */
START_TEST(random_bytes_are_refused_or_harmless)
{
	const struct row *row;
	struct contract c;
	struct buf bytes;
	unsigned int i = 0, n, taken = 0;

	buf_init(&bytes, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++)
		for (i = 0; i < 150; i++) {
			row_now = row;
			contract_init(&c, row);
			start(&c);
			rig_settle(c.loop);
			save(&c, &bytes);
			for (n = 1 + dice(4); n; n--)
				bytes.data[dice((uint32_t)bytes.len)] ^=
					(uint8_t)(1u << dice(8));
			for (n = dice(8) ? 0 : 20; n; n--)
				bytes.data[dice((uint32_t)bytes.len)] =
					(uint8_t)dice(256);
			taken += !load(&c, bytes.data, bytes.len, NULL);
			c.rig.device->ops->resume(c.rig.device);
			for (n = 0; n < 40; n++)
				random_use(&c);
			rig_settle(c.loop);
			save(&c, &bytes);
			contract_fini(&c, row);
		}
	ck_assert_uint_gt(taken, 0);
	ck_assert_uint_lt(taken, i * ROWS);
	buf_fini(&bytes);
}
END_TEST

START_TEST(every_device_describes_itself_in_key_value_lines)
{
	const struct row *row;
	const char *line, *end;
	struct contract c;
	struct buf out;

	buf_init(&out, 8192);
	for (row = rows; row < rows + ROWS; row++) {
		row_now = row;
		contract_init(&c, row);
		start(&c);
		buf_reset(&out);
		c.rig.device->ops->describe(c.rig.device, &out);
		ck_assert_uint_gt(out.len, 0);
		ck_assert_ptr_nonnull(strstr(buf_text(&out), "status=0xf\n"));
		for (line = buf_text(&out); *line; line = end + 1) {
			end = strchr(line, '\n');
			ck_assert_ptr_nonnull(end);
			ck_assert_ptr_nonnull(
				memchr(line, '=', (size_t)(end - line)));
		}
		contract_fini(&c, row);
	}
	buf_fini(&out);
}
END_TEST

START_TEST(every_device_has_an_id_a_name_and_a_version)
{
	const struct row *row, *other;
	struct contract c;

	for (row = rows; row < rows + ROWS; row++) {
		contract_init(&c, row);
		ck_assert_uint_eq(rig_read(&c.rig, 0x08), row->id);
		ck_assert_uint_lt(strlen(row->kind), STATE_NAME_BYTES);
		ck_assert_uint_ge(c.rig.device->ops->state_version, 1);
		for (other = rows; other < row; other++)
			ck_assert_str_ne(row->kind, other->kind);
		contract_fini(&c, row);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_device_has_an_id_a_name_and_a_version,
		every_step_changes_the_bytes_and_is_restored,
		reset_gives_the_power_on_bytes,
		impossible_values_are_refused_with_their_name,
		rings_that_are_not_in_ram_are_refused,
		cut_and_longer_sections_are_refused,
		random_bytes_are_refused_or_harmless,
		every_device_describes_itself_in_key_value_lines,
	};

	return SUITE_RUN("virtio_contract", tests);
}
