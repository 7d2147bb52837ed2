/* SPDX-License-Identifier: Apache-2.0 */
/* The records of devices: disks, cards, ports. Constant data and checks. */
#include <string.h>

#include "control/config_record.h"
#include "devices/net_backend.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- disks ----------------------------------------------------------- */

static const char *const disk_errors[] = { [VBLK_PAUSE] = "pause",
					   [VBLK_REPORT] = "report",
					   [VBLK_STOP] = "stop",
					   NULL };
static const char *const disk_engines[] = {
	[IOQ_AUTO] = "auto", [IOQ_URING] = "io_uring", [IOQ_SYNC] = "sync", NULL
};

#define AT(m) offsetof(struct vm_disk, m)

static const struct config_field disk_fields[] = {
	{ "path", FIELD_PATH, AT(path), 0, 0, NULL, "",
	  "image file or block device" },
	{ "id", FIELD_WORD, AT(id), 1, DEVICE_ID_MAX, NULL, "disk0, disk1...",
	  "name of the disk in events and commands" },
	{ "format", FIELD_ENUM, AT(format), 0, 0, disk_format_names,
	  "qcow2 for NAME.qcow2, else raw; refused for what looks like another "
	  "format",
	  "raw or qcow2" },
	{ "ro", FIELD_BOOL, AT(read_only), 0, 0, NULL, "off",
	  "the guest may only read" },
	{ "serial", FIELD_TEXT, AT(serial), 0, VBLK_SERIAL_MAX, NULL, "the id",
	  "serial number that the guest sees" },
	{ "cache", FIELD_ENUM, AT(cache), 0, 0, disk_cache_names, "writeback",
	  "writeback, writethrough (every write is durable) or none "
	  "(O_DIRECT)" },
	{ "bps", FIELD_BYTES, AT(bps), 0, INT64_MAX, NULL, "0: no limit",
	  "bytes per second" },
	{ "iops", FIELD_BYTES, AT(iops), 0, INT64_MAX, NULL, "0: no limit",
	  "requests per second" },
	{ "on_error", FIELD_ENUM, AT(on_error), 0, 0, disk_errors, "pause",
	  "when the host fails: pause the VM, report to the guest, stop" },
	{ "queues", FIELD_NUMBER, AT(queues), 1, VBLK_QUEUES_MAX, NULL, "1",
	  "request queues" },
	{ "allow_backing", FIELD_PATH, AT(allow_backing), 0, 0, NULL, "none",
	  "directory that backing files may be in, besides the image's own" },
	{ "snapshot", FIELD_TEXT, AT(snapshot), 0, 63, NULL, "none",
	  "internal snapshot of a qcow2 image to show, with ro" },
	{ "aio", FIELD_ENUM, AT(engine), 0, 0, disk_engines, "auto",
	  "auto, io_uring or sync" },
};

static void init_disk(void *record)
{
	struct vm_disk *d = record;

	*d = (struct vm_disk){ .queues = 1 };
}

static int check_disk(const void *record, const char *who, struct err *e)
{
	const struct vm_disk *d = record;

	if (!d->path)
		return err_set(e, -EINVAL, "%s: path is missing", who);
	return 0;
}

const struct config_record config_disks = {
	.stem = "disk",
	.fields = disk_fields,
	.field_count = COUNT(disk_fields),
	.bytes = sizeof(struct vm_disk),
	.list = offsetof(struct vm_config, disk),
	.count = offsetof(struct vm_config, disks),
	.max = VM_DISKS_MAX,
	.id = AT(id),
	.init = init_disk,
	.check = check_disk,
};

#undef AT

/* --- network cards ----------------------------------------------------- */

static const char *const net_kinds[] = { [VM_NET_USER] = "user",
					 [VM_NET_TAP] = "tap",
					 [VM_NET_HUB] = "hub",
					 [VM_NET_ISOLATED] = "isolated",
					 NULL };

#define AT(m) offsetof(struct vm_net, m)

static const struct config_field net_fields[] = {
	{ "kind", FIELD_ENUM, AT(kind), 0, 0, net_kinds, "",
	  "user (passt), tap, hub or isolated" },
	{ "name", FIELD_WORD, AT(name), 1, DEVICE_ID_MAX, NULL, "",
	  "the tap interface (else one is made), or the hub" },
	{ "id", FIELD_WORD, AT(id), 1, DEVICE_ID_MAX, NULL, "net0, net1...",
	  "name of the card in events and commands" },
	{ "mac", FIELD_MAC, AT(mac), 0, 0, NULL, "made from the UUID",
	  "hardware address" },
	{ "queues", FIELD_NUMBER, AT(queues), 1, NET_QUEUES_MAX, NULL, "1",
	  "pairs of queues, of a tap" },
	{ "down", FIELD_BOOL, AT(is_down), 0, 0, NULL, "off",
	  "the cable is not plugged in at the start" },
	{ "bps", FIELD_BYTES, AT(bps), 0, INT64_MAX, NULL, "0: no limit",
	  "bytes per second, each way" },
	{ "pps", FIELD_BYTES, AT(pps), 0, INT64_MAX, NULL, "0: no limit",
	  "frames per second, each way" },
};

static void init_net(void *record)
{
	struct vm_net *n = record;

	*n = (struct vm_net){ .queues = 1, .kind = VM_NET_USER };
}

static int check_net(const void *record, const char *who, struct err *e)
{
	const struct vm_net *n = record;

	if (n->kind == VM_NET_HUB && !*n->name)
		return err_set(e, -EINVAL, "%s: hub needs a name: hub=NAME",
			       who);
	if ((n->kind == VM_NET_USER || n->kind == VM_NET_ISOLATED) && *n->name)
		return err_set(e, -EINVAL, "%s: %s takes no name", who,
			       net_kinds[n->kind]);
	if (n->kind != VM_NET_TAP && n->kind != VM_NET_ISOLATED &&
	    n->queues > 1)
		return err_set(e, -EINVAL, "%s: only a tap has several queues",
			       who);
	return 0;
}

const struct config_record config_nets = {
	.stem = "net",
	.fields = net_fields,
	.field_count = COUNT(net_fields),
	.has_kind = true,
	.bytes = sizeof(struct vm_net),
	.list = offsetof(struct vm_config, net),
	.count = offsetof(struct vm_config, nets),
	.max = VM_NETS_MAX,
	.id = AT(id),
	.init = init_net,
	.check = check_net,
};

#undef AT

/* --- ports --------------------------------------------------------------- */

static const struct config_field port_fields[] = {
	{ "name", FIELD_WORD, offsetof(struct vm_port, name), 1, VPORT_NAME_MAX,
	  NULL, "", "as the guest finds it in /dev/virtio-ports" },
};

static void init_port(void *record)
{
	struct vm_port *p = record;

	*p = (struct vm_port){ .name = "" };
}

static int check_port(const void *record, const char *who, struct err *e)
{
	/* NAME.sock lies beside them: HOME_SOCKET, VM_VSOCK_SOCKET. */
	static const char *const taken[] = { "api", "vsock" };
	const struct vm_port *p = record;
	size_t i;

	for (i = 0; i < COUNT(taken); i++)
		if (!strcmp(p->name, taken[i]))
			return err_set(e, -EINVAL,
				       "%s: '%s' is the name of a socket of "
				       "the VM's own: take another",
				       who, p->name);
	if (!strcmp(p->name, VM_AGENT_PORT))
		return err_set(e, -EINVAL, "%s: that port comes with agent",
			       who);
	return 0;
}

const struct config_record config_ports = {
	.stem = "port",
	.fields = port_fields,
	.field_count = COUNT(port_fields),
	.bytes = sizeof(struct vm_port),
	.list = offsetof(struct vm_config, port),
	.count = offsetof(struct vm_config, ports),
	.max = VM_PORTS_MAX,
	.id = offsetof(struct vm_port, name),
	.init = init_port,
	.check = check_port,
};
