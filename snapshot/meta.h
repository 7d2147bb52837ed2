/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot is, as meta.json in its directory tells: hostile input, as
 * people copy directories about. Unknown keys are passed over, so that later
 * versions may add some. Any thread; no shared state.
 */
#ifndef AMBER_SNAPSHOT_META_H
#define AMBER_SNAPSHOT_META_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "vmm/config.h"

#define SNAPSHOT_ID_CHARS     8 /* hexadecimal digits */
#define SNAPSHOT_NAME_MAX     63
#define SNAPSHOT_PURPOSE_MAX  63
#define SNAPSHOT_LABELS_MAX   16
#define SNAPSHOT_META_BYTES   (256u << 10)
#define SNAPSHOT_CONFIG_BYTES (1u << 20) /* of config */
#define SNAPSHOT_FORMAT	      1		 /* of meta.json */
#define SNAPSHOT_VERSION_MAX  31

enum snapshot_kind {
	SNAPSHOT_FULL,	/* disks and memory, of one moment */
	SNAPSHOT_DISK,	/* no memory: a start from it boots */
	SNAPSHOT_MEMORY /* no disks: only while they have not changed */
};

/* How well the guest knew of it. */
enum snapshot_consistency {
	SNAPSHOT_CRASH,	   /* as if the power had gone */
	SNAPSHOT_LIVE,	   /* memory is there, too: nothing is lost */
	SNAPSHOT_QUIESCED, /* the agent had frozen its file systems */
};

/* What a throwaway VM from it came to (amber snapshot verify --boot). */
struct snapshot_verdict {
	bool is_there, passed;
	char how[16]; /* "started", "console", "agent", "probe": what was asked
		       */
	char at[32];  /* RFC 3339 */
	uint64_t start_us; /* until it ran */
	uint64_t good_us;  /* until it was seen to be good */
	char text[128];	   /* why it was not; "" */
};

struct snapshot_disk {
	char id[DEVICE_ID_MAX + 1];
	char *path;	/* owned: of the disk, as configured */
	char *layer;	/* owned: of the frozen layer; NULL: it has none */
	uint64_t bytes; /* of the disk */
	/* What it was, for memory alone: it must be that still. */
	uint64_t inode, file_bytes, changed_ns;
};

struct snapshot_meta {
	char id[SNAPSHOT_ID_CHARS + 1];
	char name[SNAPSHOT_NAME_MAX + 1];
	char parent[SNAPSHOT_ID_CHARS + 1]; /* "": none */
	char base[SNAPSHOT_ID_CHARS + 1];   /* of its memory; "": it is full */
	enum snapshot_kind kind;
	enum snapshot_consistency consistency;
	char purpose[SNAPSHOT_PURPOSE_MAX + 1];
	char created[32]; /* RFC 3339 */
	uint64_t created_ns;
	char vm[VM_NAME_MAX + 1], uuid[VM_UUID_BYTES];
	char version[SNAPSHOT_VERSION_MAX + 1]; /* of amber */
	uint32_t cpus;
	uint64_t memory_bytes;
	uint64_t pages;	   /* of memory, in the set */
	uint64_t pause_ns; /* the guest stood still for */
	uint64_t took_ns;
	uint64_t expires_ns; /* 0: never */
	bool is_pinned;
	struct snapshot_verdict verdict;
	struct vm_label label[SNAPSHOT_LABELS_MAX];
	unsigned int labels;
	struct snapshot_disk disk[VM_DISKS_MAX];
	unsigned int disks;
};

void snapshot_meta_fini(struct snapshot_meta *m);

/* Appends the JSON, for people to read, too. -ENOMEM, -ENOSPC (out's limit). */
int snapshot_meta_print(const struct snapshot_meta *m, struct buf *out,
			struct err *e);

/*
 * Parses it into m, an empty one; snapshot_meta_fini() in each case. Errors:
 * -EBADMSG naming the key; -ENOTSUP: a later format, with both numbers.
 */
int snapshot_meta_parse(struct snapshot_meta *m, const char *text, size_t len,
			struct err *e);

/* The same as a JSON object, for who prints lists; NULL: no memory. */
json_t *snapshot_meta_json(const struct snapshot_meta *m);

/* "full", "disk", "memory"; -1: no such name. */
const char *snapshot_kind_text(enum snapshot_kind kind);
int snapshot_kind_parse(const char *text);
/* "crash", "live", "quiesced" */
const char *snapshot_consistency_text(enum snapshot_consistency c);

#endif
