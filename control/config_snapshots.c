/* SPDX-License-Identifier: Apache-2.0 */
/* The record of the policy of a VM's snapshots. Constant data and a check. */
#include "control/config_record.h"
#include "snapshot/policy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define AT(m)	 offsetof(struct vm_snapshots, m)
#define TEXT(m)	 AT(m), 0, sizeof(((struct vm_snapshots *)NULL)->m) - 1, NULL
#define KEEP(rule, what)                                                       \
	{                                                                      \
		"keep_" what, FIELD_NUMBER, AT(keep[rule]), 0, PRUNE_KEEP_MAX, \
			NULL, "0: no such rule",                               \
			"keep so many " what " ones (amber snapshot prune)"    \
	}

static const char *const kinds[] = { [SNAPSHOT_FULL] = "full",
				     [SNAPSHOT_DISK] = "disk",
				     [SNAPSHOT_MEMORY] = "memory",
				     NULL };

static const struct config_field fields[] = {
	{ "every", FIELD_TEXT, TEXT(every), "nothing is taken",
	  "when one is taken: minute hour day month weekday in UTC, or "
	  "@hourly, @daily, @weekly, @monthly, @yearly" },
	{ "kind", FIELD_ENUM, AT(kind), 0, 0, kinds, "full",
	  "full, disk or memory; of a stopped VM its disks" },
	{ "incremental", FIELD_BOOL, AT(incremental), 0, 0, NULL, "off",
	  "only the memory that the current snapshot has not" },
	{ "only_if_changed", FIELD_BOOL, AT(only_if_changed), 0, 0, NULL, "off",
	  "none is taken when nothing has happened since the last" },
	{ "quiesce", FIELD_BOOL, AT(quiesce), 0, 0, NULL, "off",
	  "file systems are frozen by the guest's agent meanwhile" },
	{ "verify", FIELD_BOOL, AT(verify), 0, 0, NULL, "off",
	  "each is read again, and checked, before others are removed" },
	KEEP(PRUNE_LAST, "last"),
	KEEP(PRUNE_HOURLY, "hourly"),
	KEEP(PRUNE_DAILY, "daily"),
	KEEP(PRUNE_WEEKLY, "weekly"),
	KEEP(PRUNE_MONTHLY, "monthly"),
	KEEP(PRUNE_YEARLY, "yearly"),
	{ "keep_within", FIELD_TEXT, TEXT(keep_within), "none",
	  "1y5m7d2h: keep what is not that much older than the newest" },
	{ "max_bytes", FIELD_BYTES, AT(max_bytes), 0, INT64_MAX, NULL,
	  "0: no limit", "then the oldest go until the rest takes up no more" },
	{ "prune_all", FIELD_BOOL, AT(prune_all), 0, 0, NULL, "off",
	  "the rules are about all snapshots, not only scheduled ones" },
	{ "expires", FIELD_TEXT, TEXT(expires), "never",
	  "1y5m7d2h: each scheduled one is removed after that time" },
	{ "max_pause", FIELD_TEXT, TEXT(max_pause), "no limit",
	  "50ms: one is given up when the guest stands still for longer" },
	{ "quota", FIELD_BYTES, AT(quota), 0, INT64_MAX, NULL, "0: none",
	  "bytes that all snapshots may take up: beyond, none is taken" },
	{ "quota_warn", FIELD_BYTES, AT(quota_warn), 0, INT64_MAX, NULL,
	  "0: none", "bytes beyond which there is an event" },
	{ "name", FIELD_TEXT, TEXT(name), "{vm}-{purpose}-{utc}",
	  "names that nobody gave, of {vm}, {purpose}, {kind}, {utc}" },
	{ "pattern", FIELD_TEXT, TEXT(pattern), "any name",
	  "extended regular expression that the whole of a name matches" },
};

static void init(void *record)
{
	struct vm_snapshots *s = record;

	*s = (struct vm_snapshots){ .kind = SNAPSHOT_FULL };
}

static int check(const void *record, const char *who, struct err *e)
{
	struct policy p;

	return policy_read(&p, record, e) ? err_prefix(e, "%s", who) : 0;
}

const struct config_record config_snapshots = {
	.fields = fields,
	.field_count = COUNT(fields),
	.is_single = true,
	.bytes = sizeof(struct vm_snapshots),
	.list = offsetof(struct vm_config, snapshots),
	.count = offsetof(struct vm_config, has_snapshots),
	.max = 1,
	.init = init,
	.check = check,
};
