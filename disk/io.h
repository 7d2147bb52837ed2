/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation on an open file, as a value. Disks are made of these and
 * nothing else: an engine (disk/ioq.h) executes them, and a test's engine
 * may fail, shorten, delay or reorder them.
 */
#ifndef AMBER_DISK_IO_H
#define AMBER_DISK_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum io_op {
	IO_READ,
	IO_WRITE,
	/* All that was written by operations done before this was submitted,
	 * and what is needed to read it back: fdatasync. */
	IO_SYNC,
	IO_PUNCH, /* gives the range back to the file system; reads as zeroes */
	/* The range reads as zeroes and stays allocated. Where the file system
	 * has no such call zeroes are written; beyond the end the file grows
	 * then. */
	IO_ZERO,
	IO_OP_COUNT
};

/*
 * Embed it in its owner. Everything but the engine's part is set by the
 * submitter and unchanged until done() is called; iov and the memory it
 * names are borrowed until then.
 */
struct io {
	enum io_op op;
	int fd; /* borrowed */
	uint64_t offset, bytes;
	const struct iovec *iov; /* IO_READ, IO_WRITE: the memory */
	unsigned int iovs;
	uint64_t skip; /* of that memory; what follows is at least bytes long */
	bool durable;  /* IO_WRITE: on stable storage when it is done */
	bool direct; /* fd is O_DIRECT: never tried inline, as it would block */

	/*
	 * Called once, on the queue's thread, from ioq_run() and never from
	 * ioq_submit(). error is 0 or a negative errno. All bytes were
	 * transferred or it is an error: a read beyond the end of the file
	 * gives zeroes, a write that makes no progress gives -EIO.
	 */
	void (*done)(struct io *io, int error);

	/* the engine's */
	uint64_t moved; /* bytes transferred so far */
	int result;
	unsigned int tries; /* since the last progress */
	bool by_writing; /* IO_ZERO: the file system can't, zeroes are written
			  */
	struct io *next;
};

/* The struct type whose member an io is: for done(). */
#define IO_OWNER(io, type, member) \
	((type *)(void *)((char *)(io)-offsetof(type, member)))

#endif
