/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber disk info` and `map`: what an image is, and where its data lies.
 * JSON members are named as qemu-img's. Main thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "control/cli/cli_disk.h"
#include "control/cli/cli_out.h"
#include "control/text.h"
#include "disk/qcow2_snapshots.h"

#define OUT_BYTES (64u << 20)

/* --- sizes ----------------------------------------------------------- */

/* "1.5 GiB" */
static const char *human(uint64_t bytes, char *out, size_t n)
{
	static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned int u = 0;

	while (value >= 1024 && u < 6) {
		value /= 1024;
		u++;
	}
	snprintf(out, n, "%.3g %s", value, units[u]);
	return out;
}

/* --- info as text ---------------------------------------------------- */

static int text_snapshot(void *ctx, const struct qcow2_snapshot *s)
{
	struct buf *out = ctx;
	char size[32], date[32] = "";
	time_t t = (time_t)s->date_s;
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	buf_printf(out, "    %-8s %-24s %10s  %s\n", s->id, s->name,
		   human(s->vm_state_bytes, size, sizeof(size)), date);
	return 0;
}

static void text_features(struct buf *out, const struct qcow2 *q)
{
	const struct qcow2_header *h = &q->h;

	buf_printf(out, "cluster_size: %" PRIu32 "\n", q->cluster_bytes);
	if (*h->backing)
		buf_printf(out, "backing file: %s\nbacking file format: %s\n",
			   h->backing,
			   *h->backing_format ? h->backing_format
					      : "(not said)");
	buf_printf(out,
		   "Format specific information:\n"
		   "    compat: %s\n    compression type: %s\n"
		   "    lazy refcounts: %s\n    refcount bits: %u\n"
		   "    corrupt: %s\n    extended l2: %s\n",
		   h->version == 2 ? "0.10" : "1.1",
		   h->compression ? "zstd" : "zlib",
		   h->compatible & QCOW2_COMPAT_LAZY ? "true" : "false",
		   1U << h->refcount_order,
		   h->incompatible & QCOW2_INCOMPAT_CORRUPT ? "true" : "false",
		   q->subclusters > 1 ? "true" : "false");
	if (h->incompatible & QCOW2_INCOMPAT_DIRTY)
		buf_printf(out, "    not closed: amber disk check --repair\n");
}

static int text_layer(struct buf *out, struct disk *d, unsigned int i,
		      struct err *e)
{
	struct qcow2 *q = disk_layer_qcow2(d, i);
	uint64_t bytes = disk_layer_bytes(d, i);
	char virtual[32], taken[32];

	if (i)
		buf_printf(out, "\n");
	buf_printf(out,
		   "image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64
		   " bytes)\ndisk size: %s\n",
		   disk_layer_path(d, i),
		   disk_format_text(disk_layer_format(d, i)),
		   human(bytes, virtual, sizeof(virtual)), bytes,
		   human(disk_layer_taken(d, i), taken, sizeof(taken)));
	if (!q)
		return 0;
	text_features(out, q);
	if (!q->h.snapshots)
		return 0;
	buf_printf(out, "Snapshot list:\n    ID       NAME          "
			"              VM STATE  DATE\n");
	return qcow2_each_snapshot(q, text_snapshot, out, NULL, e);
}

/* --- info as JSON ---------------------------------------------------- */

/* What an image says in bytes that may be no UTF-8. */
static json_t *text_of(const char *text)
{
	json_t *j = json_string(text);

	return j ? j : json_string("(not UTF-8)");
}

static int json_snapshot(void *ctx, const struct qcow2_snapshot *s)
{
	json_array_append_new(
		ctx, json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "id",
			       text_of(s->id), "name", text_of(s->name),
			       "vm-state-size", (json_int_t)s->vm_state_bytes,
			       "date-sec", (json_int_t)s->date_s, "date-nsec",
			       (json_int_t)s->date_ns, "vm-clock-sec",
			       (json_int_t)(s->clock_ns / 1000000000),
			       "vm-clock-nsec",
			       (json_int_t)(s->clock_ns % 1000000000)));
	return 0;
}

static void json_features(json_t *j, const struct qcow2 *q)
{
	const struct qcow2_header *h = &q->h;

	json_object_set_new(j, "cluster-size", json_integer(q->cluster_bytes));
	json_object_set_new(
		j, "dirty-flag",
		json_boolean(h->incompatible & QCOW2_INCOMPAT_DIRTY));
	if (*h->backing) {
		json_object_set_new(j, "backing-filename", text_of(h->backing));
		json_object_set_new(j, "backing-filename-format",
				    text_of(h->backing_format));
	}
	if (h->version == 2) {
		json_object_set_new(j, "format-specific",
				    json_pack("{s:s, s:{s:s, s:s, s:i}}",
					      "type", "qcow2", "data", "compat",
					      "0.10", "compression-type",
					      "zlib", "refcount-bits", 16));
		return;
	}
	json_object_set_new(
		j, "format-specific",
		json_pack("{s:s, s:{s:s, s:s, s:b, s:i, s:b, s:b}}", "type",
			  "qcow2", "data", "compat", "1.1", "compression-type",
			  h->compression ? "zstd" : "zlib", "lazy-refcounts",
			  (h->compatible & QCOW2_COMPAT_LAZY) != 0,
			  "refcount-bits", 1 << h->refcount_order, "corrupt",
			  (h->incompatible & QCOW2_INCOMPAT_CORRUPT) != 0,
			  "extended-l2", q->subclusters > 1));
}

static int json_snapshots(json_t *j, struct qcow2 *q, struct err *e)
{
	json_t *snapshots;

	if (!q->h.snapshots)
		return 0;
	snapshots = json_array();
	json_object_set_new(j, "snapshots", snapshots);
	return qcow2_each_snapshot(q, json_snapshot, snapshots, NULL, e);
}

static int json_layer(json_t **out, struct disk *d, unsigned int i,
		      struct err *e)
{
	struct qcow2 *q = disk_layer_qcow2(d, i);

	*out = json_pack("{s:o, s:s, s:I, s:I}", "filename",
			 text_of(disk_layer_path(d, i)), "format",
			 disk_format_text(disk_layer_format(d, i)),
			 "virtual-size", (json_int_t)disk_layer_bytes(d, i),
			 "actual-size", (json_int_t)disk_layer_taken(d, i));
	if (!q)
		return 0;
	json_features(*out, q);
	return json_snapshots(*out, q, e);
}

static int info_json(const struct cli *cli, struct disk *d, unsigned int n,
		     struct err *e)
{
	json_t *all = json_array(), *one = NULL;
	unsigned int i;
	int r = 0;

	for (i = 0; i < n && !r; i++) {
		r = json_layer(&one, d, i, e);
		json_array_append_new(all, one);
	}
	if (r) {
		json_decref(all);
		return r;
	}
	if (cli_has(cli, CLI_CHAIN)) {
		cli_print_json(all);
	} else {
		cli_print_json(json_incref(json_array_get(all, 0)));
		json_decref(all);
	}
	return 0;
}

static int info_text(struct disk *d, unsigned int n, struct err *e)
{
	struct buf out;
	unsigned int i;
	int r = 0;

	buf_init(&out, OUT_BYTES);
	for (i = 0; i < n && !r; i++)
		r = text_layer(&out, d, i, e);
	if (!r)
		cli_print(&out);
	buf_fini(&out);
	return r;
}

int cli_disk_info(const struct cli *cli)
{
	struct err e = ERR_NONE;
	unsigned int n;
	struct disk *d;
	int r = cli_disk_open(cli, cli->args[1], !cli_has(cli, CLI_CHAIN), &d);

	if (r)
		return r;
	n = cli_has(cli, CLI_CHAIN) ? disk_layers(d) : 1;
	r = cli_has(cli, CLI_JSON) ? info_json(cli, d, n, &e)
				   : info_text(d, n, &e);
	disk_close(d);
	return r ? cli_fail(NULL, &e) : EXIT_CODE_OK;
}

/* --- map ------------------------------------------------------------- */

struct run {
	uint64_t start;
	struct disk_place place;
};

static bool goes_on(const struct run *run, const struct disk_place *p)
{
	const struct disk_place *q = &run->place;

	return p->layer == q->layer && p->is_there == q->is_there &&
	       p->is_zero == q->is_zero && p->is_packed == q->is_packed &&
	       p->has_offset == q->has_offset &&
	       (!p->has_offset || p->offset == q->offset + q->bytes);
}

static void print_run(const struct cli *cli, struct disk *d,
		      const struct run *run, struct buf *out, bool is_first)
{
	const struct disk_place *p = &run->place;

	if (cli_has(cli, CLI_JSON)) {
		buf_printf(out,
			   "%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
			   ", \"depth\": %u, \"present\": %s, \"zero\": %s, "
			   "\"data\": %s, \"compressed\": %s",
			   is_first ? "[" : ",\n", run->start, p->bytes,
			   p->layer, p->is_there ? "true" : "false",
			   p->is_zero ? "true" : "false",
			   p->is_zero ? "false" : "true",
			   p->is_packed ? "true" : "false");
		if (p->has_offset)
			buf_printf(out, ", \"offset\": %" PRIu64, p->offset);
		buf_printf(out, "}");
		return;
	}
	if (p->is_zero)
		return;
	buf_printf(out, "%#-18" PRIx64 " %#-18" PRIx64 " ", run->start,
		   p->bytes);
	if (p->has_offset)
		buf_printf(out, "%#-18" PRIx64, p->offset);
	else
		buf_printf(out, "%-18s", "compressed");
	buf_printf(out, " %s\n", disk_layer_path(d, p->layer));
}

static int map_all(const struct cli *cli, struct disk *d, struct buf *out)
{
	uint64_t bytes = disk_get_info(d)->bytes, at;
	struct run run = { .place = { .bytes = 0 } };
	struct disk_place p;
	bool is_first = true;
	int r;

	for (at = 0; at < bytes; at += p.bytes) {
		r = disk_look(d, at, bytes - at, &p);
		if (r)
			return r;
		if (run.place.bytes && goes_on(&run, &p)) {
			run.place.bytes += p.bytes;
			continue;
		}
		if (run.place.bytes) {
			print_run(cli, d, &run, out, is_first);
			is_first = false;
		}
		run = (struct run){ at, p };
		if (out->len > OUT_BYTES / 2 && !cli_print(out))
			return 0;
	}
	print_run(cli, d, &run, out, is_first);
	return 0;
}

int cli_disk_map(const struct cli *cli)
{
	struct buf out;
	struct disk *d;
	int r = cli_disk_open(cli, cli->args[1], false, &d);

	if (r)
		return r;
	buf_init(&out, OUT_BYTES);
	if (!cli_has(cli, CLI_JSON))
		buf_printf(&out, "%-18s %-18s %-18s %s\n", "Offset", "Length",
			   "Mapped to", "File");
	r = map_all(cli, d, &out);
	if (cli_has(cli, CLI_JSON))
		buf_printf(&out, "]\n");
	if (r)
		cli_error(NULL, "%s: it can't be read (error %d)", cli->args[1],
			  -r);
	else
		cli_print(&out);
	buf_fini(&out);
	disk_close(d);
	return r ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
