/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt as a child process with one end of a socket pair (passt(1), --fd).
 * The card's loop; created and destroyed by the machine's thread. INV-1:
 * at most one child; it is waited for before the next one or the end.
 */
#include "devices/net_passt.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define PASST	     "passt"
#define CHILD_FD     3
#define DELAY_NS     (NS_PER_S / 10)
#define DELAY_MAX_NS (10 * NS_PER_S)
#define GOOD_RUN_NS  (10 * NS_PER_S)

struct net_passt {
	struct loop *loop; /* borrowed */
	struct vnet *vnet; /* borrowed */
	pid_t pid;	   /* 0: none */
	int pid_fd;	   /* owned; -1: none */
	int words_fd;	   /* owned; what it complains about; -1: none */
	struct loop_fd watch;
	struct loop_timer again;
	uint64_t started_ns, delay_ns;
};

static int set_up_child(posix_spawn_file_actions_t *actions,
			posix_spawnattr_t *attr, int fd, int words)
{
	sigset_t none, usual;
	int r;

	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	sigaddset(&usual, SIGTERM);
	sigaddset(&usual, SIGINT);
	sigaddset(&usual, SIGHUP);
	r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY,
					     0);
	if (!r)
		r = posix_spawn_file_actions_addopen(actions, 1, "/dev/null",
						     O_WRONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(actions, words, 2);
	if (!r)
		r = posix_spawn_file_actions_adddup2(actions, fd, CHILD_FD);
	if (!r)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attr, &usual);
	/* A group of its own: a Ctrl-C at the terminal is for amber. */
	if (!r)
		r = posix_spawnattr_setpgroup(attr, 0);
	if (!r)
		r = posix_spawnattr_setflags(
			attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
				      POSIX_SPAWN_SETPGROUP);
	return r;
}

static int spawn(pid_t *pid, int fd, int words)
{
	char name[] = PASST, foreground[] = "--foreground", option[] = "--fd",
	     number[] = "3";
	char *argv[] = { name, foreground, option, number, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	r = set_up_child(&actions, &attr, fd, words);
	if (!r)
		r = posix_spawnp(pid, PASST, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static void on_exit_of_passt(void *ctx, uint32_t events);

static int spawn_error(int error, struct err *e)
{
	if (error == -ENOENT)
		return err_set(e, error,
			       "--net user needs passt, which is not "
			       "installed: apt install passt");
	return err_sys(e, error, "passt");
}

/* Starts it; *ours is this side of the pair. */
static int start(struct net_passt *p, int *ours, struct err *e)
{
	int pair[2], words[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "passt: socket pair");
	/* Not blocking: words that nobody reads are lost, and passt goes on. */
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = err_sys(e, -errno, "passt: pipe");
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	r = spawn(&p->pid, pair[1], words[1]);
	close(pair[1]);
	close(words[1]);
	if (r) {
		p->pid = 0;
		close(pair[0]);
		close(words[0]);
		return spawn_error(r, e);
	}
	p->words_fd = words[0];
	p->started_ns = clock_mono_ns();
	p->pid_fd = pidfd_open(p->pid, 0);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*ours = pair[0];
	return 0;
}

static void watch(struct net_passt *p)
{
	/* Without a pidfd its end shows by the socket alone. */
	if (p->pid_fd >= 0)
		loop_add(p->loop, &p->watch, p->pid_fd, EPOLLIN,
			 on_exit_of_passt, p);
}

static void reap(struct net_passt *p, bool kill_it)
{
	if (!p->pid)
		return;
	if (kill_it)
		kill(p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	loop_remove(&p->watch);
	if (p->pid_fd >= 0)
		close(p->pid_fd);
	if (p->words_fd >= 0)
		close(p->words_fd);
	p->pid_fd = p->words_fd = -1;
}

static void note(struct net_passt *p, const char *text)
{
	struct virtio *v = vnet_virtio(p->vnet);

	device_event(&v->cfg.events, DEVICE_BACKEND, v->cfg.id, text);
}

static void come_back(void *ctx);

static void arm_again(struct net_passt *p)
{
	if (clock_mono_ns() - p->started_ns > GOOD_RUN_NS)
		p->delay_ns = DELAY_NS;
	loop_arm(p->loop, &p->again, p->delay_ns, come_back, p);
	p->delay_ns *= 2;
	if (p->delay_ns > DELAY_MAX_NS)
		p->delay_ns = DELAY_MAX_NS;
}

static void come_back(void *ctx)
{
	struct net_passt *p = ctx;
	struct net_backend *backend;
	struct err e = ERR_NONE;
	int fd;

	if (start(p, &fd, &e) || net_stream_create(&backend, fd, &e)) {
		reap(p, true);
		note(p, e.text);
		arm_again(p);
		return;
	}
	watch(p);
	note(p, "passt was started again");
	vnet_set_backend(p->vnet, backend);
}

/* "passt has ended: its last words" */
static void read_words(const struct net_passt *p, char *text, size_t size)
{
	char words[512], *line = words;
	ssize_t n = read(p->words_fd, words, sizeof(words) - 1), i;

	snprintf(text, size, "passt has ended");
	while (n > 0 && words[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	words[n] = 0;
	for (i = 0; i < n; i++) {
		if (words[i] == '\n')
			line = &words[i + 1];
		else if ((unsigned char)words[i] < ' ')
			words[i] = ' ';
	}
	snprintf(text, size, "passt has ended: %.150s", line);
}

static void on_end(void *ctx)
{
	struct net_passt *p = ctx;
	char text[DEVICE_TEXT_MAX + 1];

	if (!p->pid)
		return;
	read_words(p, text, sizeof(text));
	reap(p, true);
	note(p, text);
	vnet_set_backend(p->vnet, NULL);
	arm_again(p);
}

static void on_exit_of_passt(void *ctx, uint32_t events)
{
	(void)events;
	on_end(ctx);
}

int net_passt_create(struct net_passt **out, struct loop *loop,
		     struct net_backend **backend, struct err *e)
{
	struct net_passt *p = calloc(1, sizeof(*p));
	int fd = -1, r;

	if (!p)
		return err_sys(e, -ENOMEM, "passt");
	p->loop = loop;
	p->pid_fd = p->words_fd = -1;
	p->delay_ns = DELAY_NS;
	r = start(p, &fd, e);
	if (!r)
		r = net_stream_create(backend, fd, e);
	if (r) {
		net_passt_destroy(p);
		return r;
	}
	*out = p;
	return 0;
}

void net_passt_serve(struct net_passt *p, struct vnet *n)
{
	p->vnet = n;
	vnet_on_gone(n, on_end, p);
	watch(p);
}

void net_passt_destroy(struct net_passt *p)
{
	if (!p)
		return;
	loop_disarm(&p->again);
	reap(p, true);
	free(p);
}
