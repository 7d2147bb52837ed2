/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a planned kernel and its initrd straight into guest memory. Only for
 * the thread that builds the machine. INV-1: nothing is written before
 * everything that can be refused was checked. INV-2: what a failed read left
 * behind is wiped, so the next kernel of a boot list finds fresh memory.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "devices/platform.h"
#include "vmm/boot_internal.h"

#define PAGE_MASK 0xfffULL

/* The lowest segment that [start, start + bytes) touches, or NULL. */
static const struct boot_segment *in_the_way(const struct boot_plan *plan,
					     gpa_t start, uint64_t bytes)
{
	const struct boot_segment *s, *lowest = NULL;
	unsigned int i;

	for (i = 0; i < plan->segments; i++) {
		s = &plan->segment[i];
		if (start < s->gpa + s->mem_bytes && s->gpa < start + bytes &&
		    (!lowest || s->gpa < lowest->gpa))
			lowest = s;
	}
	return lowest;
}

/* The highest page below the limit where the initrd meets no segment. */
static int place_initrd(gpa_t *start, const struct boot_plan *plan,
			const struct boot_reader *initrd, struct err *e)
{
	const struct boot_segment *s;
	gpa_t end = plan->initrd_limit;

	if (!initrd->bytes)
		return boot_refuse(initrd, e, -EINVAL, "is empty");
	if (initrd->bytes > BOOT_INITRD_BYTES_MAX)
		return boot_refuse(initrd, e, -EFBIG,
				   "has %" PRIu64
				   " bytes, more than the limit of %llu",
				   initrd->bytes, BOOT_INITRD_BYTES_MAX);
	while (end >= BOOT_HIGH_START + initrd->bytes) {
		*start = (end - initrd->bytes) & ~PAGE_MASK;
		if (*start < BOOT_HIGH_START)
			break;
		s = in_the_way(plan, *start, initrd->bytes);
		if (!s)
			return 0;
		end = s->gpa;
	}
	return boot_refuse(initrd, e, -ENOSPC,
			   "%" PRIu64 " bytes of initrd fit nowhere in "
			   "[0x%x-0x%" PRIx64 ") beside the kernel at "
			   "[0x%" PRIx64 "-0x%" PRIx64 ")",
			   initrd->bytes, BOOT_HIGH_START, plan->initrd_limit,
			   plan->kernel_start, plan->kernel_end);
}

static void wipe(const struct gmem *mem, gpa_t gpa, uint64_t bytes)
{
	uint8_t *at = gmem_slice(mem, gpa, bytes);

	if (at)
		memset(at, 0, bytes);
}

static int read_into(const struct boot_reader *from, uint64_t offset,
		     const struct gmem *mem, gpa_t gpa, uint64_t bytes,
		     struct err *e)
{
	uint8_t *to;
	int r;

	if (!bytes)
		return 0;
	to = gmem_slice(mem, gpa, bytes);
	if (!to)
		return boot_refuse(from, e, -EFAULT,
				   "%" PRIu64 " bytes at 0x%" PRIx64
				   " are not in guest RAM",
				   bytes, gpa);
	r = boot_read(from, offset, to, bytes, e);
	if (r)
		memset(to, 0, bytes); /* INV-2 */
	return r;
}

static void wipe_kernel(const struct boot_plan *plan, unsigned int segments,
			const struct gmem *mem)
{
	unsigned int i;

	for (i = 0; i < segments; i++)
		wipe(mem, plan->segment[i].gpa, plan->segment[i].file_bytes);
}

static int read_kernel(struct boot_result *out, const struct boot_plan *plan,
		       const struct boot_reader *kernel, const struct gmem *mem,
		       struct err *e)
{
	const struct boot_segment *s;
	unsigned int i;
	int r;

	for (i = 0; i < plan->segments; i++) {
		s = &plan->segment[i];
		r = read_into(kernel, s->file_offset, mem, s->gpa,
			      s->file_bytes, e);
		if (r) {
			wipe_kernel(plan, i, mem);
			return r;
		}
		out->kernel_bytes += s->file_bytes;
	}
	return 0;
}

static int check_cmdline(const struct boot_result *out,
			 const struct boot_plan *plan, struct err *e)
{
	size_t len = strlen(out->cmdline);

	if (len > plan->cmdline_max)
		return err_set(e, -EINVAL,
			       "command line of %zu characters is longer than "
			       "the limit of %u (%s)",
			       len, plan->cmdline_max,
			       plan->cmdline_max < BOOT_CMDLINE_MAX
				       ? "the kernel's cmdline_size"
				       : "amber's");
	return 0;
}

/* INV-1: the last of the refusals. */
static int lay_out(struct boot_result *out, const struct boot_plan *plan,
		   const struct boot_request *req, struct err *e)
{
	int r;

	out->kind = plan->kind;
	out->kernel_path = req->kernel->path;
	out->entry = plan->entry;
	out->kernel_start = plan->kernel_start;
	out->kernel_end = plan->kernel_end;
	out->rsdp = req->rsdp;
	out->cmdline = req->cmdline ? req->cmdline : "";
	r = check_cmdline(out, plan, e);
	if (r)
		return r;
	out->cmdline_bytes = (uint32_t)strlen(out->cmdline);
	if (!req->initrd)
		return 0;
	out->initrd_path = req->initrd->path;
	r = place_initrd(&out->initrd_start, plan, req->initrd, e);
	out->initrd_end = out->initrd_start + req->initrd->bytes;
	return r;
}

/* The time since *since, which is moved to now. */
static uint64_t lap(uint64_t *since)
{
	uint64_t now = clock_mono_ns(), took = now - *since;

	*since = now;
	return took;
}

int boot_load(struct boot_result *out, const struct boot_request *req,
	      const struct gmem *mem, struct err *e)
{
	uint64_t since = clock_mono_ns();
	struct boot_result made = { 0 };
	struct boot_plan plan;
	int r;

	r = boot_plan_kernel(&plan, req->kernel, mem, e);
	if (!r)
		r = lay_out(&made, &plan, req, e);
	if (r)
		return r;
	made.times.plan_ns = lap(&since);
	r = read_kernel(&made, &plan, req->kernel, mem, e);
	if (r)
		return r;
	made.times.kernel_ns = lap(&since);
	if (req->initrd) {
		r = read_into(req->initrd, 0, mem, made.initrd_start,
			      req->initrd->bytes, e);
		if (r) {
			wipe_kernel(&plan, plan.segments, mem);
			return r;
		}
		made.times.initrd_ns = lap(&since);
	}
	boot_write_tables(&made, &plan, mem);
	made.times.tables_ns = lap(&since);
	*out = made;
	return 0;
}
