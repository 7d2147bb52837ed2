/* SPDX-License-Identifier: Apache-2.0 */
/* The table of problems and its two printed forms; pure, any thread. */
#include "control/problem.h"

#include "control/json_out.h"

#define PROBLEM_LIMIT 4096

static const struct problem_row table[PROBLEM_COUNT] = {
	[PROBLEM_BAD_REQUEST] = { "bad-request", 400, "Bad request",
				  "the request can't be understood" },
	[PROBLEM_BAD_JSON] = { "bad-json", 400, "Bad JSON",
			       "the body is no JSON object within the limits" },
	[PROBLEM_UNKNOWN_FIELD] = { "unknown-field", 400, "Unknown field",
				    "a query parameter or a key of the body "
				    "that this call doesn't have" },
	[PROBLEM_BAD_VALUE] = { "bad-value", 400, "Bad value",
				"a parameter's value has the wrong kind or "
				"is out of range" },
	[PROBLEM_FORBIDDEN] = { "forbidden", 403, "Forbidden",
				"the caller's user and groups have no role "
				"that may do this" },
	[PROBLEM_NOT_FOUND] = { "not-found", 404, "Not found",
				"there is no such path, or nothing to show "
				"yet" },
	[PROBLEM_METHOD_NOT_ALLOWED] = { "method-not-allowed", 405,
					 "Method not allowed",
					 "the path exists with another "
					 "method: see Allow" },
	[PROBLEM_HEADER_TIMEOUT] = { "header-timeout", 408, "Request timeout",
				     "the request was not complete in time" },
	[PROBLEM_WRONG_STATE] = { "wrong-state", 409, "Wrong state",
				  "the command is not possible in this state; "
				  "help names the command that would help" },
	[PROBLEM_CONSOLE_BUSY] = { "console-busy", 409, "Console busy",
				   "somebody else writes to the console; "
				   "readonly=1 is possible" },
	[PROBLEM_IO_ERROR] = { "io-error", 409, "I/O error",
			       "the host failed a disk; detail says which, "
			       "and how" },
	[PROBLEM_SUPERSEDED] = { "superseded", 409, "Superseded",
				 "a later command took this one's place" },
	[PROBLEM_NO_AGENT] = { "no-agent", 409, "No guest agent",
			       "the VM has no port for the guest's agent, or "
			       "the guest runs none there" },
	[PROBLEM_EXISTS] = { "exists", 409, "Exists already",
			     "there is something of that name" },
	[PROBLEM_UNUSABLE] = { "unusable", 409, "Unusable",
			       "the snapshot, or what it stands on, is "
			       "damaged, "
			       "changed or another VM's; detail says which" },
	[PROBLEM_PAUSE_TOO_LONG] = { "pause-too-long", 409, "Pause too long",
				     "the guest would stand still for longer "
				     "than the snapshot was allowed" },
	[PROBLEM_QUOTA] = { "quota", 409, "Quota exceeded",
			    "the VM's snapshots would take up more than its "
			    "configuration allows" },
	[PROBLEM_TOO_LARGE] = { "too-large", 413, "Too large",
				"the body is larger than the limit" },
	[PROBLEM_START_FAILED] = { "start-failed", 422, "Start failed",
				   "the machine could not be built or the "
				   "kernel not loaded" },
	[PROBLEM_UPGRADE_REQUIRED] = { "upgrade-required", 426,
				       "Upgrade required",
				       "send Connection: Upgrade and Upgrade: "
				       "amber-console" },
	[PROBLEM_HEADERS_TOO_LARGE] = { "headers-too-large", 431,
					"Headers too large",
					"request line and headers are larger "
					"than the limit" },
	[PROBLEM_INTERNAL] = { "internal", 500, "Internal error",
			       "amber could not do it; detail says why" },
	[PROBLEM_AGENT_ERROR] = { "agent-error", 502, "Guest agent's error",
				  "the guest's agent refused, or sent no "
				  "proper answer" },
	[PROBLEM_TOO_MANY_CONNECTIONS] = { "too-many-connections", 503,
					   "Too many connections",
					   "the limit of connections, in total "
					   "or of one user, is reached" },
	[PROBLEM_BUSY] = { "busy", 503, "Busy",
			   "too many commands wait for this VM already" },
	[PROBLEM_ENDING] = { "ending", 503, "Ending",
			     "the VM has ended and its process is about to" },
	[PROBLEM_NOT_READY] = { "not-ready", 504, "Not ready",
				"the guest was not ready in the time given" },
	[PROBLEM_SHUTDOWN_TIMEOUT] = { "shutdown-timeout", 504,
				       "Shutdown timed out",
				       "the guest did not react on any rung; "
				       "force would have ended it" },
	[PROBLEM_AGENT_TIMEOUT] = { "agent-timeout", 504,
				    "Guest agent timed out",
				    "the guest's agent did not answer in time, "
				    "or the command was not over" },
};

const struct problem_row *problem_row(enum problem_code code)
{
	return &table[code < PROBLEM_COUNT ? code : PROBLEM_INTERNAL];
}

int problem_print(struct buf *out, enum problem_code code, const char *detail,
		  const char *state, const char *help)
{
	const struct problem_row *row = problem_row(code);
	char type[64] = PROBLEM_URN;
	struct json_out j;
	size_t at = sizeof(PROBLEM_URN) - 1, i;

	for (i = 0; row->code[i] && at < sizeof(type) - 1; i++)
		type[at++] = row->code[i];
	json_out_init(&j, out, false);
	jout_open(&j, NULL, '{');
	jout_text(&j, "type", type);
	jout_text(&j, "title", row->title);
	jout_uint(&j, "status", row->status);
	jout_text(&j, "code", row->code);
	jout_text(&j, "detail", detail);
	if (state && *state)
		jout_text(&j, "state", state);
	if (help && *help)
		jout_text(&j, "help", help);
	jout_close(&j, '}');
	return buf_put(out, "\n", 1);
}

int problem_print_http(struct buf *out, enum problem_code code,
		       const char *detail)
{
	const struct problem_row *row = problem_row(code);
	struct buf body;

	buf_init(&body, PROBLEM_LIMIT);
	problem_print(&body, code, detail, NULL, NULL);
	buf_printf(out,
		   "HTTP/1.1 %u %s\r\n"
		   "Content-Type: " PROBLEM_TYPE "\r\n"
		   "Content-Length: %zu\r\n"
		   "Connection: close\r\n\r\n",
		   row->status, row->title, body.len);
	buf_put(out, buf_text(&body), body.len);
	buf_fini(&body);
	return out->error;
}
