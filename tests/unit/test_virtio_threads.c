/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices among threads: a device's own works, one like a vCPU's
 * drives it, one like the machine's resets, pauses, asks and changes things.
 * Meant for TSan, and for devices that don't come back.
 */
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "devices/io_thread.h"
#include "devices/vballoon.h"
#include "devices/vconsole.h"
#include "devices/vrng.h"
#include "tests/unit/net_rig.h"
#include "tests/unit/suite.h"

#define STORM_NS (NS_PER_S / 2)
#define SIZE	 16

struct storm {
	struct rig rig;
	struct io_thread *io;
	struct device *device;
	unsigned int queues, writable; /* bit q: its buffers are writable */
	uint64_t features;
	void (*disturb)(struct storm *s, unsigned int n);
	void *own;
	struct console *console;
	struct channel *channel;
	uint64_t end_ns;
	pthread_mutex_t quiet_lock;
	pthread_cond_t quiet_cond;
	bool is_quiet;
	uint64_t answered; /* the driver's */
};

static void on_quiet(void *ctx)
{
	struct storm *s = ctx;

	pthread_mutex_lock(&s->quiet_lock);
	s->is_quiet = true;
	pthread_cond_signal(&s->quiet_cond);
	pthread_mutex_unlock(&s->quiet_lock);
}

static void pause_and_resume(struct storm *s)
{
	struct device *d = s->device;

	s->is_quiet = false;
	if (!d->ops->quiesce(d, on_quiet, s)) {
		pthread_mutex_lock(&s->quiet_lock);
		while (!s->is_quiet)
			pthread_cond_wait(&s->quiet_cond, &s->quiet_lock);
		pthread_mutex_unlock(&s->quiet_lock);
	}
	d->ops->resume(d);
}

/* Like the machine's thread, and another vCPU. */
static void *machine_like(void *arg)
{
	struct storm *s = arg;
	struct device *d = s->device;
	unsigned int n, reg;
	struct buf text;

	buf_init(&text, 8192);
	for (n = 0; clock_mono_ns() < s->end_ns; n++) {
		pause_and_resume(s);
		for (reg = 0; reg < 0x110; reg += 4)
			d->ops->read(d, 0, reg, 4);
		buf_reset(&text);
		d->ops->describe(d, &text);
		s->disturb(s, n);
		d->ops->write(d, 0, VIRTIO_MMIO_NOTIFY, 4, n % s->queues);
		if (n % 16 == 15)
			d->ops->reset(d);
	}
	buf_fini(&text);
	return NULL;
}

/* The other one's reset may come in between: then it isn't started. */
static void begin(struct storm *s)
{
	unsigned int q;

	if (!rig_negotiate(&s->rig, s->features | VIRTIO_F_VERSION_1))
		return;
	for (q = 0; q < s->queues; q++)
		rig_set_queue(&s->rig, q, SIZE);
	rig_driver_ok(&s->rig);
}

/* A descriptor is used again when its chain was answered only. */
static void use(struct storm *s, unsigned int n)
{
	unsigned int q = n % s->queues;
	struct rig_queue *rq = &s->rig.queue[q];

	while (rig_take(&s->rig, q, NULL, NULL))
		s->answered++;
	while ((uint16_t)(rq->avail_idx - rq->used_idx) < rq->size)
		rig_one(&s->rig, q, RIG_DATA + 0x1000 * q, 600,
			s->writable >> q & 1);
	rig_kick(&s->rig, q);
}

/* Queue q answers, though all that happened. */
static void still_works(struct storm *s, unsigned int q)
{
	uint64_t until = clock_mono_ns() + 10 * NS_PER_S;

	begin(s);
	ck_assert_uint_eq(rig_status(&s->rig), 0xf);
	rig_one(&s->rig, q, RIG_DATA, 600, s->writable >> q & 1);
	rig_kick(&s->rig, q);
	while (!rig_take(&s->rig, q, NULL, NULL)) {
		ck_assert_uint_lt(clock_mono_ns(), until);
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
	}
}

static struct virtio_config storm_init(struct storm *s)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->rig);
	pthread_mutex_init(&s->quiet_lock, NULL);
	pthread_cond_init(&s->quiet_cond, NULL);
	ck_assert_int_eq(io_thread_create(&s->io, "storm", NULL), 0);
	return rig_config(&s->rig, "dev0");
}

/* Queue q is the one that must still answer at the end. */
static void storm_run(struct storm *s, struct virtio *v, unsigned int q)
{
	pthread_t machine;
	unsigned int n;

	s->device = s->rig.device = &v->device;
	s->end_ns = clock_mono_ns() + STORM_NS;
	ck_assert_int_eq(io_thread_start(s->io, NULL), 0);
	ck_assert_int_eq(pthread_create(&machine, NULL, machine_like, s), 0);
	begin(s);
	for (n = 0; clock_mono_ns() < s->end_ns; n++) {
		if (n % 64 == 63)
			begin(s);
		else if (s->rig.queue[n % s->queues].size)
			use(s, n);
	}
	pthread_join(machine, NULL);
	ck_assert_uint_gt(s->answered, 100);
	still_works(s, q);
	io_thread_join(s->io);
}

static void storm_fini(struct storm *s)
{
	io_thread_destroy(s->io);
	pthread_cond_destroy(&s->quiet_cond);
	pthread_mutex_destroy(&s->quiet_lock);
	rig_fini(&s->rig);
}

static void disturb_nothing(struct storm *s, unsigned int n)
{
	(void)n;
	vrng_bytes(s->own);
}

START_TEST(an_entropy_device)
{
	struct storm s;
	struct vrng_config c = { .virtio = storm_init(&s) };
	struct vrng *r;

	c.loop = io_thread_loop(s.io);
	ck_assert_int_eq(vrng_create(&r, &c, NULL), 0);
	s.own = r;
	s.queues = 1;
	s.writable = 1;
	s.disturb = disturb_nothing;
	storm_run(&s, vrng_virtio(r), 0);
	vrng_destroy(r);
	storm_fini(&s);
}
END_TEST

static void disturb_net(struct storm *s, unsigned int n)
{
	struct vnet_stats stats;

	vnet_get_stats(s->own, &stats);
	vnet_set_limits(s->own, n % 3 ? 0 : 1u << 20, n % 5 ? 0 : 1000);
	vnet_set_link(s->own, n % 4 != 0);
	if (n % 8 == 0)
		vnet_set_limits(s->own, 0, 0);
}

START_TEST(a_network_card)
{
	struct fake_net *f = fake_net_create(false);
	struct storm s;
	struct vnet_config c = { .virtio = storm_init(&s) };
	struct vnet *n;

	c.loop = io_thread_loop(s.io);
	c.pairs = 1;
	c.backend = &f->backend;
	ck_assert_int_eq(vnet_create(&n, &c, NULL), 0);
	fake_net_feed(f, 1u << 30, 60); /* without end */
	s.own = n;
	s.queues = 2;
	s.writable = 1;
	s.features = NET_F_MRG_RXBUF;
	s.disturb = disturb_net;
	storm_run(&s, vnet_virtio(n), 1);
	vnet_destroy(n);
	storm_fini(&s);
}
END_TEST

static void discard(void *ctx, void *host, uint64_t bytes)
{
	struct storm *s = ctx;

	(void)s;
	(void)host;
	(void)bytes;
}

static void disturb_balloon(struct storm *s, unsigned int n)
{
	struct vballoon_stats stats;

	vballoon_set_target(s->own, n);
	vballoon_get_stats(s->own, &stats);
}

START_TEST(a_balloon)
{
	struct storm s;
	struct vballoon_config c = { .virtio = storm_init(&s) };
	struct vballoon *b;

	c.loop = io_thread_loop(s.io);
	c.discard = discard;
	c.ctx = &s;
	ck_assert_int_eq(vballoon_create(&b, &c, NULL), 0);
	s.own = b;
	s.queues = 2; /* those that answer */
	s.disturb = disturb_balloon;
	storm_run(&s, vballoon_virtio(b), 0);
	vballoon_destroy(b);
	storm_fini(&s);
}
END_TEST

static void disturb_console(struct storm *s, unsigned int n)
{
	uint8_t bytes[64] = { 0 };

	channel_host_open(s->channel, n % 2);
	channel_host_write(s->channel, bytes, sizeof(bytes));
	channel_host_read(s->channel, bytes, sizeof(bytes));
	console_input(s->console, bytes, sizeof(bytes));
	vconsole_input_ready(s->own);
}

START_TEST(a_console)
{
	struct console_config cc = { .history_bytes = 1u << 16 };
	struct storm s;
	struct vconsole_config c = { .virtio = storm_init(&s), .ports = 1 };
	struct vconsole *v;

	ck_assert_int_eq(console_create(&s.console, &cc, NULL), 0);
	ck_assert_int_eq(channel_create(&s.channel, NULL), 0);
	c.loop = io_thread_loop(s.io);
	c.console = s.console;
	c.port[0].channel = s.channel;
	ck_assert_int_eq(vconsole_create(&v, &c, NULL), 0);
	s.own = v;
	s.queues = 6;
	s.writable = 1 | 1 << 2 | 1 << 4;
	s.features = 2;
	s.disturb = disturb_console;
	storm_run(&s, vconsole_virtio(v), 1);
	vconsole_destroy(v);
	channel_destroy(s.channel);
	console_destroy(s.console);
	storm_fini(&s);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		an_entropy_device,
		a_network_card,
		a_balloon,
		a_console,
	};

	return SUITE_RUN("virtio_threads", tests);
}
