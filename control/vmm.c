/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From options to a running VM and to the end of the process. The loop's
 * thread. What the guest's first instruction does not need comes after the
 * start was submitted: it goes on beside the building of the machine.
 *
 *	prepare -> submit start -> serve -> loop ... gone -> drain -> close
 */
#include "control/vmm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/file.h"
#include "base/sched.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "control/control.h"
#include "control/exit_codes.h"
#include "control/home.h"
#include "control/leftovers.h"
#include "control/limits.h"
#include "control/once.h"
#include "control/ports.h"
#include "control/run_dir.h"
#include "control/server.h"
#include "control/stdio_console.h"
#include "snapshot/restore.h"

#define FDS_ROOM 512 /* a chain of memory images takes a hundred */

struct vmm {
	const struct vmm_options *opt; /* borrowed */
	struct vm_config *config;      /* borrowed */
	int dir, lock;		       /* owned; -1: none */
	int notify_fd;		       /* owned; -1: none or done */

	struct restore *from; /* owned; NULL: it boots */

	struct loop *loop; /* owned, as the rest */
	struct control *control;
	struct server *server;	     /* NULL: no socket */
	struct stdio_console *stdio; /* NULL: none */
	struct once once;
	int signal_fd;
	struct loop_fd signal_watch;
	unsigned int signals; /* that ask for the end */

	bool is_ending, server_drained, stdio_drained;
	bool owns_run_dir; /* it is removed at the end */
	char leftovers[LEFTOVERS_TEXT];
	struct loop_timer end_timer;
	struct vm_end end;
	int exit_code;
};

/* --- the end ------------------------------------------------------------ */

/* A snapshot that is being written is worth waiting for, unless somebody
 * insists. */
static bool may_end(const struct vmm *v)
{
	return !v->control->snapshot_op || v->signals > 1;
}

static void check_end(struct vmm *v)
{
	if (v->is_ending && v->server_drained && v->stdio_drained && may_end(v))
		loop_stop(v->loop);
}

static void on_op_ended(void *ctx)
{
	check_end(ctx);
}

static void on_server_drained(void *ctx)
{
	struct vmm *v = ctx;

	v->server_drained = true;
	check_end(v);
}

static void on_stdio_drained(void *ctx)
{
	struct vmm *v = ctx;

	v->stdio_drained = true;
	check_end(v);
}

/* Readers that stopped reading don't hold up the end. */
static void on_end_timeout(void *ctx)
{
	struct vmm *v = ctx;

	v->server_drained = v->stdio_drained = true;
	check_end(v);
}

static void begin_end(struct vmm *v, int exit_code)
{
	if (v->is_ending)
		return;
	v->is_ending = true;
	v->exit_code = exit_code;
	loop_arm(v->loop, &v->end_timer, LIMIT_END_MS * NS_PER_MS,
		 on_end_timeout, v);
	v->server_drained = !v->server;
	v->stdio_drained = !v->stdio;
	control_drain(v->control);
	if (v->stdio)
		stdio_console_drain(v->stdio, on_stdio_drained, v);
	if (v->server)
		server_drain(v->server);
	check_end(v);
}

static void on_gone(void *ctx, const struct vm_end *end)
{
	struct vmm *v = ctx;

	v->end = *end;
	begin_end(v, once_exit_code(&v->once, end));
}

/* --- commands of our own ------------------------------------------------ */

/* The start comes from whoever executed us, an end from a signal or limit. */
static const char *actor_kind(enum vm_command command, bool is_signal)
{
	if (command == VM_CMD_START || command == VM_CMD_RESTORE)
		return "cli";
	return is_signal ? "signal" : "policy";
}

static void submit(struct vmm *v, enum vm_command command, const char *reason,
		   bool is_signal,
		   void (*done)(void *ctx, const struct vm_result *result))
{
	struct vm_request request = {
		.command = command,
		.actor = { .kind = actor_kind(command, is_signal),
			   .uid = getuid() },
		.is_signal = is_signal,
		.force = true,
		.done = done,
		.ctx = v,
	};

	if (command == VM_CMD_START || command == VM_CMD_RESTORE) {
		request.paused = v->opt->paused;
		request.actor.pid = getppid();
	}
	if (command == VM_CMD_RESTORE)
		request.source = (struct vm_source){ v->from, restore_load,
						     restore_done };
	snprintf(request.reason, sizeof(request.reason), "%s", reason);
	vm_submit(v->control->vm, &request);
}

/* The VM is down by our wish: its policy may have told so already. */
static void on_stopped(void *ctx, const struct vm_result *result)
{
	struct vmm *v = ctx;
	struct vm_end end = { .cause = VM_CAUSE_COMMAND };

	(void)result;
	begin_end(v, once_exit_code(&v->once, &end));
}

static void on_shut_down(void *ctx, const struct vm_result *result)
{
	struct vmm *v = ctx;

	if (v->is_ending || result->error == -ECANCELED)
		return; /* a stop has taken over */
	if (result->error || result->refused)
		submit(v, VM_CMD_STOP, "graceful shutdown did not work", true,
		       on_stopped);
	else
		on_stopped(v, result);
}

static void on_decided(void *ctx)
{
	struct vmm *v = ctx;

	submit(v, VM_CMD_STOP,
	       v->once.verdict == ONCE_SEEN ? "--expect was seen"
					    : "--timeout is over",
	       false, on_stopped);
}

static void on_signal(void *ctx, uint32_t events)
{
	struct signalfd_siginfo info;
	struct vmm *v = ctx;
	char reason[48];

	(void)events;
	if (read(v->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	snprintf(reason, sizeof(reason), "signal %u from process %u",
		 info.ssi_signo, info.ssi_pid);
	once_signal(&v->once, (int)info.ssi_signo);
	/* The first one asks the guest; SIGQUIT, and a second one, do not. */
	if (v->signals++ == 0 && info.ssi_signo != SIGQUIT)
		submit(v, VM_CMD_SHUTDOWN, reason, true, on_shut_down);
	else
		submit(v, VM_CMD_STOP, reason, true, on_stopped);
	check_end(v);
}

/* --- the start ---------------------------------------------------------- */

static void notify(struct vmm *v, const char *prefix, const char *text)
{
	char line[ERR_TEXT_BYTES + 16];
	int n;

	if (v->notify_fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s%s", prefix, text);
	if (n >= (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 2;
	line[n] = '\n';
	file_write_all(v->notify_fd, line, (size_t)n + 1);
	close(v->notify_fd);
	v->notify_fd = -1;
}

static void fail_start(struct vmm *v, const char *text)
{
	notify(v, "error: ", text);
	fprintf(stderr, "amber-vmm: %s\n", text);
	begin_end(v, EXIT_CODE_FAILED);
}

static void on_started(void *ctx, const struct vm_result *result)
{
	struct vmm *v = ctx;

	if (result->refused)
		fail_start(v, "it was suspended: start it without --from, or "
			      "drop that (amber start --cold)");
	else if (!result->error)
		notify(v, "", vm_state_text(result->state));
	else if (result->error == -ECANCELED)
		notify(v, "error: ", "ended before it was started");
	else
		fail_start(v, *result->text ? result->text
					    : strerrordesc_np(-result->error));
}

static void on_output(void *ctx, const void *bytes, size_t len)
{
	struct vmm *v = ctx;

	once_output(&v->once, bytes, len);
}

static void on_output_ready(void *ctx)
{
	struct vmm *v = ctx;

	if (v->stdio)
		stdio_console_output(v->stdio);
}

/* Before any thread: they all inherit the mask. */
static int open_signals(struct vmm *v, struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGTTIN, SIGTTOU };
	sigset_t set;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &ignore, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	v->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return v->signal_fd < 0 ? err_sys(e, -errno, "signals") : 0;
}

static int load_dir(struct vmm *v, struct err *e)
{
	int r;

	v->dir = file_open_dir(AT_FDCWD, v->opt->dir, e);
	if (v->dir < 0)
		return v->dir;
	v->lock = vmdir_lock(v->dir, v->opt->dir, e);
	if (v->lock < 0)
		return v->lock;
	/* What a process that was killed had begun. */
	r = restore_recover(v->dir, e);
	if (r)
		return r;
	return config_load(v->config, v->dir, e);
}

static int load_file(struct vmm *v, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES + 1);
	r = file_read(AT_FDCWD, v->opt->config, LIMIT_JSON_CONFIG_BYTES, &text,
		      e);
	if (!r)
		r = config_from_json(v->config, buf_text(&text), text.len,
				     v->opt->config, e);
	buf_fini(&text);
	return r;
}

static int load_config(struct vmm *v, struct err *e)
{
	struct vm_config *c = v->config;
	int r = 0;

	if (v->opt->dir)
		r = load_dir(v, e);
	else if (v->opt->config)
		r = load_file(v, e);
	if (r)
		return r;
	if (!*c->name)
		snprintf(c->name, sizeof(c->name), "vm-%ld", (long)getpid());
	if (!*c->uuid)
		r = config_make_uuid(c->uuid, e);
	if (r)
		return r;
	config_finish(c, v->opt->once	 ? CONFIG_ONCE
			 : v->opt->stdio ? CONFIG_FOREGROUND
					 : CONFIG_KEPT);
	r = config_check(c, e);
	if (!r && v->opt->dir)
		leftovers_remove(v->dir, c, v->leftovers);
	return r ? r : run_dir_set(c, v->opt->socket, &v->owns_run_dir, e);
}

/* One line: what a process that was killed had left. */
static void note_leftovers(struct vmm *v)
{
	if (*v->leftovers)
		control_note_own(v->control, "swept", v->leftovers, 0);
}

static int make_control(struct vmm *v, struct err *e)
{
	struct control_config config = {
		.config = v->config,
		.dir = v->dir,
		.hooks = { v, on_output, on_output_ready, on_gone,
			   on_op_ended },
	};
	int r = loop_create(&v->loop, e);

	if (r)
		return r;
	config.loop = v->loop;
	r = once_init(&v->once, v->opt->once, v->opt->expect, e);
	if (!r)
		r = control_create(&v->control, &config, e);
	if (!r)
		note_leftovers(v);
	return r;
}

static int make_server(struct vmm *v, struct err *e)
{
	struct server_config config = {
		.loop = v->loop,
		.control = v->control,
		.limits = server_default_limits,
		.drained = on_server_drained,
		.ctx = v,
	};
	int r;

	if (!v->opt->socket)
		return 0;
	r = server_create(&v->server, &config, e);
	if (r)
		return r;
	return server_listen(v->server, v->opt->socket,
			     authz_has_grants(v->config), e);
}

/* Boots the VM, or brings a snapshot of it back. */
static int start(struct vmm *v, struct err *e)
{
	struct restore_order order = { .what = v->opt->from,
				       .part = v->opt->part,
				       .disk = v->opt->part_disk };
	int r = 0;

	if (v->opt->from)
		r = restore_open(&v->from, v->dir, v->config, &order, e);
	if (!r && !v->opt->no_start)
		submit(v, v->from ? VM_CMD_RESTORE : VM_CMD_START, "", false,
		       on_started);
	return r;
}

/* What goes on beside the building of the machine. */
static int serve(struct vmm *v, struct err *e)
{
	int r = 0;

	if (v->opt->stdio)
		r = stdio_console_create(&v->stdio, v->loop,
					 vm_console(v->control->vm),
					 STDIN_FILENO, STDOUT_FILENO, e);
	if (!r)
		r = make_server(v, e);
	if (!r)
		r = control_open_ports(v->control, e);
	if (!r)
		r = loop_add(v->loop, &v->signal_watch, v->signal_fd, EPOLLIN,
			     on_signal, v);
	if (!r)
		r = control_start_files(v->control, e);
	if (!r)
		once_start(&v->once, v->loop, v->opt->timeout_s, on_decided, v);
	return r;
}

/* --- closing ------------------------------------------------------------ */

static void report_end(const struct vmm *v)
{
	const char *crash = vm_crash_report(v->control->vm);

	if (!v->opt->once && !v->opt->stdio)
		return;
	if (v->exit_code == EXIT_CODE_CRASHED && *crash)
		fprintf(stderr, "%s", crash);
	if (v->once.verdict == ONCE_TIMEOUT)
		fprintf(stderr, "amber-vmm: not over after %u s\n",
			v->opt->timeout_s);
	else if (v->exit_code == EXIT_CODE_UNSEEN)
		fprintf(stderr, "amber-vmm: '%s' was not seen\n",
			v->opt->expect);
	else if (v->exit_code != EXIT_CODE_OK && *v->end.text)
		fprintf(stderr, "amber-vmm: %s\n", v->end.text);
}

/*
 * Removes the VM's directory, if the path still leads to it. Its lock is the
 * last to go: who waits for our end must not take us for ended before.
 */
static void remove_dir(struct vmm *v)
{
	const char *path = v->opt->dir;
	char name[NAME_MAX + 1];
	struct stat here, there;
	struct err e = ERR_NONE;
	size_t end = strlen(path), begin;
	int parent;

	while (end && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/'; begin--)
		;
	snprintf(name, sizeof(name), "%.*s", (int)(end - begin), path + begin);
	parent = file_open_dir(v->dir, "..", &e);
	if (parent < 0)
		return;
	if (fstat(v->dir, &here) == 0 &&
	    fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino &&
	    (file_empty_dir(v->dir, VMDIR_LOCK, &e) ||
	     file_remove_tree(parent, name, &e)))
		fprintf(stderr, "amber-vmm: %s\n", e.text);
	close(parent);
}

static void close_all(struct vmm *v)
{
	stdio_console_destroy(v->stdio);
	server_destroy(v->server);
	if (v->control) {
		if (scribe_flush(v->control->scribe, LIMIT_END_MS))
			fprintf(stderr, "amber-vmm: the disk does not answer: "
					"the logs are incomplete\n");
		report_end(v);
	}
	control_destroy(v->control);
	restore_close(v->from);
	if (v->owns_run_dir)
		run_dir_remove(v->config);
	once_fini(&v->once);
	loop_disarm(&v->end_timer);
	loop_remove(&v->signal_watch);
	loop_destroy(v->loop);
	if (v->signal_fd >= 0)
		close(v->signal_fd);
	if (v->opt->remove && v->lock >= 0)
		remove_dir(v);
	if (v->lock >= 0)
		close(v->lock);
	if (v->dir >= 0)
		close(v->dir);
}

int vmm_run(const struct vmm_options *options, struct vm_config *config)
{
	struct vmm v = {
		.opt = options,
		.config = config,
		.dir = -1,
		.lock = -1,
		.signal_fd = -1,
		.signal_watch = { .fd = -1 },
		.notify_fd = options->notify_fd,
		.exit_code = EXIT_CODE_FAILED,
	};
	struct err e = ERR_NONE;
	int r;

	/* vCPU threads may use every CPU; the socket answers all the same. */
	sched_be_prompt();
	fds_make_room(FDS_ROOM);
	r = open_signals(&v, &e);
	if (!r)
		r = load_config(&v, &e);
	if (!r)
		r = make_control(&v, &e);
	if (!r)
		r = start(&v, &e);
	if (!r)
		r = serve(&v, &e);
	if (!r && options->no_start)
		notify(&v, "", vm_state_text(VM_DEFINED));
	if (!r)
		r = loop_run(v.loop);
	if (r) {
		notify(&v, "error: ", e.text);
		fprintf(stderr, "amber-vmm: %s\n", e.text);
		v.exit_code = r == -EINVAL ? EXIT_CODE_USAGE : EXIT_CODE_FAILED;
	}
	close_all(&v);
	return v.exit_code;
}
