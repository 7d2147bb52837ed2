/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that has the memory. INV-1: what runs in the child takes no lock
 * and allocates nothing, as other threads of the parent may have been in the
 * middle of it; it keeps no descriptor but the two that it needs, so that
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

/* What the child tells. */
struct ram_freeze_shared {
	struct ram_image_figures figures;
	struct err err;
	_Atomic bool is_done;
};

/* Closes all descriptors but two; -1: only one is kept. */
static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)(b < 0 || a < b ? a : b);
	unsigned int high = (unsigned int)(b < 0 || a > b ? a : b);

	if (low)
		close_range(0, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static _Noreturn void child(struct ram_freeze_shared *s, const struct ram *ram,
			    int fd, pid_t parent)
{
	close_others(fd, ram->image_fd);
	ram_image_write_for(ram, fd, parent, &s->figures, &s->err);
	s->is_done = true;
	_exit(0);
}

static void unshare_pages(const struct ram *ram)
{
	madvise(ram->host, ram->bytes, MADV_DONTFORK);
}

int ram_freeze(struct ram_freeze *f, const struct ram *ram, int fd,
	       struct err *e)
{
	pid_t parent = getpid();
	void *shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r;

	*f = (struct ram_freeze){ .pid = 0 };
	if (shared == MAP_FAILED)
		return err_sys(e, -errno, "freezing memory");
	f->shared = shared;
	if (madvise(ram->host, ram->bytes, MADV_DOFORK) < 0) {
		r = err_sys(e, -errno, "freezing memory");
		ram_freeze_cancel(f);
		return r;
	}
	f->pid = _Fork();
	if (!f->pid)
		child(f->shared, ram, fd, parent);
	r = f->pid < 0 ? err_sys(e, -errno, "a process to write memory") : 0;
	unshare_pages(ram);
	if (r) {
		f->pid = 0;
		ram_freeze_cancel(f);
	}
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
	ram_freeze_cancel(f);
	return r;
}

void ram_freeze_progress(const struct ram_freeze *f,
			 struct ram_image_figures *figures)
{
	*figures = f->shared->figures;
}

void ram_freeze_cancel(struct ram_freeze *f)
{
	if (f->pid > 0 && !kill(f->pid, SIGKILL))
		reap(f->pid);
	if (f->shared)
		munmap(f->shared, sizeof(*f->shared));
	*f = (struct ram_freeze){ .pid = 0 };
}
