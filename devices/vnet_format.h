/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the network device (VIRTIO 1.2, 5.1). */
#ifndef AMBER_DEVICES_VNET_FORMAT_H
#define AMBER_DEVICES_VNET_FORMAT_H

#define NET_F_CSUM	 (1ULL << 0)
#define NET_F_GUEST_CSUM (1ULL << 1)
#define NET_F_MTU	 (1ULL << 3)
#define NET_F_MAC	 (1ULL << 5)
#define NET_F_GUEST_TSO4 (1ULL << 7)
#define NET_F_GUEST_TSO6 (1ULL << 8)
#define NET_F_HOST_TSO4	 (1ULL << 11)
#define NET_F_HOST_TSO6	 (1ULL << 12)
#define NET_F_MRG_RXBUF	 (1ULL << 15)
#define NET_F_STATUS	 (1ULL << 16)
#define NET_F_CTRL_VQ	 (1ULL << 17)
#define NET_F_ANNOUNCE	 (1ULL << 21) /* VIRTIO_NET_F_GUEST_ANNOUNCE */
#define NET_F_MQ	 (1ULL << 22)

/* struct virtio_net_hdr (5.1.6) */
#define NET_HDR_FLAGS	    0
#define NET_HDR_GSO_TYPE    1
#define NET_HDR_HDR_LEN	    2
#define NET_HDR_GSO_SIZE    4
#define NET_HDR_CSUM_START  6
#define NET_HDR_CSUM_OFFSET 8
#define NET_HDR_NUM_BUFFERS 10

#define NET_HDR_NEEDS_CSUM 1
#define NET_GSO_NONE	   0
#define NET_GSO_TCPV4	   1
#define NET_GSO_TCPV6	   4
#define NET_GSO_ECN	   0x80

#define NET_STATUS_LINK_UP  1
#define NET_STATUS_ANNOUNCE 2

/* Control queue (5.1.6.5) */
#define NET_CTRL_ANNOUNCE     3
#define NET_CTRL_ANNOUNCE_ACK 0
#define NET_CTRL_MQ	      4
#define NET_CTRL_MQ_PAIRS_SET 0
#define NET_CTRL_OK	      0
#define NET_CTRL_ERR	      1

#endif
