/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of amber-vmm. Any thread, one at a time per struct. Invariant:
 * descriptors of this file are closed on exec but for the child's 0..3.
 */
#include "control/cli/cli_spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cli/cli_out.h"
#include "control/cli/term.h"
#include "control/exit_codes.h"

#define VMM	    "amber-vmm"
#define ARGS_MAX    24
#define NUMBER_SIZE 16
#define NOTIFY_FD   3 /* the child's */

extern char **environ;

/* A command line of amber-vmm, with the texts that it points to. */
struct command {
	char vmm[PATH_MAX];
	char dir[PATH_MAX];
	char socket[HOME_SOCKET_BYTES];
	char timeout[NUMBER_SIZE];
	const char *argv[ARGS_MAX];
	unsigned int args;
};

/* $AMBER_VMM, beside this program, else by name: along PATH. */
static void find_vmm(char *path, size_t size)
{
	const char *wish = getenv("AMBER_VMM");
	char here[PATH_MAX];
	char *slash;
	ssize_t n;

	if (wish && *wish) {
		snprintf(path, size, "%s", wish);
		return;
	}
	n = readlink("/proc/self/exe", here, sizeof(here) - 1);
	if (n > 0) {
		here[n] = 0;
		slash = strrchr(here, '/');
		if (slash) {
			*slash = 0;
			n = snprintf(path, size, "%s/" VMM, here);
			if (n < (ssize_t)size && access(path, X_OK) == 0)
				return;
		}
	}
	snprintf(path, size, VMM);
}

/* Is `name` to be found along PATH? Its place replaces it. */
static bool find_along_path(char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	char name[PATH_MAX];
	size_t len;

	snprintf(name, sizeof(name), "%s", path);
	for (; dirs && *dirs; dirs += len + (dirs[len] == ':')) {
		len = strcspn(dirs, ":");
		if ((size_t)snprintf(path, size, "%.*s/%s", (int)len, dirs,
				     name) < size &&
		    access(path, X_OK) == 0)
			return true;
	}
	return false;
}

bool cli_spawn_find(char *path, size_t size)
{
	find_vmm(path, size);
	if (strchr(path, '/'))
		return access(path, X_OK) == 0;
	return find_along_path(path, size);
}

static void arg(struct command *c, const char *text)
{
	if (c->args < ARGS_MAX - 1)
		c->argv[c->args++] = text;
}

static int make_command(const struct cli_spawn *s, struct command *c,
			struct err *e)
{
	int r;

	memset(c, 0, sizeof(*c));
	find_vmm(c->vmm, sizeof(c->vmm));
	r = home_vm_path(s->home, s->name, c->dir, sizeof(c->dir), e);
	if (!r)
		r = home_socket_path(s->home, s->name, c->socket, e);
	if (r)
		return r;
	arg(c, VMM);
	arg(c, "--dir");
	arg(c, c->dir);
	arg(c, "--socket");
	arg(c, c->socket);
	if (s->no_start)
		arg(c, "--no-start");
	if (s->from) {
		arg(c, "--from");
		arg(c, s->from);
	}
	if (s->only) {
		arg(c, "--only");
		arg(c, s->only);
	}
	if (s->paused)
		arg(c, "--paused");
	if (s->once)
		arg(c, "--once");
	if (s->remove)
		arg(c, "--rm");
	if (s->console || s->once) {
		arg(c, "--console");
		arg(c, "stdio");
	}
	if (s->timeout_s) {
		snprintf(c->timeout, sizeof(c->timeout), "%u", s->timeout_s);
		arg(c, "--timeout");
		arg(c, c->timeout);
	}
	if (s->expect) {
		arg(c, "--expect");
		arg(c, s->expect);
	}
	return 0;
}

/* exec's prototype wants char *const *, but changes nothing. */
static char *const *exec_args(const struct command *c)
{
	union {
		const char *const *ours;
		char *const *theirs;
	} args = { .ours = c->argv };

	return args.theirs;
}

static int not_found(const struct command *c, int code, struct err *e)
{
	return err_sys(e, code,
		       "%s can't be run (it is looked for in AMBER_VMM, beside "
		       "amber, and along PATH)",
		       c->vmm);
}

int cli_spawn_exec(const struct cli_spawn *s, struct err *e)
{
	struct command c;
	int r = make_command(s, &c, e);

	if (r)
		return r;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	execvp(c.vmm, exec_args(&c));
	return not_found(&c, -errno, e);
}

static int open_log(struct cli_spawn *s, struct err *e)
{
	int dir = home_open_vm(s->home, s->name, e);
	struct stat st;

	if (dir < 0)
		return dir;
	s->log = openat(dir, CLI_VMM_LOG,
			O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			0600);
	close(dir);
	if (s->log < 0 || fstat(s->log, &st) < 0)
		return err_sys(e, -errno, "%s", CLI_VMM_LOG);
	if (st.st_size > CLI_VMM_LOG_BYTES && ftruncate(s->log, 0) == 0)
		st.st_size = 0;
	s->log_from = st.st_size;
	return 0;
}

/* The descriptors that only the child keeps. */
struct child_fds {
	int in, out, notify;
};

static void close_child_fds(const struct child_fds *c)
{
	if (c->in >= 0)
		close(c->in);
	if (c->out >= 0)
		close(c->out);
	if (c->notify >= 0)
		close(c->notify);
}

static int open_pipe(int *reader, int *writer, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	*reader = ends[0];
	*writer = ends[1];
	return 0;
}

static int open_fds(struct cli_spawn *s, struct child_fds *c, struct err *e)
{
	int r = open_log(s, e);

	if (!r)
		r = open_pipe(&s->notify, &c->notify, e);
	if (r || !s->console)
		return r;
	r = open_pipe(&c->in, &s->to_guest, e);
	if (!r)
		r = open_pipe(&s->from_guest, &c->out, e);
	if (!r && fcntl(s->to_guest, F_SETFL, O_NONBLOCK) < 0)
		r = err_sys(e, -errno, "pipe");
	return r;
}

/* Fills 0..3 in rising order: no source is overwritten before its use. */
static int child_actions(posix_spawn_file_actions_t *a,
			 const struct cli_spawn *s, const struct child_fds *c)
{
	int r;

	r = c->in >= 0 ? posix_spawn_file_actions_adddup2(a, c->in, 0)
		       : posix_spawn_file_actions_addopen(a, 0, "/dev/null",
							  O_RDONLY, 0);
	if (!r && c->out >= 0)
		r = posix_spawn_file_actions_adddup2(a, c->out, 1);
	else if (!r)
		r = posix_spawn_file_actions_addopen(a, 1, "/dev/null",
						     O_WRONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(a, s->log, 2);
	if (!r)
		r = posix_spawn_file_actions_adddup2(a, c->notify, NOTIFY_FD);
	return r;
}

static int spawn(struct cli_spawn *s, const struct command *c,
		 const struct child_fds *fds)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	int r;

	sigfillset(&all);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions))
		return ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID |
						      POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK);
	r = child_actions(&actions, s, fds);
	if (!r)
		r = posix_spawnp(&s->pid, c->vmm, &actions, &attributes,
				 exec_args(c), environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int cli_spawn_start(struct cli_spawn *s, struct err *e)
{
	struct child_fds fds = { -1, -1, -1 };
	struct command c;
	int r;

	s->pid = 0;
	s->notify = s->to_guest = s->from_guest = s->log = -1;
	r = make_command(s, &c, e);
	if (!r)
		r = open_fds(s, &fds, e);
	if (!r) {
		arg(&c, "--notify-fd");
		arg(&c, "3");
		r = spawn(s, &c, &fds);
		if (r) {
			s->pid = 0;
			r = not_found(&c, -r, e);
		}
	}
	close_child_fds(&fds);
	return r;
}

/* Why did it end? The last line that it wrote, else how it ended. */
static int why_ended(const struct cli_spawn *s, int status, struct err *e)
{
	char text[ERR_TEXT_BYTES];
	ssize_t n = pread(s->log, text, sizeof(text) - 1, s->log_from);
	char *line;

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	if (n > 0) {
		text[n] = 0;
		line = strrchr(text, '\n');
		line = line ? line + 1 : text;
		if (strncmp(line, VMM ": ", sizeof(VMM ": ") - 1) == 0)
			line += sizeof(VMM ": ") - 1;
		return err_set(e, -EREMOTEIO, "%s", line);
	}
	return err_set(e, -EREMOTEIO,
		       "its process ended with status %d and said nothing",
		       status);
}

int cli_spawn_started(struct cli_spawn *s, struct err *e)
{
	static const char error[] = "error: ";
	char line[ERR_TEXT_BYTES];
	size_t len = 0;
	ssize_t n;

	do {
		n = read(s->notify, line + len, sizeof(line) - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	line[len] = 0;
	line[strcspn(line, "\n")] = 0;
	if (len && strncmp(line, error, sizeof(error) - 1) != 0)
		return 0;
	n = cli_spawn_reap(s);
	if (len)
		return err_set(e, -EREMOTEIO, "%s", line + sizeof(error) - 1);
	return why_ended(s, (int)n, e);
}

int cli_spawn_reap(struct cli_spawn *s)
{
	int status, number;

	while (waitpid(s->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_CODE_FAILED;
		while ((number = term_next_signal()) != 0)
			if (number == SIGINT || number == SIGTERM ||
			    number == SIGHUP)
				kill(s->pid, SIGTERM);
	}
	s->pid = 0;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	cli_error(s->name, "its process was killed by signal %d (%s)",
		  WTERMSIG(status), strsignal(WTERMSIG(status)));
	return EXIT_CODE_FAILED;
}

void cli_spawn_relay(const struct cli_spawn *s)
{
	off_t at = s->log_from;
	char text[4096];
	ssize_t n;

	while ((n = pread(s->log, text, sizeof(text), at)) > 0) {
		fwrite(text, 1, (size_t)n, stderr);
		at += n;
	}
	fflush(stderr);
}

void cli_spawn_fini(struct cli_spawn *s)
{
	int *fds[] = { &s->notify, &s->to_guest, &s->from_guest, &s->log };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
