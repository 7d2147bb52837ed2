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

struct vm_config {
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

	struct vm_label label[VM_LABELS_MAX];
	unsigned int labels;
	struct vm_grant grant[3 * VM_GRANTS_MAX * 2];
	unsigned int grants;
};

/* Defaults for everything but the kernel. */
void vm_config_init(struct vm_config *c);
void vm_config_fini(struct vm_config *c);

#endif
