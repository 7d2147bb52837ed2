/* SPDX-License-Identifier: Apache-2.0 */
/* The named ports of the VM, and the agent behind one of them. Loop thread. */
#ifndef AMBER_CONTROL_PORTS_H
#define AMBER_CONTROL_PORTS_H

#include <stdbool.h>

#include "base/err.h"

struct control;

/* Opens the sockets of all ports; the agent's port gets the agent. */
int control_open_ports(struct control *c, struct err *e);
/* The VM's observer.ask_agent: shutdown or reboot by the guest's agent. */
int control_ask_agent(void *control, bool reboot, struct err *e);
/* Before the agent and the VM go. */
void control_close_ports(struct control *c);

#endif
