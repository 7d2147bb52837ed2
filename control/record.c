/* SPDX-License-Identifier: Apache-2.0 */
/* state.json; any thread, no shared state. */
#include "control/record.h"

#include <string.h>

#include "base/file.h"
#include "base/json_in.h"
#include "control/home.h"
#include "control/json_limits.h"
#include "control/json_out.h"
#include "control/limits.h"
#include "control/text.h"
#include "snapshot/suspend.h"

int record_to_json(const struct record *r, struct buf *out)
{
	struct json_out j;

	json_out_init(&j, out, true);
	jout_open(&j, NULL, '{');
	jout_text(&j, "state", vm_state_text(r->state));
	jout_text(&j, "cause", r->cause);
	jout_text(&j, "since", r->since);
	jout_uint(&j, "code", r->code);
	jout_text(&j, "text", r->text);
	jout_text(&j, "reason", r->reason);
	jout_uint(&j, "boots", r->boots);
	jout_uint(&j, "restarts", r->restarts);
	jout_uint(&j, "cpus", r->cpus);
	jout_uint(&j, "memory_bytes", r->memory_bytes);
	jout_int(&j, "pid", r->pid);
	jout_close(&j, '}');
	return buf_put(out, "\n", 1);
}

static void get_text(const json_t *root, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(root, key));

	text_copy(to, size, text ? text : "");
}

static uint64_t get_uint(const json_t *root, const char *key, uint64_t max)
{
	json_int_t value = json_integer_value(json_object_get(root, key));

	if (value < 0 || (uint64_t)value > max)
		return 0;
	return (uint64_t)value;
}

int record_from_json(struct record *r, const char *text, size_t len,
		     const char *what, struct err *e)
{
	char state[32];
	json_t *root;
	int code, ret;

	ret = json_in_parse(&root, text, len, &json_config_limits, what, e);
	if (ret)
		return ret;
	get_text(root, "state", state, sizeof(state));
	code = vm_state_parse(state);
	if (code < 0) {
		ret = err_set(e, -EINVAL, "%s: state '%s' is unknown", what,
			      state);
		goto out;
	}
	*r = (struct record){ .state = (enum vm_state)code };
	get_text(root, "cause", r->cause, sizeof(r->cause));
	get_text(root, "since", r->since, sizeof(r->since));
	get_text(root, "text", r->text, sizeof(r->text));
	get_text(root, "reason", r->reason, sizeof(r->reason));
	r->code = (uint32_t)get_uint(root, "code", UINT32_MAX);
	r->boots = (uint32_t)get_uint(root, "boots", UINT32_MAX);
	r->restarts = (uint32_t)get_uint(root, "restarts", UINT32_MAX);
	r->cpus = (uint32_t)get_uint(root, "cpus", UINT32_MAX);
	r->memory_bytes = get_uint(root, "memory_bytes", INT64_MAX);
	r->pid = (pid_t)get_uint(root, "pid", INT32_MAX);
out:
	json_decref(root);
	return ret;
}

int record_load(struct record *r, int dir, struct err *e)
{
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_JSON_CONFIG_BYTES + 1);
	ret = file_read(dir, VMDIR_STATE, LIMIT_JSON_CONFIG_BYTES, &text, e);
	if (!ret)
		ret = record_from_json(r, buf_text(&text), text.len,
				       VMDIR_STATE, e);
	buf_fini(&text);
	return ret;
}

int record_load_offline(struct record *r, int dir, struct err *e)
{
	int ret = record_load(r, dir, e);

	if (ret == -ENOENT) {
		*r = (struct record){ .state = VM_DEFINED };
		return 0;
	}
	if (ret)
		return ret;
	/* What is there in full counts, whatever was written before a kill. */
	if (suspend_exists(dir))
		r->state = VM_SUSPENDED;
	if (r->state == VM_DEFINED || r->state == VM_STOPPED ||
	    r->state == VM_SUSPENDED)
		return 0;
	r->state = VM_STOPPED;
	text_copy(r->cause, sizeof(r->cause), RECORD_VMM_DIED);
	text_copy(r->text, sizeof(r->text),
		  "the VMM ended without stopping the VM");
	return 0;
}
