/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminal modes, signals and colours. Main thread only, but for the two
 * signal handlers, which call async-signal-safe functions alone. Invariant:
 * `saved` is complete before `raw_fd` says that it is there.
 */
#include "control/cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;  /* as found */
static struct termios wished; /* as wanted while raw */
static volatile sig_atomic_t raw_fd = -1;
static const char *screen_off; /* static text, NULL: none */
static int signal_pipe[2] = { -1, -1 };

static const int fatal_signals[] = {
	SIGQUIT, SIGILL, SIGABRT, SIGFPE,  SIGSEGV, SIGBUS,
	SIGTERM, SIGINT, SIGHUP,  SIGPIPE, SIGXCPU, SIGSYS,
};
static const int told_signals[] = {
	SIGINT, SIGTERM, SIGHUP, SIGCONT, SIGWINCH,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

bool term_is(int fd)
{
	const char *kind = getenv("TERM");

	return isatty(fd) && kind && strcmp(kind, "dumb") != 0;
}

bool term_has_colour(int fd)
{
	const char *no = getenv("NO_COLOR");

	return !(no && *no) && term_is(fd);
}

void term_size(int fd, unsigned int *columns, unsigned int *rows)
{
	struct winsize size;

	*columns = TERM_COLUMNS_DEFAULT;
	*rows = TERM_ROWS_DEFAULT;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return;
	if (size.ws_col)
		*columns = size.ws_col;
	if (size.ws_row)
		*rows = size.ws_row;
}

bool term_is_ours(int fd)
{
	return isatty(fd) && tcgetpgrp(fd) == getpgrp();
}

void term_screen(const char *on, const char *off)
{
	screen_off = off;
	if (write(STDOUT_FILENO, on, strlen(on)) < 0)
		screen_off = NULL;
}

/* Async-signal-safe. */
static void put_back(void)
{
	const char *off = screen_off;

	if (raw_fd < 0)
		return;
	screen_off = NULL;
	/* A terminal that is gone needs nothing put back. */
	if (off && write(STDOUT_FILENO, off, strlen(off)) < 0)
		off = NULL;
	tcsetattr(raw_fd, TCSANOW, &saved);
}

void term_restore(void)
{
	put_back();
	raw_fd = -1;
}

/* Restores, then lets the signal do what it does. SA_RESETHAND is set. */
static void on_fatal(int number)
{
	put_back();
	raise(number);
}

/* Leaves alone what is ignored or has become a byte of the pipe. */
static void guard_fatal(void)
{
	struct sigaction act = { .sa_handler = on_fatal,
				 .sa_flags = SA_RESETHAND };
	struct sigaction old;
	size_t i;

	for (i = 0; i < COUNT(fatal_signals); i++)
		if (sigaction(fatal_signals[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_DFL)
			sigaction(fatal_signals[i], &act, NULL);
}

static int change(int fd, struct err *e, void (*edit)(struct termios *))
{
	static bool registered;

	if (raw_fd >= 0)
		return 0;
	if (tcgetattr(fd, &saved) < 0)
		return err_sys(e, -errno, "the terminal's settings");
	wished = saved;
	edit(&wished);
	if (!registered && atexit(term_restore) == 0)
		registered = true;
	guard_fatal();
	raw_fd = fd;
	if (tcsetattr(fd, TCSANOW, &wished) < 0) {
		int code = -errno;

		raw_fd = -1;
		return err_sys(e, code, "setting the terminal");
	}
	return 0;
}

static void edit_keys(struct termios *t)
{
	t->c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t->c_cc[VMIN] = 1;
	t->c_cc[VTIME] = 0;
}

int term_raw(int fd, struct err *e)
{
	return change(fd, e, cfmakeraw);
}

int term_keys(int fd, struct err *e)
{
	return change(fd, e, edit_keys);
}

void term_again(void)
{
	if (raw_fd >= 0)
		tcsetattr(raw_fd, TCSANOW, &wished);
}

static void on_told(int number)
{
	int kept = errno;
	unsigned char byte = (unsigned char)number;

	/* A full pipe holds the news already. */
	if (write(signal_pipe[1], &byte, 1) < 0)
		errno = kept;
	errno = kept;
}

int term_signals(void)
{
	/* No SA_RESTART: a write to a stopped terminal must end too. */
	struct sigaction act = { .sa_handler = on_told };
	size_t i;

	if (signal_pipe[0] < 0 &&
	    pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	for (i = 0; i < COUNT(told_signals); i++)
		sigaction(told_signals[i], &act, NULL);
	return signal_pipe[0];
}

int term_next_signal(void)
{
	unsigned char byte;

	if (signal_pipe[0] < 0 || read(signal_pipe[0], &byte, 1) != 1)
		return 0;
	return byte;
}

void term_signals_end(void)
{
	size_t i;

	for (i = 0; i < COUNT(told_signals); i++)
		signal(told_signals[i], SIG_DFL);
}

const char *term_code(enum term_colour colour, bool wanted)
{
	static const char *const codes[TERM_COLOURS] = {
		[TERM_PLAIN] = "\033[0m",  [TERM_BOLD] = "\033[1m",
		[TERM_DIM] = "\033[2m",	   [TERM_RED] = "\033[31m",
		[TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m",
		[TERM_BLUE] = "\033[34m",
	};

	return wanted && colour < TERM_COLOURS ? codes[colour] : "";
}
