/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's commands by name. Loop thread only; no state of its own.
 */
#include "control/agent_private.h"

void agent_call(struct agent *a, const char *command, json_t *arguments,
		uint64_t timeout_ns, agent_done done, void *ctx)
{
	agent_request(a, AGENT_PLAIN, command, arguments, timeout_ns, done,
		      ctx);
}

void agent_ping(struct agent *a, uint64_t timeout_ns, agent_done done,
		void *ctx)
{
	agent_request(a, AGENT_PING, "guest-ping", NULL, timeout_ns, done, ctx);
}

void agent_info(struct agent *a, uint64_t timeout_ns, agent_done done,
		void *ctx)
{
	agent_call(a, "guest-info", NULL, timeout_ns, done, ctx);
}

void agent_osinfo(struct agent *a, uint64_t timeout_ns, agent_done done,
		  void *ctx)
{
	agent_call(a, "guest-get-osinfo", NULL, timeout_ns, done, ctx);
}

void agent_interfaces(struct agent *a, uint64_t timeout_ns, agent_done done,
		      void *ctx)
{
	agent_call(a, "guest-network-get-interfaces", NULL, timeout_ns, done,
		   ctx);
}

void agent_freeze(struct agent *a, uint64_t timeout_ns, agent_done done,
		  void *ctx)
{
	agent_call(a, "guest-fsfreeze-freeze", NULL, timeout_ns, done, ctx);
}

void agent_thaw(struct agent *a, uint64_t timeout_ns, agent_done done,
		void *ctx)
{
	agent_call(a, "guest-fsfreeze-thaw", NULL, timeout_ns, done, ctx);
}

void agent_freeze_status(struct agent *a, uint64_t timeout_ns, agent_done done,
			 void *ctx)
{
	agent_call(a, "guest-fsfreeze-status", NULL, timeout_ns, done, ctx);
}

void agent_set_time(struct agent *a, uint64_t timeout_ns, agent_done done,
		    void *ctx)
{
	agent_request(a, AGENT_CLOCK, "guest-set-time", NULL, timeout_ns, done,
		      ctx);
}

void agent_shutdown(struct agent *a, enum agent_shutdown mode,
		    uint64_t timeout_ns, agent_done done, void *ctx)
{
	static const char *const modes[] = {
		[AGENT_POWERDOWN] = "powerdown",
		[AGENT_REBOOT] = "reboot",
		[AGENT_HALT] = "halt",
	};

	agent_request(a, AGENT_NO_REPLY, "guest-shutdown",
		      json_pack("{s:s}", "mode", modes[mode]), timeout_ns, done,
		      ctx);
}
