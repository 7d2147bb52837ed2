/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device's insides, shared by the files vsock*.c. All of it is
 * under the virtio lock. INV-1: descriptors, watches, timers and the table of
 * connections are touched on the loop's thread only; others say that all is
 * to be dropped (is_dropping), and the loop's thread does that before
 * anything else. INV-2: what a connection's guest is to be told is a set of
 * bits and a few numbers, and replies without a connection are a bounded
 * list: no queue of packets can grow. INV-3: bytes of the guest wait in the
 * connection's own buffer only, which is as large as the credit it is given.
 */
#ifndef AMBER_DEVICES_VSOCK_PRIVATE_H
#define AMBER_DEVICES_VSOCK_PRIVATE_H

#include <sys/queue.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "devices/vsock.h"

#define VSOCK_CID_HOST	   2
#define VSOCK_PORT_ANY	   0xffffffffu
#define VSOCK_BUFFER_BYTES 65536u /* per connection, towards the host */
#define VSOCK_RSTS_MAX	   256	  /* replies without a connection */
#define VSOCK_HEADER_BYTES 44
#define VSOCK_TYPE_STREAM  1
#define VSOCK_LINE_MAX	   32 /* bytes of "CONNECT 52\n" */

#define VSOCK_GREETING_NS (5 * NS_PER_S)  /* for that line */
#define VSOCK_REQUEST_NS  (5 * NS_PER_S)  /* for the guest's answer */
#define VSOCK_LINGER_NS	  (10 * NS_PER_S) /* for the end of an end */

/* Ports of the host's ends of connections that the host began */
#define VSOCK_PORT_FIRST 0x40000000u
#define VSOCK_PORT_LAST	 0x7fffffffu

enum vsock_queue { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE,
	VSOCK_OP_RST,
	VSOCK_OP_SHUTDOWN,
	VSOCK_OP_RW,
	VSOCK_OP_CREDIT_UPDATE,
	VSOCK_OP_CREDIT_REQUEST,
};

/* Flags of SHUTDOWN: the sender will receive, send, no more. */
#define VSOCK_SHUT_RCV	1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH 3u

struct vsock_header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

/* A reset for a connection that isn't, or no longer. */
struct vsock_rst {
	uint64_t src_cid;
	uint32_t src_port, dst_port;
	uint16_t type;
};

/*
 *   FREE -> GREETING (accept) -> REQUESTED (line read) -> OPEN (RESPONSE)
 *   FREE -> OPEN (REQUEST of the guest, somebody listens)
 *   OPEN -> FLUSHING: the guest is gone, the host still takes bytes
 *   any -> FREE: vsock_conn_drop()
 */
enum vsock_state { FREE, GREETING, REQUESTED, OPEN, FLUSHING };

/* What the guest is to be told about a connection, in this order. */
#define TELL_REQUEST  1u
#define TELL_RESPONSE 2u
#define TELL_SHUTDOWN 4u
#define TELL_CREDIT   8u  /* CREDIT_UPDATE; any packet does it as well */
#define TELL_ASK      16u /* CREDIT_REQUEST */

struct vsock_conn {
	struct vsock *owner;
	TAILQ_ENTRY(vsock_conn) link; /* of the free or the ready list */
	enum vsock_state state;
	bool is_ready; /* in the ready list */
	uint32_t guest_port, host_port;

	int fd; /* owned; -1: none */
	struct loop_fd watch;
	struct loop_timer timer;
	bool is_readable, is_writable; /* as far as is known */
	bool is_hung_up;	       /* the host's program is gone */

	uint8_t tell;	     /* TELL_* */
	uint8_t guest_shut;  /* what the guest said that it no longer does */
	uint8_t host_shut;   /* what the host no longer does */
	uint8_t passed_shut; /* of guest_shut: that the host was told */

	uint32_t peer_alloc, peer_fwd, sent; /* credit that the guest gave */
	uint32_t fwd, told_fwd;		     /* credit that it is given */
	bool has_asked; /* for credit, since it last had some */

	char line[VSOCK_LINE_MAX];
	unsigned int line_len;

	uint8_t *buffer; /* part of host.buffers */
	uint32_t start, used;
	bool is_touched; /* the buffer has memory */
};

TAILQ_HEAD(vsock_list, vsock_conn);

struct vsock_counters {
	_Atomic uint32_t open;
	_Atomic uint64_t connections, to_host_bytes, to_guest_bytes, resets,
		refused, dropped;
};

struct vsock {
	struct virtio virtio;
	struct vsock_config cfg;
	struct {
		uint32_t next_port; /* so that none is used again at once */
		bool reset_due;	    /* the guest is to be told of a reset */
	} st;
	struct vsock_counters counters;
	struct {
		struct virtio_loop loop;
		struct virtq_chain chain;
		bool is_dropping; /* INV-1 */
		int listen_fd;	  /* owned; -1: none */
		struct loop_fd listen;
		struct loop_timer accept_again;
		dev_t dev; /* of the socket file, once it is bound */
		ino_t inode;
		uint64_t key[VSOCK_CONNS_MAX]; /* ports of conn[i] */
		struct vsock_conn conn[VSOCK_CONNS_MAX];
		struct vsock_list free, ready;
		struct vsock_rst rst[VSOCK_RSTS_MAX]; /* INV-2 */
		unsigned int rst_start, rsts;
		uint8_t *buffers; /* owned mapping; INV-3 */
		uint8_t piece[VSOCK_BUFFER_BYTES];
	} host;
};

/* --- vsock.c --------------------------------------------------------- */
/*
 * Around all that the loop's thread does: takes the lock, drops what is to
 * be dropped; serves the guest, releases the lock.
 */
void vsock_enter(struct vsock *s) LOCK_TAKES(s->virtio.lock);
void vsock_leave(struct vsock *s) LOCK_RELEASES(s->virtio.lock);
void vsock_count(_Atomic uint64_t *counter, uint64_t n);

/* --- vsock_conn.c: connections and their host side ------------------- */
int vsock_conns_init(struct vsock *s, struct err *e);
void vsock_conns_fini(struct vsock *s);
/* NULL when there are too many. Owns fd then. */
struct vsock_conn *vsock_conn_take(struct vsock *s, int fd);
struct vsock_conn *vsock_conn_find(struct vsock *s, uint32_t guest_port,
				   uint32_t host_port);
/* From now on it is found by these ports. */
void vsock_conn_name(struct vsock_conn *c, uint32_t guest_port,
		     uint32_t host_port);
void vsock_conn_open(struct vsock_conn *c);
/* Ends it without a word. */
void vsock_conn_drop(struct vsock_conn *c);
void vsock_conn_drop_all(struct vsock *s);
/* Ends it and tells the guest. */
void vsock_conn_reset(struct vsock_conn *c);
/* The guest ended it; what it sent before still goes out. */
void vsock_conn_forget(struct vsock_conn *c);
/*
 * After anything about it has changed: does what follows, watches what is
 * waited for. It may be gone after that.
 */
void vsock_conn_settle(struct vsock_conn *c);
/* len <= VSOCK_BUFFER_BYTES - used. */
void vsock_conn_write(struct vsock_conn *c, const uint8_t *bytes, uint32_t len);
/* Bytes that the guest has room for. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);
bool vsock_conn_has_data(const struct vsock_conn *c);
void vsock_conn_linger(struct vsock_conn *c, uint64_t ns);
void vsock_queue_rst(struct vsock *s, struct vsock_rst rst);

/* --- vsock_host.c: Unix sockets -------------------------------------- */
int vsock_listen(struct vsock *s, struct err *e);
void vsock_unlisten(struct vsock *s);
/* A program of the host says what it wants. c may be gone after that. */
void vsock_greet(struct vsock_conn *c);
/* A descriptor connected to who listens on that port, or -1. */
int vsock_dial(const struct vsock *s, uint32_t port);

/* --- vsock_tx.c, vsock_rx.c: packets; true when more may be there ---- */
bool vsock_serve_tx(struct virtio *v) LOCK_NEEDS(v->lock);
bool vsock_serve_rx(struct virtio *v) LOCK_NEEDS(v->lock);
bool vsock_serve_event(struct virtio *v) LOCK_NEEDS(v->lock);

#endif
