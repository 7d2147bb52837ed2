/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzzers of the boot loaders share: a kernel of hostile bytes is
 * planned and loaded, and what boot.h promises about plan and result is
 * checked. One thread; guest memory is fresh for each input.
 */
#ifndef AMBER_TESTS_FUZZ_FUZZ_BOOT_H
#define AMBER_TESTS_FUZZ_FUZZ_BOOT_H

#include <stdbool.h>

#include "tests/unit/boot_rig.h"

#define FUZZ_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 64 MiB, and a machine whose memory continues behind the hole. */
static inline struct gmem *fuzz_memory(bool large)
{
	static struct gmem small_mem, large_mem;

	if (!small_mem.count) {
		rig_memory(&small_mem, 64 * MIB);
		rig_memory(&large_mem, 3 * GIB + 64 * MIB);
	}
	return large ? &large_mem : &small_mem;
}

static inline void fuzz_must(bool holds)
{
	if (!holds)
		abort();
}

static inline void fuzz_check_refusal(int r, const struct err *e)
{
	fuzz_must(r < 0 && e->code == r && e->text[0]);
}

static inline void fuzz_check_plan(const struct boot_plan *p, uint64_t bytes,
				   const struct gmem *mem)
{
	const struct boot_segment *s;
	bool entered = false;
	unsigned int i;

	fuzz_must(p->segments >= 1 && p->segments <= BOOT_SEGMENTS_MAX);
	fuzz_must(p->header_bytes <= sizeof(p->header));
	fuzz_must(p->cmdline_max <= BOOT_CMDLINE_MAX);
	for (i = 0; i < p->segments; i++) {
		s = &p->segment[i];
		fuzz_must(s->gpa >= BOOT_HIGH_START);
		fuzz_must(gmem_slice(mem, s->gpa, s->mem_bytes) != NULL);
		fuzz_must(s->file_bytes <= s->mem_bytes);
		fuzz_must(s->file_offset + s->file_bytes <= bytes);
		fuzz_must(s->gpa >= p->kernel_start);
		fuzz_must(s->gpa + s->mem_bytes <= p->kernel_end);
		entered |=
			p->entry >= s->gpa && p->entry < s->gpa + s->file_bytes;
	}
	fuzz_must(entered && p->entry < 4 * GIB);
}

static inline void fuzz_check_result(const struct boot_result *b,
				     const struct boot_plan *p)
{
	const struct boot_segment *s;
	unsigned int i;

	fuzz_must(b->entry == p->entry && b->kind == p->kind);
	fuzz_must(b->initrd_start % 4096 == 0);
	fuzz_must(b->initrd_start >= BOOT_HIGH_START);
	fuzz_must(b->initrd_end <= p->initrd_limit);
	for (i = 0; i < p->segments; i++) {
		s = &p->segment[i];
		fuzz_must(b->initrd_end <= s->gpa ||
			  b->initrd_start >= s->gpa + s->mem_bytes);
	}
}

/* Plans and loads the bytes; which memory, the last byte says. */
static inline void fuzz_boot(const uint8_t *bytes, size_t len)
{
	struct gmem *mem = fuzz_memory(len && bytes[len - 1] & 1);
	struct boot_reader kernel, initrd;
	struct boot_request req = { &kernel, &initrd, "panic=1", 0xe0000 };
	struct err e = ERR_NONE;
	struct boot_result boot;
	struct boot_plan plan;
	struct buf log;
	int r;

	boot_reader_bytes(&kernel, bytes, len, "kernel");
	boot_reader_bytes(&initrd, "initrd", 6, "initrd");
	r = boot_plan_kernel(&plan, &kernel, mem, &e);
	if (r) {
		fuzz_check_refusal(r, &e);
		return;
	}
	fuzz_check_plan(&plan, len, mem);
	r = boot_load(&boot, &req, mem, &e);
	if (r) {
		fuzz_check_refusal(r, &e);
		return;
	}
	fuzz_check_result(&boot, &plan);
	buf_init(&log, 4096);
	boot_describe(&boot, &log);
	fuzz_must(!log.error);
	buf_fini(&log);
	rig_fresh(mem);
}

#endif
