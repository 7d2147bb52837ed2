/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of every device: changing any state changes the saved bytes;
 * restoring brings back the identical bytes and the identical behaviour;
 * impossible and random bytes are refused or harmless. One row per device;
 * a device without a row fails here.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "tests/unit/board.h"
#include "tests/unit/contract_rows.h"
#include "tests/unit/suite.h"

#define STATE_LIMIT 4096

static bool step_is_end(const struct step *s)
{
	return !s->poke[0].port && !s->call;
}

static void do_step(struct board *b, const struct step *s)
{
	unsigned int i;

	for (i = 0; i < STEPS_MAX && s->poke[i].port; i++)
		board_out(b, s->poke[i].port, s->poke[i].value);
	if (s->call)
		s->call(b);
}

static struct device *row_device(const struct board *b, const struct row *row)
{
	struct device *d = board_find(b, row->kind);

	ck_assert_msg(d, "%s: no such device on the board", row->kind);
	return d;
}

static void save(struct device *d, struct buf *out)
{
	buf_reset(out);
	ck_assert_int_eq(board_save(d, out), 0);
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* A new board with one device loaded; fails when that is refused. */
static struct device *loaded(struct board *b, const struct row *row,
			     const struct buf *bytes)
{
	struct err e = ERR_NONE;
	struct device *d;

	board_init(b);
	d = row_device(b, row);
	ck_assert_msg(!board_load(d, bytes->data, bytes->len, &e), "%s",
		      e.text);
	board_resume(d);
	return d;
}

static void saving_is_restored(const struct row *row, const struct buf *bytes)
{
	struct board twin;
	struct buf again;

	buf_init(&again, STATE_LIMIT);
	save(loaded(&twin, row, bytes), &again);
	ck_assert_msg(same(bytes, &again), "%s: restored bytes differ",
		      row->kind);
	buf_fini(&again);
	board_fini(&twin);
}

START_TEST(every_step_changes_the_bytes_and_is_restored)
{
	const struct row *row;
	const struct step *s;
	struct buf idle, now;
	struct board b;

	buf_init(&idle, STATE_LIMIT);
	buf_init(&now, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++)
		for (s = row->step; !step_is_end(s); s++) {
			board_init(&b);
			save(row_device(&b, row), &idle);
			ck_assert_uint_eq(idle.len, row->bytes);
			do_step(&b, s);
			save(row_device(&b, row), &now);
			ck_assert_msg(!same(&idle, &now),
				      "%s: step %td is not in the state",
				      row->kind, s - row->step);
			saving_is_restored(row, &now);
			board_fini(&b);
		}
	buf_fini(&idle);
	buf_fini(&now);
}
END_TEST

START_TEST(reset_gives_the_power_on_bytes)
{
	const struct row *row;
	const struct step *s;
	struct buf idle, now;
	struct device *d;
	struct board b;

	buf_init(&idle, STATE_LIMIT);
	buf_init(&now, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++) {
		board_init(&b);
		d = row_device(&b, row);
		save(d, &idle);
		for (s = row->step; !step_is_end(s); s++)
			do_step(&b, s);
		d->ops->reset(d);
		save(d, &now);
		ck_assert_msg(same(&idle, &now), "%s: reset", row->kind);
		board_fini(&b);
	}
	buf_fini(&idle);
	buf_fini(&now);
}
END_TEST

START_TEST(impossible_values_are_refused_with_their_name)
{
	const struct impossible *bad;
	const struct row *row;
	struct buf idle;
	struct board b;
	struct err e;

	buf_init(&idle, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++)
		for (bad = row->impossible; bad->says; bad++) {
			board_init(&b);
			save(row_device(&b, row), &idle);
			ck_assert_uint_lt(bad->offset, idle.len);
			idle.data[bad->offset] = bad->value;
			e = (struct err)ERR_NONE;
			ck_assert_msg(board_load(row_device(&b, row), idle.data,
						 idle.len, &e) < 0,
				      "%s: byte %u = %#x was taken", row->kind,
				      bad->offset, bad->value);
			ck_assert_msg(strstr(e.text, bad->says), "%s: says: %s",
				      bad->says, e.text);
			board_fini(&b);
		}
	buf_fini(&idle);
}
END_TEST

START_TEST(cut_and_longer_sections_are_refused)
{
	const struct row *row;
	struct buf bytes;
	struct board b;
	size_t len;

	buf_init(&bytes, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++) {
		board_init(&b);
		save(row_device(&b, row), &bytes);
		for (len = 0; len < bytes.len; len++)
			ck_assert_int_eq(board_load(row_device(&b, row),
						    bytes.data, len, NULL),
					 -EBADMSG);
		buf_put_u8(&bytes, 0);
		ck_assert_int_eq(board_load(row_device(&b, row), bytes.data,
					    bytes.len, NULL),
				 -EBADMSG);
		board_fini(&b);
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

static uint64_t random_port(const struct board *b)
{
	const struct bus_range *r = &b->port.range[dice(b->port.count)];

	return r->start + dice((uint32_t)r->bytes);
}

/* Values that mean something to one of the devices, or any other. */
static uint8_t random_value(void)
{
	static const uint8_t known[] = { 0x00, 0x01, 0x10, 0x20, 0x34, 0x60,
					 0x80, 0xaa, 0xd1, 0xd4, 0xed, 0xf0,
					 0xf2, 0xf3, 0xf4, 0xff };

	return dice(2) ? known[dice(sizeof(known))] : (uint8_t)dice(256);
}

static void random_access(struct board *b)
{
	if (dice(3))
		board_out(b, random_port(b), random_value());
	else
		board_in(b, random_port(b));
}

/*
 * After any history the state is valid, and a twin that was restored from
 * it answers every later access alike: nothing that matters is unsaved.
 */
static void twin_agrees(const struct row *row)
{
	struct board b, twin;
	struct device *d, *t;
	struct buf bytes, after;
	uint64_t port;
	unsigned int i;

	buf_init(&bytes, STATE_LIMIT);
	buf_init(&after, STATE_LIMIT);
	board_init(&b);
	for (i = dice(100); i; i--)
		random_access(&b);
	d = row_device(&b, row);
	save(d, &bytes);
	t = loaded(&twin, row, &bytes);
	for (i = 0; i < 50; i++) {
		uint32_t n = dice(b.port.count);
		const struct bus_range *r = &b.port.range[n];
		uint8_t v = random_value();

		port = r->start + dice((uint32_t)r->bytes);
		if (r->device != d)
			continue;
		ck_assert_msg(board_in(&b, port) == board_in(&twin, port),
			      "%s: port %#x differs", row->kind,
			      (unsigned int)port);
		board_out(&b, port, v);
		board_out(&twin, port, v);
	}
	save(d, &bytes);
	save(t, &after);
	ck_assert_msg(same(&bytes, &after), "%s: twins differ", row->kind);
	if (row->gsi)
		ck_assert(b.irq[row->gsi].level == twin.irq[row->gsi].level);
	buf_fini(&bytes);
	buf_fini(&after);
	board_fini(&twin);
	board_fini(&b);
}

START_TEST(a_restored_twin_behaves_like_the_original)
{
	const struct row *row;
	int i;

	for (row = rows; row < rows + ROWS; row++)
		for (i = 0; i < 300; i++)
			twin_agrees(row);
}
END_TEST

START_TEST(random_bytes_are_refused_or_harmless)
{
	const struct row *row;
	uint8_t bytes[64];
	struct board b;
	struct buf out;
	unsigned int i, n, len;

	buf_init(&out, STATE_LIMIT);
	for (row = rows; row < rows + ROWS; row++)
		for (i = 0; i < 2000; i++) {
			board_init(&b);
			len = dice(4) ? row->bytes : dice(sizeof(bytes));
			for (n = 0; n < len; n++)
				bytes[n] = (uint8_t)(dice(2) ? dice(4)
							     : dice(256));
			board_load(row_device(&b, row), bytes, len, NULL);
			for (n = 0; n < 40; n++)
				random_access(&b);
			i8042_ctrl_alt_del(b.i8042, NULL);
			console_input(b.console, "0123456789abcdefg", 17);
			save(row_device(&b, row), &out);
			board_fini(&b);
		}
	buf_fini(&out);
}
END_TEST

START_TEST(every_device_describes_itself_in_key_value_lines)
{
	struct buf out;
	struct board b;
	unsigned int i;
	const char *line, *end;

	board_init(&b);
	buf_init(&out, 4096);
	for (i = 0; i < BOARD_DEVICES; i++) {
		buf_reset(&out);
		b.device[i]->ops->describe(b.device[i], &out);
		ck_assert_uint_gt(out.len, 0);
		for (line = buf_text(&out); *line; line = end + 1) {
			end = strchr(line, '\n');
			ck_assert_ptr_nonnull(end);
			ck_assert_ptr_nonnull(
				memchr(line, '=', (size_t)(end - line)));
		}
	}
	buf_fini(&out);
	board_fini(&b);
}
END_TEST

enum source { NO_DEVICE, PORT_DEVICE, VIRTIO_DEVICE };

/* What of a device's operations does a C file define? */
static enum source source_of(const char *path)
{
	enum source found = NO_DEVICE;
	FILE *f = fopen(path, "re");
	char line[256];

	ck_assert_msg(f, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "struct device_ops") && strchr(line, '=') &&
		    strchr(line, '{'))
			found = PORT_DEVICE;
		if (found && strstr(line, "VIRTIO_DEVICE_OPS"))
			found = VIRTIO_DEVICE;
	}
	fclose(f);
	return found;
}

static bool has_row(const char *source)
{
	const struct row *row;

	for (row = rows; row < rows + ROWS; row++)
		if (!strcmp(row->source, source))
			return true;
	return false;
}

/* The rows of test_virtio_contract.c, which can't be included here, too. */
static bool has_virtio_row(const char *root, const char *source)
{
	char path[PATH_MAX], line[256], row[300];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/unit/virtio_contract_rows.h",
		 root);
	snprintf(row, sizeof(row), ".source = \"%s\",", source);
	f = fopen(path, "re");
	ck_assert_msg(f, "%s", path);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, row);
	fclose(f);
	return found;
}

/* Runs in the root of the source tree, or where AMBER_SOURCE points. */
START_TEST(every_device_has_a_row)
{
	const char *root = getenv("AMBER_SOURCE");
	unsigned int found = 0;
	char path[PATH_MAX];
	struct dirent *entry;
	enum source source;
	DIR *dir;

	root = root ? root : ".";
	snprintf(path, sizeof(path), "%s/devices", root);
	dir = opendir(path);
	ck_assert_msg(dir, "%s: not the source tree", path);
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len < 3 || strcmp(entry->d_name + len - 2, ".c") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/devices/%s", root,
			 entry->d_name);
		source = source_of(path);
		found += source == PORT_DEVICE;
		ck_assert_msg(
			source == NO_DEVICE ||
				(source == PORT_DEVICE
					 ? has_row(entry->d_name)
					 : has_virtio_row(root, entry->d_name)),
			"devices/%s has no row in its contract test",
			entry->d_name);
	}
	closedir(dir);
	ck_assert_uint_eq(found, ROWS);
}
END_TEST

START_TEST(every_device_has_a_name_a_version_and_all_duties)
{
	struct board b;
	unsigned int i, n;

	board_init(&b);
	ck_assert_uint_eq(ROWS, BOARD_DEVICES);
	for (i = 0; i < BOARD_DEVICES; i++) {
		const struct device_ops *ops = b.device[i]->ops;

		ck_assert_uint_lt(strlen(ops->name), STATE_NAME_BYTES);
		ck_assert_uint_ge(ops->state_version, 1);
		ck_assert(ops->read && ops->write && ops->reset);
		ck_assert(ops->sync && ops->validate && ops->describe);
		for (n = 0; n < i; n++)
			ck_assert_str_ne(ops->name, b.device[n]->ops->name);
	}
	board_fini(&b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_device_has_a_row,
		every_device_has_a_name_a_version_and_all_duties,
		every_step_changes_the_bytes_and_is_restored,
		reset_gives_the_power_on_bytes,
		impossible_values_are_refused_with_their_name,
		cut_and_longer_sections_are_refused,
		a_restored_twin_behaves_like_the_original,
		random_bytes_are_refused_or_harmless,
		every_device_describes_itself_in_key_value_lines,
	};

	return SUITE_RUN("device_contract", tests);
}
