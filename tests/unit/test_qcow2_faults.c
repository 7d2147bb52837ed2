/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk whose host fails: the n-th call of each kind, once or until it
 * is cured, with each error. The request that fails is tried again, as a VM
 * does that is resumed; nothing that was acknowledged is lost, and what is
 * left is no damaged image.
 */
#include "disk/qcow2_check.h"
#include "tests/unit/fault_ops.h"
#include "tests/unit/qcow2_rig.h"
#include "tests/unit/seeded.h"

#define BYTES (256u << 10)

static struct qcow2_rig rig;
static struct fault_ops fault;
static uint8_t model[BYTES], memory[BYTES], original[BYTES];
static unsigned int trials;

static const struct step {
	enum disk_op op;
	uint32_t at, bytes;
	bool durable;
} script[] = {
	{ DISK_WRITE, 0, 4096, false },
	{ DISK_WRITE, 5120, 512, false },
	{ DISK_FLUSH, 0, 0, false },
	{ DISK_WRITE, 40960, 20480, false },
	{ DISK_ZERO, 0, 2048, false },
	{ DISK_WRITE, 8192, 12288, true },
	{ DISK_WRITE, 69632, 8192, false },
	{ DISK_DISCARD, 65536, 65536, false },
	{ DISK_FLUSH, 0, 0, false },
	{ DISK_WRITE, 131072 + 512, 70000 / 512 * 512, false },
	{ DISK_WRITE, 40960, 4096, false },
	{ DISK_READ, 0, BYTES, false },
	{ DISK_FLUSH, 0, 0, false },
};

static void set_up(const struct qcow2_options *o, bool has_base)
{
	struct qcow2_options options = *o;
	char path[128];
	int fd;

	if (has_base) {
		snprintf(path, sizeof(path), "%s/base.raw", rig.dir);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_eq(write(fd, original, BYTES), BYTES);
		close(fd);
		options.backing = "base.raw";
		options.backing_format = "raw";
		memcpy(model, original, BYTES);
	} else {
		memset(model, 0, BYTES);
	}
	image_create(&rig, "top.qcow2", &options);
	image_open(&rig);
}

static int try_step(const struct step *s, unsigned int n)
{
	struct disk_try t;

	memset(memory, (int)(n + 1), s->bytes);
	rig_make(&t, s->op, s->at, memory, s->bytes);
	t.r.durable = s->durable;
	t.r.may_unmap = true;
	disk_submit(rig.disk, &t.r);
	image_run(&rig);
	if (t.calls != 1)
		ck_abort_msg("step %u ended %d times", n, t.calls);
	return t.error;
}

static void say_difference(void)
{
	unsigned int i;

	for (i = 0; memory[i] == model[i]; i++)
		;
	ck_abort_msg("byte %u is %u, not %u; call %d, error %d at %u, hits %u",
		     i, memory[i], model[i], fault.call, fault.error, fault.at,
		     fault.hits);
}

/* As a person would: the host is cured, the disk is verified, once more. */
static void do_step(const struct step *s, unsigned int n)
{
	unsigned int tries = 0;

	while (try_step(s, n)) {
		if (++tries > 2)
			fault_set(&fault, FAULT_READ, 0, 0, false);
		if (disk_is_poisoned(rig.disk))
			disk_verified(rig.disk);
		if (tries > 4)
			ck_abort_msg("step %u fails without a fault", n);
	}
	if (s->op == DISK_WRITE)
		memset(model + s->at, (int)(n + 1), s->bytes);
	else if (s->op == DISK_ZERO || s->op == DISK_DISCARD)
		memset(model + s->at, 0, s->bytes);
	else if (s->op == DISK_READ && memcmp(memory, model, BYTES))
		say_difference();
}

static void is_no_damage(const char *what, int error, unsigned int at)
{
	struct qcow2_check c = { 0 };
	struct qcow2 q;
	int fd = open(rig.path, O_RDONLY | O_CLOEXEC);

	if (qcow2_open(&q, fd, rig.path, &file_ops_real, QCOW2_READ, 1 << 20,
		       NULL) ||
	    qcow2_check(&q, &c, NULL) || c.corruptions)
		ck_abort_msg("%s, error %d at %u: %llu corruptions", what,
			     error, at, (unsigned long long)c.corruptions);
	qcow2_fini(&q);
	close(fd);
	if (trials++ % 40 == 0)
		ck_assert_int_eq(image_sh(&rig, "qemu-img check top.qcow2; "
						"test $? = 0 -o $? = 3"),
				 0);
}

/* False: the script makes fewer calls of this kind. */
static bool live(const struct qcow2_options *o, bool has_base,
		 enum fault_call call, int error, unsigned int at,
		 bool is_sticky)
{
	unsigned int i;
	bool hit;

	set_up(o, has_base);
	fault_set(&fault, call, error, at, is_sticky);
	for (i = 0; i < sizeof(script) / sizeof(script[0]); i++)
		do_step(&script[i], i);
	hit = fault.hits || fault.call != call || !fault.error;
	fault_set(&fault, FAULT_READ, 0, 0, false);
	ck_assert_int_eq(image_do(&rig, DISK_READ, 0, memory, BYTES), 0);
	if (memcmp(memory, model, BYTES))
		ck_abort_msg("call %d, error %d at %u: content differs", call,
			     error, at);
	image_close(&rig);
	is_no_damage("after", error, at);
	image_open(&rig);
	ck_assert_int_eq(image_do(&rig, DISK_READ, 0, memory, BYTES), 0);
	if (memcmp(memory, model, BYTES))
		ck_abort_msg("call %d, error %d at %u: content differs after "
			     "a reopen",
			     call, error, at);
	image_close(&rig);
	return hit;
}

static void sweep(const struct qcow2_options *o, bool has_base)
{
	static const int errors[] = { EIO, ENOSPC, EINTR, FAULT_SHORT };
	unsigned int call, i, at;

	image_init(&rig);
	fault_init(&fault);
	rig.ops = &fault.ops;
	for (call = 0; call < FAULT_CALLS; call++)
		for (i = 0; i < 8; i++)
			for (at = 0; at < 400; at += 1 + at / 16)
				if (!live(o, has_base, (enum fault_call)call,
					  errors[i / 2], at, i % 2))
					break;
	image_fini(&rig);
}

static const struct {
	struct qcow2_options o;
	bool has_base;
} shapes[] = {
	{ { .version = 3,
	    .cluster_bits = 12,
	    .refcount_order = 4,
	    .bytes = BYTES },
	  false },
	{ { .version = 3,
	    .cluster_bits = 16,
	    .refcount_order = 4,
	    .bytes = BYTES },
	  true },
	{ { .version = 3,
	    .cluster_bits = 9,
	    .refcount_order = 4,
	    .bytes = BYTES },
	  true },
	{ { .version = 3,
	    .cluster_bits = 14,
	    .refcount_order = 4,
	    .is_extended = true,
	    .bytes = BYTES },
	  true },
};

START_TEST(no_failing_call_loses_what_was_acknowledged)
{
	unsigned int i;

	for (i = 0; i < BYTES; i++)
		original[i] = (uint8_t)(i / 512 + 1);
	sweep(&shapes[_i].o, shapes[_i].has_base);
	printf("%u trials\n", trials);
}
END_TEST

/* The refcount table grows, and is synced for that, in the middle of writes. */
START_TEST(a_sync_that_fails_inside_poisons_the_disk)
{
	const struct qcow2_options o = { .version = 3,
					 .cluster_bits = 9,
					 .refcount_order = 4,
					 .bytes = 16u << 20 };
	uint64_t at;
	int r = 0;

	image_init(&rig);
	fault_init(&fault);
	rig.ops = &fault.ops;
	image_create(&rig, "top.qcow2", &o);
	image_open(&rig);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 0, memory, 65536), 0);
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	fault_set(&fault, FAULT_SYNC, EIO, 0, false);
	for (at = 65536; at < o.bytes && !r; at += 65536)
		r = image_do(&rig, DISK_WRITE, at, memory, 65536);
	ck_assert_uint_eq(fault.hits, 1);
	ck_assert_int_eq(r, -EIO);
	ck_assert(disk_is_poisoned(rig.disk));
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), -EIO);
	disk_verified(rig.disk);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, at - 65536, memory, 65536),
			 0);
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	image_close(&rig);
	is_no_damage("after", EIO, 0);
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const others[] = {
		a_sync_that_fails_inside_poisons_the_disk,
	};

	return seeded_run("qcow2_faults", 4 * SUITE_TIMEOUT_S,
			  no_failing_call_loses_what_was_acknowledged,
			  sizeof(shapes) / sizeof(shapes[0]), others, 1);
}
