/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that has the memory. INV-1: what runs in the child takes no lock
 * and allocates nothing, as other threads of the parent may have been in the
 * middle of it; it keeps no descriptor but those of memory images, so that
 * locks, sockets and disks are the parent's alone. INV-2: it does not outlive
 * the parent by more than a window of memory.
 */
#include "vmm/ram_freeze.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/ram_share.h"
#include "vmm/ram_track.h"

/* What the child tells. */
struct ram_freeze_shared {
	struct ram_image_figures figures;
	struct err err;
	_Atomic bool is_done;
	uint64_t tables[]; /* of pages that may have changed, and map's */
};

/* What the child writes, and what memory shows, in ascending order. */
static unsigned int list_kept(int kept[2 * RAM_IMAGES_MAX + 1],
			      const struct ram_image_job *job)
{
	unsigned int n = 0, i, j;

	kept[n++] = job->fd;
	for (i = 0; i < job->ram->images.count; i++)
		kept[n++] = job->ram->images.fd[i];
	for (i = 0; job->base && i < job->base->images.count; i++)
		kept[n++] = job->base->images.fd[i];
	for (i = 1; i < n; i++)
		for (j = i; j && kept[j - 1] > kept[j]; j--) {
			int swapped = kept[j];

			kept[j] = kept[j - 1];
			kept[j - 1] = swapped;
		}
	return n;
}

static void close_others(const struct ram_image_job *job)
{
	int kept[2 * RAM_IMAGES_MAX + 1];
	unsigned int n = list_kept(kept, job), from = 0, i;

	for (i = 0; i < n; i++) {
		if ((unsigned int)kept[i] > from)
			close_range(from, (unsigned int)kept[i] - 1, 0);
		from = (unsigned int)kept[i] + 1;
	}
	close_range(from, ~0U, 0);
}

static _Noreturn void child(struct ram_freeze_shared *s,
			    const struct ram_image_job *job)
{
	close_others(job);
	ram_image_write(job, &s->figures, &s->err);
	s->is_done = true;
	_exit(0);
}

/* The child looks at no other memory than this. */
static int share(const struct ram_image_job *job, struct err *e)
{
	struct ram_share what;
	int r;

	ram_share_for(&what, job);
	r = ram_share_begin(&what, job->ram);
	if (!r && job->base) {
		ram_share_all(&what, job->base);
		r = ram_share_begin(&what, job->base);
	}
	return r ? err_sys(e, r, "freezing memory") : 0;
}

static int start(struct ram_freeze *f, const struct ram_image_job *job,
		 struct err *e)
{
	int r = share(job, e);

	if (!r) {
		f->pid = _Fork();
		if (!f->pid)
			child(f->shared, job);
	}
	if (f->pid < 0)
		r = err_sys(e, -errno, "a process to write memory");
	f->pid = r ? 0 : f->pid;
	ram_share_end(job->ram);
	if (job->base)
		ram_share_end(job->base);
	return r;
}

/* What the child and we share, with the tables of map behind it. */
static int make_shared(struct ram_freeze *f, const struct ram *ram,
		       struct err *e)
{
	uint64_t maybe = ram_track_words(ram) * sizeof(*f->maybe);
	size_t tables;

	ram_map_plan(&f->map, ram->bytes, &tables);
	f->shared_bytes = sizeof(*f->shared) + maybe + tables;
	f->shared = mmap(NULL, f->shared_bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->shared == MAP_FAILED) {
		f->shared = NULL;
		return err_sys(e, -errno, "freezing memory");
	}
	f->maybe = f->shared->tables;
	ram_map_place(&f->map, (uint8_t *)f->maybe + maybe);
	return 0;
}

/* Is it known which pages may have changed? */
static bool cut(struct ram_freeze *f, struct ram *ram,
		const struct ram_freeze_order *order)
{
	const struct ram_track_cut here = { .moment = order->moment,
					    .base_name = order->base_moment,
					    .base = order->base };

	ram->track.is_wanted |= order->is_tracked;
	return ram->track.is_wanted && ram_track_cut(ram, &here, f->maybe);
}

int ram_freeze(struct ram_freeze *f, struct ram *ram,
	       const struct ram_freeze_order *order, struct err *e)
{
	struct ram_image_job job = { .ram = ram,
				     .base = order->base,
				     .fd = order->fd,
				     .map = &f->map,
				     .parent = getpid(),
				     .progress = order->progress };
	int r;

	*f = (struct ram_freeze){ .pid = 0 };
	r = make_shared(f, ram, e);
	if (r)
		return r;
	f->map.is_increment = order->base != NULL;
	if (cut(f, ram, order) && order->base)
		job.maybe = f->maybe;
	progress_expect(order->progress, ram->bytes);
	r = start(f, &job, e);
	if (r)
		ram_freeze_cancel(f);
	return r;
}

static int reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int ram_freeze_wait(struct ram_freeze *f, struct ram_image_figures *figures,
		    struct err *e)
{
	int status = reap(f->pid), r = 0;

	f->pid = 0;
	*figures = f->shared->figures;
	if (!f->shared->is_done)
		r = err_set(e, -EIO,
			    "the process that wrote the memory was ended by "
			    "signal %d",
			    WTERMSIG(status));
	else if (f->shared->err.code)
		r = err_set(e, f->shared->err.code, "%s", f->shared->err.text);
	return r;
}

void ram_freeze_cancel(struct ram_freeze *f)
{
	if (f->pid > 0 && !kill(f->pid, SIGKILL))
		reap(f->pid);
	if (f->shared)
		munmap(f->shared, f->shared_bytes);
	*f = (struct ram_freeze){ .pid = 0 };
}
