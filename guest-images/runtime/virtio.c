/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio devices: where they are, their handshake, their configuration
 * and their interrupts. virtio_open() and the interrupt handler run at CPL0,
 * the handler touches nothing but the counters; the rest runs where its
 * caller does, and finds out by CS whether to sleep itself or by a call.
 */
#include "guest-images/runtime/virtio.h"
#include "guest-images/runtime/mmio.h"
#include "guest-images/runtime/trap.h"

#define MAX_OPEN      12
#define SLOTS_MAX     64
#define INTERRUPT_CFG 2
#define POLLS	      200

struct place {
	uint64_t base, step, gsi, count;
};

static struct virtio_dev opened[MAX_OPEN];
static unsigned opened_count;
static uint64_t tick_ns;

static uint64_t parse(const char **at)
{
	uint64_t value = 0;
	unsigned base = 10;

	if ((*at)[0] == '0' && (*at)[1] == 'x') {
		base = 16;
		*at += 2;
	}
	for (;; (*at)++) {
		unsigned c = (unsigned char)**at;

		if (c >= '0' && c <= '9')
			value = value * base + c - '0';
		else if (base == 16 && c >= 'a' && c <= 'f')
			value = value * base + c - 'a' + 10;
		else
			break;
	}
	if (**at == ',')
		(*at)++;
	return value;
}

static struct place find_place(void)
{
	struct place p = { VIRTIO_MMIO_BASE, VIRTIO_MMIO_STEP, GSI_VIRTIO,
			   VIRTIO_MMIO_MAX };
	char text[64];
	const char *at = text;

	if (!arg_given("mmio"))
		return p;
	arg_text("mmio", text, sizeof(text));
	p.base = parse(&at);
	p.step = parse(&at);
	p.gsi = parse(&at);
	p.count = parse(&at);
	if (*at || p.base == 0 || p.step == 0 || p.count > SLOTS_MAX)
		guest_fail(FAIL_BAD_NUMBER);
	return p;
}

/* The slot of device number n of the kind, or the count of slots. */
static unsigned find_slot(const struct place *p, uint32_t id, uint64_t n)
{
	unsigned i;

	for (i = 0; i < p->count; i++) {
		uint64_t at = p->base + i * p->step;

		if (mmio_read32(at + VIRTIO_MAGIC) != VIRTIO_MAGIC_VALUE)
			continue;
		if (mmio_read32(at + VIRTIO_DEVICE_ID) == id && n-- == 0)
			break;
	}
	return i;
}

bool virtio_is_there(enum virtio_id id, unsigned n)
{
	struct place p = find_place();

	return find_slot(&p, (uint32_t)id, n) < p.count;
}

static void on_interrupt(void)
{
	unsigned i;

	for (i = 0; i < opened_count; i++) {
		struct virtio_dev *d = &opened[i];
		uint32_t cause = virtio_read(d, VIRTIO_INTERRUPT_STATUS);

		if (cause == 0)
			continue;
		virtio_write(d, VIRTIO_INTERRUPT_ACK, cause);
		if (cause & INTERRUPT_CFG)
			d->config_changes++;
		d->interrupts++;
	}
}

static void on_tick(void)
{
}

void virtio_tick(uint64_t ns)
{
	lapic_init();
	trap_handle(VECTOR_TIMER, on_tick);
	lapic_timer(TIMER_PERIODIC, ns);
	tick_ns = ns;
}

struct virtio_dev *virtio_open(enum virtio_id id)
{
	return virtio_open_next(id, 0);
}

struct virtio_dev *virtio_open_next(enum virtio_id id, uint64_t n)
{
	struct place p = find_place();
	unsigned slot = find_slot(&p, (uint32_t)id, arg_u64("dev", 0) + n);
	struct virtio_dev *d = &opened[opened_count];

	if (slot >= p.count || opened_count == MAX_OPEN)
		guest_fail(FAIL_NO_DEVICE);
	d->base = p.base + slot * p.step;
	d->slot = slot;
	d->gsi = (unsigned)p.gsi + slot;
	d->id = (uint32_t)id;
	if (virtio_read(d, VIRTIO_VERSION) != 2)
		guest_fail(FAIL_HANDSHAKE);
	lapic_init();
	(void)clock_ns(); /* the first call needs CPL0 */
	virtio_write(d, VIRTIO_STATUS, 0);
	d->polled = d->gsi >= GSI_COUNT || arg_u64("poll", 0);
	opened_count++;
	if (!d->polled) {
		trap_handle(VECTOR_GSI, on_interrupt);
		ioapic_route(d->gsi, VECTOR_GSI);
	}
	return d;
}

void virtio_guest(enum virtio_id id, uint64_t (*run)(void *dev))
{
	struct virtio_dev *d = virtio_open(id);
	uint64_t failed;

	guest_ready();
	failed = user_call(run, d);
	if (failed)
		guest_fail((uint8_t)failed);
}

uint32_t virtio_read(const struct virtio_dev *d, unsigned reg)
{
	return mmio_read32(d->base + reg);
}

void virtio_write(const struct virtio_dev *d, unsigned reg, uint32_t value)
{
	mmio_write32(d->base + reg, value);
}

void virtio_reset(struct virtio_dev *d)
{
	unsigned i;

	virtio_write(d, VIRTIO_STATUS, 0);
	for (i = 0; virtio_read(d, VIRTIO_STATUS) != 0; i++)
		if (i == POLLS * 1000)
			guest_fail(FAIL_HANDSHAKE);
	d->features = 0;
}

static uint64_t read_offered(const struct virtio_dev *d)
{
	uint64_t low;

	virtio_write(d, VIRTIO_DEVICE_FEATURES_SEL, 0);
	low = virtio_read(d, VIRTIO_DEVICE_FEATURES);
	virtio_write(d, VIRTIO_DEVICE_FEATURES_SEL, 1);
	return (uint64_t)virtio_read(d, VIRTIO_DEVICE_FEATURES) << 32 | low;
}

static void write_features(const struct virtio_dev *d)
{
	virtio_write(d, VIRTIO_DRIVER_FEATURES_SEL, 0);
	virtio_write(d, VIRTIO_DRIVER_FEATURES, (uint32_t)d->features);
	virtio_write(d, VIRTIO_DRIVER_FEATURES_SEL, 1);
	virtio_write(d, VIRTIO_DRIVER_FEATURES, (uint32_t)(d->features >> 32));
}

void virtio_start(struct virtio_dev *d, uint64_t want)
{
	uint32_t status = VIRTIO_S_ACKNOWLEDGE;

	virtio_reset(d);
	virtio_write(d, VIRTIO_STATUS, status);
	status |= VIRTIO_S_DRIVER;
	virtio_write(d, VIRTIO_STATUS, status);
	d->offered = read_offered(d);
	want |= VIRTIO_F_VERSION_1;
	if (arg_u64("event_idx", 1))
		want |= VIRTIO_F_EVENT_IDX;
	if (arg_u64("indirect", 1))
		want |= VIRTIO_F_INDIRECT;
	d->features = d->offered & want;
	write_features(d);
	status |= VIRTIO_S_FEATURES_OK;
	virtio_write(d, VIRTIO_STATUS, status);
	if (!(d->features & VIRTIO_F_VERSION_1) ||
	    virtio_read(d, VIRTIO_STATUS) != status)
		guest_fail(FAIL_HANDSHAKE);
}

void virtio_go(struct virtio_dev *d)
{
	virtio_write(d, VIRTIO_STATUS,
		     VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER |
			     VIRTIO_S_FEATURES_OK | VIRTIO_S_DRIVER_OK);
}

bool virtio_has(const struct virtio_dev *d, unsigned feature_bit)
{
	return d->features >> feature_bit & 1;
}

uint64_t virtio_config(const struct virtio_dev *d, unsigned at, unsigned width)
{
	return mmio_read(d->base + VIRTIO_CONFIG + at, width);
}

/* VIRTIO 1.2, 2.5.1: in halves, until no change came between. */
uint64_t virtio_config64(const struct virtio_dev *d, unsigned at)
{
	uint32_t before, after = virtio_read(d, VIRTIO_CONFIG_GENERATION);
	uint64_t value;

	do {
		before = after;
		value = virtio_config(d, at, 4);
		value |= virtio_config(d, at + 4, 4) << 32;
		after = virtio_read(d, VIRTIO_CONFIG_GENERATION);
	} while (before != after);
	return value;
}

static bool at_cpl3(void)
{
	uint64_t cs;

	__asm__("movq %%cs, %0" : "=r"(cs));
	return (cs & 3) == 3;
}

/* Without interrupts: some time at CPL3, the next tick at CPL0. */
static void wait_polled(void)
{
	unsigned i;

	if (!at_cpl3() && tick_ns)
		cpu_wait();
	else
		for (i = 0; i < POLLS; i++)
			__asm__ volatile("pause");
}

void virtio_wait(struct virtio_dev *d, uint32_t seen)
{
	uint32_t changes = d->config_changes;

	if (d->polled)
		wait_polled();
	else if (at_cpl3())
		sys_call(SYS_WAIT_IF, (uint64_t)&d->interrupts, seen);
	else if (d->interrupts == seen)
		cpu_wait();
	if (d->config_changes != changes &&
	    (virtio_read(d, VIRTIO_STATUS) & VIRTIO_S_NEEDS_RESET))
		guest_fail(FAIL_NEEDS_RESET);
}

void *virtio_alloc(uint64_t bytes, uint64_t align)
{
	uint64_t at = boot_reserve(bytes, align);

	if (at + bytes > boot_free_ram().end)
		guest_fail(FAIL_NO_MEMORY);
	return (void *)at;
}
