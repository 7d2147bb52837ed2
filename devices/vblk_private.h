/* SPDX-License-Identifier: Apache-2.0 */
/* The block device's insides, shared by the files vblk*.c. */
#ifndef AMBER_DEVICES_VBLK_PRIVATE_H
#define AMBER_DEVICES_VBLK_PRIVATE_H

#include <limits.h>
#include <pthread.h>

#include "base/bucket.h"
#include "devices/vblk.h"
#include "disk/stream.h"

#define VBLK_QUEUE_SIZE	   VIRTQ_SIZE_MAX
#define VBLK_REQUESTS	   256
#define VBLK_SEGMENTS	   16	      /* of a discard or write-zeroes request */
#define VBLK_RANGE_SECTORS (1u << 22) /* of each of them: 2 GiB */
#define VBLK_TRANSFER_MAX  (64u << 20) /* bytes of one request, also zeroes */

/* Request types and answers (5.2.6) */
#define VBLK_T_IN	    0
#define VBLK_T_OUT	    1
#define VBLK_T_FLUSH	    4
#define VBLK_T_GET_ID	    8
#define VBLK_T_DISCARD	    11
#define VBLK_T_WRITE_ZEROES 13

#define VBLK_S_OK     0
#define VBLK_S_IOERR  1
#define VBLK_S_UNSUPP 2

#define VBLK_F_SEG_MAX	    (1ULL << 2)
#define VBLK_F_RO	    (1ULL << 5)
#define VBLK_F_BLK_SIZE	    (1ULL << 6)
#define VBLK_F_FLUSH	    (1ULL << 9)
#define VBLK_F_TOPOLOGY	    (1ULL << 10)
#define VBLK_F_CONFIG_WCE   (1ULL << 11)
#define VBLK_F_MQ	    (1ULL << 12)
#define VBLK_F_DISCARD	    (1ULL << 13)
#define VBLK_F_WRITE_ZEROES (1ULL << 14)

struct vblk_range {
	uint64_t offset, bytes;
	bool may_unmap;
};

/* One request, from the ring until its answer is in the ring. */
struct vblk_request {
	struct disk_request disk;
	struct vblk *vblk;		    /* borrowed */
	struct vblk_request *next;	    /* of the list it is in */
	struct vblk_request *older, *newer; /* in flight */
	unsigned int queue;
	enum vblk_kind kind;
	uint8_t answer;	  /* VBLK_S_* */
	uint8_t *status;  /* into guest memory */
	uint32_t written; /* bytes of data that the guest may read */
	int error;	  /* of the host */
	uint64_t bytes;	  /* that it is about */
	uint64_t began_ns;
	struct vblk_range range[VBLK_SEGMENTS]; /* discard, write-zeroes */
	unsigned int ranges, next_range;
	struct virtq_chain chain; /* iov trimmed to the data */
	struct iovec *data;
	unsigned int datas;
};

struct vblk_list {
	struct vblk_request *head, **tail;
};

struct vblk_counters {
	_Atomic uint64_t ops[VBLK_KINDS], bytes[VBLK_KINDS];
	_Atomic uint64_t errors, rejected, held, in_flight, oldest_ns;
	_Atomic uint64_t latency[VBLK_KINDS][VBLK_HISTOGRAM];
	_Atomic uint64_t merge_done, merge_bytes;
	_Atomic bool is_poisoned;
};

enum vblk_merge_state { MERGE_NONE, MERGE_WANTED, MERGE_RUNS };

enum vblk_order {
	VBLK_ORDER_FLUSH,
	VBLK_ORDER_PUSH,
	VBLK_ORDER_MAY_REWIND,
	VBLK_ORDER_REWIND
};

struct vblk_queue_event {
	struct ioq_event event; /* first: ready() gets it */
	struct vblk *vblk;
	unsigned int queue;
};

struct vblk {
	struct virtio virtio;
	struct vblk_config cfg;
	struct {
		bool writeback; /* WCE: a write may wait for a flush */
	} st;
	struct vblk_counters counters;
	struct {
		struct ioq *ioq; /* owned */
		pthread_t thread;
		bool has_thread;
		int wake_fd; /* owned */
		struct ioq_event wake;
		struct vblk_queue_event kick[VBLK_QUEUES_MAX];
		struct vblk_request *requests; /* owned array */
		struct vblk_request *free;
		struct vblk_request *oldest, *newest; /* in flight */
		uint64_t flight_bytes;		      /* of data, of them */
		struct vblk_list finished;	      /* to be answered */
		struct vblk_list held; /* wait for a resume; v->lock */
		bool is_held;	       /* v->lock: nothing is begun */
		bool retry;	       /* v->lock: begin the held ones */
		bool may_have_more;
		struct limiter limiter;
		uint64_t wait_ns; /* of the limits; 0: none */
		uint64_t told_ns; /* when an error was last told */
		struct { /* held heads of a loaded state, until restored */
			unsigned int count;
			uint16_t queue[VBLK_REQUESTS], head[VBLK_REQUESTS];
		} loaded;
		struct { /* what others want of the disk's thread; v->lock */
			_Atomic bool is_wanted; /* without it */
			enum vblk_order what;
			struct overlay *overlay; /* borrowed */
			bool is_over;
			struct err error;
			pthread_cond_t changed;
			struct disk_request flush; /* the thread's, too */
			struct disk_hold hold;
		} order;
		struct { /* its thread's, but for these two */
			_Atomic enum vblk_merge_state state;
			_Atomic bool is_cancelled;
			struct vblk_merge what; /* set before WANTED */
			bool is_stream;		/* into the top */
			struct stream stream;
			struct merge merge;
		} merge;
		struct { /* as the disk is; v->lock, or its thread */
			struct disk_info info;
			char path[PATH_MAX];
		} disk;
		bool is_dead; /* v->lock: the thread can't go on */
		_Atomic bool is_stopping;
		_Atomic bool accept; /* the disk was verified */
		struct limits limits;
	} host;
};

static inline void vblk_list_init(struct vblk_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static inline void vblk_list_add(struct vblk_list *l, struct vblk_request *r)
{
	r->next = NULL;
	*l->tail = r;
	l->tail = &r->next;
}

/* --- vblk_request.c: from a chain to disk requests ------------------- */

/*
 * Reads the header and checks everything; r->chain is filled. Returns 1: to
 * be submitted, 0: r->answer is the answer already, or a negative errno: the
 * chain breaks the device (no room for header or answer).
 */
int vblk_request_parse(struct vblk_request *r, struct err *e);
/* Sets r->disk for the first or next part; false when there is none. */
bool vblk_request_next(struct vblk_request *r);
/* "write of 4096 bytes at 512: No space left on device" */
void vblk_request_describe(const struct vblk_request *r, char *text,
			   size_t bytes);

/* --- vblk.c ---------------------------------------------------------- */
/* What a host's failure left behind is forgotten. */
void vblk_drop_held(struct virtio *v) LOCK_NEEDS(v->lock);
/* Looks at its disk: nobody changes that meanwhile. */
void vblk_note_disk(struct vblk *b);

/* --- vblk_order.c ---------------------------------------------------- */
/* Begins what is wanted of the disk's thread. That thread. */
void vblk_look_for_order(struct vblk *b);
/* The thread can't go on: nobody waits for it. */
void vblk_end_orders(struct virtio *v) LOCK_NEEDS(v->lock);

/* --- vblk_merge.c ---------------------------------------------------- */
/* Begins what is wanted, ends what is cancelled. Its thread. */
void vblk_look_for_merge(struct vblk *b);
static inline bool vblk_merges(struct vblk *b)
{
	return atomic_load(&b->host.merge.state) != MERGE_NONE;
}
/* Tells who waits that it is over: the thread goes no further. */
void vblk_end_merge(struct vblk *b, int error, const char *text);

/* --- vblk_thread.c --------------------------------------------------- */
void *vblk_main(void *arg);
void vblk_wake(struct vblk *b);
int vblk_watch(struct vblk *b, struct err *e);

#endif
