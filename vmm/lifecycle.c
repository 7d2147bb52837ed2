/* SPDX-License-Identifier: Apache-2.0 */
/* The lifecycle tables; pure look-ups, any thread. */
#include "vmm/lifecycle.h"

#include <stdint.h>
#include <string.h>

#define DO                         \
	{                          \
		LIFECYCLE_DO, NULL \
	}
#define ALREADY                         \
	{                               \
		LIFECYCLE_ALREADY, NULL \
	}
#define JOIN                         \
	{                            \
		LIFECYCLE_JOIN, NULL \
	}
#define WAIT                         \
	{                            \
		LIFECYCLE_WAIT, NULL \
	}
#define NO(help)                       \
	{                              \
		LIFECYCLE_REFUSE, help \
	}

/* clang-format off */
static const struct lifecycle_rule
rules[VM_STATE_COUNT][VM_COMMAND_COUNT] = {
/*                  start         pause         resume        shutdown      stop          reboot        reset         powerbutton   nmi           suspend       snapshot      restore       rewind        reload */
[VM_DEFINED]    = { DO,           NO("start"),  NO("start"),  ALREADY,      ALREADY,      NO("start"),  NO("start"),  NO("start"),  NO("start"),  NO("start"),  NO("start"),  DO,           NO("start"),  NO("start") },
[VM_STARTING]   = { JOIN,         WAIT,         WAIT,         WAIT,         DO,           WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT },
[VM_RUNNING]    = { ALREADY,      DO,           ALREADY,      DO,           DO,           DO,           DO,           DO,           DO,           DO,           DO,           DO,           DO,           DO },
[VM_PAUSING]    = { WAIT,         JOIN,         WAIT,         WAIT,         DO,           WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT,         WAIT },
[VM_PAUSED]     = { NO("resume"), ALREADY,      DO,           NO("resume"), DO,           NO("resume"), DO,           NO("resume"), NO("resume"), DO,           DO,           DO,           DO,           DO },
[VM_SUSPENDING] = { NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   JOIN,         NO("wait"),   NO("wait"),   NO("wait"),   NO("wait") },
[VM_SUSPENDED]  = { DO,           NO("start"),  NO("start"),  ALREADY,      ALREADY,      NO("start"),  NO("start"),  NO("start"),  NO("start"),  ALREADY,      NO("start"),  NO("start"),  NO("start"),  NO("start") },
[VM_STOPPING]   = { NO("wait"),   NO("stop"),   NO("stop"),   JOIN,         DO,           NO("stop"),   NO("stop"),   DO,           DO,           NO("stop"),   NO("stop"),   NO("stop"),   NO("stop"),   NO("stop") },
[VM_STOPPED]    = { DO,           NO("start"),  NO("start"),  ALREADY,      ALREADY,      NO("start"),  NO("start"),  NO("start"),  NO("start"),  NO("start"),  NO("start"),  DO,           NO("start"),  NO("start") },
[VM_RESETTING]  = { NO("wait"),   NO("reset"),  NO("reset"),  NO("stop"),   DO,           JOIN,         DO,           DO,           DO,           NO("reset"),  NO("reset"),  NO("reset"),  NO("reset"),  NO("reset") },
[VM_RESTORING]  = { NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   NO("wait"),   WAIT,         WAIT,         WAIT,         WAIT },
[VM_CRASHED]    = { NO("reset"),  NO("reset"),  NO("reset"),  NO("stop"),   DO,           NO("reset"),  DO,           NO("reset"),  NO("reset"),  NO("reset"),  DO,           DO,           DO,           NO("reset") },
[VM_IO_ERROR]   = { NO("resume"), ALREADY,      DO,           NO("resume"), DO,           NO("resume"), DO,           NO("resume"), NO("resume"), NO("resume"), NO("resume"), NO("resume"), NO("resume"), NO("resume") },
};
/* clang-format on */

#define TO(state) (1u << (state))

/* Which states may follow; bits by enum vm_state. */
static const uint32_t follows[VM_STATE_COUNT] = {
	[VM_DEFINED] = TO(VM_STARTING) | TO(VM_RESTORING),
	[VM_STARTING] = TO(VM_RUNNING) | TO(VM_PAUSED) | TO(VM_STOPPING) |
			TO(VM_STOPPED),
	[VM_RUNNING] = TO(VM_PAUSING) | TO(VM_SUSPENDING) | TO(VM_STOPPING) |
		       TO(VM_RESETTING) | TO(VM_CRASHED) | TO(VM_IO_ERROR) |
		       TO(VM_RESTORING) | TO(VM_PAUSED) | TO(VM_STOPPED),
	[VM_PAUSING] = TO(VM_PAUSED) | TO(VM_IO_ERROR) | TO(VM_STOPPING) |
		       TO(VM_RESETTING) | TO(VM_CRASHED) | TO(VM_STOPPED),
	[VM_PAUSED] = TO(VM_RUNNING) | TO(VM_SUSPENDING) | TO(VM_STOPPING) |
		      TO(VM_RESETTING) | TO(VM_RESTORING),
	[VM_SUSPENDING] = TO(VM_SUSPENDED) | TO(VM_PAUSED) | TO(VM_RUNNING) |
			  TO(VM_STOPPING) | TO(VM_RESETTING) | TO(VM_CRASHED),
	[VM_SUSPENDED] = TO(VM_RESTORING) | TO(VM_STARTING) | TO(VM_STOPPED),
	[VM_STOPPING] = TO(VM_STOPPED) | TO(VM_IO_ERROR) | TO(VM_RUNNING) |
			TO(VM_CRASHED) | TO(VM_PAUSED) | TO(VM_RESETTING),
	[VM_STOPPED] = TO(VM_STARTING) | TO(VM_RESTORING),
	[VM_RESETTING] = TO(VM_RUNNING) | TO(VM_IO_ERROR) | TO(VM_PAUSED) |
			 TO(VM_STOPPED) | TO(VM_STOPPING) | TO(VM_CRASHED),
	[VM_RESTORING] = TO(VM_RUNNING) | TO(VM_PAUSED) | TO(VM_STOPPED) |
			 TO(VM_SUSPENDED) | TO(VM_STOPPING) | TO(VM_CRASHED) |
			 TO(VM_RESETTING),
	[VM_CRASHED] = TO(VM_STOPPING) | TO(VM_RESETTING) | TO(VM_RESTORING) |
		       TO(VM_STOPPED),
	[VM_IO_ERROR] = TO(VM_RUNNING) | TO(VM_STOPPING) | TO(VM_RESETTING),
};

static const char *const state_names[VM_STATE_COUNT] = {
	"defined",    "starting",  "running",  "pausing", "paused",
	"suspending", "suspended", "stopping", "stopped", "resetting",
	"restoring",  "crashed",   "io-error",
};

static const char *const command_names[VM_COMMAND_COUNT] = {
	"start",    "pause",   "resume",      "shutdown", "stop",
	"reboot",   "reset",   "powerbutton", "nmi",	  "suspend",
	"snapshot", "restore", "rewind",      "reload",
};

const struct lifecycle_rule *lifecycle_rule(enum vm_state state,
					    enum vm_command command)
{
	return &rules[state][command];
}

bool lifecycle_may_follow(enum vm_state from, enum vm_state to)
{
	return follows[from] & TO(to);
}

const char *vm_state_text(enum vm_state state)
{
	return state < VM_STATE_COUNT ? state_names[state] : "?";
}

const char *vm_command_text(enum vm_command command)
{
	return command < VM_COMMAND_COUNT ? command_names[command] : "?";
}

static int parse(const char *text, const char *const *names, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	return -1;
}

int vm_state_parse(const char *text)
{
	return parse(text, state_names, VM_STATE_COUNT);
}

int vm_command_parse(const char *text)
{
	return parse(text, command_names, VM_COMMAND_COUNT);
}

bool vm_state_has_machine(enum vm_state state)
{
	return state != VM_DEFINED && state != VM_STARTING &&
	       state != VM_STOPPED && state != VM_SUSPENDED &&
	       state != VM_RESTORING;
}
