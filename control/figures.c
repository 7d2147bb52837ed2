/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of figures and their two printed forms. A row is the place of a
 * number in a struct of statistics, its name and its meaning.
 */
#include "control/figures.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "devices/vballoon.h"
#include "devices/vblk.h"
#include "devices/vnet.h"
#include "devices/vrng.h"
#include "devices/vsock.h"
#include "vmm/machine.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct row {
	const char *name;
	const char *type; /* "counter" or "gauge" */
	size_t offset;
	const char *help;
};

/* --- VM -------------------------------------------------------------- */

#define AT(m) offsetof(struct vm_stats, m)

static const struct row vm_rows[] = {
	{ "exits", "counter", AT(exits_total), "exits from the guest" },
	{ "cpu_ns", "counter", AT(cpu_ns), "CPU time of the vCPU threads" },
	{ "memory_bytes", "gauge", AT(memory_bytes), "memory of the guest" },
	{ "resident_bytes", "gauge", AT(resident_bytes),
	  "of it what the host holds" },
	{ "console_out_bytes", "counter", AT(console_out_bytes),
	  "written to the console by the guest" },
	{ "console_in_bytes", "counter", AT(console_in_bytes),
	  "typed to the guest" },
	{ "unknown_accesses", "counter", AT(unknown_accesses),
	  "ports and addresses that nobody owns" },
	{ "pauses", "counter", AT(pauses), "times paused" },
};

#undef AT

/* --- disks ----------------------------------------------------------- */

struct disk_figures {
	struct vblk_stats s;
	uint64_t stuck_ms; /* age of the oldest request in flight */
	uint64_t poisoned;
	uint64_t p50[VBLK_KINDS], p99[VBLK_KINDS]; /* microseconds, below */
};

#define AT(m) offsetof(struct disk_figures, m)

static const struct row disk_rows[] = {
	{ "read_ops", "counter", AT(s.ops[VBLK_READ]), "reads answered" },
	{ "write_ops", "counter", AT(s.ops[VBLK_WRITE]), "writes answered" },
	{ "flush_ops", "counter", AT(s.ops[VBLK_FLUSH]), "flushes answered" },
	{ "discard_ops", "counter", AT(s.ops[VBLK_DISCARD]),
	  "discards answered" },
	{ "read_bytes", "counter", AT(s.bytes[VBLK_READ]), "read" },
	{ "write_bytes", "counter", AT(s.bytes[VBLK_WRITE]), "written" },
	{ "discard_bytes", "counter", AT(s.bytes[VBLK_DISCARD]), "discarded" },
	{ "errors", "counter", AT(s.errors), "requests that the host failed" },
	{ "rejected", "counter", AT(s.rejected),
	  "requests of the guest that can't be" },
	{ "in_flight", "gauge", AT(s.in_flight), "requests under way" },
	{ "held", "gauge", AT(s.held), "requests that wait for a resume" },
	{ "oldest_ms", "gauge", AT(stuck_ms),
	  "how long the oldest request has been under way" },
	{ "poisoned", "gauge", AT(poisoned),
	  "1: a flush failed and nobody has looked at the storage" },
	{ "limit_bps", "gauge", AT(s.bytes_per_s),
	  "limit of bytes per second" },
	{ "limit_iops", "gauge", AT(s.ops_per_s),
	  "limit of requests per second" },
	{ "read_p50_us", "gauge", AT(p50[VBLK_READ]),
	  "half of the reads took less" },
	{ "read_p99_us", "gauge", AT(p99[VBLK_READ]),
	  "99 of 100 reads took less" },
	{ "write_p50_us", "gauge", AT(p50[VBLK_WRITE]),
	  "half of the writes took less" },
	{ "write_p99_us", "gauge", AT(p99[VBLK_WRITE]),
	  "99 of 100 writes took less" },
	{ "flush_p50_us", "gauge", AT(p50[VBLK_FLUSH]),
	  "half of the flushes took less" },
	{ "flush_p99_us", "gauge", AT(p99[VBLK_FLUSH]),
	  "99 of 100 flushes took less" },
};

#undef AT

/* The upper end of the bucket in which the part of all lies. */
static uint64_t percentile(const uint64_t *bucket, unsigned int percent)
{
	uint64_t total = 0, sum = 0;
	unsigned int i;

	for (i = 0; i < VBLK_HISTOGRAM; i++)
		total += bucket[i];
	for (i = 0; total && i < VBLK_HISTOGRAM; i++) {
		sum += bucket[i];
		if (sum * 100 >= total * percent)
			return 1ULL << i;
	}
	return 0;
}

static bool get_disk(struct vm *vm, unsigned int n, char *id, void *out)
{
	struct machine *m = vm_machine(vm);
	struct vblk *b = m ? machine_disk(m, n) : NULL;
	struct disk_figures *f = out;
	unsigned int k;

	if (!b)
		return false;
	vblk_get_stats(b, &f->s);
	snprintf(id, DEVICE_ID_MAX + 1, "%s", vblk_virtio(b)->cfg.id);
	f->poisoned = f->s.is_poisoned;
	f->stuck_ms = f->s.oldest_ns
			      ? (clock_mono_ns() - f->s.oldest_ns) / NS_PER_MS
			      : 0;
	for (k = 0; k < VBLK_KINDS; k++) {
		f->p50[k] = percentile(f->s.latency[k], 50);
		f->p99[k] = percentile(f->s.latency[k], 99);
	}
	return true;
}

/* --- network cards --------------------------------------------------- */

struct net_figures {
	struct vnet_stats s;
	uint64_t up;
};

#define AT(m) offsetof(struct net_figures, m)

static const struct row net_rows[] = {
	{ "rx_frames", "counter", AT(s.rx.frames), "frames to the guest" },
	{ "rx_bytes", "counter", AT(s.rx.bytes), "bytes to the guest" },
	{ "rx_dropped", "counter", AT(s.rx.dropped),
	  "frames that the guest had no room for" },
	{ "tx_frames", "counter", AT(s.tx.frames), "frames from the guest" },
	{ "tx_bytes", "counter", AT(s.tx.bytes), "bytes from the guest" },
	{ "tx_dropped", "counter", AT(s.tx.dropped),
	  "frames that the host did not take" },
	{ "tx_bad", "counter", AT(s.tx.bad),
	  "frames of the guest that can't be" },
	{ "up", "gauge", AT(up), "1: the link is up" },
	{ "limit_bps", "gauge", AT(s.bytes_per_s),
	  "limit of bytes per second, each way" },
	{ "limit_pps", "gauge", AT(s.frames_per_s),
	  "limit of frames per second, each way" },
};

#undef AT

static bool get_net(struct vm *vm, unsigned int n, char *id, void *out)
{
	struct machine *m = vm_machine(vm);
	struct vnet *v = m ? machine_net(m, n) : NULL;
	struct net_figures *f = out;

	if (!v)
		return false;
	vnet_get_stats(v, &f->s);
	f->up = f->s.is_up;
	snprintf(id, DEVICE_ID_MAX + 1, "%s", vnet_virtio(v)->cfg.id);
	return true;
}

/* --- balloon, entropy ------------------------------------------------ */

struct balloon_figures {
	uint64_t target_bytes, actual_bytes, reported_bytes, has_driver;
	uint64_t stat[VBALLOON_STATS];
};

#define AT(m) offsetof(struct balloon_figures, m)

static const struct row balloon_rows[] = {
	{ "target_bytes", "gauge", AT(target_bytes),
	  "memory that the guest was asked to give up" },
	{ "actual_bytes", "gauge", AT(actual_bytes), "memory it has given up" },
	{ "reported_bytes", "counter", AT(reported_bytes),
	  "memory given back by free page reporting" },
	{ "driver", "gauge", AT(has_driver), "1: the guest drives it" },
	{ "guest_free_bytes", "gauge", AT(stat[VBALLOON_FREE]),
	  "free memory in the guest" },
	{ "guest_available_bytes", "gauge", AT(stat[VBALLOON_AVAILABLE]),
	  "available memory in the guest" },
	{ "guest_total_bytes", "gauge", AT(stat[VBALLOON_TOTAL]),
	  "memory that the guest sees" },
	{ "guest_caches_bytes", "gauge", AT(stat[VBALLOON_CACHES]),
	  "page cache of the guest" },
	{ "guest_major_faults", "counter", AT(stat[VBALLOON_MAJOR_FAULTS]),
	  "major faults in the guest" },
};

#undef AT

static bool get_balloon(struct vm *vm, unsigned int n, char *id, void *out)
{
	struct machine *m = vm_machine(vm);
	struct vballoon *b = m && !n ? machine_balloon(m) : NULL;
	struct balloon_figures *f = out;
	struct vballoon_stats s;

	if (!b)
		return false;
	vballoon_get_stats(b, &s);
	snprintf(id, DEVICE_ID_MAX + 1, "balloon0");
	f->target_bytes = (uint64_t)s.target_pages * VBALLOON_PAGE_BYTES;
	f->actual_bytes = (uint64_t)s.actual_pages * VBALLOON_PAGE_BYTES;
	f->reported_bytes = s.reported_bytes;
	f->has_driver = s.has_driver;
	memcpy(f->stat, s.stat, sizeof(f->stat));
	return true;
}

static const struct row rng_rows[] = {
	{ "bytes", "counter", 0, "random bytes given to the guest" },
};

static bool get_rng(struct vm *vm, unsigned int n, char *id, void *out)
{
	struct machine *m = vm_machine(vm);
	struct vrng *r = m && !n ? machine_rng(m) : NULL;
	uint64_t *bytes = out;

	if (!r)
		return false;
	*bytes = vrng_bytes(r);
	snprintf(id, DEVICE_ID_MAX + 1, "rng0");
	return true;
}

/* --- vsock ------------------------------------------------------------- */

struct vsock_figures {
	struct vsock_stats s;
	uint64_t open;
};

#define AT(m) offsetof(struct vsock_figures, m)

static const struct row vsock_rows[] = {
	{ "open", "gauge", AT(open), "connections now" },
	{ "connections", "counter", AT(s.connections), "connections ever" },
	{ "to_host_bytes", "counter", AT(s.to_host_bytes),
	  "bytes from the guest" },
	{ "to_guest_bytes", "counter", AT(s.to_guest_bytes),
	  "bytes to the guest" },
	{ "resets", "counter", AT(s.resets), "resets sent to the guest" },
	{ "refused", "counter", AT(s.refused),
	  "connections that did not come about" },
	{ "dropped", "counter", AT(s.dropped),
	  "packets of the guest with a wrong sender" },
};

#undef AT

static bool get_vsock(struct vm *vm, unsigned int n, char *id, void *out)
{
	struct machine *m = vm_machine(vm);
	struct vsock *v = m && !n ? machine_vsock(m) : NULL;
	struct vsock_figures *f = out;

	if (!v)
		return false;
	vsock_get_stats(v, &f->s);
	f->open = f->s.open;
	snprintf(id, DEVICE_ID_MAX + 1, "vsock0");
	return true;
}

/* --- printing -------------------------------------------------------- */

union figures {
	struct disk_figures disk;
	struct net_figures net;
	struct balloon_figures balloon;
	struct vsock_figures vsock;
	uint64_t rng;
};

static const struct class
{
	const char *list; /* in JSON */
	const char *name; /* in metrics, also of the label */
	const struct row *rows;
	size_t count;
	/* The n-th one; false when there is none. */
	bool (*get)(struct vm *vm, unsigned int n, char *id, void *out);
} classes[] = {
	{ "disks", "disk", disk_rows, COUNT(disk_rows), get_disk },
	{ "nets", "net", net_rows, COUNT(net_rows), get_net },
	{ "balloons", "balloon", balloon_rows, COUNT(balloon_rows),
	  get_balloon },
	{ "vsocks", "vsock", vsock_rows, COUNT(vsock_rows), get_vsock },
	{ "rngs", "rng", rng_rows, COUNT(rng_rows), get_rng },
};

static uint64_t value(const void *figures, const struct row *row)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)figures + row->offset, sizeof(v));
	return v;
}

void figures_print_json(struct json_out *j, struct vm *vm)
{
	char id[DEVICE_ID_MAX + 1];
	union figures f;
	unsigned int n;
	size_t c, i;

	for (c = 0; c < COUNT(classes); c++) {
		for (n = 0; classes[c].get(vm, n, id, &f); n++) {
			if (!n)
				jout_open(j, classes[c].list, '{');
			jout_open(j, id, '{');
			for (i = 0; i < classes[c].count; i++)
				jout_uint(j, classes[c].rows[i].name,
					  value(&f, &classes[c].rows[i]));
			jout_close(j, '}');
		}
		if (n)
			jout_close(j, '}');
	}
}

static void print_head(struct buf *out, const char *class,
		       const struct row *row)
{
	const char *total = *row->type == 'c' ? "_total" : "";

	buf_printf(out, "# HELP amber_%s_%s%s %s\n", class, row->name, total,
		   row->help);
	buf_printf(out, "# TYPE amber_%s_%s%s %s\n", class, row->name, total,
		   row->type);
}

/* All devices of a class under one head, as the format wants it. */
static void print_class(struct buf *out, struct vm *vm, const struct class *c)
{
	const char *name = vm_configuration(vm)->name;
	char id[DEVICE_ID_MAX + 1];
	union figures f;
	unsigned int n;
	size_t i;

	for (i = 0; i < c->count; i++)
		for (n = 0; c->get(vm, n, id, &f); n++) {
			const struct row *row = &c->rows[i];

			if (!n)
				print_head(out, c->name, row);
			buf_printf(out,
				   "amber_%s_%s%s{vm=\"%s\",%s=\"%s\"} "
				   "%llu\n",
				   c->name, row->name,
				   *row->type == 'c' ? "_total" : "", name,
				   c->name, id,
				   (unsigned long long)value(&f, row));
		}
}

static void print_vm(struct buf *out, struct vm *vm)
{
	const char *name = vm_configuration(vm)->name;
	struct vm_status status;
	struct vm_stats s;
	size_t i;

	vm_stats(vm, &s);
	vm_status(vm, &status);
	for (i = 0; i < COUNT(vm_rows); i++) {
		print_head(out, "vm", &vm_rows[i]);
		buf_printf(out, "amber_vm_%s%s{vm=\"%s\"} %llu\n",
			   vm_rows[i].name,
			   *vm_rows[i].type == 'c' ? "_total" : "", name,
			   (unsigned long long)value(&s, &vm_rows[i]));
	}
	buf_puts(out, "# HELP amber_vm_state 1 for the state it is in\n"
		      "# TYPE amber_vm_state gauge\n");
	buf_printf(out, "amber_vm_state{vm=\"%s\",state=\"%s\"} 1\n", name,
		   vm_state_text(status.state));
}

void figures_print_metrics(struct buf *out, struct vm *vm)
{
	size_t c;

	print_vm(out, vm);
	for (c = 0; c < COUNT(classes); c++)
		print_class(out, vm, &classes[c]);
}
