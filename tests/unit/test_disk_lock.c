/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may open an image: between our own disks, processes of ours, and QEMU,
 * whose tools are the judge. Without them (qemu-utils) their half is left
 * out, and that is printed.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/disk_rig.h"

#define MIB (1U << 20)

static struct disk_rig rig;

static void setup(void)
{
	rig_create(&rig, MIB);
}

static struct disk *must_open(bool read_only)
{
	const struct disk_config config = { .path = rig.path,
					    .read_only = read_only };
	struct err e = ERR_NONE;
	struct disk *d = NULL;

	ck_assert_msg(!disk_open(&d, &config, &e), "%s", e.text);
	return d;
}

/* The image is in use by pid, which is called name. */
static void must_refuse(bool read_only, pid_t pid, const char *name)
{
	const struct disk_config config = { .path = rig.path,
					    .read_only = read_only };
	struct err e = ERR_NONE;
	struct disk *d = NULL;
	char text[256];

	ck_assert_int_eq(disk_open(&d, &config, &e), -EBUSY);
	snprintf(text, sizeof(text), "%s: in use by process %d (%s)", rig.path,
		 (int)pid, name);
	if (pid == getpid()) /* a disk that was given twice */
		snprintf(text, sizeof(text), "%s: this VM has it already",
			 rig.path);
	ck_assert_str_eq(e.text, text);
}

/* --- our own --------------------------------------------------------- */

START_TEST(readers_share_and_a_writer_shares_with_nobody)
{
	struct disk *a, *b;

	setup();
	a = must_open(true);
	b = must_open(true);
	must_refuse(false, getpid(), "test_disk_lock");
	disk_close(a);
	must_refuse(false, getpid(), "test_disk_lock");
	disk_close(b);
	a = must_open(false);
	must_refuse(true, getpid(), "test_disk_lock");
	must_refuse(false, getpid(), "test_disk_lock");
	disk_close(a);
	disk_close(must_open(false));
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_refused_open_leaves_no_lock_behind)
{
	struct disk *a;

	setup();
	a = must_open(true);
	must_refuse(false, getpid(), "test_disk_lock");
	disk_close(must_open(true));
	disk_close(a);
	disk_close(must_open(false));
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_process_that_is_killed_holds_nothing)
{
	int fds[2];
	pid_t pid;
	char c;

	setup();
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		must_open(false);
		if (write(fds[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	must_refuse(false, pid, "test_disk_lock");
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	disk_close(must_open(false));
	rig_teardown(&rig);
}
END_TEST

START_TEST(a_child_that_inherits_the_descriptor_keeps_no_lock)
{
	struct disk *a;
	pid_t pid;

	setup();
	a = must_open(false);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		pause();
		_exit(1);
	}
	disk_close(a);
	disk_close(must_open(false));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rig_teardown(&rig);
}
END_TEST

/* --- QEMU's ---------------------------------------------------------- */

/*
 * A guest's disk in QEMU is shared with readers; its tools, when they only
 * read a raw image, share with everybody.
 */
#define SYSTEM                                                        \
	"qemu-system-x86_64 -nodefaults -display none -accel tcg -S " \
	"-qmp stdio -drive if=virtio,format=raw,"

static bool lacks_qemu(void)
{
	if (!system("qemu-img --version >/dev/null 2>&1") &&
	    !system("qemu-io --version >/dev/null 2>&1") &&
	    !system("qemu-system-x86_64 --version >/dev/null 2>&1"))
		return false;
	printf("left out: QEMU is not here (qemu-utils, qemu-system-x86)\n");
	return true;
}

/* Runs before+path+after. Returns its exit status; what it said. */
static int run(const char *before, const char *after, char *said, size_t bytes)
{
	char command[256];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s%s%s 2>&1 </dev/null", before,
		 rig.path, after);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	n = fread(said, 1, bytes - 1, f);
	said[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

static void qemu_refuses(const char *before, const char *after)
{
	char said[1024];

	ck_assert_int_ne(run(before, after, said, sizeof(said)), 0);
	ck_assert_msg(strstr(said, "lock"), "%s", said);
}

static void qemu_takes(const char *before, const char *after)
{
	char said[1024];

	ck_assert_msg(!run(before, after, said, sizeof(said)), "%s", said);
}

START_TEST(qemu_refuses_what_we_write_to)
{
	struct disk *a;

	if (lacks_qemu())
		return;
	setup();
	a = must_open(false);
	qemu_refuses("qemu-img resize -f raw ", " 2M");
	qemu_refuses("qemu-io -f raw -c 'write 0 512' ", "");
	qemu_refuses(SYSTEM "file=", "");
	qemu_refuses(SYSTEM "readonly=on,file=", "");
	disk_close(a);
	qemu_takes("qemu-io -f raw -c 'write 0 512' ", "");
	rig_teardown(&rig);
}
END_TEST

START_TEST(qemu_only_reads_what_we_read)
{
	struct disk *a;

	if (lacks_qemu())
		return;
	setup();
	a = must_open(true);
	qemu_takes("qemu-img info -f raw ", "");
	qemu_takes("qemu-io -f raw -r -c 'read 0 512' ", "");
	qemu_refuses("qemu-io -f raw -c 'write 0 512' ", "");
	qemu_refuses(SYSTEM "file=", "");
	disk_close(a);
	rig_teardown(&rig);
}
END_TEST

/* A QEMU that has the image open until it is killed. */
struct holder {
	pid_t pid;
	int in, out;
};

static void start_holder(struct holder *h, const char *before)
{
	char command[256];
	int in[2], out[2];

	snprintf(command, sizeof(command), "exec %s%s", before, rig.path);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	h->pid = fork();
	ck_assert_int_ge(h->pid, 0);
	if (!h->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	h->in = in[1];
	h->out = out[0];
}

/* Asks it something: it answers when its disks are open. */
static void hold(struct holder *h, const char *before, const char *question,
		 const char *answer)
{
	char said[4096];
	size_t n = 0;

	start_holder(h, before);
	ck_assert_int_gt(write(h->in, question, strlen(question)), 0);
	do {
		ck_assert_uint_lt(n, sizeof(said) - 1);
		ck_assert_int_eq(read(h->out, said + n, 1), 1);
		said[++n] = '\0';
	} while (!strstr(said, answer));
}

static void let_go(struct holder *h)
{
	kill(h->pid, SIGKILL);
	ck_assert_int_eq(waitpid(h->pid, NULL, 0), h->pid);
	close(h->in);
	close(h->out);
}

#define QMP_QUESTION "{\"execute\":\"qmp_capabilities\"}\n"
#define QMP_ANSWER   "\"return\""

START_TEST(we_refuse_what_qemu_uses)
{
	struct holder h;

	if (lacks_qemu())
		return;
	setup();
	hold(&h, "qemu-io -f raw ", "length\n", "1 MiB");
	must_refuse(false, h.pid, "qemu-io");
	must_refuse(true, h.pid, "qemu-io");
	let_go(&h);
	hold(&h, SYSTEM "file=", QMP_QUESTION, QMP_ANSWER);
	must_refuse(false, h.pid, "qemu-system-x86");
	must_refuse(true, h.pid, "qemu-system-x86");
	let_go(&h);
	hold(&h, SYSTEM "readonly=on,file=", QMP_QUESTION, QMP_ANSWER);
	must_refuse(false, h.pid, "qemu-system-x86");
	disk_close(must_open(true));
	let_go(&h);
	disk_close(must_open(false));
	rig_teardown(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		readers_share_and_a_writer_shares_with_nobody,
		a_refused_open_leaves_no_lock_behind,
		a_process_that_is_killed_holds_nothing,
		a_child_that_inherits_the_descriptor_keeps_no_lock,
		qemu_refuses_what_we_write_to,
		qemu_only_reads_what_we_read,
		we_refuse_what_qemu_uses,
	};

	return SUITE_RUN("disk_lock", tests);
}
