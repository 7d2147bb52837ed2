/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers that show the VM: built straight into the answer's buffer, at
 * once, whatever the VM does. Loop thread.
 */
#include <string.h>

#include "base/clock.h"
#include "control/api.h"
#include "control/config_json.h"
#include "control/control.h"
#include "control/figures.h"
#include "control/json_out.h"
#include "control/openapi.h"
#include "control/routes.h"
#include "control/version.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

static void end_json(struct call *call, struct json_out *j)
{
	jout_close(j, '}');
	buf_put(&call->body, "\n", 1);
	call_answer(call, 200, JSON);
}

void api_root(struct call *call)
{
	const struct route *routes;
	struct json_out j;
	size_t count, i;

	routes = routes_all(&count);
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_text(&j, "name", "amber");
	jout_text(&j, "version", AMBER_VERSION);
	jout_text(&j, "api", AMBER_API_VERSION);
	jout_text(&j, "vm", call->control->config->name);
	jout_int(&j, "pid", call->control->pid);
	jout_open(&j, "routes", '[');
	for (i = 0; i < count; i++) {
		jout_open(&j, NULL, '{');
		jout_text(&j, "method", routes[i].method);
		jout_text(&j, "path", routes[i].path);
		jout_text(&j, "role", authz_role_text(routes[i].role));
		jout_text(&j, "summary", routes[i].summary);
		jout_close(&j, '}');
	}
	jout_close(&j, ']');
	end_json(call, &j);
}

static void print_why(struct json_out *j, const struct vm_status *s)
{
	char since[CLOCK_TEXT_BYTES];

	jout_text(j, "state", vm_state_text(s->state));
	jout_text(j, "since", clock_rfc3339(s->since_wall_ns, since));
	jout_text(j, "cause", vm_cause_text(s->cause));
	jout_open(j, "actor", '{');
	jout_text(j, "kind", s->actor.kind ? s->actor.kind : "none");
	jout_uint(j, "uid", s->actor.uid);
	jout_int(j, "pid", s->actor.pid);
	jout_close(j, '}');
	jout_text(j, "reason", s->reason ? s->reason : "");
}

void api_status(struct call *call)
{
	const struct control *c = call->control;
	struct vm_status s;
	struct json_out j;

	vm_status(c->vm, &s);
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	jout_text(&j, "name", c->config->name);
	jout_text(&j, "uuid", c->config->uuid);
	print_why(&j, &s);
	jout_uint(&j, "uptime_ms", s.uptime_ns / NS_PER_MS);
	jout_bool(&j, "ready", s.ready);
	if (s.milestone < 0)
		jout_null(&j, "milestone");
	else
		jout_int(&j, "milestone", s.milestone);
	jout_uint(&j, "boots", s.boots);
	jout_uint(&j, "restarts", s.restarts);
	jout_int(&j, "pid", c->pid);
	jout_uint(&j, "cpus", c->config->cpus);
	jout_uint(&j, "vcpus_parked", s.vcpus_parked);
	jout_uint(&j, "memory_bytes", c->config->memory_bytes);
	config_print_labels(&j, c->config);
	end_json(call, &j);
}

void api_config(struct call *call)
{
	config_to_json(call->control->config, &call->body);
	call_answer(call, 200, JSON);
}

static void print_exits(struct json_out *j, const struct vm_stats *s)
{
	unsigned int i;

	jout_open(j, "exits", '{');
	for (i = 0; i < VM_EXIT_KINDS; i++) {
		const char *name = vm_exit_name(i);

		if (s->exits[i] && name)
			jout_uint(j, name, s->exits[i]);
	}
	jout_close(j, '}');
	jout_uint(j, "exits_total", s->exits_total);
}

static void print_console(struct json_out *j, const struct vm_stats *s)
{
	jout_open(j, "console", '{');
	jout_uint(j, "out_bytes", s->console_out_bytes);
	jout_uint(j, "in_bytes", s->console_in_bytes);
	jout_uint(j, "dropped_bytes", s->console_dropped_bytes);
	jout_close(j, '}');
}

void api_stats(struct call *call)
{
	struct control *c = call->control;
	struct vm_status status;
	struct vm_stats s;
	struct json_out j;

	vm_stats(c->vm, &s);
	vm_status(c->vm, &status);
	json_out_init(&j, &call->body, false);
	jout_open(&j, NULL, '{');
	print_exits(&j, &s);
	jout_uint(&j, "cpu_ns", s.cpu_ns);
	jout_uint(&j, "memory_bytes", s.memory_bytes);
	jout_uint(&j, "resident_bytes", s.resident_bytes);
	print_console(&j, &s);
	jout_uint(&j, "unknown_accesses", s.unknown_accesses);
	jout_uint(&j, "pauses", s.pauses);
	jout_uint(&j, "last_pause_us", s.last_pause_ns / NS_PER_US);
	jout_uint(&j, "last_resume_us", s.last_resume_ns / NS_PER_US);
	jout_uint(&j, "uptime_ms", status.uptime_ns / NS_PER_MS);
	figures_print_json(&j, c->vm);
	jout_uint(&j, "log_lost_bytes",
		  c->console_lost + scribe_lost(c->scribe, SCRIBE_CONSOLE));
	end_json(call, &j);
}

static void answer_report(struct call *call, const char *report,
			  const char *none)
{
	if (!*report) {
		call_problem(call, PROBLEM_NOT_FOUND, "%s", none);
		return;
	}
	buf_puts(&call->body, report);
	call_answer(call, 200, TEXT);
}

void api_boot(struct call *call)
{
	answer_report(call, vm_boot_report(call->control->vm),
		      "the VM was not booted yet");
}

void api_crash(struct call *call)
{
	answer_report(call, vm_crash_report(call->control->vm),
		      "the VM did not crash");
}

void api_devices(struct call *call)
{
	vm_describe_devices(call->control->vm, &call->body);
	call_answer(call, 200, TEXT);
}

void api_openapi(struct call *call)
{
	openapi_print(&call->body);
	call_answer(call, 200, JSON);
}
