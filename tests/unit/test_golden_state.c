/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state container of the first version that was kept: every later one reads
 * its sections, and what a vCPU was in it.
 */
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "tests/unit/suite.h"
#include "vmm/vcpu_state.h"

#define KEPT "tests/golden/state/tiny-v1.vmstate"

static struct buf bytes;

static void open_kept(void)
{
	struct err e = ERR_NONE;

	buf_init(&bytes, 1 << 20);
	ck_assert_msg(!file_read(AT_FDCWD, KEPT, 1 << 20, &bytes, &e), "%s",
		      e.text);
}

START_TEST(kept_container_has_all_its_sections)
{
	static const char *const names[] = {
		"facts",      "cpuid",	    "irqchips",	      "clock",
		"vcpu",	      "serial",	    "i8042",	      "power",
		"reset_port", "pvpanic",    "debug_exit",     "milestone",
		"virtio-blk", "virtio-rng", "virtio-console", "virtio-balloon",
	};
	const size_t count = sizeof(names) / sizeof(names[0]);
	unsigned int seen = 0;
	struct state_section s;
	struct err e = ERR_NONE;
	size_t at, i;
	int r;

	open_kept();
	ck_assert_int_eq(state_read_header(bytes.data, bytes.len, &at, &e), 0);
	while ((r = state_read_section(bytes.data, bytes.len, &at, &s, &e)) >
	       0) {
		for (i = 0; i < count && strcmp(names[i], s.name); i++)
			;
		ck_assert_msg(i < count, "section %s", s.name);
		ck_assert_uint_eq(s.instance, 0);
		ck_assert_uint_eq(s.version, 1);
		seen |= 1u << i;
	}
	ck_assert_msg(!r, "%s", e.text);
	ck_assert_uint_eq(seen, (1u << count) - 1);
	buf_fini(&bytes);
}
END_TEST

START_TEST(kept_vcpu_is_what_it_was)
{
	static struct vcpu_state st;
	struct state_section s;
	struct state_io io;
	struct err e = ERR_NONE;
	size_t at;

	open_kept();
	ck_assert_int_eq(state_read_header(bytes.data, bytes.len, &at, &e), 0);
	do
		ck_assert_int_eq(
			state_read_section(bytes.data, bytes.len, &at, &s, &e),
			1);
	while (strcmp(s.name, "vcpu"));
	state_load(&io, s.name, s.bytes, s.len);
	vcpu_state_sync(&st, &io);
	ck_assert_msg(!state_end(&io, &e), "%s", e.text);
	/* A 64-bit kernel that waits for its timer. */
	ck_assert_uint_eq(st.mp.mp_state, KVM_MP_STATE_HALTED);
	ck_assert_uint_eq(st.sregs.efer & 0x500, 0x500);
	ck_assert_uint_eq(st.sregs.cr0 & 0x80000001, 0x80000001);
	ck_assert_uint_gt(st.regs.rip, 0x100000);
	ck_assert_uint_gt(st.msrs, 10);
	ck_assert_uint_eq(st.xsave_bytes % 64, 0);
	buf_fini(&bytes);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		kept_container_has_all_its_sections,
		kept_vcpu_is_what_it_was,
	};

	return SUITE_RUN("golden_state", tests);
}
