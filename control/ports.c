/* SPDX-License-Identifier: Apache-2.0 */
/* From configuration to ports on the host, and to the agent. Loop thread. */
#include "control/ports.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/agent.h"
#include "control/control.h"
#include "control/host_port.h"
#include "control/limits.h"

static void note(struct control *c, const char *reason, const char *text)
{
	struct vm_status status;

	vm_status(c->vm, &status);
	control_note(c, &(struct event_note){
				.kind = "agent",
				.state = status.state,
				.cause = vm_cause_text(status.cause),
				.actor = control_own_actor(),
				.reason = reason,
				.text = text,
			});
}

static void agent_port_connected(void *ctx, bool is_open)
{
	struct control *c = ctx;
	struct agent_status status;

	if (!c->agent)
		return;
	agent_status(c->agent, &status);
	agent_connected(c->agent, is_open);
	if (status.connected != is_open)
		note(c, "",
		     is_open ? "the guest has opened its port"
			     : "the guest has closed its port");
	if (is_open)
		control_agent_tasks(c);
}

/* --- a guest that has come back ----------------------------------------- */

static void note_task(struct control *c, const char *what, const struct err *e)
{
	char text[VM_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s: %.200s", what, e ? e->text : "done");
	note(c, "the guest has come back", text);
}

static void on_time_set(void *ctx, const json_t *ret, const struct err *e)
{
	(void)ret;
	note_task(ctx, "set-time", e);
}

static void on_thawed(void *ctx, const json_t *ret, const struct err *e)
{
	(void)ret;
	note_task(ctx, "fsthaw", e);
}

void control_agent_tasks(struct control *c)
{
	struct agent_status status;
	struct vm_status vm;

	if (!c->agent || !(c->agent_sets_time || c->agent_thaws))
		return;
	agent_status(c->agent, &status);
	vm_status(c->vm, &vm);
	if (!status.connected || vm.state != VM_RUNNING)
		return;
	if (c->agent_thaws)
		agent_thaw(c->agent, LIMIT_AGENT_FREEZE_MS * NS_PER_MS,
			   on_thawed, c);
	if (c->agent_sets_time)
		agent_set_time(c->agent, LIMIT_AGENT_CALL_MS * NS_PER_MS,
			       on_time_set, c);
	c->agent_thaws = c->agent_sets_time = false;
}

void control_guest_is_back(struct control *c)
{
	struct agent_status status;

	if (!c->agent)
		return;
	c->agent_sets_time = c->config->clock == VM_CLOCK_STEP;
	agent_status(c->agent, &status);
	if (status.connected) {
		agent_connected(c->agent, false);
		agent_connected(c->agent, true);
	}
	control_agent_tasks(c);
}

static void agent_port_input(void *ctx, const void *bytes, size_t len)
{
	struct control *c = ctx;

	if (c->agent)
		agent_input(c->agent, bytes, len);
}

static void agent_port_writable(void *ctx)
{
	struct control *c = ctx;

	if (c->agent)
		agent_writable(c->agent);
}

static size_t agent_send(void *ctx, const void *bytes, size_t len)
{
	struct control *c = ctx;

	return c->agent_port ? host_port_send(c->agent_port, bytes, len) : 0;
}

static void on_shutdown_asked(void *ctx, const json_t *ret, const struct err *e)
{
	struct control *c = ctx;

	(void)ret;
	if (e)
		vm_agent_failed(c->vm, e->text);
}

int control_ask_agent(void *control, bool reboot, struct err *e)
{
	struct control *c = control;
	struct agent_status status;

	if (!c->agent)
		return -ENOENT;
	agent_status(c->agent, &status);
	if (!status.connected)
		return err_set(e, -ENOTCONN, "not there");
	agent_shutdown(c->agent, reboot ? AGENT_REBOOT : AGENT_POWERDOWN,
		       LIMIT_AGENT_CALL_MS * NS_PER_MS, on_shutdown_asked, c);
	return 0;
}

static int open_agent_port(struct control *c, struct err *e)
{
	struct agent_config config = {
		.loop = c->loop,
		.send = agent_send,
		.ctx = c,
	};
	struct host_port_user user = {
		.connected = agent_port_connected,
		.input = agent_port_input,
		.writable = agent_port_writable,
		.ctx = c,
	};
	int r = agent_create(&c->agent, &config, e);

	if (r)
		return r;
	r = host_port_create(&c->port[0], c->loop,
			     vm_channel(c->vm, VM_AGENT_PORT),
			     c->config->run_dir, VM_AGENT_PORT, &user, e);
	if (r)
		return r;
	c->agent_port = c->port[0];
	c->ports = 1;
	return 0;
}

int control_open_ports(struct control *c, struct err *e)
{
	unsigned int i;
	int r = c->config->agent ? open_agent_port(c, e) : 0;

	for (i = 0; i < c->config->ports && !r; i++) {
		const char *name = c->config->port[i].name;

		r = host_port_create(&c->port[c->ports], c->loop,
				     vm_channel(c->vm, name),
				     c->config->run_dir, name, NULL, e);
		if (!r)
			c->ports++;
	}
	return r;
}

void control_close_ports(struct control *c)
{
	c->agent_port = NULL;
	while (c->ports)
		host_port_destroy(c->port[--c->ports]);
}
