/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trials of what amber uses of the host. Each function adds one row; any
 * thread. Invariant: every descriptor opened for a trial is closed again.
 */
#include "control/cli/host_probe.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "control/cli/cli_spawn.h"

#define MIB	   (1ull << 20)
#define SMALL_MIB  256 /* less memory than this is little for a VM */
#define SMALL_FDS  1024
#define FILE_BYTES 4096

static void add(struct host_probe *p, const char *name,
		enum probe_status status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void add(struct host_probe *p, const char *name,
		enum probe_status status, const char *fmt, ...)
{
	struct probe_row *row;
	va_list ap;

	if (p->rows == HOST_PROBE_MAX)
		return;
	row = &p->row[p->rows++];
	row->name = name;
	row->status = status;
	va_start(ap, fmt);
	vsnprintf(row->text, sizeof(row->text), fmt, ap);
	va_end(ap);
}

/* The beginning of a small file of the kernel's as text; false: none. */
static bool read_text(const char *path, char text[FILE_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, FILE_BYTES - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n >= 0;
}

static void probe_kernel(struct host_probe *p)
{
	struct utsname name;

	if (uname(&name) < 0)
		add(p, "kernel", PROBE_DEGRADED, "%s", strerror(errno));
	else
		add(p, "kernel", PROBE_OK, "%.32s %.64s, %.16s, %ld CPUs",
		    name.sysname, name.release, name.machine,
		    sysconf(_SC_NPROCESSORS_ONLN));
}

/* The figure of a line "MemAvailable:  1234 kB", in MiB. */
static uint64_t meminfo_mib(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) / 1024 : 0;
}

static void probe_memory(struct host_probe *p)
{
	char text[FILE_BYTES];
	uint64_t free_mib;

	if (!read_text("/proc/meminfo", text)) {
		add(p, "memory", PROBE_DEGRADED,
		    "/proc/meminfo can't be read: figures are missing");
		return;
	}
	free_mib = meminfo_mib(text, "MemAvailable:");
	add(p, "memory", free_mib < SMALL_MIB ? PROBE_DEGRADED : PROBE_OK,
	    "%llu of %llu MiB available%s", (unsigned long long)free_mib,
	    (unsigned long long)meminfo_mib(text, "MemTotal:"),
	    free_mib < SMALL_MIB ? ": only tiny guests fit" : "");
}

static void probe_huge_pages(struct host_probe *p)
{
	char text[FILE_BYTES];

	if (!read_text("/sys/kernel/mm/transparent_hugepage/enabled", text))
		add(p, "huge pages", PROBE_DEGRADED,
		    "no transparent huge pages: first touches cost more");
	else if (strstr(text, "[never]"))
		add(p, "huge pages", PROBE_DEGRADED,
		    "switched off (transparent_hugepage=never): first touches "
		    "cost more");
	else
		add(p, "huge pages", PROBE_OK, "transparent, on request");
}

static void probe_io_uring(struct host_probe *p)
{
	struct io_uring_params params;
	long fd;

	memset(&params, 0, sizeof(params));
	fd = syscall(SYS_io_uring_setup, 1, &params);
	if (fd >= 0) {
		close((int)fd);
		add(p, "io_uring", PROBE_OK, "disks will use it");
	} else {
		add(p, "io_uring", PROBE_DEGRADED,
		    "%s: disks will use plain reads and writes",
		    strerror(errno));
	}
}

static void probe_userfaultfd(struct host_probe *p)
{
	static const char without[] = "live snapshots fall back to the dirty "
				      "log";
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		add(p, "userfaultfd", PROBE_DEGRADED, "%s: %s%s",
		    strerror(errno), without,
		    errno == EPERM ? " (sysctl vm.unprivileged_userfaultfd)"
				   : "");
		return;
	}
	if (ioctl((int)fd, UFFDIO_API, &api) < 0)
		add(p, "userfaultfd", PROBE_DEGRADED, "no write protection: %s",
		    without);
	else
		add(p, "userfaultfd", PROBE_OK, "with write protection");
	close((int)fd);
}

static void probe_landlock(struct host_probe *p)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0)
		add(p, "Landlock", PROBE_DEGRADED,
		    "%s: the sandbox can't restrict files", strerror(errno));
	else
		add(p, "Landlock", PROBE_OK, "ABI %ld", abi);
}

static void probe_seccomp(struct host_probe *p)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		add(p, "seccomp", PROBE_DEGRADED,
		    "%s: the sandbox can't restrict system calls",
		    strerror(errno));
	else
		add(p, "seccomp", PROBE_OK, "filters available");
}

static void probe_cgroups(struct host_probe *p)
{
	static const char *const wanted[] = { "cpu", "io", "memory" };
	char text[FILE_BYTES], missing[32];
	size_t i, len = 0;

	if (!read_text("/sys/fs/cgroup/cgroup.controllers", text)) {
		add(p, "cgroups", PROBE_DEGRADED,
		    "no cgroup v2 at /sys/fs/cgroup: a VM's use of the host "
		    "can't be limited");
		return;
	}
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strstr(text, wanted[i]))
			len += (size_t)snprintf(missing + len,
						sizeof(missing) - len, " %s",
						wanted[i]);
	if (len)
		add(p, "cgroups", PROBE_DEGRADED,
		    "v2, without%s: that can't be limited", missing);
	else
		add(p, "cgroups", PROBE_OK, "v2 with cpu, io, memory");
}

static void probe_pressure(struct host_probe *p)
{
	char text[FILE_BYTES];

	if (read_text("/proc/pressure/memory", text))
		add(p, "pressure", PROBE_OK, "PSI figures available");
	else
		add(p, "pressure", PROBE_DEGRADED,
		    "no PSI: host pressure can't be told");
}

static void probe_tun(struct host_probe *p)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		add(p, "tun", PROBE_DEGRADED,
		    "/dev/net/tun: %s: no tap networks", strerror(errno));
	else
		add(p, "tun", PROBE_OK, "tap networks possible");
	if (fd >= 0)
		close(fd);
}

static void probe_files(struct host_probe *p)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < SMALL_FDS)
		add(p, "open files", PROBE_DEGRADED,
		    "at most %llu (ulimit -n): many clients at once are "
		    "refused",
		    (unsigned long long)limit.rlim_max);
	else
		add(p, "open files", PROBE_OK, "at most %llu",
		    (unsigned long long)limit.rlim_max);
}

/* The nearest directory above path that is there. */
static void existing_parent(char *path)
{
	char *slash;

	while (access(path, F_OK) < 0 && (slash = strrchr(path, '/')) != NULL) {
		if (slash == path) {
			path[1] = 0;
			return;
		}
		*slash = 0;
	}
}

static void probe_place(struct host_probe *p, const char *name,
			const char *place)
{
	char path[PATH_MAX];
	struct statvfs fs;

	snprintf(path, sizeof(path), "%s", place);
	existing_parent(path);
	if (access(path, W_OK) < 0) {
		add(p, name, PROBE_MISSING, "%.100s can't be written: %s",
		    place, strerror(errno));
		p->usable = false;
	} else if (statvfs(path, &fs) < 0) {
		add(p, name, PROBE_DEGRADED, "%.100s: %s", place,
		    strerror(errno));
	} else {
		add(p, name, PROBE_OK, "%.100s, %llu MiB free", place,
		    (unsigned long long)fs.f_bavail * fs.f_frsize / MIB);
	}
}

static void probe_vmm(struct host_probe *p)
{
	char path[PATH_MAX];

	if (cli_spawn_find(path, sizeof(path))) {
		add(p, "amber-vmm", PROBE_OK, "%.160s", path);
		return;
	}
	add(p, "amber-vmm", PROBE_MISSING,
	    "not found: no VM can be started (set AMBER_VMM)");
	p->usable = false;
}

void host_probe(struct host_probe *p, const struct home *home)
{
	*p = (struct host_probe){ .usable = true };
	probe_kernel(p);
	probe_memory(p);
	probe_huge_pages(p);
	probe_io_uring(p);
	probe_userfaultfd(p);
	probe_landlock(p);
	probe_seccomp(p);
	probe_cgroups(p);
	probe_pressure(p);
	probe_tun(p);
	probe_files(p);
	probe_vmm(p);
	if (home) {
		probe_place(p, "AMBER_HOME", home->base);
		probe_place(p, "AMBER_RUN", home->run);
	}
}
