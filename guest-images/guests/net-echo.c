/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-echo: a host with the address ip=A.B.C.D (default 10.0.0.2) that answers
 * ARP, pings and UDP port 7, until a datagram "quit" comes there (answered as
 * well). Prints its MAC, and how many of each it answered; `bad` counts wrong
 * checksums and lengths, `other` what is not for it. FAIL 1: bad address.
 */
#include "guest-images/runtime/memory.h"
#include "guest-images/runtime/net.h"

#define ETH_HEAD  14
#define TYPE_IPV4 0x0800
#define TYPE_ARP  0x0806
#define ARP_BYTES 28
#define IP_HEAD	  20
#define IP_ICMP	  1
#define IP_UDP	  17
#define UDP_HEAD  8
#define PORT_ECHO 7
#define FRAGMENT  0x3fff /* offset and "more": none of our packets has it */

static struct net net;
static uint8_t ip[4];
static uint64_t arps, pings, datagrams, bad, other;
static bool quit;

static bool same(const uint8_t *a, const uint8_t *b, unsigned n)
{
	while (n > 0 && a[n - 1] == b[n - 1])
		n--;
	return n == 0;
}

static bool parse_ip(const char *text)
{
	unsigned i, value, digits;

	for (i = 0; i < 4; i++) {
		value = digits = 0;
		for (; *text >= '0' && *text <= '9' && digits < 3; digits++)
			value = value * 10 + (unsigned)(*text++ - '0');
		if (digits == 0 || value > 255 || *text != (i < 3 ? '.' : '\0'))
			return false;
		text += i < 3;
		ip[i] = (uint8_t)value;
	}
	return true;
}

static void send_copy(const uint8_t *frame, unsigned bytes)
{
	struct net_buffer *b = net_take(&net);

	memcpy(b->frame, frame, bytes);
	memcpy(b->frame, frame + 6, 6);
	memcpy(b->frame + 6, net.mac, 6);
	net_send(&net, b, bytes);
	net_flush(&net);
}

/* RFC 826: who has our address? */
static void on_arp(uint8_t *frame, unsigned bytes)
{
	static const uint8_t request[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t *arp = frame + ETH_HEAD;

	if (bytes < ETH_HEAD + ARP_BYTES || !same(arp, request, 8) ||
	    !same(arp + 24, ip, 4)) {
		other++;
		return;
	}
	arp[7] = 2;
	memcpy(arp + 18, arp + 8, 10); /* sender becomes target */
	memcpy(arp + 8, net.mac, 6);
	memcpy(arp + 14, ip, 4);
	send_copy(frame, ETH_HEAD + ARP_BYTES);
	arps++;
}

/* Turns addresses around: no checksum changes by that. */
static void answer(uint8_t *frame, unsigned bytes)
{
	uint8_t *packet = frame + ETH_HEAD;

	memcpy(packet + 16, packet + 12, 4);
	memcpy(packet + 12, ip, 4);
	send_copy(frame, ETH_HEAD + bytes);
}

static void on_icmp(uint8_t *frame, unsigned total)
{
	uint8_t *icmp = frame + ETH_HEAD + IP_HEAD;

	if (total < IP_HEAD + 8 ||
	    net_sum(icmp, total - IP_HEAD, 0) != 0xffff) {
		bad++;
		return;
	}
	if (icmp[0] != 8) {
		other++;
		return;
	}
	icmp[0] = 0;
	net_put16(icmp + 2, 0);
	net_put16(icmp + 2, ~net_sum(icmp, total - IP_HEAD, 0));
	answer(frame, total);
	pings++;
}

static bool udp_is_sound(const uint8_t *packet, unsigned total)
{
	const uint8_t *udp = packet + IP_HEAD;
	unsigned bytes = total - IP_HEAD;

	if (bytes < UDP_HEAD || net_get16(udp + 4) != bytes)
		return false;
	if (net_get16(udp + 6) == 0)
		return true;
	return net_sum(udp, bytes, net_sum(packet + 12, 8, IP_UDP + bytes)) ==
	       0xffff;
}

static void on_udp(uint8_t *frame, unsigned total)
{
	uint8_t *packet = frame + ETH_HEAD;
	uint8_t *udp = packet + IP_HEAD;

	if (!udp_is_sound(packet, total)) {
		bad++;
		return;
	}
	if (net_get16(udp + 2) != PORT_ECHO) {
		other++;
		return;
	}
	quit = total >= IP_HEAD + UDP_HEAD + 4 &&
	       same(udp + UDP_HEAD, (const uint8_t *)"quit", 4);
	net_put16(udp + 2, net_get16(udp));
	net_put16(udp, PORT_ECHO);
	answer(frame, total);
	datagrams++;
}

static void on_ip(uint8_t *frame, unsigned bytes)
{
	uint8_t *packet = frame + ETH_HEAD;
	unsigned total = net_get16(packet + 2);

	if (bytes < ETH_HEAD + IP_HEAD || total < IP_HEAD ||
	    total > bytes - ETH_HEAD || packet[0] != 0x45 ||
	    net_sum(packet, IP_HEAD, 0) != 0xffff) {
		bad++;
		return;
	}
	if (!same(packet + 16, ip, 4) || net_get16(packet + 6) & FRAGMENT)
		other++;
	else if (packet[9] == IP_ICMP)
		on_icmp(frame, total);
	else if (packet[9] == IP_UDP)
		on_udp(frame, total);
	else
		other++;
}

static void on_frame(uint8_t *frame, unsigned bytes)
{
	unsigned type = bytes < ETH_HEAD ? 0 : net_get16(frame + 12);

	if (type == TYPE_ARP)
		on_arp(frame, bytes);
	else if (type == TYPE_IPV4)
		on_ip(frame, bytes);
	else
		other++;
}

static uint64_t mac_number(void)
{
	uint64_t value = 0;
	unsigned i;

	for (i = 0; i < 6; i++)
		value = value << 8 | net.mac[i];
	return value;
}

static uint64_t run(void *dev)
{
	net_start(&net, dev);
	fact_hex("mac", mac_number());
	while (!quit) {
		unsigned bytes;
		struct net_buffer *b = net_receive(&net, &bytes);

		on_frame(b->frame, bytes);
		net_give(&net, b);
	}
	net_drain(&net);
	line_begin();
	line_u64("arp", arps);
	line_u64("icmp", pings);
	line_u64("udp", datagrams);
	line_u64("bad", bad + net.bad);
	line_u64("other", other);
	line_end();
	return 0;
}

void guest_main(void)
{
	char text[16] = "";

	arg_text("ip", text, sizeof(text));
	if (!parse_ip(text[0] ? text : "10.0.0.2"))
		guest_fail(1);
	virtio_guest(VIRTIO_ID_NET, run);
}

GUEST_PVH;
