/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A valid stream of a snapshot in memory, and a sink that counts, for tests
 * and the fuzzer. One thread.
 */
#ifndef AMBER_TESTS_UNIT_BUNDLE_RIG_H
#define AMBER_TESTS_UNIT_BUNDLE_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/tar_private.h"
#include "snapshot/bundle.h"

#define BUNDLE_RIG_MEMORY 262144
#define BUNDLE_RIG_DATA	  8192 /* of it */

static const char bundle_rig_meta[] =
	"{\"format\":1,\"id\":\"0123abcd\",\"name\":\"one\",\"parent\":\"\","
	"\"base\":\"\","
	"\"kind\":\"full\",\"consistency\":\"live\",\"purpose\":\"manual\","
	"\"created\":\"2026-11-26T09:07:36.485Z\",\"created_ns\":1,"
	"\"vm\":\"web\",\"uuid\":\"u\",\"amber\":\"0.1.0\",\"cpus\":1,"
	"\"memory_bytes\":262144,\"pages\":2,\"pause_ns\":1,\"took_ns\":1,"
	"\"pinned\":false,\"labels\":{},\"disks\":[{\"id\":\"root\","
	"\"path\":\"/r.qcow2\",\"layer\":\"/r.0123abcd.qcow2\","
	"\"bytes\":1048576,\"inode\":0,\"file_bytes\":0,\"changed_ns\":0},"
	"{\"id\":\"data\",\"path\":\"/d.qcow2\","
	"\"layer\":\"/d.0123abcd.qcow2\",\"bytes\":512,\"inode\":0,"
	"\"file_bytes\":0,\"changed_ns\":0}]}";

struct bundle_rig {
	uint8_t *stream; /* owned */
	size_t len, at;
	struct snapshot_meta meta;
	/* What the sink saw. */
	unsigned int begun, ended, fails_at;
	enum bundle_part part;
	uint64_t bytes[BUNDLE_SUMS + 1], real[BUNDLE_SUMS + 1], last;
	bool is_wrong; /* INV-1 of snapshot/bundle_read.c */
};

static inline void bundle_rig_must(bool ok)
{
	if (!ok)
		abort();
}

static inline int bundle_rig_memory(void)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	bundle_rig_must(ftruncate(fd, BUNDLE_RIG_MEMORY) == 0);
	bundle_rig_must(pwrite(fd, "first", 5, 4096) == 5);
	bundle_rig_must(pwrite(fd, "second", 6, 131072) == 6);
	return fd;
}

static inline void bundle_rig_write(int out)
{
	int memory = bundle_rig_memory();
	struct bundle_writer w;

	bundle_begin(&w, out, 1);
	bundle_rig_must(
		!bundle_put_bytes(&w, "meta.json", bundle_rig_meta,
				  sizeof(bundle_rig_meta) - 1, NULL) &&
		!bundle_put_bytes(&w, "config", "{\"name\":\"web\"}", 14,
				  NULL) &&
		!bundle_put_bytes(&w, "vmstate", "state", 5, NULL) &&
		!bundle_put_sparse(&w, "memory", memory, NULL) &&
		!bundle_put_bytes(&w, "disk-root.qcow2", "QFI\xfb", 4, NULL) &&
		!bundle_put_bytes(&w, "disk-data.qcow2", "", 0, NULL) &&
		!bundle_put_end(&w, NULL));
	bundle_fini(&w);
	close(memory);
}

static inline void bundle_rig_open(struct bundle_rig *g)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	memset(g, 0, sizeof(*g));
	bundle_rig_write(fd);
	g->len = (size_t)lseek(fd, 0, SEEK_END);
	g->stream = malloc(g->len);
	bundle_rig_must(g->stream &&
			pread(fd, g->stream, g->len, 0) == (ssize_t)g->len);
	close(fd);
}

static inline void bundle_rig_close(struct bundle_rig *g)
{
	free(g->stream);
	snapshot_meta_fini(&g->meta);
}

/* --- changing it ----------------------------------------------------- */

static inline struct tar_block *bundle_rig_block(struct bundle_rig *g,
						 size_t at)
{
	struct tar_block *b = (void *)(g->stream + at);

	return at + TAR_BLOCK <= g->len &&
			       !memcmp(b->magic, TAR_MAGIC, sizeof(b->magic))
		       ? b
		       : NULL;
}

static inline struct tar_block *bundle_rig_header(struct bundle_rig *g,
						  const char *name)
{
	struct tar_block *b;
	size_t at;

	for (at = 0; at < g->len; at += TAR_BLOCK) {
		b = bundle_rig_block(g, at);
		if (b && !strcmp(b->name, name))
			return b;
	}
	abort();
}

/* All headers have the right checksums again. */
static inline void bundle_rig_seal(struct bundle_rig *g)
{
	struct tar_block *b;
	size_t at;

	for (at = 0; at < g->len; at += TAR_BLOCK) {
		b = bundle_rig_block(g, at);
		if (b)
			snprintf(b->checksum, sizeof(b->checksum), "%06o",
				 tar_checksum(b) & 0777777);
	}
}

/* --- reading it ------------------------------------------------------ */

static inline int bundle_rig_source(void *ctx, void *to, size_t n)
{
	struct bundle_rig *g = ctx;

	if (n > g->len - g->at)
		return -ENODATA;
	memcpy(to, g->stream + g->at, n);
	g->at += n;
	return 0;
}

static inline int bundle_rig_begin(void *ctx, enum bundle_part part,
				   unsigned int disk, uint64_t bytes,
				   struct err *e)
{
	struct bundle_rig *g = ctx;

	g->is_wrong |= g->begun != g->ended || part == BUNDLE_META ||
		       part >= BUNDLE_SUMS || disk >= VM_DISKS_MAX;
	g->part = part;
	g->real[part] = bytes;
	g->last = 0;
	if (++g->begun == g->fails_at)
		return err_set(e, -ENOSPC, "the sink is full");
	return 0;
}

static inline int bundle_rig_data(void *ctx, uint64_t at, const void *bytes,
				  size_t n, struct err *e)
{
	struct bundle_rig *g = ctx;

	(void)bytes;
	(void)e;
	g->is_wrong |= at < g->last || at + n > g->real[g->part];
	g->last = at + n;
	g->bytes[g->part] += n;
	return 0;
}

static inline int bundle_rig_end(void *ctx, struct err *e)
{
	struct bundle_rig *g = ctx;

	(void)e;
	g->ended++;
	return 0;
}

static inline int bundle_rig_read(struct bundle_rig *g, struct err *e)
{
	const struct tar_source source = { bundle_rig_source, g };
	const struct bundle_sink sink = { bundle_rig_begin, bundle_rig_data,
					  bundle_rig_end, g };
	int r;

	g->at = g->begun = g->ended = 0;
	memset(g->bytes, 0, sizeof(g->bytes));
	snapshot_meta_fini(&g->meta);
	r = bundle_read(&source, &sink, &g->meta, e);
	bundle_rig_must(!g->is_wrong);
	return r;
}

#endif
