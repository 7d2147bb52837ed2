/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to happen to a VM's snapshots by itself, from its configuration, and
 * when. Pure but for the file; any thread.
 *
 * A run is due at the first time of the schedule after the last one: however
 * many were missed, it is made up for once. The last one is what policy.json
 * says, or the newest snapshot of purpose "scheduled", whichever is later: a
 * file that is lost costs nothing but the memory of failures, and of runs that
 * had nothing to take. Before the first run the schedule begins when somebody
 * looked first. One that failed is tried again, at first after a minute, at
 * last every hour.
 */
#ifndef AMBER_SNAPSHOT_POLICY_H
#define AMBER_SNAPSHOT_POLICY_H

#include <jansson.h>

#include "base/cron.h"
#include "snapshot/prune_store.h"
#include "snapshot/store.h"

#define POLICY_PURPOSE	   "scheduled"
#define POLICY_FILE	   "policy.json" /* in the VM's directory */
#define POLICY_FILE_BYTES  (16u << 10)
#define POLICY_TEXT_BYTES  256
#define POLICY_NEVER	   UINT64_MAX
#define POLICY_RETRY_MIN_S 60
#define POLICY_RETRY_MAX_S 3600

struct policy {
	bool has_schedule;
	struct cron every;
	enum snapshot_kind kind;
	bool incremental, only_if_changed, quiesce, verify;
	bool has_rules; /* in prune; else only what has expired goes */
	struct prune_order prune;
	bool has_expiry;
	struct prune_span expires;
	uint64_t max_pause_ns;	    /* 0: no limit */
	uint64_t quota, quota_warn; /* bytes; 0: none */
};

/*
 * out is filled on success only. -EINVAL names the key. s: one whose members
 * have passed the checks of their types.
 */
int policy_read(struct policy *out, const struct vm_snapshots *s,
		struct err *e);

/* What policy.json knows; nanoseconds of the wall clock, 0: never. */
struct policy_state {
	uint64_t since_ns;  /* when the schedule began */
	uint64_t ran_ns;    /* when the last run began that did not fail */
	uint64_t failed_ns; /* the last try, if it failed */
	uint32_t failures;  /* in a row */
	char text[POLICY_TEXT_BYTES]; /* what came of the last one */
};

/*
 * No file: an empty state. -EBADMSG: it can't be understood; then, too, the
 * state is an empty one.
 */
int policy_load(struct policy_state *s, int dir, struct err *e);
/* Appends its text. */
int policy_print(const struct policy_state *s, struct buf *out);
/* The lock is the caller's. */
int policy_save(const struct policy_state *s, int dir, struct err *e);

/*
 * Brings the state in order at now: a schedule begins, times that a clock once
 * made up are not waited for. newest_ns: of the newest scheduled snapshot, 0:
 * there is none. Returns whether it has changed.
 */
bool policy_settle(struct policy_state *s, uint64_t newest_ns, uint64_t now_ns);

/* When a run is due; POLICY_NEVER. */
uint64_t policy_due(const struct policy *p, const struct policy_state *s);

/* A run that began at now has ended so. */
void policy_ran(struct policy_state *s, uint64_t now_ns, const char *text);
void policy_failed(struct policy_state *s, uint64_t now_ns, const char *text);

/*
 * Of a list of descriptions (snapshot_meta_json()): when the newest scheduled
 * one was taken, before now, 0: there is none; is there one whose time is over,
 * that is not pinned?
 */
uint64_t policy_newest(json_t *list, uint64_t now_ns);
bool policy_has_expired(json_t *list, uint64_t now_ns);

/* How its snapshots are taken at now, into an empty order. */
struct snapshot_order;
void policy_order(const struct policy *p, uint64_t now_ns,
		  struct snapshot_order *out);

#endif
