/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults and clean-up of a VM's configuration; one owner at a time. */
#include "vmm/config.h"

#include <stdlib.h>
#include <string.h>

static const char *const policy_names[VM_POLICY_COUNT] = {
	"default", "exit", "stop", "restart", "pause",
};

const char *vm_policy_text(enum vm_policy policy)
{
	return policy < VM_POLICY_COUNT ? policy_names[policy] : "?";
}

int vm_policy_parse(const char *text)
{
	int i;

	for (i = VM_POLICY_EXIT; i < VM_POLICY_COUNT; i++)
		if (strcmp(policy_names[i], text) == 0)
			return i;
	return -1;
}

static const char *const clock_names[VM_CLOCK_COUNT] = { "step", "freeze" };

const char *vm_clock_text(enum vm_clock clock)
{
	return clock < VM_CLOCK_COUNT ? clock_names[clock] : "?";
}

int vm_clock_parse(const char *text)
{
	int i;

	for (i = 0; i < VM_CLOCK_COUNT; i++)
		if (strcmp(clock_names[i], text) == 0)
			return i;
	return -1;
}

void vm_config_init(struct vm_config *c)
{
	*c = (struct vm_config){
		.cpus = 1,
		.memory_bytes = 128ULL << 20,
		.on_poweroff = VM_POLICY_EXIT,
		.on_reboot = VM_POLICY_RESTART,
		.on_panic = VM_POLICY_PAUSE,
		.on_crash = VM_POLICY_PAUSE,
		.restart_max = 5,
		.shutdown_timeout_s = 30,
	};
}

void vm_config_fini(struct vm_config *c)
{
	unsigned int i;

	for (i = 0; i < c->kernels; i++)
		free(c->kernel[i]);
	free(c->initrd);
	free(c->append);
	free(c->ready);
	for (i = 0; i < c->disks; i++) {
		free(c->disk[i].path);
		free(c->disk[i].allow_backing);
	}
	memset(c, 0, sizeof(*c));
}

int vm_config_disk(const struct vm_config *c, const char *id)
{
	unsigned int i;

	for (i = 0; i < c->disks; i++)
		if (!strcmp(c->disk[i].id, id))
			return (int)i;
	return -1;
}
