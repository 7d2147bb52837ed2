/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM over a memfd. Built and destroyed by one thread while no vCPU
 * runs. INV-1: no page is touched here.
 */
#include "vmm/ram.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/platform.h"

static int lay_out(struct ram *ram)
{
	uint64_t low =
		ram->bytes < RAM_HOLE_START ? ram->bytes : RAM_HOLE_START;
	int r = gmem_add(&ram->mem, 0, low, ram->host);

	if (!r && ram->bytes > low)
		r = gmem_add(&ram->mem, RAM_HOLE_END, ram->bytes - low,
			     ram->host + low);
	return r;
}

int ram_create(struct ram *ram, uint64_t bytes, struct err *e)
{
	void *host;
	int r;

	*ram = (struct ram){ .fd = -1, .bytes = bytes };
	ram->fd = memfd_create("amber-ram", MFD_CLOEXEC);
	if (ram->fd < 0)
		return err_sys(e, -errno, "guest memory: memfd_create");
	if (ftruncate(ram->fd, (off_t)bytes) < 0) {
		r = err_sys(e, -errno, "guest memory: %llu MiB",
			    (unsigned long long)(bytes >> 20));
		goto fail;
	}
	host = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE, ram->fd, 0);
	if (host == MAP_FAILED) {
		r = err_sys(e, -errno, "guest memory: mapping %llu MiB",
			    (unsigned long long)(bytes >> 20));
		goto fail;
	}
	ram->host = host;
	/* Advice only: a host without huge shared pages refuses it. */
	madvise(host, bytes, MADV_HUGEPAGE);
	madvise(host, bytes, MADV_DONTDUMP);
	r = lay_out(ram);
	if (!r)
		return 0;
	err_sys(e, r, "guest memory: layout");
fail:
	ram_destroy(ram);
	return r;
}

void ram_destroy(struct ram *ram)
{
	if (ram->host)
		munmap(ram->host, ram->bytes);
	if (ram->fd >= 0)
		close(ram->fd);
	*ram = (struct ram){ .fd = -1 };
}

int ram_set_slots(const struct ram *ram, int vm_fd, struct err *e)
{
	unsigned int i;

	for (i = 0; i < ram->mem.count; i++) {
		const struct gmem_region *r = &ram->mem.region[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = r->start,
			.memory_size = r->bytes,
			.userspace_addr = (uintptr_t)r->host,
		};

		if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return err_sys(e, -errno,
				       "memory slot %u at %#llx, %llu MiB", i,
				       (unsigned long long)r->start,
				       (unsigned long long)(r->bytes >> 20));
	}
	return 0;
}

void ram_discard(const struct ram *ram, void *host, uint64_t bytes)
{
	uint64_t at = (uint64_t)((uint8_t *)host - ram->host);

	/* On shared memory DONTNEED would only drop this mapping's pages. A
	 * failure costs memory, nothing else. */
	if (at <= ram->bytes && bytes <= ram->bytes - at)
		madvise(host, bytes, MADV_REMOVE);
}

uint64_t ram_resident_bytes(const struct ram *ram)
{
	struct stat st;

	if (ram->fd < 0 || fstat(ram->fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}
