/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where VMs live: directories, names, locks (DESIGN 1). A VM is a
 * directory; its lock, not its socket and not a pid, proves that it is
 * alive. Used by the VMM and by the command line. Any thread.
 */
#ifndef AMBER_CONTROL_HOME_H
#define AMBER_CONTROL_HOME_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "vmm/config.h"

/* Names inside a VM's directory */
#define VMDIR_LOCK	  "lock"
#define VMDIR_CONFIG	  "config.json"
#define VMDIR_STATE	  "state.json"
#define VMDIR_LOGS	  "logs"
#define VMDIR_CONSOLE_LOG "console.log"
#define VMDIR_BOOT_LOG	  "boot.log"
#define VMDIR_CRASH_LOG	  "crash.log"
#define VMDIR_JOURNAL	  "journal.jsonl"
#define VMDIR_OLD_SUFFIX  ".1" /* of a log that was rotated */

/* Name of the control socket inside the run directory of a VM. */
#define HOME_SOCKET	  "api.sock"
#define HOME_SOCKET_BYTES 108 /* sun_path, with its NUL */

struct home {
	char base[PATH_MAX]; /* $AMBER_HOME or its default */
	char run[PATH_MAX];  /* $AMBER_RUN or its default */
};

/*
 * Reads the environment: AMBER_HOME, else /var/lib/amber as root, else
 * $XDG_DATA_HOME/amber, else ~/.local/share/amber; AMBER_RUN, else /run/amber
 * as root, else $XDG_RUNTIME_DIR/amber, else <home>/run. Makes nothing.
 * Errors: -EINVAL (no home at all, a relative path), -ENAMETOOLONG.
 */
int home_find(struct home *h, struct err *e);

/* <base>/vms/NAME. The name was checked with config_name_check(). */
int home_vm_path(const struct home *h, const char *name, char *path,
		 size_t size, struct err *e);
/* <run>/NAME/api.sock; -ENAMETOOLONG beyond HOME_SOCKET_BYTES. */
int home_socket_path(const struct home *h, const char *name,
		     char path[HOME_SOCKET_BYTES], struct err *e);

/*
 * Makes the directory of a new VM with its logs/ (0700) and what is missing
 * above. Returns its descriptor; -EEXIST when the name is taken.
 */
int home_create_vm(const struct home *h, const char *name, struct err *e);

/*
 * The same for a VM that is made in several steps: nobody sees it before it
 * is published under its name. begun: its name until then, in vms/, for
 * home_vm_path() and home_remove_vm(). What a process that is dead had begun
 * goes with the next one.
 */
#define HOME_BEGUN_BYTES 16
int home_begin_vm(const struct home *h, char begun[HOME_BEGUN_BYTES],
		  struct err *e);
/* -EEXIST: the name is taken. */
int home_publish_vm(const struct home *h, const char *begun, const char *name,
		    struct err *e);

/* Opens the directory of a VM; -ENOENT when there is none. */
int home_open_vm(const struct home *h, const char *name, struct err *e);

/*
 * Removes the directory of a VM and all that is in it. The caller holds its
 * lock (and closes it afterwards).
 */
int home_remove_vm(const struct home *h, const char *name, struct err *e);

struct home_names {
	char (*name)[VM_NAME_MAX + 1]; /* owned, sorted */
	size_t count;
};

/* All VMs; what has no valid name is not one. No home yet: none. */
int home_list(const struct home *h, struct home_names *out, struct err *e);
void home_names_fini(struct home_names *names);

/*
 * Takes the lock of the VM in the open directory dir, for as long as the
 * returned descriptor (O_CLOEXEC) is open. what names the VM in errors.
 * Errors: -EBUSY (held: the text names the holder's pid), -EROFS...
 */
int vmdir_lock(int dir, const char *what, struct err *e);

/*
 * Who holds the lock? Returns 1 (held; *pid is the holder's, 0 if unknown),
 * 0 (free) or a negative errno. Disturbs nobody: it doesn't take the lock.
 */
int vmdir_locked(int dir, pid_t *pid);

#endif
