/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile images: what is refused, with which words, before anything is
 * written; what only shows when it is read; and which files an image may not
 * lead to.
 */
#include <sys/stat.h>

#include "base/bytes.h"
#include "disk/qcow2_check.h"
#include "tests/unit/qcow2_rig.h"

#define BYTES (1u << 20)

static struct qcow2_rig rig;
static uint8_t memory[65536];

static const struct qcow2_options small = {
	.version = 3, .cluster_bits = 12, .refcount_order = 4, .bytes = BYTES
};

static void contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "'%s' lacks '%s'", text,
		      part);
}

static void poke(const char *name, uint64_t at, uint64_t value, size_t n)
{
	char path[128];
	uint8_t bytes[8];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	bytes_put_be(bytes, value, n);
	ck_assert_int_eq(pwrite(fd, bytes, n, (off_t)at), (ssize_t)n);
	close(fd);
}

static uint64_t peek(uint64_t at, size_t n)
{
	uint8_t bytes[8];
	int fd = open(rig.path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, bytes, n, (off_t)at), (ssize_t)n);
	close(fd);
	return bytes_get_be(bytes, n);
}

/* The text of the refusal. */
static const char *refused(bool read_only)
{
	static struct err e;

	e = (struct err)ERR_NONE;
	ck_assert_int_lt(image_try_open(&rig, read_only, &e), 0);
	ck_assert_ptr_null(rig.disk);
	contains(e.text, rig.dir);
	return e.text;
}

START_TEST(a_header_that_cannot_be_right_is_refused_by_its_field)
{
	static const struct {
		uint64_t at, value;
		size_t n;
		const char *says;
	} rows[] = {
		{ 0, 0x514649fa, 4, "not a qcow2 image" },
		{ 4, 1, 4, "version 1 is not 2 or 3" },
		{ 4, 4, 4, "version 4" },
		{ 20, 0, 4, "cluster_bits 0 is not in 9..21" },
		{ 20, 8, 4, "cluster_bits 8" },
		{ 20, 22, 4, "cluster_bits 22" },
		{ 20, 64, 4, "cluster_bits 64" },
		{ 20, 0xffffffff, 4, "cluster_bits 4294967295" },
		{ 24, UINT64_C(1) << 63, 8, "size 9223372036854775808" },
		{ 24, 1000, 8, "size 1000 is not a multiple of 512" },
		{ 24, UINT64_C(1) << 44, 8, "l1_size 1 is not in" },
		{ 32, 1, 4, "encrypted (method 1)" },
		{ 36, 0xffffffff, 4, "l1_size 4294967295 is not in" },
		{ 36, (32u << 20) / 8 + 1, 4, "l1_size 4194305 is not in" },
		{ 36, 0, 4, "l1_size 0 is not in 1" },
		{ 36, 4096, 4,
		  "the L1 table at 0x3000, 32768 bytes, is not "
		  "inside the file" },
		{ 40, 0x3001, 8, "L1 table at 0x3001 is not aligned" },
		{ 40, UINT64_C(1) << 40, 8, "is not inside the file" },
		{ 40, 0, 8, "the L1 table at 0, " },
		{ 48, 0x1234, 8, "refcount table at 0x1234 is not aligned" },
		{ 48, UINT64_C(0xfffffffffffff000), 8, "is not inside" },
		{ 56, 0, 4, "refcount_table_clusters 0 is not in 1..2048" },
		{ 56, 0xffffffff, 4, "refcount_table_clusters 4294967295" },
		{ 60, 0xffffffff, 4, "nb_snapshots 4294967295 is more than" },
		{ 60, 1, 4, "the snapshot table at 0, " },
		{ 72, UINT64_C(1) << 2, 8, "bit 2 (external data file)" },
		{ 72, UINT64_C(1) << 63, 8, "incompatible feature bit 63" },
		{ 96, 7, 4, "refcount_order 7 is not in 0..6" },
		{ 100, 71, 4, "header_length 71" },
		{ 100, 105, 4, "header_length 105 is not a multiple of 8" },
		{ 100, 0xffffffff, 4, "header_length 4294967295" },
		{ 100, 4104, 4, "header_length 4104" },
		{ 104, 1, 1, "compression type 1" },
		{ 112, 0x1234567812345678, 8, "header extension at 112 has" },
		{ 112, 0xe2792acaffffffff, 8, "header extension at 112 has" },
		{ 112, 0x0537be7700000000, 8, "encryption header" },
		{ 8, 50, 8, "is not in the first cluster" },
	};
	size_t i;

	image_init(&rig);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		image_create(&rig, "top.qcow2", &small);
		poke("top.qcow2", rows[i].at, rows[i].value, rows[i].n);
		contains(refused(true), rows[i].says);
	}
	image_fini(&rig);
}
END_TEST

START_TEST(endless_extensions_are_refused)
{
	unsigned int i;

	image_init(&rig);
	image_create(&rig, "top.qcow2", &small);
	for (i = 0; i < 100; i++)
		poke("top.qcow2", 112 + 8 * i, 0x1234567800000000, 8);
	contains(refused(true), "more than 64 header extensions");
	image_fini(&rig);
}
END_TEST

START_TEST(backing_names_that_cannot_be_right_are_refused)
{
	static const struct {
		uint64_t offset;
		uint32_t bytes;
		const char *says;
	} rows[] = {
		{ 600, 1024, "name has 1024 bytes, more than 1023" },
		{ 50, 10, "is not in the first cluster" },
		{ 4090, 10, "is not in the first cluster" },
		{ UINT64_MAX, 10, "is not in the first cluster" },
		{ 600, 10, "has a NUL in it" },
	};
	size_t i;

	image_init(&rig);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		image_create(&rig, "top.qcow2", &small);
		poke("top.qcow2", 8, rows[i].offset, 8);
		poke("top.qcow2", 16, rows[i].bytes, 4);
		contains(refused(true), rows[i].says);
	}
	image_fini(&rig);
}
END_TEST

/* --- where an image may lead ----------------------------------------- */

static const char *refused_backing(const char *name, const char *format)
{
	struct qcow2_options o = small;

	o.backing = name;
	o.backing_format = format;
	image_create(&rig, "top.qcow2", &o);
	return refused(true);
}

START_TEST(an_image_leads_to_no_file_outside_its_directory)
{
	image_init(&rig);
	IMAGE_MUST(&rig, "truncate -s 1M in.raw; truncate -s 1M ../qc-out.raw; "
			 "ln -s ../qc-out.raw link.raw; mkfifo fifo; "
			 "mkdir sub; ln -s / sub/root");
	contains(refused_backing("/etc/shadow", "raw"), "allowed directory");
	contains(refused_backing("../qc-out.raw", "raw"), "allowed directory");
	contains(refused_backing("link.raw", "raw"), "allowed directory");
	contains(refused_backing("sub/root/etc/passwd", "raw"),
		 "allowed directory");
	contains(refused_backing("/proc/self/mem", "raw"), "allowed directory");
	contains(refused_backing("/dev/zero", "raw"), "allowed directory");
	contains(refused_backing("fifo", "raw"), "no regular file");
	contains(refused_backing("sub", "raw"), "no regular file");
	contains(refused_backing("json:{\"driver\":\"file\"}", "raw"),
		 "not a file's name");
	contains(refused_backing("nbd://localhost/x", "raw"),
		 "not a file's name");
	contains(refused_backing("none.raw", "raw"), "No such file");
	contains(refused_backing("in.raw", ""), "does not say which format");
	contains(refused_backing("in.raw", "vmdk"), "neither raw nor qcow2");
	contains(refused_backing("in.raw", "qcow2"), "not a qcow2 image");
	IMAGE_MUST(&rig, "rm ../qc-out.raw");
	image_fini(&rig);
}
END_TEST

START_TEST(directories_are_allowed_by_name)
{
	struct qcow2_options o = small;
	char allowed[128];
	const char *const list[] = { "/nowhere", allowed, NULL };
	struct disk_config c = { .path = rig.path,
				 .format = DISK_QCOW2,
				 .allow_backing = list };
	struct err e = ERR_NONE;
	struct disk *d;

	image_init(&rig);
	IMAGE_MUST(&rig, "mkdir bases tops; truncate -s 1M bases/b.raw");
	o.backing = "../bases/b.raw";
	o.backing_format = "raw";
	image_create(&rig, "tops/top.qcow2", &o);
	snprintf(rig.path, sizeof(rig.path), "%s/tops/top.qcow2", rig.dir);
	contains(refused(true), "allowed directory");
	snprintf(allowed, sizeof(allowed), "%s/bases", rig.dir);
	ck_assert_msg(!disk_open(&d, &c, &e), "%s", e.text);
	disk_close(d);
	image_fini(&rig);
}
END_TEST

START_TEST(circles_and_endless_chains_are_refused)
{
	struct qcow2_options o = small;
	char name[32], over[32];
	unsigned int i;

	image_init(&rig);
	o.backing_format = "qcow2";
	contains(refused_backing("top.qcow2", "qcow2"), "behind itself");
	o.backing = "top.qcow2";
	image_create(&rig, "b.qcow2", &o);
	contains(refused_backing("b.qcow2", "qcow2"), "behind itself");
	image_create(&rig, "l0.qcow2", &small);
	for (i = 1; i < 140; i++) {
		snprintf(name, sizeof(name), "l%u.qcow2", i - 1);
		snprintf(over, sizeof(over), "l%u.qcow2", i);
		o.backing = name;
		image_create(&rig, over, &o);
	}
	contains(refused_backing("l139.qcow2", "qcow2"),
		 "more than 128 layers");
	o.backing = "l100.qcow2";
	image_create(&rig, "top.qcow2", &o);
	image_open(&rig);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 0, memory, 512), 0);
	image_close(&rig);
	image_fini(&rig);
}
END_TEST

START_TEST(many_large_tables_are_refused)
{
	struct qcow2_options o = qcow2_defaults;

	image_init(&rig);
	o.bytes = UINT64_C(1) << 51; /* an L1 table of 32 MiB, all hole */
	image_create(&rig, "a.qcow2", &o);
	o.backing_format = "qcow2";
	o.backing = "a.qcow2";
	image_create(&rig, "b.qcow2", &o);
	o.backing = "b.qcow2";
	image_create(&rig, "top.qcow2", &o);
	contains(refused(true), "more than 64 MiB");
	image_fini(&rig);
}
END_TEST

/* --- damage that shows later ----------------------------------------- */

/* An image with data in cluster 0 of the disk; where its L2 table is. */
static uint64_t make_used(void)
{
	image_create(&rig, "top.qcow2", &small);
	image_open(&rig);
	memset(memory, 'd', sizeof(memory));
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 0, memory, 8192), 0);
	image_close(&rig);
	return peek(0x3000, 8) & QCOW2_OFFSET;
}

static void reads_and_writes_fail(void)
{
	image_open(&rig);
	ck_assert_ptr_null(disk_damage(rig.disk));
	ck_assert_int_eq(image_do(&rig, DISK_READ, 0, memory, 512), -EIO);
	contains(disk_damage(rig.disk), "is damaged: L");
	ck_assert_uint_eq(peek(72, 8), 0); /* a read marks nothing */
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 0, memory, 512), -EIO);
	ck_assert_uint_eq(peek(72, 8), QCOW2_INCOMPAT_CORRUPT);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 65536, memory, 512), -EIO);
	image_close(&rig);
	contains(refused(false), "marked corrupt");
	ck_assert_int_eq(image_try_open(&rig, true, NULL), 0);
	image_close(&rig);
}

START_TEST(a_pointer_to_where_nothing_can_be_marks_the_image_corrupt)
{
	static const uint64_t l2_values[] = {
		0x0000 | QCOW2_COPIED,	       /* in use, but nowhere */
		0x1000 | QCOW2_COPIED,	       /* the refcount table */
		0x2000 | QCOW2_COPIED,	       /* a refcount block */
		0x3000 | QCOW2_COPIED,	       /* the L1 table */
		0x123200 | QCOW2_COPIED,       /* not aligned */
		0x10000000000 | QCOW2_COPIED,  /* behind the end */
		0x5000 | QCOW2_COPIED | 0x100, /* reserved bits */
	};
	static const uint64_t l1_values[] = {
		0x1000 | QCOW2_COPIED, /* no place of an L2 table... */
		0x123200 | QCOW2_COPIED,
		0x10000000000 | QCOW2_COPIED,
	};
	uint64_t l2;
	size_t i;

	image_init(&rig);
	for (i = 0; i < sizeof(l2_values) / sizeof(l2_values[0]); i++) {
		l2 = make_used();
		poke("top.qcow2", l2, l2_values[i], 8);
		reads_and_writes_fail();
	}
	l2 = make_used();
	poke("top.qcow2", l2, l2 | QCOW2_COPIED, 8); /* to itself */
	reads_and_writes_fail();
	for (i = 1; i < sizeof(l1_values) / sizeof(l1_values[0]); i++) {
		make_used();
		poke("top.qcow2", 0x3000, l1_values[i], 8);
		reads_and_writes_fail();
	}
	image_fini(&rig);
}
END_TEST

/* Neither given back by a discard nor taken by a write. */
START_TEST(tables_that_are_called_data_or_free_are_not_touched)
{
	uint64_t l2;

	image_init(&rig);
	l2 = make_used();
	poke("top.qcow2", l2, 0x3000 | QCOW2_COPIED, 8);
	image_open(&rig);
	ck_assert_int_eq(image_do(&rig, DISK_DISCARD, 0, NULL, 4096), -EIO);
	ck_assert_int_eq(image_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	image_close(&rig);
	ck_assert_uint_eq(peek(0x3000, 8), l2 | QCOW2_COPIED);

	make_used();
	poke("top.qcow2", 0x2000, 0, 2); /* the header's own count */
	image_open(&rig);
	ck_assert_int_eq(image_do(&rig, DISK_WRITE, 65536, memory, 4096), -EIO);
	image_close(&rig);
	ck_assert_uint_eq(peek(0, 4), QCOW2_MAGIC);
	image_fini(&rig);
}
END_TEST

START_TEST(tables_that_overlap_are_not_written)
{
	image_init(&rig);
	make_used();
	poke("top.qcow2", 0x1000, 0x3000, 8); /* a refcount block in the L1 */
	contains(refused(false), "overlaps another table");
	ck_assert_int_eq(image_try_open(&rig, true, NULL), 0);
	image_close(&rig);
	image_fini(&rig);
}
END_TEST

START_TEST(damaged_compressed_data_is_an_error_and_costs_one_cluster)
{
	struct stat st;
	int fd;

	image_init(&rig);
	IMAGE_MUST(&rig, "head -c 1M /dev/zero | tr '\\0' 'x' >flat.raw; "
			 "qemu-img convert -c -f raw -O qcow2 flat.raw "
			 "top.qcow2");
	image_open(&rig);
	ck_assert_int_eq(
		image_do(&rig, DISK_READ, 66000 / 512 * 512, memory, 512), 0);
	ck_assert_int_eq(memory[0], 'x');
	image_close(&rig);
	fd = open(rig.path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	memset(memory, 0xff, sizeof(memory));
	ck_assert_int_eq(pwrite(fd, memory, 4096, 0x50000), 4096);
	close(fd);
	image_open(&rig);
	ck_assert_int_eq(image_do(&rig, DISK_READ, 0, memory, 512), -EIO);
	image_close(&rig);
	image_fini(&rig);
}
END_TEST

START_TEST(an_image_that_was_not_closed_is_repaired_before_it_is_written)
{
	struct qcow2_check c = { .repair = QCOW2_REPAIR_ALL };
	struct qcow2 q;
	int fd;

	image_init(&rig);
	make_used();
	poke("top.qcow2", 0x2000 + 2 * 5, 0, 2);  /* a count in use */
	poke("top.qcow2", 0x2000 + 2 * 90, 1, 2); /* a leak */
	poke("top.qcow2", 72, QCOW2_INCOMPAT_DIRTY, 8);
	contains(refused(false), "amber disk check --repair");
	IMAGE_MUST(&rig, "truncate -s 400K top.qcow2");
	fd = open(rig.path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(qcow2_open(&q, fd, "x", &file_ops_real, QCOW2_REPAIR,
				    1 << 20, NULL),
			 0);
	ck_assert_int_eq(qcow2_check(&q, &c, NULL), 0);
	ck_assert_uint_eq(c.corruptions, 1);
	ck_assert_uint_eq(c.leaks, 1);
	ck_assert_uint_eq(c.fixed_corruptions, 1);
	ck_assert_uint_eq(c.fixed_leaks, 1);
	qcow2_fini(&q);
	close(fd);
	image_is_clean(&rig);
	image_open(&rig);
	image_close(&rig);
	image_fini(&rig);
}
END_TEST

START_TEST(autoclear_bits_are_cleared_by_a_writer_only)
{
	image_init(&rig);
	image_create(&rig, "top.qcow2", &small);
	poke("top.qcow2", 88, 0xff00000000000001, 8);
	ck_assert_int_eq(image_try_open(&rig, true, NULL), 0);
	image_close(&rig);
	ck_assert_uint_eq(peek(88, 8), 0xff00000000000001);
	poke("top.qcow2", 80, 0x4000, 8); /* compatible: preserved */
	image_open(&rig);
	image_close(&rig);
	ck_assert_uint_eq(peek(88, 8), 0);
	ck_assert_uint_eq(peek(80, 8), 0x4000);
	image_fini(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_header_that_cannot_be_right_is_refused_by_its_field,
		endless_extensions_are_refused,
		backing_names_that_cannot_be_right_are_refused,
		an_image_leads_to_no_file_outside_its_directory,
		directories_are_allowed_by_name,
		circles_and_endless_chains_are_refused,
		many_large_tables_are_refused,
		a_pointer_to_where_nothing_can_be_marks_the_image_corrupt,
		tables_that_are_called_data_or_free_are_not_touched,
		tables_that_overlap_are_not_written,
		damaged_compressed_data_is_an_error_and_costs_one_cluster,
		an_image_that_was_not_closed_is_repaired_before_it_is_written,
		autoclear_bits_are_cleared_by_a_writer_only,
	};

	return SUITE_RUN("qcow2_refuse", tests);
}
