/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on standard output and input of this process. The
 * loop never blocks on them: a reader that stops loses the oldest output,
 * as with every console reader. Flags of descriptors that are shared with
 * the shell are left alone. Loop thread.
 */
#ifndef AMBER_CONTROL_STDIO_CONSOLE_H
#define AMBER_CONTROL_STDIO_CONSOLE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/loop.h"

struct console;
struct stdio_console;

/*
 * Writes output from the console's beginning to out_fd, and what comes from
 * in_fd (-1: nothing) into its input. The descriptors stay the caller's.
 */
int stdio_console_create(struct stdio_console **out, struct loop *loop,
			 struct console *console, int in_fd, int out_fd,
			 struct err *e);
void stdio_console_destroy(struct stdio_console *s);

/* There is new output. */
void stdio_console_output(struct stdio_console *s);

/*
 * No more input is taken; drained is called (perhaps at once) when all
 * output was written or can't be.
 */
void stdio_console_drain(struct stdio_console *s, void (*drained)(void *ctx),
			 void *ctx);

#endif
