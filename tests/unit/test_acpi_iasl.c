/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables as ACPICA sees them, whose interpreter is also Linux's:
 * iasl disassembles each table and compiles the result again, acpiexec runs
 * the event method. Skipped (77) where these tools are missing (Debian:
 * acpica-tools). iasl does not read the RSDP; test_acpi.c does. One thread;
 * each tool has a deadline and is reaped by its pid.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "tests/unit/acpi_rig.h"
#include "tests/unit/suite.h"

#define TOOL_SECONDS  20
#define OUTPUT_MAX    (1u << 20)
#define EXIT_SKIPPED  77
#define EXIT_NO_TOOL  127
#define PATH_BYTES    64
#define COMMAND_BYTES 128

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void become_tool(const char *dir, const char *command, int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (chdir(dir) == 0 && null >= 0 && dup2(null, 0) == 0 &&
	    dup2(out, 1) == 1 && dup2(out, 2) == 2)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(EXIT_NO_TOOL);
}

/* Reads until the end or the deadline; true at the end. */
static bool drain(int fd, struct buf *out)
{
	int64_t deadline = now_ms() + TOOL_SECONDS * 1000;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char part[4096];
	int64_t left;
	ssize_t n;

	for (;;) {
		left = deadline - now_ms();
		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return false;
		n = read(fd, part, sizeof(part));
		if (n <= 0)
			return n == 0;
		buf_put(out, part, (size_t)n);
	}
}

/*
 * Runs a shell command, which begins with exec so that the process is the
 * tool, in dir. Its exit status, or -1 (killed, too late).
 */
static int run_tool(const char *dir, const char *command, struct buf *out)
{
	int pipe_fd[2], status = 0;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0)
		become_tool(dir, command, pipe_fd[1]);
	close(pipe_fd[1]);
	if (pid > 0 && !drain(pipe_fd[0], out))
		kill(pid, SIGKILL);
	close(pipe_fd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void make_directory(char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "/tmp/amber-iasl-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
}

static void remove_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			unlinkat(dirfd(dir), d->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

static bool write_table(const char *dir, const struct rig *r,
			const struct acpi_table *t)
{
	char path[PATH_BYTES + 16];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, t->name);
	f = fopen(path, "we");
	if (!f)
		return false;
	ok = fwrite(r->ram + t->gpa, 1, t->bytes, f) == t->bytes;
	return fclose(f) == 0 && ok;
}

static bool complains(const char *text)
{
	return strstr(text, "Error  ") || strstr(text, "Warning") ||
	       strstr(text, "ACPI Error") || strstr(text, "Invalid") ||
	       strstr(text, "Could not") || strstr(text, "not contain");
}

/* Appends to bad what iasl has to say against a table. */
static void judge_table(const char *dir, const char *name, struct buf *bad)
{
	char command[COMMAND_BYTES];
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	snprintf(command, sizeof(command), "exec iasl -d %s.dat", name);
	if (run_tool(dir, command, &out) || complains(buf_text(&out)))
		buf_printf(bad, "%s:\n%s\n", command, buf_text(&out));
	buf_reset(&out);
	snprintf(command, sizeof(command), "exec iasl %s.dsl", name);
	if (run_tool(dir, command, &out) ||
	    !strstr(buf_text(&out), " 0 Errors, 0 Warnings, 0 Remarks"))
		buf_printf(bad, "%s:\n%s\n", command, buf_text(&out));
	buf_fini(&out);
}

static void judge_shape(uint32_t cpus, uint32_t slots)
{
	char dir[PATH_BYTES];
	unsigned int i;
	struct buf bad;
	struct rig r;

	rig_make(&r, cpus, slots);
	make_directory(dir);
	buf_init(&bad, OUTPUT_MAX);
	for (i = 0; i < r.result.tables; i++) {
		if (strcmp(r.result.table[i].name, "RSDP") == 0)
			continue;
		if (!write_table(dir, &r, &r.result.table[i]))
			buf_puts(&bad, "a table could not be written\n");
		judge_table(dir, r.result.table[i].name, &bad);
	}
	remove_directory(dir);
	ck_assert_msg(bad.len == 0, "%s", buf_text(&bad));
	buf_fini(&bad);
	rig_fini(&r);
}

START_TEST(iasl_finds_nothing_wrong_with_one_cpu_and_no_slots)
{
	judge_shape(1, 0);
}
END_TEST

START_TEST(iasl_finds_nothing_wrong_with_two_cpus_and_all_slots)
{
	judge_shape(2, 16);
}
END_TEST

START_TEST(iasl_finds_nothing_wrong_with_300_cpus_and_all_slots)
{
	judge_shape(300, 16);
}
END_TEST

static bool notified(struct buf *out, const char *device)
{
	char line[PATH_BYTES];

	snprintf(line, sizeof(line), "Device Notify on [%s]", device);
	return strstr(buf_text(out), line) != NULL;
}

/* The event register reads as four bytes of value. */
static void run_event(const char *dir, unsigned int value, struct buf *out)
{
	char command[COMMAND_BYTES];

	snprintf(command, sizeof(command),
		 "exec acpiexec -r -fv %u -b 'execute \\_SB.GED._EVT 5' "
		 "DSDT.dat",
		 value);
	if (run_tool(dir, command, out) < 0)
		buf_puts(out, "acpiexec died: AE_");
}

START_TEST(the_event_method_notifies_exactly_what_the_register_says)
{
	struct buf out[4];
	char dir[PATH_BYTES];
	unsigned int i;
	struct rig r;

	rig_make(&r, 1, 0);
	make_directory(dir);
	ck_assert(write_table(dir, &r, &r.result.table[1]));
	ck_assert_str_eq(r.result.table[1].name, "DSDT");
	for (i = 0; i < 4; i++) {
		buf_init(&out[i], OUTPUT_MAX);
		run_event(dir, i, &out[i]);
	}
	remove_directory(dir);
	for (i = 0; i < 4; i++) {
		ck_assert_ptr_null(strstr(buf_text(&out[i]), "AE_"));
		ck_assert(strstr(buf_text(&out[i]), "evaluation of") != NULL);
		ck_assert_int_eq(notified(&out[i], "PWRB"), (i & 1) != 0);
		ck_assert_int_eq(notified(&out[i], "VGEN"), (i & 2) != 0);
		buf_fini(&out[i]);
	}
	rig_fini(&r);
}
END_TEST

static bool have(const char *command)
{
	struct buf out;
	int r;

	buf_init(&out, OUTPUT_MAX);
	r = run_tool("/", command, &out);
	buf_fini(&out);
	return r != EXIT_NO_TOOL;
}

int main(void)
{
	const TTest *const tests[] = {
		iasl_finds_nothing_wrong_with_one_cpu_and_no_slots,
		iasl_finds_nothing_wrong_with_two_cpus_and_all_slots,
		iasl_finds_nothing_wrong_with_300_cpus_and_all_slots,
		the_event_method_notifies_exactly_what_the_register_says,
	};

	if (!have("exec iasl -v") || !have("exec acpiexec -v")) {
		printf("SKIPPED: iasl and acpiexec are not installed "
		       "(Debian: acpica-tools)\n");
		return EXIT_SKIPPED;
	}
	return SUITE_RUN("acpi_iasl", tests);
}
