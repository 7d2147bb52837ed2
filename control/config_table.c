/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a VM's configuration, and options as text; any thread. */
#include "control/config_table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/config_record.h"
#include "control/config_value.h"
#include "control/nearest.h"
#include "control/text.h"
#include "snapshot/naming.h"
#include "snapshot/policy.h"

#define OFFSET(m) offsetof(struct vm_config, m)

static const struct config_row rows[] = {
	{ "name", "name", "NAME", CONFIG_NAME, OFFSET(name), 1, VM_NAME_MAX,
	  false, "made up", "name of the VM and of its directory", NULL },
	{ "uuid", "uuid", "UUID", CONFIG_UUID, OFFSET(uuid), 0, 0, false,
	  "random", "identity that the guest sees", NULL },
	{ "kernel", "kernel", "FILE", CONFIG_KERNELS, OFFSET(kernel), 1,
	  VM_KERNELS_MAX, true, "",
	  "kernel to boot: bzImage or ELF64; repeated: the first one that "
	  "can be loaded is used",
	  NULL },
	{ "initrd", "initrd", "FILE", CONFIG_PATH, OFFSET(initrd), 0, 0, false,
	  "", "initial RAM disk", NULL },
	{ "append", "append", "TEXT", CONFIG_TEXT, OFFSET(append), 0, 2047,
	  false, "console=ttyS0 for Linux", "the kernel's command line", NULL },
	{ "cpus", "cpus", "N", CONFIG_NUMBER, OFFSET(cpus), 1, VM_CPUS_MAX,
	  false, "1", "number of vCPUs", NULL },
	{ "memory", "memory", "SIZE", CONFIG_BYTES, OFFSET(memory_bytes),
	  VM_MEMORY_MIN_BYTES, VM_MEMORY_MAX_BYTES, false, "128M",
	  "size of the guest's memory: bytes, or with K M G T", NULL },
	{ "disks", "disk", "PATH,...", CONFIG_RECORDS, 0, 0, VM_DISKS_MAX, true,
	  "", "disk: an image or block device, and how to use it",
	  &config_disks },
	{ "nets", "net", "KIND[=NAME],...", CONFIG_RECORDS, 0, 0, VM_NETS_MAX,
	  true, "",
	  "network card: user (passt, no privileges), tap[=INTERFACE], "
	  "hub=NAME (VMs among themselves), isolated",
	  &config_nets },
	{ "ports", "port", "NAME", CONFIG_RECORDS, 0, 0, VM_PORTS_MAX, true, "",
	  "named port of the virtio console, with a socket on the host",
	  &config_ports },
	{ "agent", "agent", "on|off", CONFIG_BOOL, OFFSET(agent), 0, 0, false,
	  "off", "a port for the QEMU guest agent", NULL },
	{ "virtio_console", "virtio-console", "on|off", CONFIG_BOOL,
	  OFFSET(virtio_console), 0, 0, false, "off",
	  "a virtio console (hvc0) beside the serial line", NULL },
	{ "balloon", "balloon", "on|off", CONFIG_BOOL, OFFSET(balloon), 0, 0,
	  false, "off", "a memory balloon with free page reporting", NULL },
	{ "vsock", "vsock", "CID", CONFIG_NUMBER, OFFSET(vsock_cid),
	  VSOCK_CID_MIN, VSOCK_CID_MAX, false, "none",
	  "a socket device, the guest's address is CID; on the host: "
	  "vsock.sock",
	  NULL },
	{ "rng", "rng", "on|off", CONFIG_BOOL, OFFSET(rng), 0, 0, false, "off",
	  "an entropy device", NULL },
	{ "rng_bps", "rng-bps", "SIZE", CONFIG_RATE, OFFSET(rng_bps), 0,
	  INT64_MAX, false, "0: no limit",
	  "bytes per second of the entropy device", NULL },
	{ "cpu_disable", "cpu-disable", "NAME,...", CONFIG_FEATURES,
	  OFFSET(cpu_disable), 0, VM_CPU_DISABLE_MAX, true, "",
	  "CPU features to hide from the guest", NULL },
	{ "on_poweroff", "on-poweroff", "POLICY", CONFIG_POLICY,
	  OFFSET(on_poweroff), 0, 0, false, "exit",
	  "when the guest powers off: exit, stop, restart or pause", NULL },
	{ "on_reboot", "on-reboot", "POLICY", CONFIG_POLICY, OFFSET(on_reboot),
	  0, 0, false, "restart",
	  "when the guest reboots: exit, stop, restart or pause", NULL },
	{ "on_panic", "on-panic", "POLICY", CONFIG_POLICY, OFFSET(on_panic), 0,
	  0, false, "pause; exit in the foreground",
	  "when the guest panics: exit, stop, restart or pause", NULL },
	{ "on_crash", "on-crash", "POLICY", CONFIG_POLICY, OFFSET(on_crash), 0,
	  0, false, "pause; exit in the foreground",
	  "when the guest can't go on: exit, stop, restart or pause", NULL },
	{ "restart_max", "restart-max", "N", CONFIG_NUMBER, OFFSET(restart_max),
	  0, 1000, false, "5", "restarts in a row before giving up", NULL },
	{ "ready", "ready", "REGEX", CONFIG_REGEX, OFFSET(ready), 1,
	  VM_REGEX_MAX, false, "the milestone port",
	  "the guest is ready when its console shows this", NULL },
	{ "ready_timeout", "ready-timeout", "SECONDS", CONFIG_NUMBER,
	  OFFSET(ready_timeout_s), 0, VM_SECONDS_MAX, false, "0",
	  "not ready by then is a failed boot; 0: no watch", NULL },
	{ "shutdown_timeout", "shutdown-timeout", "SECONDS", CONFIG_NUMBER,
	  OFFSET(shutdown_timeout_s), 1, VM_SECONDS_MAX, false, "30",
	  "time for each rung of a graceful shutdown", NULL },
	{ "clock", "clock", "step|freeze", CONFIG_CLOCK, OFFSET(clock), 0, 0,
	  false, "step",
	  "a guest that comes back: its agent sets its clock to now, or it "
	  "goes on from where it was",
	  NULL },
	{ "snapshots", "snapshots", "KEY=VALUE,...", CONFIG_RECORDS, 0, 0, 1,
	  false, "",
	  "what happens to its snapshots by itself: every=@hourly, "
	  "keep_last=24, "
	  "quota=20G and more",
	  &config_snapshots },
	{ "labels", "label", "KEY=VALUE", CONFIG_LABELS, OFFSET(label), 0,
	  VM_LABELS_MAX, true, "", "label to select VMs by", NULL },
	{ "access", NULL, NULL, CONFIG_ACCESS, OFFSET(grant), 0, 0, false, "",
	  "who else may use the control socket: {\"viewer\": {\"uids\": [], "
	  "\"gids\": []}, \"operator\": ..., \"admin\": ...}",
	  NULL },
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

const struct config_row *config_rows(size_t *count)
{
	*count = ROW_COUNT;
	return rows;
}

const struct config_row *config_find_key(const char *key)
{
	size_t i;

	for (i = 0; i < ROW_COUNT; i++)
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	return NULL;
}

const struct config_row *config_find_option(const char *option)
{
	size_t i;

	for (i = 0; i < ROW_COUNT; i++)
		if (rows[i].option && strcmp(rows[i].option, option) == 0)
			return &rows[i];
	return NULL;
}

const char *config_nearest_key(const char *wrong)
{
	const char *keys[ROW_COUNT];
	size_t i;

	for (i = 0; i < ROW_COUNT; i++)
		keys[i] = rows[i].key;
	return nearest(wrong, keys, ROW_COUNT);
}

void config_init(struct vm_config *c)
{
	vm_config_init(c);
	c->on_poweroff = VM_POLICY_DEFAULT;
	c->on_reboot = VM_POLICY_DEFAULT;
	c->on_panic = VM_POLICY_DEFAULT;
	c->on_crash = VM_POLICY_DEFAULT;
}

static void give_default(enum vm_policy *policy, enum vm_policy value)
{
	if (*policy == VM_POLICY_DEFAULT)
		*policy = value;
}

void config_finish(struct vm_config *c, enum config_use use)
{
	bool once = use == CONFIG_ONCE;
	enum vm_policy bad =
		use == CONFIG_KEPT ? VM_POLICY_PAUSE : VM_POLICY_EXIT;

	give_default(&c->on_poweroff, VM_POLICY_EXIT);
	give_default(&c->on_reboot, once ? VM_POLICY_EXIT : VM_POLICY_RESTART);
	give_default(&c->on_panic, bad);
	give_default(&c->on_crash, bad);
}

static uint64_t host_memory_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_bytes = sysconf(_SC_PAGESIZE);

	if (pages <= 0 || page_bytes <= 0)
		return UINT64_MAX;
	return (uint64_t)pages * (uint64_t)page_bytes;
}

/* What the schedule takes has a name that matches the pattern. */
static int check_scheduled_name(const struct vm_config *c, struct err *e)
{
	const struct vm_snapshots *s = &c->snapshots;
	struct snapshot_meta m = { .kind = (enum snapshot_kind)s->kind,
				   .purpose = POLICY_PURPOSE,
				   .created_ns = clock_wall_ns() };

	text_copy(m.vm, sizeof(m.vm), c->name);
	naming_make(*s->name ? s->name : NAMING_DEFAULT, &m, m.name);
	return naming_match(s->pattern, m.name, e) ? err_prefix(e, "snapshots")
						   : 0;
}

static int check_snapshots(const struct vm_config *c, struct err *e)
{
	const struct vm_snapshots *s = &c->snapshots;

	if (s->quiesce && !c->agent)
		return err_set(e, -EINVAL,
			       "snapshots: quiesce needs the guest's agent: "
			       "give --agent on");
	if (*s->every && s->kind == SNAPSHOT_DISK && !c->disks)
		return err_set(e, -EINVAL,
			       "snapshots: kind=disk, and there is no disk");
	if (*s->every && *s->pattern && *c->name)
		return check_scheduled_name(c, e);
	return 0;
}

/* Commands and events name both by their ids alone. */
static int check_ids(const struct vm_config *c, struct err *e)
{
	unsigned int i, k;

	for (i = 0; i < c->disks; i++)
		for (k = 0; k < c->nets; k++)
			if (!strcmp(c->disk[i].id, c->net[k].id))
				return err_set(e, -EINVAL,
					       "a disk and a network card both "
					       "have the id '%s'",
					       c->disk[i].id);
	return 0;
}

int config_check(const struct vm_config *c, struct err *e)
{
	char want[32];

	if (!c->kernels)
		return err_set(e, -EINVAL, "no kernel: give --kernel FILE");
	if (c->memory_bytes > host_memory_bytes())
		return err_set(
			e, -EINVAL,
			"memory: %s is more than this host has (%llu "
			"MiB)",
			config_bytes_text(c->memory_bytes, want, sizeof(want)),
			(unsigned long long)(host_memory_bytes() >> 20));
	if (check_snapshots(c, e))
		return -EINVAL;
	return check_ids(c, e);
}

/* Binary exponent of a suffix such as "M", "MB" or "MiB"; -1: none. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGTPE";
	const char *at;

	if (!*suffix || strcmp(suffix, "B") == 0)
		return 0;
	at = strchr(letters, *suffix >= 'a' ? *suffix - 'a' + 'A' : *suffix);
	if (!at)
		return -1;
	if (suffix[1] && strcmp(suffix + 1, "B") != 0 &&
	    strcmp(suffix + 1, "iB") != 0)
		return -1;
	return 10 * (int)(at - letters + 1);
}

int config_parse_bytes(const char *text, uint64_t *bytes, struct err *e)
{
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t value;
	int shift;

	shift = suffix_shift(text + digits);
	if (!digits || shift < 0)
		return err_set(e, -EINVAL,
			       "'%.32s' is no size such as 128M or 2G", text);
	if (digits >= sizeof(number))
		goto too_large;
	memcpy(number, text, digits);
	number[digits] = 0;
	if (!text_to_number(number, UINT64_MAX, &value))
		goto too_large;
	if (shift && value > UINT64_MAX >> shift)
		goto too_large;
	*bytes = value << shift;
	return 0;
too_large:
	return err_set(e, -ERANGE, "'%.32s' is too large", text);
}

const char *config_bytes_text(uint64_t bytes, char *text, size_t size)
{
	static const char letters[] = "KMGT";
	uint64_t value = bytes;
	int i = -1;

	while (value && value % 1024 == 0 && i < 3) {
		value /= 1024;
		i++;
	}
	if (i < 0)
		snprintf(text, size, "%llu", (unsigned long long)value);
	else
		snprintf(text, size, "%llu%c", (unsigned long long)value,
			 letters[i]);
	return text;
}
