/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards of the machine: each with a backend and a thread of its own.
 * Built and removed by the machine's thread.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "vmm/machine_private.h"

static int open_tap(const struct vm_net *c, struct net_backend **backend,
		    struct err *e)
{
	char name[IFNAMSIZ] = "";

	if (strlen(c->name) >= sizeof(name))
		return err_set(e, -EINVAL,
			       "%s: '%s' is longer than %zu characters", c->id,
			       c->name, sizeof(name) - 1);
	snprintf(name, sizeof(name), "%s", c->name);
	return net_tap_open(backend, name, c->queues, e);
}

static int open_hub(const struct machine *m, const struct vm_net *c,
		    struct net_backend **backend, struct err *e)
{
	const struct vm_config *vm = m->cfg.vm;
	char dir[160], card[DEVICE_ID_MAX + VM_UUID_BYTES + 2];

	if (!*vm->hub_dir)
		return err_set(e, -EINVAL,
			       "%s: a hub needs a VM with a control socket",
			       c->id);
	snprintf(dir, sizeof(dir), "%s/%s", vm->hub_dir, c->name);
	snprintf(card, sizeof(card), "%s-%s", vm->uuid, c->id);
	return net_hub_open(backend, dir, card, e);
}

static int open_backend(struct machine *m, const struct vm_net *c,
			struct machine_net *net, struct net_backend **backend,
			struct err *e)
{
	switch (c->kind) {
	case VM_NET_TAP:
		return open_tap(c, backend, e);
	case VM_NET_HUB:
		return open_hub(m, c, backend, e);
	case VM_NET_ISOLATED:
		return net_isolated_create(backend, c->queues, e);
	default:
		return net_passt_create(
			&net->passt, io_thread_loop(net->thread), backend, e);
	}
}

static void set_mac(const struct machine *m, const struct vm_net *c,
		    unsigned int n, uint8_t mac[VNET_MAC_BYTES])
{
	/* One that was given had its form checked with the configuration. */
	if (!*c->mac || !vnet_mac_parse(c->mac, mac))
		vnet_mac_of(m->cfg.vm->uuid, n, mac);
}

int machine_add_net(struct machine *m, unsigned int n, struct err *e)
{
	const struct vm_net *c = &m->cfg.vm->net[n];
	struct machine_net *net = &m->dev.virtio.net[n];
	struct vnet_config vc = {
		.virtio = machine_next_slot(m, c->id),
		.pairs = c->queues,
		.bytes_per_s = c->bps,
		.frames_per_s = c->pps,
		.is_down = c->is_down,
	};
	int r;

	r = io_thread_create(&net->thread, c->id, e);
	if (r)
		return r;
	vc.loop = io_thread_loop(net->thread);
	set_mac(m, c, n, vc.mac);
	r = open_backend(m, c, net, &vc.backend, e);
	if (r) {
		err_prefix(e, "%s", c->id);
		return r;
	}
	r = vnet_create(&net->vnet, &vc, e);
	if (r) {
		net_backend_destroy(vc.backend);
		return r;
	}
	m->dev.virtio.nets = n + 1;
	if (net->passt)
		net_passt_serve(net->passt, net->vnet);
	return machine_fill_slot(m, vnet_virtio(net->vnet), e);
}

void machine_remove_net(struct machine_net *net)
{
	if (net->thread)
		io_thread_join(net->thread);
	net_passt_destroy(net->passt);
	vnet_destroy(net->vnet);
	io_thread_destroy(net->thread);
}
