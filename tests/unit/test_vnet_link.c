/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device and its outside: configuration, link, control queue,
 * limits, and backends that are busy, die and are replaced.
 */
#include "base/clock.h"
#include "tests/unit/net_rig.h"
#include "tests/unit/suite.h"

#define FRAME (NET_HEADER_BYTES + 60)

static void clear_isr(struct net_rig *r)
{
	rig_write(&r->rig, 0x64, 3);
}

START_TEST(it_shows_address_link_and_pairs)
{
	uint8_t mac[VNET_MAC_BYTES];
	struct net_rig r;
	unsigned int i;

	net_rig_init(&r, true, (struct vnet_config){ .pairs = 8 });
	vnet_mac_of("uuid", 0, mac);
	ck_assert_uint_eq(rig_read(&r.rig, 0x08), 1);
	for (i = 0; i < VNET_MAC_BYTES; i++)
		ck_assert_uint_eq(
			r.rig.device->ops->read(r.rig.device, 0, 0x100 + i, 1),
			mac[i]);
	ck_assert(!memcmp(vnet_mac(r.vnet), mac, sizeof(mac)));
	ck_assert_uint_eq(r.rig.device->ops->read(r.rig.device, 0, 0x106, 2),
			  1);
	ck_assert_uint_eq(r.rig.device->ops->read(r.rig.device, 0, 0x108, 2),
			  8);
	ck_assert_uint_eq(rig_features(&r.rig) & NET_OFFLOADS, NET_OFFLOADS);
	ck_assert(rig_features(&r.rig) & NET_F_MQ);
	net_rig_fini(&r);
	net_rig_init(&r, false, (struct vnet_config){ .pairs = 1 });
	ck_assert_uint_eq(rig_features(&r.rig) & (NET_OFFLOADS | NET_F_MQ), 0);
	net_rig_fini(&r);
	vnet_destroy(NULL);
}
END_TEST

START_TEST(the_backend_hears_what_was_negotiated)
{
	struct net_rig r;

	net_rig_start(&r, true, NET_F_GUEST_CSUM | NET_F_GUEST_TSO4);
	ck_assert_uint_eq(r.fake->offload & NET_OFFLOADS,
			  NET_F_GUEST_CSUM | NET_F_GUEST_TSO4);
	rig_start(&r.rig, 0, 2, NET_RIG_QUEUE);
	ck_assert_uint_eq(r.fake->offload & NET_OFFLOADS, 0);
	ck_assert_uint_eq(r.fake->offloads, 2);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_pulled_cable_carries_nothing_and_both_sides_hear_of_it)
{
	struct net_rig r;

	net_rig_start(&r, false, 0);
	vnet_set_link(r.vnet, false);
	vnet_set_link(r.vnet, false);
	ck_assert_uint_eq(rig_read(&r.rig, 0x60), VIRTIO_ISR_CONFIG);
	ck_assert_uint_eq(r.rig.device->ops->read(r.rig.device, 0, 0x106, 2),
			  0);
	ck_assert_uint_eq(rig_read(&r.rig, 0xfc), 1);
	ck_assert_uint_eq(r.rig.events, 1);
	ck_assert(r.rig.event == DEVICE_LINK);
	ck_assert_str_eq(r.rig.text, "link is down");
	net_rig_buffers(&r, 4, 1526);
	fake_net_feed(r.fake, 3, 60);
	rig_settle(r.loop);
	ck_assert(!rig_take(&r.rig, 0, NULL, NULL));
	ck_assert(net_rig_send(&r, FRAME));
	ck_assert_uint_eq(r.fake->sent, 0);
	ck_assert_uint_eq(net_rig_stats(&r).rx.dropped, 3);
	ck_assert_uint_eq(net_rig_stats(&r).tx.dropped, 1);
	ck_assert(!net_rig_stats(&r).is_up);
	vnet_set_link(r.vnet, true);
	ck_assert_str_eq(r.rig.text, "link is up");
	fake_net_feed(r.fake, 1, 60);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 0, NULL, NULL));
	ck_assert(net_rig_send(&r, FRAME));
	ck_assert_uint_eq(r.fake->sent, 1);
	net_rig_fini(&r);
}
END_TEST

START_TEST(frames_for_a_driver_that_is_not_there_are_dropped)
{
	struct net_rig r;

	net_rig_init(&r, false, (struct vnet_config){ .is_down = true });
	ck_assert(!net_rig_stats(&r).is_up);
	vnet_set_link(r.vnet, true);
	fake_net_feed(r.fake, 300, 60);
	rig_settle(r.loop);
	ck_assert_uint_eq(net_rig_stats(&r).rx.dropped, 300);
	net_rig_fini(&r);
}
END_TEST

/* Sends a control command; returns its answer. */
static uint8_t command(struct net_rig *r, unsigned int q, uint8_t class,
		       uint8_t cmd, uint16_t value, uint32_t bytes)
{
	const struct rig_piece pieces[] = { { RIG_DATA, bytes, false },
					    { RIG_DATA + 64, 1, true } };
	uint32_t len;

	r->rig.ram[RIG_DATA] = class;
	r->rig.ram[RIG_DATA + 1] = cmd;
	put_le16(r->rig.ram + RIG_DATA + 2, value);
	r->rig.ram[RIG_DATA + 64] = 0x77;
	rig_chain(&r->rig, q, pieces, 2);
	rig_serve(&r->rig, q, r->loop);
	ck_assert(rig_take(&r->rig, q, NULL, &len) && len == 1);
	return r->rig.ram[RIG_DATA + 64];
}

START_TEST(the_control_queue_sets_the_pairs_in_use)
{
	struct net_rig r;

	net_rig_init(&r, false, (struct vnet_config){ .pairs = 2 });
	rig_start(&r.rig, NET_F_CTRL_VQ | NET_F_MQ, 5, 16);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 2, 4), 0);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 1, 4), 0);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 0, 4), 1);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 3, 4), 1);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 0x8000, 4), 1);
	ck_assert_uint_eq(command(&r, 4, 4, 1, 1, 4), 1);
	ck_assert_uint_eq(command(&r, 4, 0, 0, 1, 4), 1);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 2, 3), 1);
	ck_assert_uint_eq(command(&r, 4, 4, 0, 2, 40), 0);
	rig_one(&r.rig, 4, RIG_DATA, 4, false); /* no room for an answer */
	rig_one(&r.rig, 4, RIG_DATA, 4, true);
	rig_serve(&r.rig, 4, r.loop);
	ck_assert(rig_take(&r.rig, 4, NULL, NULL));
	ck_assert(rig_take(&r.rig, 4, NULL, NULL));
	ck_assert(!rig_is_broken(&r.rig));
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_driver_without_mq_has_its_control_queue_behind_one_pair)
{
	struct net_rig r;

	net_rig_init(&r, false, (struct vnet_config){ .pairs = 8 });
	rig_start(&r.rig, NET_F_CTRL_VQ, 3, 16);
	ck_assert_uint_eq(command(&r, 2, 4, 0, 1, 4), 0);
	ck_assert_uint_eq(command(&r, 2, 4, 0, 2, 4), 1);
	rig_serve(&r.rig, 16, r.loop); /* there is none here */
	net_rig_fini(&r);
}
END_TEST

static uint16_t status_of(struct net_rig *r)
{
	return (uint16_t)r->rig.device->ops->read(r->rig.device, 0, 0x106, 2);
}

/* As version `version` has it; then the card is as it was at power-on. */
static void put_away(struct net_rig *r, struct buf *state, uint32_t version)
{
	struct device *d = r->rig.device;
	struct state_io io;

	buf_init(state, 4096);
	state_save(&io, "virtio-net", state);
	io.version = version;
	d->ops->sync(d, &io);
	ck_assert(!state_end(&io, NULL));
	d->ops->reset(d);
}

static void bring_back(struct net_rig *r, struct buf *state, uint32_t version)
{
	struct device *d = r->rig.device;
	struct err e = ERR_NONE;
	struct state_io io;

	state_load(&io, "virtio-net", state->data, state->len);
	io.version = version;
	d->ops->sync(d, &io);
	ck_assert_msg(!state_end(&io, &e), "%s", e.text);
	ck_assert_msg(!d->ops->validate(d, &e), "%s", e.text);
	ck_assert_msg(!d->ops->restored(d, &e), "%s", e.text);
	buf_fini(state);
}

START_TEST(a_card_that_comes_back_is_announced_until_the_driver_did)
{
	static const uint8_t ack[] = { 3, 0 }, wrong[] = { 3, 1 };
	struct net_rig r;
	struct buf state;

	net_rig_init(&r, false, (struct vnet_config){ .pairs = 1 });
	ck_assert(rig_features(&r.rig) & (1ULL << 21));
	rig_start(&r.rig, NET_F_CTRL_VQ | NET_F_ANNOUNCE, 3, NET_RIG_QUEUE);
	ck_assert_uint_eq(status_of(&r), NET_STATUS_LINK_UP);
	put_away(&r, &state, STATE_NEWEST);
	bring_back(&r, &state, STATE_NEWEST);
	ck_assert_uint_eq(status_of(&r),
			  NET_STATUS_LINK_UP | NET_STATUS_ANNOUNCE);
	ck_assert(rig_read(&r.rig, 0x60) & VIRTIO_ISR_CONFIG);
	memcpy(r.rig.ram + RIG_DATA, wrong, sizeof(wrong));
	rig_one(&r.rig, 2, RIG_DATA, sizeof(wrong), false);
	rig_serve(&r.rig, 2, r.loop);
	ck_assert(status_of(&r) & NET_STATUS_ANNOUNCE);
	/* What the driver has not done yet is still asked for. */
	put_away(&r, &state, STATE_NEWEST);
	ck_assert_uint_eq(status_of(&r), NET_STATUS_LINK_UP);
	bring_back(&r, &state, STATE_NEWEST);
	memcpy(r.rig.ram + RIG_DATA, ack, sizeof(ack));
	rig_one(&r.rig, 2, RIG_DATA, sizeof(ack), false);
	rig_serve(&r.rig, 2, r.loop);
	ck_assert_uint_eq(status_of(&r), NET_STATUS_LINK_UP);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_driver_that_can_not_announce_is_not_asked_to)
{
	struct net_rig r;
	struct buf state;

	net_rig_start(&r, false, NET_F_CTRL_VQ);
	put_away(&r, &state, STATE_NEWEST);
	bring_back(&r, &state, STATE_NEWEST);
	ck_assert_uint_eq(status_of(&r), NET_STATUS_LINK_UP);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_card_of_the_first_version_is_loaded)
{
	struct net_rig r;
	struct buf state, newest;

	net_rig_start(&r, false, 0);
	put_away(&r, &newest, STATE_NEWEST);
	bring_back(&r, &newest, STATE_NEWEST);
	put_away(&r, &state, 1);
	/* size, ready, three addresses, three indices; and a bool */
	ck_assert_uint_eq(state.len, 29 + 2 * 33 + 3);
	bring_back(&r, &state, 1);
	net_rig_buffers(&r, 1, 1526);
	fake_net_feed(r.fake, 1, 60);
	rig_settle(r.loop);
	ck_assert(rig_take(&r.rig, 0, NULL, NULL));
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_busy_backend_is_waited_for)
{
	struct net_rig r;

	net_rig_start(&r, false, 0);
	r.fake->answer = -EAGAIN;
	rig_one(&r.rig, 1, RIG_DATA, FRAME, false);
	rig_serve(&r.rig, 1, r.loop);
	ck_assert(!rig_take(&r.rig, 1, NULL, NULL));
	r.fake->answer = 0;
	rig_serve(&r.rig, 1, r.loop);
	ck_assert(rig_take(&r.rig, 1, NULL, NULL));
	/* An error of the frame, or of the host, loses the frame. */
	r.fake->answer = -EINVAL;
	ck_assert(net_rig_send(&r, FRAME));
	r.fake->answer = -ENOBUFS;
	ck_assert(net_rig_send(&r, FRAME));
	ck_assert_uint_eq(net_rig_stats(&r).tx.bad, 1);
	ck_assert_uint_eq(net_rig_stats(&r).tx.dropped, 1);
	ck_assert_uint_eq(net_rig_stats(&r).tx.frames, 1);
	ck_assert_uint_ge(r.fake->flushes, 3); /* nothing stays behind */
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_dead_backend_is_told_once_and_replaced)
{
	struct fake_net *next = fake_net_create(false);
	bool destroyed = false;
	struct net_rig r;

	net_rig_start(&r, false, 0);
	r.fake->destroyed = &destroyed;
	r.fake->answer = -EPIPE;
	ck_assert(net_rig_send(&r, FRAME));
	ck_assert(destroyed);
	ck_assert_uint_eq(r.gone, 1);
	ck_assert_str_eq(net_rig_stats(&r).backend, "none");
	ck_assert(net_rig_send(&r, FRAME));
	ck_assert_uint_eq(net_rig_stats(&r).tx.dropped, 2);
	vnet_set_backend(r.vnet, NULL);
	ck_assert(!net_rig_stats(&r).is_up);
	vnet_set_backend(r.vnet, &next->backend);
	ck_assert(net_rig_stats(&r).is_up);
	ck_assert_str_eq(net_rig_stats(&r).backend, "fake");
	ck_assert(net_rig_send(&r, FRAME));
	ck_assert_uint_eq(next->sent, 1);
	ck_assert_uint_eq(r.gone, 1);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_backend_that_dies_while_it_receives_is_told_once)
{
	struct net_rig r;

	net_rig_start(&r, false, 0);
	net_rig_buffers(&r, 4, 1526);
	r.fake->is_dead = true;
	close(r.fake->feed);
	r.fake->feed = -1;
	rig_settle(r.loop);
	ck_assert_uint_eq(r.gone, 1);
	ck_assert_str_eq(net_rig_stats(&r).backend, "none");
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_backend_that_dies_while_its_guest_sleeps_does_not_spin)
{
	struct net_rig r;
	unsigned int i;

	net_rig_start(&r, false, 0);
	fake_net_feed(r.fake, 10, 60); /* no buffers: it is not read */
	rig_settle(r.loop);
	ck_assert_uint_eq(r.fake->reads, 1);
	close(r.fake->feed);
	r.fake->feed = -1;
	for (i = 0; i < 5; i++)
		loop_step(r.loop, 0);
	ck_assert_uint_eq(r.gone, 1);
	ck_assert_str_eq(net_rig_stats(&r).backend, "none");
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_backend_that_nobody_will_replace_takes_the_link_down)
{
	struct net_rig r;

	net_rig_start(&r, false, 0);
	vnet_on_gone(r.vnet, NULL, NULL);
	r.fake->answer = -EPIPE;
	ck_assert(net_rig_send(&r, FRAME));
	rig_settle(r.loop);
	ck_assert(!net_rig_stats(&r).is_up);
	ck_assert_str_eq(r.rig.text, "link is down");
	ck_assert_uint_eq(rig_read(&r.rig, 0x60) & VIRTIO_ISR_CONFIG,
			  VIRTIO_ISR_CONFIG);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_pulled_cable_stays_pulled_when_a_backend_comes_back)
{
	struct fake_net *next = fake_net_create(false);
	struct net_rig r;

	net_rig_start(&r, false, 0);
	vnet_set_link(r.vnet, false);
	vnet_set_backend(r.vnet, NULL);
	vnet_set_backend(r.vnet, &next->backend);
	ck_assert(!net_rig_stats(&r).is_up);
	vnet_set_link(r.vnet, true);
	ck_assert(net_rig_stats(&r).is_up);
	/* Plugged into nothing it is down until something is there. */
	vnet_set_backend(r.vnet, NULL);
	vnet_set_link(r.vnet, true);
	ck_assert(!net_rig_stats(&r).is_up);
	net_rig_fini(&r);
}
END_TEST

START_TEST(limits_hold_each_way_and_lapse)
{
	struct net_rig r;
	unsigned int n = 0, i;
	uint64_t began;

	net_rig_start(&r, false, 0);
	vnet_set_limits(r.vnet, 0, 100); /* bursts of 10 */
	net_rig_buffers(&r, 40, 1526);
	fake_net_feed(r.fake, 40, 60);
	for (i = 0; i < 40; i++)
		rig_one(&r.rig, 1, RIG_DATA, FRAME, false);
	began = clock_mono_ns();
	rig_serve(&r.rig, 1, r.loop);
	ck_assert_uint_le(r.fake->sent, 12);
	ck_assert_uint_le(r.fake->received, 12);
	while (r.fake->sent < 20 || r.fake->received < 20)
		ck_assert_int_eq(loop_step(r.loop, 1000), 0);
	ck_assert_uint_ge(clock_mono_ns() - began, 80 * NS_PER_MS);
	ck_assert_uint_eq(net_rig_stats(&r).frames_per_s, 100);
	vnet_set_limits(r.vnet, 0, 0);
	rig_settle(r.loop);
	ck_assert_uint_eq(r.fake->sent, 40);
	while (rig_take(&r.rig, 0, NULL, NULL))
		n++;
	ck_assert_uint_eq(n, 40);
	net_rig_fini(&r);
}
END_TEST

START_TEST(a_paused_card_touches_no_guest_memory)
{
	static uint8_t before[RIG_RAM];
	struct net_rig r;
	struct device *d;

	net_rig_start(&r, false, 0);
	net_rig_buffers(&r, 4, 1526);
	rig_one(&r.rig, 1, RIG_DATA, FRAME, false);
	d = r.rig.device;
	clear_isr(&r);
	ck_assert(d->ops->quiesce(d, NULL, NULL));
	memcpy(before, r.rig.ram, RIG_RAM);
	fake_net_feed(r.fake, 3, 60);
	rig_serve(&r.rig, 1, r.loop);
	ck_assert(!memcmp(before, r.rig.ram, RIG_RAM));
	ck_assert_uint_eq(r.fake->sent, 0);
	ck_assert_uint_eq(rig_read(&r.rig, 0x60), 0);
	d->ops->resume(d);
	rig_settle(r.loop);
	ck_assert_uint_eq(r.fake->sent, 1);
	ck_assert_uint_eq(net_rig_stats(&r).rx.frames, 3);
	net_rig_fini(&r);
}
END_TEST

static void pull(void *ctx)
{
	struct net_rig *r = ctx;

	fake_net_feed(r->fake, 1, 60);
	rig_settle(r->loop);
	vnet_set_link(r->vnet, false);
}

START_TEST(a_reload_loses_no_frame_and_no_news_of_the_cable)
{
	struct net_rig r;

	net_rig_start(&r, false, 0);
	fake_net_feed(r.fake, 2, 60); /* no buffers: one waits in the card */
	rig_settle(r.loop);
	rig_reload(&r.rig, NULL, NULL);
	net_rig_buffers(&r, 4, 1526);
	rig_settle(r.loop);
	ck_assert_uint_eq(net_rig_stats(&r).rx.frames, 2);
	rig_reload(&r.rig, pull, &r);
	ck_assert(!net_rig_stats(&r).is_up);
	ck_assert_uint_eq(r.rig.events, 1);
	ck_assert_uint_eq(rig_read(&r.rig, 0x60) & VIRTIO_ISR_CONFIG,
			  VIRTIO_ISR_CONFIG);
	vnet_set_link(r.vnet, true);
	rig_reload(&r.rig, NULL, NULL);
	ck_assert(net_rig_stats(&r).is_up);
	net_rig_fini(&r);
}
END_TEST

START_TEST(addresses_are_stable_local_and_differ)
{
	uint8_t mac[64][VNET_MAC_BYTES], again[VNET_MAC_BYTES];
	char uuid[40];
	unsigned int i, k;

	for (i = 0; i < 64; i++) {
		snprintf(uuid, sizeof(uuid), "d41d8cd9-8f00-4204-%04x", i / 4);
		vnet_mac_of(uuid, i % 4, mac[i]);
		vnet_mac_of(uuid, i % 4, again);
		ck_assert(!memcmp(mac[i], again, sizeof(again)));
		ck_assert_uint_eq(mac[i][0] & 3, 2); /* local, unicast */
		for (k = 0; k < i; k++)
			ck_assert(memcmp(mac[i], mac[k], sizeof(again)) != 0);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		it_shows_address_link_and_pairs,
		the_backend_hears_what_was_negotiated,
		a_pulled_cable_carries_nothing_and_both_sides_hear_of_it,
		frames_for_a_driver_that_is_not_there_are_dropped,
		the_control_queue_sets_the_pairs_in_use,
		a_driver_without_mq_has_its_control_queue_behind_one_pair,
		a_card_that_comes_back_is_announced_until_the_driver_did,
		a_driver_that_can_not_announce_is_not_asked_to,
		a_card_of_the_first_version_is_loaded,
		a_busy_backend_is_waited_for,
		a_dead_backend_is_told_once_and_replaced,
		a_backend_that_dies_while_it_receives_is_told_once,
		a_backend_that_dies_while_its_guest_sleeps_does_not_spin,
		a_backend_that_nobody_will_replace_takes_the_link_down,
		a_pulled_cable_stays_pulled_when_a_backend_comes_back,
		limits_hold_each_way_and_lapse,
		a_paused_card_touches_no_guest_memory,
		a_reload_loses_no_frame_and_no_news_of_the_cable,
		addresses_are_stable_local_and_differ,
	};

	return SUITE_RUN("vnet_link", tests);
}
