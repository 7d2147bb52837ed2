/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as anonymous memory. Built and destroyed by one thread while no
 * vCPU runs. INV-1: no page is touched here.
 */
#include "vmm/ram.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/platform.h"
#include "vmm/ram_track.h"

#define PAGE	   4096ULL
#define LOOK_PAGES 16384ULL /* of one mincore() */

uint64_t ram_end_of(uint64_t bytes)
{
	return bytes <= RAM_HOLE_START ? bytes
				       : bytes - RAM_HOLE_START + RAM_HOLE_END;
}

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

/*
 * Address space whose huge pages are huge pages of the guest, too: newer
 * kernels align large mappings by themselves.
 */
static void *map_aligned(uint64_t bytes)
{
	uint64_t all = bytes + RAM_HUGE_PAGE;
	uint8_t *base, *host;

	base = mmap(NULL, all, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	host = base + (-(uintptr_t)base & (RAM_HUGE_PAGE - 1));
	if (host > base)
		munmap(base, (size_t)(host - base));
	munmap(host + bytes, all - bytes - (uint64_t)(host - base));
	return host;
}

int ram_create(struct ram *ram, uint64_t bytes, struct err *e)
{
	int r;

	*ram = (struct ram){ .bytes = bytes };
	ram_track_init(ram);
	ram->host = map_aligned(bytes);
	if (!ram->host)
		return err_sys(e, -errno, "guest memory: mapping %llu MiB",
			       (unsigned long long)(bytes >> 20));
	/* Advice only: a host without huge pages refuses it. */
	if (bytes > RAM_SMALL_BYTES)
		madvise(ram->host + RAM_SMALL_BYTES, bytes - RAM_SMALL_BYTES,
			MADV_HUGEPAGE);
	madvise(ram->host, bytes, MADV_DONTDUMP);
	madvise(ram->host, bytes, MADV_DONTFORK);
	r = lay_out(ram);
	if (r) {
		ram_destroy(ram);
		return err_sys(e, r, "guest memory: layout");
	}
	return 0;
}

void ram_destroy(struct ram *ram)
{
	if (ram->host)
		munmap(ram->host, ram->bytes);
	if (ram->host)
		ram_track_fini(ram); /* cheap when nothing is mapped */
	while (ram->images.count)
		close(ram->images.fd[--ram->images.count]);
	*ram = (struct ram){ .bytes = 0 };
}

uint64_t ram_end(const struct ram *ram)
{
	const struct gmem_region *last = &ram->mem.region[ram->mem.count - 1];

	return last->start + last->bytes;
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

	/* A failure costs memory, nothing else. */
	if (at > ram->bytes || bytes > ram->bytes - at)
		return;
	ram_track_discarded(ram, at, bytes);
	madvise(host, bytes, MADV_DONTNEED);
}

uint64_t ram_resident_bytes(const struct ram *ram)
{
	unsigned char is_there[LOOK_PAGES];
	uint64_t pages = ram->host ? ram->bytes / PAGE : 0;
	uint64_t at, n, i, found = 0;

	for (at = 0; at < pages; at += n) {
		n = pages - at < LOOK_PAGES ? pages - at : LOOK_PAGES;
		if (mincore(ram->host + at * PAGE, n * PAGE, is_there))
			return 0;
		for (i = 0; i < n; i++)
			found += is_there[i] & 1;
	}
	return found * PAGE;
}
