/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving and loading a machine. Sections are found by name and instance, each
 * exactly once. INV-1: nothing reaches KVM before every section was decoded
 * and validated.
 */
#include "vmm/machine_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/cpuid.h"
#include "vmm/machine_private.h"
#include "vmm/ram_freeze.h"
#include "vmm/vcpu_state.h"

#define FACTS_VERSION 1
#define CHIPS_VERSION 1
#define CLOCK_VERSION 1
#define CPUID_VERSION 1
#define SECTION_MAX   (STATE_SECTION_BYTES)

/* What has to be the same on both sides. */
struct facts {
	uint64_t memory_bytes;
	uint32_t cpus, slots;
};

struct chips {
	struct kvm_irqchip chip[3]; /* two PICs, the IOAPIC */
};

struct clock_state {
	uint64_t kvmclock_ns;
	uint64_t real_ns; /* of the host, at that moment; 0: not known */
};

struct machine_state {
	struct machine *m;
	struct facts facts;
	struct chips chips;
	struct clock_state clock;
	uint32_t cpuids;
	struct kvm_cpuid_entry2 cpuid[CPUID_ENTRIES_MAX];
	struct vcpu_state *vcpu; /* owned, as many as the machine has */
};

/* --- fields ---------------------------------------------------------- */

static void sync_facts(struct facts *f, struct state_io *io)
{
	state_u64(io, &f->memory_bytes);
	state_u32(io, &f->cpus);
	state_u32(io, &f->slots);
}

static void sync_pic(struct kvm_pic_state *p, struct state_io *io)
{
	uint8_t *const all[] = { &p->last_irr,
				 &p->irr,
				 &p->imr,
				 &p->isr,
				 &p->priority_add,
				 &p->irq_base,
				 &p->read_reg_select,
				 &p->poll,
				 &p->special_mask,
				 &p->init_state,
				 &p->auto_eoi,
				 &p->rotate_on_auto_eoi,
				 &p->special_fully_nested_mode,
				 &p->init4,
				 &p->elcr,
				 &p->elcr_mask };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		state_u8(io, all[i]);
}

static void sync_ioapic(struct kvm_ioapic_state *a, struct state_io *io)
{
	uint64_t value = a->base_address;
	unsigned int i;

	state_u64(io, &value);
	a->base_address = value;
	state_u32(io, &a->ioregsel);
	state_u32(io, &a->id);
	state_u32(io, &a->irr);
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
		value = a->redirtbl[i].bits;
		state_u64(io, &value);
		a->redirtbl[i].bits = value;
	}
}

static void sync_chips(struct chips *c, struct state_io *io)
{
	sync_pic(&c->chip[0].chip.pic, io);
	sync_pic(&c->chip[1].chip.pic, io);
	sync_ioapic(&c->chip[2].chip.ioapic, io);
}

static void sync_clock(struct clock_state *c, struct state_io *io)
{
	state_u64(io, &c->kvmclock_ns);
	state_u64(io, &c->real_ns);
}

static void sync_cpuid(struct machine_state *s, struct state_io *io)
{
	uint32_t i;

	state_u32(io, &s->cpuids);
	if (s->cpuids > CPUID_ENTRIES_MAX) {
		io->error = io->error ? io->error : -EBADMSG;
		return;
	}
	for (i = 0; i < s->cpuids; i++) {
		state_u32(io, &s->cpuid[i].function);
		state_u32(io, &s->cpuid[i].index);
		state_u32(io, &s->cpuid[i].flags);
		state_u32(io, &s->cpuid[i].eax);
		state_u32(io, &s->cpuid[i].ebx);
		state_u32(io, &s->cpuid[i].ecx);
		state_u32(io, &s->cpuid[i].edx);
	}
}

/* --- sections -------------------------------------------------------- */

/* Each is one row, for saving and for loading. */
struct section {
	const char *name;
	uint32_t instance, version;
	void (*sync)(struct machine_state *s, uint32_t instance,
		     struct state_io *io);
	struct device *device; /* or one of these */
};

static void do_facts(struct machine_state *s, uint32_t i, struct state_io *io)
{
	(void)i;
	sync_facts(&s->facts, io);
}

static void do_cpuid(struct machine_state *s, uint32_t i, struct state_io *io)
{
	(void)i;
	sync_cpuid(s, io);
}

static void do_chips(struct machine_state *s, uint32_t i, struct state_io *io)
{
	(void)i;
	sync_chips(&s->chips, io);
}

static void do_clock(struct machine_state *s, uint32_t i, struct state_io *io)
{
	(void)i;
	sync_clock(&s->clock, io);
}

static void do_vcpu(struct machine_state *s, uint32_t i, struct state_io *io)
{
	vcpu_state_sync(&s->vcpu[i], io);
}

/* The n-th section of this machine; false: behind the last. */
static bool nth_section(const struct machine *m, uint32_t n, struct section *x)
{
	static const struct section first[] = {
		{ "facts", 0, FACTS_VERSION, do_facts, NULL },
		{ "cpuid", 0, CPUID_VERSION, do_cpuid, NULL },
		{ "irqchips", 0, CHIPS_VERSION, do_chips, NULL },
		{ "clock", 0, CLOCK_VERSION, do_clock, NULL },
	};
	const uint32_t firsts = sizeof(first) / sizeof(first[0]);
	struct device *d;

	if (n < firsts) {
		*x = first[n];
		return true;
	}
	n -= firsts;
	if (n < m->vcpus) {
		*x = (struct section){ "vcpu", n, VCPU_STATE_VERSION, do_vcpu,
				       NULL };
		return true;
	}
	n -= m->vcpus;
	if (n >= m->dev.count)
		return false;
	d = m->dev.all[n];
	*x = (struct section){ d->ops->name, d->instance, d->ops->state_version,
			       NULL, d };
	return true;
}

static void sync_section(struct machine_state *s, const struct section *x,
			 struct state_io *io)
{
	if (x->device)
		x->device->ops->sync(x->device, io);
	else
		x->sync(s, x->instance, io);
}

/* --- saving ---------------------------------------------------------- */

static int get_chips(struct machine_state *s, struct err *e)
{
	uint32_t i;

	for (i = 0; i < 3; i++) {
		s->chips.chip[i].chip_id = i;
		if (ioctl(s->m->vm_fd, KVM_GET_IRQCHIP, &s->chips.chip[i]) < 0)
			return err_sys(e, -errno, "KVM_GET_IRQCHIP %u", i);
	}
	return 0;
}

static int get_clock(struct machine_state *s, struct err *e)
{
	struct kvm_clock_data data;

	memset(&data, 0, sizeof(data));
	if (ioctl(s->m->vm_fd, KVM_GET_CLOCK, &data) < 0)
		return err_sys(e, -errno, "KVM_GET_CLOCK");
	s->clock.kvmclock_ns = data.clock;
	s->clock.real_ns = data.flags & KVM_CLOCK_REALTIME ? data.realtime : 0;
	return 0;
}

static void get_facts(struct machine_state *s)
{
	const struct machine *m = s->m;

	s->facts = (struct facts){ .memory_bytes = m->ram.bytes,
				   .cpus = m->vcpus,
				   .slots = m->dev.virtio.slots };
	s->cpuids = m->cpuid->nent;
	memcpy(s->cpuid, m->cpuid->entries, s->cpuids * sizeof(s->cpuid[0]));
}

static int get_all(struct machine_state *s, struct err *e)
{
	struct vcpu_msr_list list;
	uint32_t i;
	int r = vcpu_msr_list(&list, s->m->kvm.fd, e);

	get_facts(s);
	/* The clock before the vCPUs: their TSC goes on meanwhile, and time
	 * may be late, never early. */
	if (!r)
		r = get_clock(s, e);
	for (i = 0; i < s->m->vcpus && !r; i++) {
		r = vcpu_state_get(&s->vcpu[i], s->m->vm_fd, s->m->vcpu[i].fd,
				   &list, e);
		if (r)
			err_prefix(e, "vCPU %u", i);
	}
	return r ? r : get_chips(s, e);
}

static int write_section(struct machine_state *s, const struct section *x,
			 struct buf *out, struct err *e)
{
	struct state_io io;
	struct buf bytes;
	int r;

	buf_init(&bytes, SECTION_MAX);
	state_save(&io, x->name, &bytes);
	sync_section(s, x, &io);
	r = state_end(&io, e);
	if (!r) {
		r = state_write_section(out, x->name, x->instance, x->version,
					bytes.data, bytes.len);
		if (r)
			err_sys(e, r, "section %s.%u", x->name, x->instance);
	}
	buf_fini(&bytes);
	return r;
}

static int begin(struct machine_state **out, struct machine *m, struct err *e)
{
	struct machine_state *s = calloc(1, sizeof(*s));

	if (s)
		s->vcpu = calloc(m->vcpus, sizeof(*s->vcpu));
	if (!s || !s->vcpu) {
		free(s);
		return err_sys(e, -ENOMEM, "memory for the machine's state");
	}
	s->m = m;
	*out = s;
	return 0;
}

static void end(struct machine_state *s)
{
	free(s->vcpu);
	free(s);
}

int machine_save(struct machine *m, struct buf *out, struct err *e)
{
	struct machine_state *s;
	struct section x;
	uint32_t n;
	int r = begin(&s, m, e);

	if (r)
		return r;
	r = get_all(s, e);
	if (!r) {
		r = state_write_header(out);
		if (r)
			err_sys(e, r, "the machine's state");
	}
	for (n = 0; !r && nth_section(m, n, &x); n++)
		r = write_section(s, &x, out, e);
	end(s);
	return r;
}

int machine_flush_disks(struct machine *m, struct err *e)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < m->dev.virtio.disks && !r; i++)
		r = vblk_flush(m->dev.virtio.disk[i], e);
	return r;
}

int machine_save_memory(struct machine *m, int fd,
			struct ram_image_figures *figures, struct err *e)
{
	struct ram_image_job job = { .ram = &m->ram, .fd = fd };

	return ram_image_write(&job, figures, e);
}

int machine_freeze_memory(struct machine *m, struct ram_freeze *f,
			  const struct ram_freeze_order *order, struct err *e)
{
	return ram_freeze(f, &m->ram, order, e);
}

/* --- loading --------------------------------------------------------- */

static int find_section(const struct machine *m,
			const struct state_section *found, struct section *x,
			uint32_t *n, struct err *e)
{
	for (*n = 0; nth_section(m, *n, x); ++*n)
		if (!strcmp(x->name, found->name) &&
		    x->instance == found->instance)
			break;
	if (!nth_section(m, *n, x))
		return err_set(e, -EINVAL,
			       "the saved machine has a %s.%u, this one has "
			       "not",
			       found->name, found->instance);
	if (found->version > x->version)
		return err_set(e, -ENOTSUP,
			       "%s.%u was saved as version %u by a newer "
			       "amber: this one knows version %u",
			       found->name, found->instance, found->version,
			       x->version);
	return 0;
}

static int load_section(struct machine_state *s,
			const struct state_section *found, uint8_t *seen,
			struct err *e)
{
	struct state_io io;
	struct section x;
	uint32_t n;
	int r = find_section(s->m, found, &x, &n, e);

	if (r)
		return r;
	if (seen[n]++)
		return err_set(e, -EBADMSG, "there are two sections %s.%u",
			       found->name, found->instance);
	state_load(&io, x.name, found->bytes, found->len);
	io.version = found->version;
	sync_section(s, &x, &io);
	return state_end(&io, e);
}

static int check_all_seen(const struct machine *m, const uint8_t *seen,
			  struct err *e)
{
	struct section x;
	uint32_t n;

	for (n = 0; nth_section(m, n, &x); n++)
		if (!seen[n])
			return err_set(e, -EINVAL,
				       "this machine has a %s.%u, the saved "
				       "one has not",
				       x.name, x.instance);
	return 0;
}

static int decode(struct machine_state *s, const uint8_t *bytes, size_t len,
		  struct err *e)
{
	uint8_t *seen = calloc(1, 8 + s->m->vcpus + s->m->dev.count);
	struct state_section found;
	size_t at = 0;
	int r;

	if (!seen)
		return err_sys(e, -ENOMEM, "memory for the machine's state");
	r = state_read_header(bytes, len, &at, e);
	while (!r) {
		r = state_read_section(bytes, len, &at, &found, e);
		if (r <= 0)
			break;
		r = load_section(s, &found, seen, e);
	}
	if (!r)
		r = check_all_seen(s->m, seen, e);
	free(seen);
	return r;
}

static int check_facts(const struct machine_state *s, struct err *e)
{
	const struct facts *f = &s->facts;
	const struct machine *m = s->m;

	if (f->memory_bytes != m->ram.bytes)
		return err_set(e, -EINVAL,
			       "the saved machine has %llu MiB of memory, this "
			       "one %llu",
			       (unsigned long long)f->memory_bytes >> 20,
			       (unsigned long long)m->ram.bytes >> 20);
	if (f->cpus != m->vcpus || f->slots != m->dev.virtio.slots)
		return err_set(e, -EINVAL,
			       "the saved machine has %u CPUs and %u virtio "
			       "devices, this one %u and %u",
			       f->cpus, f->slots, m->vcpus,
			       m->dev.virtio.slots);
	return 0;
}

static const struct kvm_cpuid_entry2 *
find_leaf(const struct machine *m, const struct kvm_cpuid_entry2 *leaf)
{
	uint32_t i;

	for (i = 0; i < m->cpuid->nent; i++)
		if (m->cpuid->entries[i].function == leaf->function &&
		    m->cpuid->entries[i].index == leaf->index)
			return &m->cpuid->entries[i];
	return NULL;
}

/* The guest has looked at these: they can't change under it. */
static int check_cpuid(const struct machine_state *s, struct err *e)
{
	static const char *const names[] = { "eax", "ebx", "ecx", "edx" };
	uint32_t i, j;

	for (i = 0; i < s->cpuids; i++) {
		const struct kvm_cpuid_entry2 *was = &s->cpuid[i];
		const struct kvm_cpuid_entry2 *is = find_leaf(s->m, was);
		const uint32_t a[] = { was->eax, was->ebx, was->ecx, was->edx };
		const uint32_t b[] = { is ? is->eax : 0, is ? is->ebx : 0,
				       is ? is->ecx : 0, is ? is->edx : 0 };

		for (j = 0; j < 4; j++)
			if (a[j] != b[j])
				return err_set(e, -ENOTSUP,
					       "CPUID leaf %#x.%u %s was %#x "
					       "for the guest, and is %#x on "
					       "this host",
					       was->function, was->index,
					       names[j], a[j], b[j]);
	}
	return 0;
}

static int validate(const struct machine_state *s, struct err *e)
{
	const struct machine *m = s->m;
	unsigned int i;
	int r = check_facts(s, e);

	if (!r)
		r = check_cpuid(s, e);
	for (i = 0; i < m->dev.count && !r; i++) {
		const struct device *d = m->dev.all[i];

		if (d->ops->validate)
			r = d->ops->validate(d, e);
		if (r)
			err_prefix(e, "%s.%u", d->ops->name, d->instance);
	}
	return r;
}

static int set_chips(const struct machine_state *s, struct err *e)
{
	struct kvm_irqchip chip;
	uint32_t i;

	for (i = 0; i < 3; i++) {
		chip = s->chips.chip[i];
		chip.chip_id = i;
		if (ioctl(s->m->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			return err_sys(e, -errno, "KVM_SET_IRQCHIP %u", i);
	}
	return 0;
}

static int set_clock(const struct machine_state *s, struct err *e)
{
	struct kvm_clock_data data;

	memset(&data, 0, sizeof(data));
	data.clock = s->clock.kvmclock_ns;
	if (ioctl(s->m->vm_fd, KVM_SET_CLOCK, &data) < 0)
		return err_sys(e, -errno, "KVM_SET_CLOCK");
	return 0;
}

/* Interrupts may be raised by restored(): the controllers come before. */
static int commit(const struct machine_state *s, struct err *e)
{
	struct machine *m = s->m;
	uint32_t i;
	int r = set_chips(s, e);

	for (i = 0; i < m->vcpus && !r; i++) {
		r = vcpu_state_set(&s->vcpu[i], m->vm_fd, m->vcpu[i].fd, e);
		if (r)
			err_prefix(e, "vCPU %u", i);
	}
	if (!r)
		r = set_clock(s, e);
	for (i = 0; i < m->dev.count && !r; i++) {
		struct device *d = m->dev.all[i];

		if (d->ops->restored)
			r = d->ops->restored(d, e);
		if (r)
			err_prefix(e, "%s.%u", d->ops->name, d->instance);
	}
	return r;
}

int machine_load(struct machine *m, const uint8_t *bytes, size_t len,
		 struct err *e)
{
	struct machine_state *s;
	int r = begin(&s, m, e);

	if (r)
		return r;
	r = decode(s, bytes, len, e);
	if (!r)
		r = validate(s, e);
	if (!r)
		r = commit(s, e); /* INV-1 */
	end(s);
	return r;
}
