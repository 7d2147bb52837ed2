/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio devices of the machine: made from the configuration, put into
 * slots, wired to KVM by ioeventfd (kicks) and irqfd (interrupts), with a
 * plain path for a KVM that has neither. Built and removed by the machine's
 * thread. The order of slots is the order in which a guest finds them:
 * disks, cards, then the rest.
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/machine_private.h"

static bool has_console(const struct vm_config *c)
{
	return c->virtio_console || c->agent || c->ports;
}

static bool has_vsock(const struct vm_config *c)
{
	return c->vsock_cid;
}

unsigned int machine_virtio_slots(const struct vm_config *c)
{
	return c->disks + c->nets + has_console(c) + c->balloon + has_vsock(c) +
	       c->rng;
}

/* --- interrupts and kicks -------------------------------------------- */

/* An edge: irqfd makes both of it, KVM_IRQ_LINE each. */
static void pulse(void *ctx, uint32_t gsi, bool level)
{
	struct machine *m = ctx;
	int fd = m->dev.virtio.irq_fd[gsi - GSI_VIRTIO];
	struct kvm_irq_level line = { .irq = gsi, .level = level };
	uint64_t one = 1;

	if (fd < 0) {
		/* Can't fail for a pin that exists. */
		ioctl(m->vm_fd, KVM_IRQ_LINE, &line);
		return;
	}
	/* A full counter is an interrupt that is on its way. */
	if (level && write(fd, &one, sizeof(one)) < 0)
		return;
}

static void connect_irq(struct machine *m, unsigned int slot)
{
	struct kvm_irqfd irqfd = { .gsi = GSI_VIRTIO + slot };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	m->dev.virtio.irq_fd[slot] = -1;
	if (fd < 0)
		return;
	irqfd.fd = (uint32_t)fd;
	if (ioctl(m->vm_fd, KVM_IRQFD, &irqfd) < 0)
		close(fd); /* then by KVM_IRQ_LINE */
	else
		m->dev.virtio.irq_fd[slot] = fd;
}

/* Without it the write reaches virtio_write(), which kicks as well. */
static void connect_kicks(struct machine *m, const struct virtio *v,
			  uint64_t base)
{
	unsigned int q;

	for (q = 0; q < v->cfg.queues; q++) {
		struct kvm_ioeventfd io = {
			.datamatch = q,
			.addr = base + VIRTIO_MMIO_NOTIFY,
			.len = 4,
			.fd = v->host.kick[q],
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		if (ioctl(m->vm_fd, KVM_IOEVENTFD, &io) < 0)
			return;
	}
}

static void on_device_event(void *ctx, enum device_event_kind kind,
			    const char *device, const char *text)
{
	machine_note_device(ctx, kind, device, text);
}

/* What every device in the next slot has. */
struct virtio_config machine_next_slot(struct machine *m, const char *id)
{
	struct virtio_config vc = {
		.mem = &m->ram.mem,
		.irq = { pulse, m, GSI_VIRTIO + m->dev.virtio.slots },
		.events = { on_device_event, m },
	};

	snprintf(vc.id, sizeof(vc.id), "%s", id);
	return vc;
}

int machine_fill_slot(struct machine *m, struct virtio *v, struct err *e)
{
	unsigned int slot = m->dev.virtio.slots++;
	uint64_t base = VIRTIO_MMIO_BASE + (uint64_t)slot * VIRTIO_MMIO_STEP;
	unsigned int i;

	m->dev.virtio.slot[slot] = v;
	for (i = 0; i < m->dev.count; i++)
		if (strcmp(m->dev.all[i]->ops->name, v->device.ops->name) == 0)
			v->device.instance++;
	m->dev.all[m->dev.count++] = &v->device;
	connect_irq(m, slot);
	connect_kicks(m, v, base);
	return bus_add(&m->mmio, base, VIRTIO_MMIO_BYTES, &v->device, 0, e);
}

/* --- the devices ----------------------------------------------------- */

static int add_disk(struct machine *m, const struct vm_disk *c, struct err *e)
{
	struct machine_virtio *mv = &m->dev.virtio;
	const char *const allowed[] = { DISK_BESIDE, c->allow_backing, NULL };
	struct disk_config dc = {
		.path = c->path,
		.format = c->format,
		.cache = c->cache,
		.read_only = c->read_only,
		.allow_backing = allowed,
		.snapshot = *c->snapshot ? c->snapshot : NULL,
	};
	struct vblk_config vc = {
		.virtio = machine_next_slot(m, c->id),
		.queues = c->queues,
		.on_error = c->on_error,
		.bytes_per_s = c->bps,
		.ops_per_s = c->iops,
		.engine = c->engine,
	};
	int r;

	r = disk_open(&vc.disk, &dc, e);
	if (r)
		return r;
	snprintf(vc.serial, sizeof(vc.serial), "%.*s", VBLK_SERIAL_MAX,
		 *c->serial ? c->serial : c->id);
	r = vblk_create(&mv->disk[mv->disks], &vc, e);
	if (r) {
		disk_close(vc.disk);
		return r;
	}
	return machine_fill_slot(m, vblk_virtio(mv->disk[mv->disks++]), e);
}

static int add_rng(struct machine *m, struct err *e)
{
	struct vrng_config c = {
		.virtio = machine_next_slot(m, "rng0"),
		.loop = io_thread_loop(m->dev.virtio.thread),
		.bytes_per_s = m->cfg.vm->rng_bps,
	};
	int r = vrng_create(&m->dev.virtio.rng, &c, e);

	return r ? r : machine_fill_slot(m, vrng_virtio(m->dev.virtio.rng), e);
}

/* Port 0 takes the console's input while it is open. */
static void on_console_opened(void *ctx, bool is_open)
{
	struct machine *m = ctx;

	if (!is_open) {
		serial_take_console(m->dev.serial);
		return;
	}
	serial_leave_console(m->dev.serial);
	console_set_device(m->cfg.console, vconsole_input_ready,
			   m->dev.virtio.console);
}

static int add_console(struct machine *m, struct err *e)
{
	struct vconsole_config c = {
		.virtio = machine_next_slot(m, "console0"),
		.loop = io_thread_loop(m->dev.virtio.thread),
		.console = m->cfg.console,
		.console_opened = on_console_opened,
		.ctx = m,
		.ports = m->cfg.ports,
	};
	int r;

	memcpy(c.port, m->cfg.port, sizeof(c.port));
	r = vconsole_create(&m->dev.virtio.console, &c, e);
	if (r)
		return r;
	return machine_fill_slot(m, vconsole_virtio(m->dev.virtio.console), e);
}

static void discard(void *ctx, void *host, uint64_t bytes)
{
	struct machine *m = ctx;

	ram_discard(&m->ram, host, bytes);
}

static int add_balloon(struct machine *m, struct err *e)
{
	struct vballoon_config c = {
		.virtio = machine_next_slot(m, "balloon0"),
		.loop = io_thread_loop(m->dev.virtio.thread),
		.discard = discard,
		.ctx = m,
	};
	int r = vballoon_create(&m->dev.virtio.balloon, &c, e);

	if (r)
		return r;
	return machine_fill_slot(m, vballoon_virtio(m->dev.virtio.balloon), e);
}

static int add_vsock(struct machine *m, struct err *e)
{
	const struct vm_config *vm = m->cfg.vm;
	struct vsock_config c = {
		.virtio = machine_next_slot(m, "vsock0"),
		.loop = io_thread_loop(m->dev.virtio.thread),
		.cid = vm->vsock_cid,
	};
	int r;

	if (!*vm->run_dir)
		return err_set(e, -EINVAL,
			       "vsock0: a vsock needs a VM with a control "
			       "socket");
	r = snprintf(c.path, sizeof(c.path), "%s/" VM_VSOCK_SOCKET,
		     vm->run_dir);
	if (r >= (int)sizeof(c.path))
		return err_set(e, -ENAMETOOLONG,
			       "vsock0: %s/" VM_VSOCK_SOCKET
			       ": a socket's path has up to %zu characters",
			       vm->run_dir, sizeof(c.path) - 1);
	r = vsock_create(&m->dev.virtio.vsock, &c, e);
	if (r)
		return r;
	return machine_fill_slot(m, vsock_virtio(m->dev.virtio.vsock), e);
}

static int add_small(struct machine *m, const struct vm_config *c,
		     struct err *e)
{
	int r = 0;

	if (!has_console(c) && !c->balloon && !has_vsock(c) && !c->rng)
		return 0;
	r = io_thread_create(&m->dev.virtio.thread, "devices", e);
	if (!r && has_console(c))
		r = add_console(m, e);
	if (!r && c->balloon)
		r = add_balloon(m, e);
	if (!r && has_vsock(c))
		r = add_vsock(m, e);
	if (!r && c->rng)
		r = add_rng(m, e);
	return r;
}

int machine_add_virtio(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->cfg.vm;
	unsigned int i;
	int r = 0;

	for (i = 0; i < c->disks && !r; i++)
		r = add_disk(m, &c->disk[i], e);
	for (i = 0; i < c->nets && !r; i++)
		r = machine_add_net(m, i, e);
	return r ? r : add_small(m, c, e);
}

int machine_start_virtio(struct machine *m, struct err *e)
{
	struct machine_virtio *mv = &m->dev.virtio;
	unsigned int i;
	int r = 0;

	for (i = 0; i < mv->disks && !r; i++)
		r = vblk_start(mv->disk[i], e);
	for (i = 0; i < mv->nets && !r; i++)
		r = io_thread_start(mv->net[i].thread, e);
	if (!r && mv->thread)
		r = io_thread_start(mv->thread, e);
	return r;
}

void machine_remove_virtio(struct machine *m)
{
	struct machine_virtio *mv = &m->dev.virtio;
	unsigned int i;

	if (mv->thread)
		io_thread_join(mv->thread);
	for (i = 0; i < mv->disks; i++)
		vblk_destroy(mv->disk[i]);
	for (i = 0; i < VM_NETS_MAX; i++)
		machine_remove_net(&mv->net[i]);
	if (mv->console)
		serial_take_console(m->dev.serial);
	vconsole_destroy(mv->console);
	vballoon_destroy(mv->balloon);
	vsock_destroy(mv->vsock);
	vrng_destroy(mv->rng);
	io_thread_destroy(mv->thread);
	for (i = 0; i < mv->slots; i++)
		if (mv->irq_fd[i] >= 0)
			close(mv->irq_fd[i]);
	*mv = (struct machine_virtio){ .slots = 0 };
}

/* --- what others ask ------------------------------------------------- */

void machine_note_device(struct machine *m, enum device_event_kind kind,
			 const char *device, const char *text)
{
	struct machine_report *r = &m->report;
	struct machine_device_event *ev;

	lock_take(&m->lock);
	if (kind == DEVICE_IO_ERROR || kind == DEVICE_IO_STOP) {
		r->has_io_error |= kind == DEVICE_IO_ERROR;
		r->has_io_stop |= kind == DEVICE_IO_STOP;
		snprintf(r->io_text, sizeof(r->io_text), "%s: %s", device,
			 text);
	}
	if (r->devices < MACHINE_DEVICE_EVENTS) {
		ev = &r->device[r->devices++];
		ev->kind = kind;
		snprintf(ev->text, sizeof(ev->text), "%s: %s", device, text);
	} else {
		r->devices_lost++;
	}
	lock_release(&m->lock);
	m->cfg.ops.report(m->cfg.ops.ctx);
}

int machine_may_resume(struct machine *m, bool accept, struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < m->dev.virtio.disks && !r; i++)
		r = vblk_may_resume(m->dev.virtio.disk[i], accept, e);
	return r;
}

struct vblk *machine_disk(struct machine *m, unsigned int n)
{
	return n < m->dev.virtio.disks ? m->dev.virtio.disk[n] : NULL;
}

struct vnet *machine_net(struct machine *m, unsigned int n)
{
	return n < m->dev.virtio.nets ? m->dev.virtio.net[n].vnet : NULL;
}

struct vballoon *machine_balloon(struct machine *m)
{
	return m->dev.virtio.balloon;
}

struct vsock *machine_vsock(struct machine *m)
{
	return m->dev.virtio.vsock;
}

struct vrng *machine_rng(struct machine *m)
{
	return m->dev.virtio.rng;
}
