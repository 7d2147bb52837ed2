/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory balloon (VIRTIO 1.2, 5.5): the guest gives pages up when asked
 * to, and reports those it does not use (free page reporting), so that the
 * host gets them back. Works on a loop of its thread; at rest it does
 * nothing: statistics are asked for when somebody asks us.
 */
#ifndef AMBER_DEVICES_VBALLOON_H
#define AMBER_DEVICES_VBALLOON_H

#include "base/err.h"
#include "devices/virtio_loop.h"

#define VBALLOON_PAGE_BYTES 4096

/* Tags of statistics (5.5.6.4) */
enum vballoon_stat {
	VBALLOON_SWAP_IN,
	VBALLOON_SWAP_OUT,
	VBALLOON_MAJOR_FAULTS,
	VBALLOON_MINOR_FAULTS,
	VBALLOON_FREE,
	VBALLOON_TOTAL,
	VBALLOON_AVAILABLE,
	VBALLOON_CACHES,
	VBALLOON_HUGE_OK,
	VBALLOON_HUGE_FAILED,
	VBALLOON_STATS
};

struct vballoon;

struct vballoon_config {
	struct virtio_config virtio; /* id, mem, irq, events */
	struct loop *loop;	     /* borrowed */
	/*
	 * Gives [host, host + bytes) of guest memory back; it reads as
	 * zeroes from then on. Page aligned. The device's thread.
	 */
	void (*discard)(void *ctx, void *host, uint64_t bytes);
	void *ctx;
};

int vballoon_create(struct vballoon **out, const struct vballoon_config *cfg,
		    struct err *e);
/* After the loop's thread has ended. NULL is fine. */
void vballoon_destroy(struct vballoon *b);
struct virtio *vballoon_virtio(struct vballoon *b);

/* Asks the guest to give up (or take back) pages, up to that many. Any
 * thread. */
void vballoon_set_target(struct vballoon *b, uint32_t pages);

struct vballoon_stats {
	uint32_t target_pages, actual_pages;
	uint64_t reported_bytes; /* by free page reporting, ever */
	bool has_driver;
	uint64_t stat[VBALLOON_STATS]; /* as last told by the guest */
	uint32_t has_stat;	       /* bits 1 << enum vballoon_stat */
};

/* Also asks the guest for new statistics, which the next call will have. */
void vballoon_get_stats(struct vballoon *b, struct vballoon_stats *out);

#endif
