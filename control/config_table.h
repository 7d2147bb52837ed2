/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a VM as a table: one row per key of config.json,
 * which is also one option of `amber run`, `amber create` and `amber-vmm`.
 * Parsing, printing, usage text, man pages and the OpenAPI schema come from
 * these rows. Any thread; no shared state.
 */
#ifndef AMBER_CONTROL_CONFIG_TABLE_H
#define AMBER_CONTROL_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/config.h"

enum config_type {
	CONFIG_NAME,	 /* char[VM_NAME_MAX + 1] */
	CONFIG_UUID,	 /* char[VM_UUID_BYTES] */
	CONFIG_PATH,	 /* char *, absolute */
	CONFIG_KERNELS,	 /* the boot list */
	CONFIG_TEXT,	 /* char *, at most max bytes */
	CONFIG_REGEX,	 /* char *, at most max bytes */
	CONFIG_NUMBER,	 /* uint32_t, min..max */
	CONFIG_BYTES,	 /* uint64_t, min..max, a multiple of 4096 */
	CONFIG_RATE,	 /* uint64_t per second, min..max */
	CONFIG_POLICY,	 /* enum vm_policy */
	CONFIG_CLOCK,	 /* enum vm_clock */
	CONFIG_FEATURES, /* the names of CPU features */
	CONFIG_LABELS,
	CONFIG_BOOL,	/* bool; the option takes on or off */
	CONFIG_RECORDS, /* objects: control/config_record.h */
	CONFIG_ACCESS	/* grants; only in config.json */
};

struct config_record;

struct config_row {
	const char *key;      /* in config.json: "cpu_disable" */
	const char *option;   /* without "--": "cpu-disable"; NULL: none */
	const char *argument; /* what the option takes: "N", "FILE" */
	enum config_type type;
	size_t offset;	   /* of the member in struct vm_config */
	uint64_t min, max; /* numbers: the range; texts: max bytes */
	bool repeats;	   /* the option may be given more than once */
	const char *unset; /* the default, for people; "" when there is none */
	const char *help;  /* one line, no full stop */
	const struct config_record *record; /* CONFIG_RECORDS, else NULL */
};

const struct config_row *config_rows(size_t *count);

/* NULL when there is no such key, no such option (without "--"). */
const struct config_row *config_find_key(const char *key);
const struct config_row *config_find_option(const char *option);

/* The key nearest to a wrong one, or NULL. */
const char *config_nearest_key(const char *wrong);

/*
 * An empty configuration to be filled: vm_config_init(), but every policy
 * is still VM_POLICY_DEFAULT, so that config_finish() knows what was given.
 */
void config_init(struct vm_config *c);

/*
 * Sets one option from the command line's text, checked. Relative paths are
 * made absolute. A repeated option adds to the list; "a,b" adds two CPU
 * features. Errors: -EINVAL with "--memory 16E: ..." (no side effect then).
 */
int config_set(struct vm_config *c, const struct config_row *row,
	       const char *text, struct err *e);

enum config_use {
	CONFIG_KEPT,	   /* created or detached: a crash is kept */
	CONFIG_FOREGROUND, /* a person watches: panic and crash end it */
	CONFIG_ONCE	   /* a single run: every ending ends it */
};

/* Gives the policies that were not set their default for that use. */
void config_finish(struct vm_config *c, enum config_use use);

/* Writes a random version-4 UUID (RFC 9562, 5.4). */
int config_make_uuid(char uuid[VM_UUID_BYTES], struct err *e);

/*
 * Is it complete and possible: a kernel is there, memory fits this host...?
 * Files are not opened. Errors: -EINVAL.
 */
int config_check(const struct vm_config *c, struct err *e);

/*
 * "4096", "128M", "2G", "1GiB": bytes with a binary suffix K M G T P E.
 * Errors: -EINVAL (no number), -ERANGE (beyond 64 bits).
 */
int config_parse_bytes(const char *text, uint64_t *bytes, struct err *e);

/* Writes bytes as "128M" if that is exact, else as a plain number. */
const char *config_bytes_text(uint64_t bytes, char *text, size_t size);

#endif
