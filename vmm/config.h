/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person asked for: the configuration of one VM. Filled from JSON
 * and from command-line options by control/, never changed while the VM
 * lives. Strings are owned by the struct.
 */
#ifndef AMBER_VMM_CONFIG_H
#define AMBER_VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cron.h"
#include "devices/device_event.h"
#include "devices/vblk.h"
#include "devices/vconsole.h"
#include "devices/vsock.h"
#include "disk/disk.h"

#define VM_NAME_MAX	    63	/* characters of a VM's name */
#define VM_UUID_BYTES	    37	/* with the NUL */
#define VM_KERNELS_MAX	    8	/* entries of the boot list */
#define VM_CPUS_MAX	    254 /* xAPIC ids and MADT entries */
#define VM_MEMORY_MIN_BYTES (16ULL << 20)
#define VM_MEMORY_MAX_BYTES (1ULL << 40)
#define VM_CPU_DISABLE_MAX  32 /* names in --cpu-disable */
#define VM_FEATURE_NAME_MAX 15 /* characters of a CPU feature's name */
#define VM_LABELS_MAX	    32
#define VM_LABEL_MAX	    63	/* characters of a key, and of a value */
#define VM_REGEX_MAX	    255 /* characters of --ready and --expect */
#define VM_GRANTS_MAX	    16	/* uids, and gids, per role */
#define VM_SECONDS_MAX	    86400
#define VM_PATTERN_MAX                                         \
	127 /* characters, that a snapshot's name has to match \
	     */

/* What happens when the guest powers off, reboots, panics or crashes. */
enum vm_policy {
	VM_POLICY_DEFAULT, /* only while a configuration is being made */
	VM_POLICY_EXIT,	   /* the VMM ends; the directory stays */
	VM_POLICY_STOP,	   /* state stopped; process and socket live on */
	VM_POLICY_RESTART, /* a fresh boot, with back-off */
	VM_POLICY_PAUSE,   /* everything is kept as it is, for inspection */
	VM_POLICY_COUNT
};

/* "exit", "stop", "restart", "pause"; -1 when there is no such name. */
const char *vm_policy_text(enum vm_policy policy);
int vm_policy_parse(const char *text);

/*
 * The wall clock of a guest that comes back from a snapshot or out of
 * suspended: set to now by its agent, or left to go on from where it was. Its
 * other clocks always go on.
 */
enum vm_clock { VM_CLOCK_STEP, VM_CLOCK_FREEZE, VM_CLOCK_COUNT };

/* "step", "freeze"; -1 when there is no such name. */
const char *vm_clock_text(enum vm_clock clock);
int vm_clock_parse(const char *text);

enum vm_role { VM_ROLE_NONE, VM_ROLE_VIEWER, VM_ROLE_OPERATOR, VM_ROLE_ADMIN };

/* Who else than the owner and root may talk to the socket, by role. */
struct vm_grant {
	enum vm_role role;
	bool is_gid;
	uint32_t id;
};

struct vm_label {
	char key[VM_LABEL_MAX + 1];
	char value[VM_LABEL_MAX + 1];
};

/* A disk: --disk PATH,... */
struct vm_disk {
	char id[DEVICE_ID_MAX + 1]; /* "disk0": by its place when not given */
	char *path;
	char *allow_backing; /* a directory; NULL: the image's */
	char snapshot[64];   /* internal one that is shown; "": none */
	uint32_t format;     /* enum disk_format */
	uint32_t cache;	     /* enum disk_cache */
	uint32_t on_error;   /* enum vblk_on_error */
	uint32_t engine;     /* enum ioq_engine */
	bool read_only;
	char serial[VBLK_SERIAL_MAX + 1];
	uint32_t queues;
	uint64_t bps, iops; /* limits per second; 0: none */
};

#define VM_DISKS_MAX 8

enum vm_net_kind { VM_NET_USER, VM_NET_TAP, VM_NET_HUB, VM_NET_ISOLATED };

/* A network card: --net user, --net tap=NAME, --net hub=NAME, --net isolated */
struct vm_net {
	char id[DEVICE_ID_MAX + 1];   /* "net0" */
	uint32_t kind;		      /* enum vm_net_kind */
	char name[DEVICE_ID_MAX + 1]; /* of the interface or hub, or "" */
	char mac[18];		      /* "": made from the UUID */
	uint32_t queues;	      /* pairs */
	bool is_down;		      /* at the start */
	uint64_t bps, pps;	      /* limits per second; 0: none */
};

#define VM_NETS_MAX 4

/* A named port of the virtio console: --port NAME */
struct vm_port {
	char name[VPORT_NAME_MAX + 1];
};

#define VM_PORTS_MAX  6 /* besides the agent's */
#define VM_AGENT_PORT "org.qemu.guest_agent.0"

/*
 * What happens to the VM's snapshots by itself, and what they may be:
 * --snapshots KEY=VALUE,... "" and 0: nothing is said. snapshot/policy.h reads
 * it.
 */
struct vm_snapshots {
	char every[CRON_TEXT_MAX + 1];
	uint32_t kind; /* enum snapshot_kind */
	bool incremental, only_if_changed, quiesce, verify;
	uint32_t keep[6]; /* by enum prune_rule */
	char keep_within[32];
	uint64_t max_bytes;
	bool prune_all; /* not only what the schedule has taken */
	char expires[32];
	char max_pause[16];
	uint64_t quota, quota_warn;
	char name[64]; /* a template */
	char pattern[VM_PATTERN_MAX + 1];
};

#define VM_VSOCK_SOCKET "vsock.sock" /* in run_dir */

struct vm_config {
	/*
	 * Where sockets of the VM are made, and hubs; not part of what a
	 * person asked for: set by whoever runs the VM. "": nowhere.
	 */
	char run_dir[108], hub_dir[108];

	char name[VM_NAME_MAX + 1];
	char uuid[VM_UUID_BYTES];

	char *kernel[VM_KERNELS_MAX]; /* boot list, first good one is used */
	unsigned int kernels;
	char *initrd; /* or NULL */
	char *append; /* or NULL: "console=ttyS0" for Linux */

	uint32_t cpus;
	uint64_t memory_bytes; /* a multiple of 4096 */
	char cpu_disable[VM_CPU_DISABLE_MAX][VM_FEATURE_NAME_MAX + 1];
	unsigned int cpu_disables;

	enum vm_policy on_poweroff, on_reboot, on_panic, on_crash;
	uint32_t restart_max; /* consecutive restarts before giving up */

	char *ready;		  /* extended regex on the console, or NULL */
	uint32_t ready_timeout_s; /* 0: no watch */
	uint32_t shutdown_timeout_s; /* of each rung of the ladder */
	enum vm_clock clock;

	struct vm_disk disk[VM_DISKS_MAX];
	unsigned int disks;
	struct vm_net net[VM_NETS_MAX];
	unsigned int nets;
	struct vm_port port[VM_PORTS_MAX];
	unsigned int ports;
	bool agent;	     /* a port for the guest agent */
	bool virtio_console; /* a virtio console beside the serial line */
	bool balloon;
	uint32_t vsock_cid; /* 0: no vsock */
	bool rng;	    /* an entropy device */
	uint64_t rng_bps;   /* its limit; 0: none */

	struct vm_snapshots snapshots;
	unsigned int has_snapshots; /* 0 or 1 */

	struct vm_label label[VM_LABELS_MAX];
	unsigned int labels;
	struct vm_grant grant[3 * VM_GRANTS_MAX * 2];
	unsigned int grants;
};

/* Defaults for everything but the kernel. */
void vm_config_init(struct vm_config *c);
void vm_config_fini(struct vm_config *c);

/* The number of its disk of that id; -1: it has none. */
int vm_config_disk(const struct vm_config *c, const char *id);

#endif
