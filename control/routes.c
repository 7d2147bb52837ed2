/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the API; constant data, any thread. */
#include "control/routes.h"

#include <string.h>

#include "control/api.h"
#include "control/limits.h"
#include "control/text.h"
#include "snapshot/expires.h"
#include "snapshot/meta.h"
#include "snapshot/prune.h"
#include "vmm/vm.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define JSON	 "application/json"
#define TEXT	 "text/plain; charset=utf-8"
#define BYTES	 "application/octet-stream"
#define STREAM	 "text/event-stream"
#define METRICS	 "text/plain; version=0.0.4; charset=utf-8"

#define REASON                                                   \
	{                                                        \
		"reason", PARAM_BODY, PARAM_TEXT, VM_REASON_MAX, \
			"why; kept in the journal"               \
	}
#define TIMEOUT                                                \
	{                                                      \
		"timeout_ms", PARAM_BODY, PARAM_NUMBER,        \
			1000ULL * VM_SECONDS_MAX,              \
			"time for each rung; 0: as configured" \
	}
#define START_PAUSED                                                   \
	{                                                              \
		"paused", PARAM_BODY, PARAM_BOOL, 1,                   \
			"leave it paused before its first instruction" \
	}
#define SINCE(doc)                                                 \
	{                                                          \
		"since", PARAM_QUERY, PARAM_NUMBER, INT64_MAX, doc \
	}

static const struct route_param ready_params[] = {
	{ "wait", PARAM_QUERY, PARAM_NUMBER, LIMIT_WAIT_S,
	  "seconds to wait for the guest to be ready" },
};

static const struct route_param console_params[] = {
	SINCE("position of the first byte wanted; default: the oldest kept"),
	{ "max", PARAM_QUERY, PARAM_NUMBER, INT64_MAX,
	  "at most so many bytes, the newest ones unless since is given" },
};

static const struct route_param attach_params[] = {
	SINCE("position of the first byte wanted; default: what comes now"),
	{ "history", PARAM_QUERY, PARAM_BOOL, 1, "begin with the oldest kept" },
	{ "readonly", PARAM_QUERY, PARAM_BOOL, 1,
	  "only read: needs no operator, and any number may" },
};

static const struct route_param events_params[] = {
	SINCE("replay the events after this number; default: what comes now"),
};

static const struct route_param journal_params[] = {
	SINCE("only records after this number"),
	{ "limit", PARAM_QUERY, PARAM_NUMBER, LIMIT_JOURNAL_ANSWER,
	  "at most so many, the newest ones unless since is given" },
};

static const struct route_param start_params[] = { START_PAUSED, REASON };
static const struct route_param plain_params[] = { REASON };
#define DEVICE                                                             \
	{                                                                  \
		"device", PARAM_BODY, PARAM_WORD, DEVICE_ID_MAX, "its id", \
	}
static const struct route_param resume_params[] = {
	{ "verified", PARAM_BODY, PARAM_BOOL, 1,
	  "somebody has looked at the storage of a disk whose flush failed" },
	REASON,
};
static const struct route_param balloon_params[] = {
	{ "memory_bytes", PARAM_BODY, PARAM_NUMBER, VM_MEMORY_MAX_BYTES,
	  "memory that the guest is to keep" },
	REASON,
};
static const struct route_param limit_params[] = {
	DEVICE,
	{ "bps", PARAM_BODY, PARAM_NUMBER, INT64_MAX,
	  "bytes per second; 0: no limit; default: as it is" },
	{ "ops", PARAM_BODY, PARAM_NUMBER, INT64_MAX,
	  "requests or frames per second; 0: no limit; default: as it is" },
	REASON,
};
static const struct route_param link_params[] = {
	DEVICE,
	{ "up", PARAM_BODY, PARAM_BOOL, 1, "is the cable plugged in" },
	REASON,
};
static const struct route_param pause_params[] = {
	{ "emergency", PARAM_BODY, PARAM_BOOL, 1,
	  "stop the vCPUs now, drain nothing" },
	REASON,
};
static const struct route_param graceful_params[] = {
	TIMEOUT,
	{ "force", PARAM_BODY, PARAM_BOOL, 1,
	  "the last rung is the forced one" },
	REASON,
};

static const struct route_param agent_params[] = {
	{ "timeout_ms", PARAM_BODY, PARAM_NUMBER, 1000ULL * VM_SECONDS_MAX,
	  "time for the answer; 0 and default: 5 s, of fsfreeze 60 s" },
	REASON,
};
static const struct route_param exec_params[] = {
	{ "command", PARAM_BODY, PARAM_LIST, LIMIT_AGENT_EXEC_WORDS,
	  "the program and its arguments; there is no shell" },
	{ "timeout_ms", PARAM_BODY, PARAM_NUMBER, 1000ULL * VM_SECONDS_MAX,
	  "time for the command to end; 0 and default: 30 s" },
	REASON,
};

#define GET(path, role, params, type, handler, summary)                     \
	{                                                                   \
		"GET", path, role, ROUTE_NO_COMMAND, params, COUNT(params), \
			type, summary, handler, false                       \
	}
#define GET0(path, role, type, handler, summary)                             \
	{                                                                    \
		"GET", path, role, ROUTE_NO_COMMAND, NULL, 0, type, summary, \
			handler, false                                       \
	}
#define POST(name, command, params, summary)                               \
	{                                                                  \
		"POST", "/v1/vm/" name, VM_ROLE_OPERATOR, command, params, \
			COUNT(params), JSON, summary, api_command, false   \
	}

#define ADMIN(name, command, params, summary)                            \
	{                                                                \
		"POST", "/v1/vm/" name, VM_ROLE_ADMIN, command, params,  \
			COUNT(params), JSON, summary, api_command, false \
	}

#define SNAPSHOT                                                            \
	{                                                                   \
		"snapshot", PARAM_BODY, PARAM_WORD, SNAPSHOT_NAME_MAX,      \
			"its name or ID; default: the one the VM came from" \
	}
#define BACKGROUND                                                         \
	{                                                                  \
		"background", PARAM_BODY, PARAM_BOOL, 1,                   \
			"answer 202 at once; GET /v1/ops/{id} tells of it" \
	}
static const struct route_param snapshot_params[] = {
	{ "name", PARAM_BODY, PARAM_WORD, SNAPSHOT_NAME_MAX,
	  "default: made of the VM's name, the purpose and the time" },
	{ "kind", PARAM_BODY, PARAM_WORD, 8, "full (default), disk or memory" },
	{ "purpose", PARAM_BODY, PARAM_WORD, SNAPSHOT_PURPOSE_MAX,
	  "what it is for; default: manual" },
	{ "labels", PARAM_BODY, PARAM_LIST, SNAPSHOT_LABELS_MAX,
	  "KEY=VALUE each" },
	{ "pin", PARAM_BODY, PARAM_BOOL, 1, "it is not to be deleted" },
	{ "incremental", PARAM_BODY, PARAM_BOOL, 1,
	  "only the memory that the current snapshot has not" },
	{ "quiesce", PARAM_BODY, PARAM_BOOL, 1,
	  "file systems are frozen by the guest's agent meanwhile" },
	{ "expires", PARAM_BODY, PARAM_WORD, EXPIRES_TEXT,
	  "1y5m7d2h from now on, or a time: prune removes it then" },
	{ "max_pause_us", PARAM_BODY, PARAM_NUMBER, LIMIT_PAUSE_US,
	  "it is given up when the guest has to stand longer; 0: no limit" },
	BACKGROUND,
	REASON,
};
static const struct route_param restore_params[] = {
	SNAPSHOT,
	{ "only", PARAM_BODY, PARAM_WORD, DEVICE_ID_MAX + 5,
	  "disk (the VM boots from them), disk:ID, or ram" },
	{ "paused", PARAM_BODY, PARAM_BOOL, 1, "leave it paused there" },
	{ "safety", PARAM_BODY, PARAM_BOOL, 1,
	  "take a snapshot of what is there now before; default: true" },
	{ "force", PARAM_BODY, PARAM_BOOL, 1,
	  "memory alone, although disks have changed" },
	BACKGROUND,
	REASON,
};
static const struct route_param rewind_params[] = {
	{ "paused", PARAM_BODY, PARAM_BOOL, 1, "leave it paused there" },
	BACKGROUND,
	REASON,
};
static const struct route_param delete_params[] = {
	SNAPSHOT,
	{ "force", PARAM_BODY, PARAM_BOOL, 1, "although it is pinned" },
	{ "children", PARAM_BODY, PARAM_BOOL, 1,
	  "all that came from it as well" },
	BACKGROUND,
	REASON,
};

static const struct route_param pin_params[] = { SNAPSHOT, REASON };
static const struct route_param label_params[] = {
	SNAPSHOT,
	{ "labels", PARAM_BODY, PARAM_LIST, SNAPSHOT_LABELS_MAX,
	  "KEY=VALUE sets one, KEY- removes one" },
	REASON,
};

static const struct route_param verdict_params[] = {
	SNAPSHOT,
	{ "passed", PARAM_BODY, PARAM_BOOL, 1, "it came back and was good" },
	{ "how", PARAM_BODY, PARAM_WORD, 15,
	  "what was asked of it: started, console, agent or probe" },
	{ "start_us", PARAM_BODY, PARAM_NUMBER, INT64_MAX, "until it ran" },
	{ "good_us", PARAM_BODY, PARAM_NUMBER, INT64_MAX,
	  "until it was seen to be good" },
	REASON, /* why it was not good */
};

static const struct route_param diff_params[] = {
	SNAPSHOT,
	{ "with", PARAM_BODY, PARAM_WORD, SNAPSHOT_NAME_MAX,
	  "the other one's name or ID; default: the one the VM came from" },
	BACKGROUND,
	REASON,
};

static const struct route_param adopt_params[] = {
	{ "snapshot", PARAM_BODY, PARAM_WORD, SNAPSHOT_ID_CHARS,
	  "the ID of the set that was begun" },
	BACKGROUND,
	REASON,
};

#define KEEP(what)                                                      \
	{                                                               \
		"keep_" what, PARAM_BODY, PARAM_NUMBER, PRUNE_KEEP_MAX, \
			"keep so many " what " ones; 0: no such rule"   \
	}
static const struct route_param prune_params[] = {
	KEEP("last"),
	KEEP("hourly"),
	KEEP("daily"),
	KEEP("weekly"),
	KEEP("monthly"),
	KEEP("yearly"),
	{ "keep_within", PARAM_BODY, PARAM_WORD, PRUNE_SPAN_TEXT,
	  "1y5m7d2h: keep what is not that much older than the newest" },
	{ "max_bytes", PARAM_BODY, PARAM_NUMBER, INT64_MAX,
	  "then the oldest go until the rest takes up no more; 0: no limit" },
	{ "expired", PARAM_BODY, PARAM_BOOL, 1,
	  "only what has expired, which always goes: no rule is needed" },
	{ "purpose", PARAM_BODY, PARAM_WORD, SNAPSHOT_PURPOSE_MAX,
	  "only those that are for it" },
	{ "labels", PARAM_BODY, PARAM_LIST, SNAPSHOT_LABELS_MAX,
	  "KEY[=VALUE]: only those that carry all of them" },
	{ "dry_run", PARAM_BODY, PARAM_BOOL, 1, "only say what would be" },
	BACKGROUND,
	REASON,
};

#define AGENT(name, role, params, summary, handler)                           \
	{                                                                     \
		"POST", "/v1/vm/agent/" name, role, ROUTE_NO_COMMAND, params, \
			COUNT(params), JSON, summary, handler, false          \
	}
#define ASK(name, summary) \
	AGENT(name, VM_ROLE_OPERATOR, agent_params, summary, api_agent_call)

#define DO(name, command, params, handler, summary)                        \
	{                                                                  \
		"POST", "/v1/vm/" name, VM_ROLE_OPERATOR, command, params, \
			COUNT(params), JSON, summary, handler, false       \
	}

#define CHANGE(name, params, handler, summary)                               \
	{                                                                    \
		"POST", "/v1/vm/" name, VM_ROLE_OPERATOR, ROUTE_NO_COMMAND,  \
			params, COUNT(params), JSON, summary, handler, false \
	}

#define OP_ID                                                                 \
	{                                                                     \
		"id", PARAM_PATH, PARAM_NUMBER, INT64_MAX, "of the operation" \
	}
static const struct route_param op_params[] = {
	OP_ID,
	{ "wait", PARAM_QUERY, PARAM_NUMBER, VM_SECONDS_MAX,
	  "seconds to wait for its end" },
	{ "wait_ms", PARAM_QUERY, PARAM_NUMBER, VM_SECONDS_MAX * 1000,
	  "the same in milliseconds" },
};
static const struct route_param op_cancel_params[] = { OP_ID, REASON };

static const struct route table[] = {
	GET0("/v1", VM_ROLE_VIEWER, JSON, api_root,
	     "What this is: versions, the VM's name, all routes"),
	GET0("/v1/vm", VM_ROLE_VIEWER, JSON, api_status,
	     "State, since when, why; answered at once whatever goes on"),
	GET0("/v1/vm/config", VM_ROLE_VIEWER, JSON, api_config,
	     "The configuration, as in config.json"),
	GET0("/v1/vm/stats", VM_ROLE_VIEWER, JSON, api_stats,
	     "Counters: exits, CPU time, memory, console"),
	GET("/v1/vm/ready", VM_ROLE_VIEWER, ready_params, JSON, api_ready,
	    "Is the guest ready? Waits when asked to"),
	GET("/v1/vm/console", VM_ROLE_VIEWER, console_params, BYTES,
	    api_console, "The console's history"),
	GET("/v1/vm/console/attach", VM_ROLE_VIEWER, attach_params, BYTES,
	    api_attach,
	    "The console itself: upgrade to amber-console, then raw bytes "
	    "both ways; writing needs operator"),
	GET0("/v1/vm/boot", VM_ROLE_VIEWER, TEXT, api_boot,
	     "The report of the last boot"),
	GET0("/v1/vm/crash", VM_ROLE_VIEWER, TEXT, api_crash,
	     "The report of the last crash"),
	GET0("/v1/vm/devices", VM_ROLE_VIEWER, TEXT, api_devices,
	     "The devices and their registers"),
	GET0("/v1/vm/agent", VM_ROLE_VIEWER, JSON, api_agent,
	     "The guest's agent: is it there, its version, when it was seen"),
	GET0("/v1/metrics", VM_ROLE_VIEWER, METRICS, api_metrics,
	     "All figures as Prometheus text"),
	GET("/v1/events", VM_ROLE_VIEWER, events_params, STREAM, api_events,
	    "Events as they come (Server-Sent Events)"),
	GET("/v1/journal", VM_ROLE_VIEWER, journal_params, JSON, api_journal,
	    "The newest journal records"),
	GET0("/v1/openapi.json", VM_ROLE_VIEWER, JSON, api_openapi,
	     "This API as an OpenAPI document"),
	CHANGE("balloon", balloon_params, api_balloon,
	       "Ask the guest to give memory up, or to take it back"),
	CHANGE("limit", limit_params, api_limit,
	       "Limit a disk or network card, at once"),
	CHANGE("link", link_params, api_link,
	       "Plug the cable of a network card in or out"),
	POST("start", VM_CMD_START, start_params, "Start the VM"),
	POST("pause", VM_CMD_PAUSE, pause_params, "Park every vCPU"),
	POST("resume", VM_CMD_RESUME, resume_params,
	     "Go on; what the host failed is tried again"),
	POST("shutdown", VM_CMD_SHUTDOWN, graceful_params,
	     "Ask the guest to power off: agent, power button, Ctrl-Alt-Del"),
	POST("stop", VM_CMD_STOP, plain_params,
	     "End it now, like pulling the "
	     "plug"),
	POST("reboot", VM_CMD_REBOOT, graceful_params,
	     "Ask the guest to go down, then boot it anew"),
	POST("reset", VM_CMD_RESET, start_params,
	     "Boot it anew now, like the reset button"),
	POST("powerbutton", VM_CMD_POWERBUTTON, plain_params,
	     "Press the ACPI power button, nothing else"),
	POST("nmi", VM_CMD_NMI, plain_params,
	     "Send every vCPU a non-maskable interrupt"),
	POST("suspend", VM_CMD_SUSPEND, plain_params,
	     "Put the VM away on disk and end its process; start brings it "
	     "back"),
	GET0("/v1/ops", VM_ROLE_VIEWER, JSON, api_ops,
	     "Operations that take long: the one under way, and the last ones"),
	GET("/v1/ops/{id}", VM_ROLE_VIEWER, op_params, JSON, api_op,
	    "One of them: its state, its progress, its answer; waits when "
	    "asked "
	    "to"),
	{ "POST", "/v1/ops/{id}/cancel", VM_ROLE_OPERATOR, ROUTE_NO_COMMAND,
	  op_cancel_params, COUNT(op_cancel_params), JSON,
	  "End it early, if it still can be: nothing of it stays",
	  api_op_cancel, false },
	GET0("/v1/snapshots", VM_ROLE_VIEWER, JSON, api_snapshots,
	     "All snapshots, the oldest first, and which one is current"),
	{ "POST", "/v1/vm/snapshot", VM_ROLE_OPERATOR, VM_CMD_SNAPSHOT,
	  snapshot_params, COUNT(snapshot_params), JSON,
	  "Take a snapshot while the guest runs, or of a stopped VM's disks",
	  api_snapshot_create, true },
	DO("restore", VM_CMD_RESTORE, restore_params, api_snapshot_restore,
	   "Go back to a snapshot: disks, memory and devices"),
	DO("rewind", VM_CMD_REWIND, rewind_params, api_snapshot_rewind,
	   "Go back to the last snapshot, in place and at once"),
	ADMIN("reload", VM_CMD_RELOAD, plain_params,
	      "For tests: save, reset and load the machine in place"),
	CHANGE("snapshot/delete", delete_params, api_snapshot_delete,
	       "Delete a snapshot"),
	CHANGE("snapshot/pin", pin_params, api_snapshot_pin,
	       "Protect a snapshot from being deleted"),
	CHANGE("snapshot/unpin", pin_params, api_snapshot_unpin,
	       "Protect it no longer"),
	CHANGE("snapshot/label", label_params, api_snapshot_label,
	       "Set and remove labels of a snapshot"),
	CHANGE("snapshot/verdict", verdict_params, api_snapshot_verdict,
	       "Note what a throwaway VM from a snapshot came to"),
	CHANGE("snapshot/prune", prune_params, api_snapshot_prune,
	       "Remove the snapshots that no rule keeps"),
	CHANGE("snapshot/diff", diff_params, api_snapshot_diff,
	       "Say what two snapshots differ in"),
	CHANGE("snapshot/adopt", adopt_params, api_snapshot_adopt,
	       "Take a set that was imported among the snapshots"),
	ASK("ping", "Ask the guest's agent for a sign of life; measures it"),
	ASK("info", "The agent's version and commands"),
	ASK("osinfo", "The guest's operating system, as its agent tells"),
	ASK("interfaces", "The guest's network interfaces and addresses"),
	ASK("fsfreeze", "Freeze the guest's file systems, consistent on disk"),
	ASK("fsthaw", "Thaw the guest's file systems"),
	ASK("set-time", "Set the guest's clock to the host's"),
	AGENT("exec", VM_ROLE_ADMIN, exec_params,
	      "Run a command in the guest, as its agent (root)",
	      api_agent_exec),
};

const struct route *routes_all(size_t *count)
{
	*count = COUNT(table);
	return table;
}

/* "/v1/ops/{id}/cancel" and "/v1/ops/17/cancel" */
static bool is_path(const char *row, const char *path, uint64_t *number)
{
	const char *place = strchr(row, '{');
	size_t start = place ? (size_t)(place - row) : strlen(row), digits;
	char text[24];

	if (!place)
		return !strcmp(row, path);
	if (strncmp(row, path, start) != 0)
		return false;
	path += start;
	digits = strspn(path, "0123456789");
	if (!digits || digits >= sizeof(text) ||
	    strcmp(strchr(place, '}') + 1, path + digits) != 0)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)digits, path);
	return text_to_number(text, UINT64_MAX, number);
}

const struct route *routes_find(const char *method, const char *path,
				const char **allow, uint64_t *number)
{
	size_t i;

	*allow = NULL;
	for (i = 0; i < COUNT(table); i++) {
		if (!is_path(table[i].path, path, number))
			continue;
		if (strcmp(table[i].method, method) == 0)
			return &table[i];
		/* No path has more than one method. */
		*allow = table[i].method;
	}
	return NULL;
}
