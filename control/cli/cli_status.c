/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status objects from the socket or from the directory. Any thread, one VM
 * each. Invariant: "name" and "state" are always there.
 */
#include "control/cli/cli_status.h"

#include <stdio.h>
#include <string.h>

#include "control/cli/term_table.h"
#include "control/config_json.h"
#include "control/config_table.h"

const char *cli_status_text(const json_t *status, const char *key)
{
	const char *text = json_string_value(json_object_get(status, key));

	return text ? text : "";
}

uint64_t cli_status_number(const json_t *status, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(status, key));

	return n > 0 ? (uint64_t)n : 0;
}

/* What config.json says, as GET /v1/vm would. */
static void add_config(json_t *s, const struct cli_vm *vm)
{
	struct err e = ERR_NONE;
	struct vm_config c;
	json_t *labels;
	unsigned int i;

	config_init(&c);
	if (config_load(&c, vm->dir, &e)) {
		json_object_set_new(s, "state", json_string(CLI_STATE_BROKEN));
		json_object_set_new(s, "error", json_string(e.text));
		vm_config_fini(&c);
		return;
	}
	labels = json_object();
	for (i = 0; i < c.labels; i++)
		json_object_set_new(labels, c.label[i].key,
				    json_string(c.label[i].value));
	json_object_set_new(s, "uuid", json_string(c.uuid));
	json_object_set_new(s, "cpus", json_integer(c.cpus));
	json_object_set_new(s, "memory_bytes",
			    json_integer((json_int_t)c.memory_bytes));
	json_object_set_new(s, "labels", labels);
	vm_config_fini(&c);
}

static void add_record(json_t *s, const struct cli_vm *vm)
{
	struct record r;

	if (cli_vm_record(vm, &r, NULL)) {
		json_object_set_new(
			s, "state",
			json_string(vm->alive ? vm_state_text(VM_STARTING)
					      : CLI_STATE_BROKEN));
		return;
	}
	json_object_set_new(s, "state", json_string(vm_state_text(r.state)));
	json_object_set_new(s, "since", json_string(r.since));
	json_object_set_new(s, "cause", json_string(r.cause));
	json_object_set_new(s, "reason", json_string(r.reason));
	json_object_set_new(s, "text", json_string(r.text));
	json_object_set_new(s, "code", json_integer(r.code));
	json_object_set_new(s, "boots", json_integer(r.boots));
	json_object_set_new(s, "restarts", json_integer(r.restarts));
}

static json_t *from_directory(const struct cli_vm *vm)
{
	json_t *s = json_object();

	json_object_set_new(s, "name", json_string(vm->name));
	add_record(s, vm);
	add_config(s, vm);
	json_object_set_new(s, "uptime_ms", json_integer(0));
	json_object_set_new(s, "ready", json_false());
	json_object_set_new(s, "pid",
			    vm->alive ? json_integer(vm->pid) : json_null());
	return s;
}

json_t *cli_status(struct cli_vm *vm, unsigned int timeout_ms)
{
	struct err e = ERR_NONE;
	json_t *s = NULL;
	int r = -ESRCH;

	if (vm->alive)
		r = cli_vm_get(vm, "/v1/vm", timeout_ms, &s, &e);
	if (r) {
		/* It may have ended while it was asked. */
		s = from_directory(vm);
		if (vm->alive && r == -ETIMEDOUT)
			json_object_set_new(
				s, "state",
				json_string(CLI_STATE_UNRESPONSIVE));
		if (vm->alive)
			json_object_set_new(s, "error", json_string(e.text));
	}
	json_object_set_new(s, "alive", json_boolean(vm->alive));
	return s;
}

const char *cli_status_uptime(const json_t *status, char *text)
{
	uint64_t ms = cli_status_number(status, "uptime_ms");

	if (ms)
		return term_duration_us(ms * 1000, text);
	snprintf(text, TERM_HUMAN_BYTES, "-");
	return text;
}

void cli_status_why(const json_t *object, struct buf *out)
{
	const json_t *actor = json_object_get(object, "actor");
	const char *kind = cli_status_text(actor, "kind");
	const char *cause = cli_status_text(object, "cause");
	const char *gap = "";

	if (strcmp(cause, "none") != 0) {
		buf_puts(out, cause);
		gap = " ";
	}
	if (strcmp(kind, "api") == 0 || strcmp(kind, "cli") == 0)
		buf_printf(out, "%sby uid %llu (pid %llu)", gap,
			   (unsigned long long)cli_status_number(actor, "uid"),
			   (unsigned long long)cli_status_number(actor, "pid"));
	else if (*kind && strcmp(kind, "none") != 0)
		buf_printf(out, "%sby %s", gap, kind);
}
