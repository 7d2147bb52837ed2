/* SPDX-License-Identifier: Apache-2.0 */
/* Exit dispatch, fed with made-up kvm_run structures; no KVM. */
#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/exit.h"

#define RUN_BYTES 8192
#define PORT	  0x100

struct rig {
	struct device device;
	struct bus ports, mmio;
	struct exit_env env;
	struct exit_log log;
	struct kvm_run *run;
	unsigned int writes, reads;
	uint64_t last_offset, last_value;
	uint8_t last_size;
};

static struct rig rig;

static uint64_t on_read(struct device *d, uint32_t range, uint64_t offset,
			uint8_t size)
{
	(void)d;
	(void)range;
	rig.reads++;
	rig.last_offset = offset;
	rig.last_size = size;
	return 0xa5;
}

static void on_write(struct device *d, uint32_t range, uint64_t offset,
		     uint8_t size, uint64_t value)
{
	(void)d;
	(void)range;
	rig.writes++;
	rig.last_offset = offset;
	rig.last_size = size;
	rig.last_value = value;
}

static const struct device_ops probe_ops = {
	.name = "probe",
	.read = on_read,
	.write = on_write,
};

static void setup(void)
{
	struct err e = ERR_NONE;

	free(rig.run);
	rig = (struct rig){ .device.ops = &probe_ops };
	rig.ports.name = "port";
	rig.mmio.name = "mmio";
	rig.run = calloc(1, RUN_BYTES);
	rig.env = (struct exit_env){ &rig.ports, &rig.mmio, RUN_BYTES };
	ck_assert_int_eq(bus_add(&rig.ports, PORT, 8, &rig.device, 0, &e), 0);
	ck_assert_int_eq(
		bus_add(&rig.mmio, 0xd0000000, 4096, &rig.device, 1, &e), 0);
}

static enum exit_verdict port_access(uint8_t direction, uint8_t size,
				     uint16_t port, uint32_t count,
				     uint64_t offset)
{
	rig.run->exit_reason = KVM_EXIT_IO;
	rig.run->io.direction = direction;
	rig.run->io.size = size;
	rig.run->io.port = port;
	rig.run->io.count = count;
	rig.run->io.data_offset = offset;
	return exit_handle(&rig.env, rig.run, &rig.log);
}

START_TEST(port_write_reaches_its_device)
{
	setup();
	memcpy((uint8_t *)rig.run + 4096, "\x34\x12", 2);
	ck_assert_int_eq(port_access(KVM_EXIT_IO_OUT, 2, PORT + 1, 1, 4096),
			 EXIT_RESUME);
	ck_assert_uint_eq(rig.writes, 1);
	ck_assert_uint_eq(rig.last_offset, 1);
	ck_assert_uint_eq(rig.last_value, 0x1234);
}
END_TEST

START_TEST(string_port_access_touches_every_element)
{
	setup();
	ck_assert_int_eq(port_access(KVM_EXIT_IO_IN, 1, PORT, 100, 4096),
			 EXIT_RESUME);
	ck_assert_uint_eq(rig.reads, 100);
	ck_assert_uint_eq(((uint8_t *)rig.run)[4096 + 99], 0xa5);
	ck_assert_uint_eq(((uint8_t *)rig.run)[4096 + 100], 0);
}
END_TEST

START_TEST(unknown_port_reads_all_ones_and_is_counted)
{
	setup();
	ck_assert_int_eq(port_access(KVM_EXIT_IO_IN, 4, 0x9000, 1, 4096),
			 EXIT_RESUME);
	ck_assert_int_eq(
		memcmp((uint8_t *)rig.run + 4096, "\xff\xff\xff\xff", 4), 0);
	ck_assert_uint_eq(rig.log.unknown_accesses, 1);
}
END_TEST

START_TEST(data_beyond_the_mapping_is_a_crash)
{
	setup();
	ck_assert_int_eq(port_access(KVM_EXIT_IO_IN, 4, PORT, 1, RUN_BYTES - 3),
			 EXIT_CRASH);
	ck_assert_int_eq(port_access(KVM_EXIT_IO_IN, 1, PORT, 0xffffffff, 0),
			 EXIT_CRASH);
	ck_assert_int_eq(port_access(KVM_EXIT_IO_IN, 1, PORT, 1, UINT64_MAX),
			 EXIT_CRASH);
	ck_assert_int_eq(port_access(KVM_EXIT_IO_IN, 8, PORT, 1, 4096),
			 EXIT_CRASH);
	ck_assert_uint_eq(rig.reads, 0);
}
END_TEST

START_TEST(mmio_of_every_width_reaches_its_device)
{
	uint32_t width;

	setup();
	for (width = 1; width <= 8; width *= 2) {
		rig.run->exit_reason = KVM_EXIT_MMIO;
		rig.run->mmio.phys_addr = 0xd0000010;
		rig.run->mmio.len = width;
		rig.run->mmio.is_write = 0;
		ck_assert_int_eq(exit_handle(&rig.env, rig.run, &rig.log),
				 EXIT_RESUME);
		ck_assert_uint_eq(rig.last_size, width);
		ck_assert_uint_eq(rig.run->mmio.data[0], 0xa5);
	}
	rig.run->mmio.len = 9;
	ck_assert_int_eq(exit_handle(&rig.env, rig.run, &rig.log), EXIT_CRASH);
}
END_TEST

START_TEST(fatal_exits_are_crashes_with_their_cause)
{
	static const struct {
		uint32_t reason;
		enum vm_cause cause;
	} fatal[] = {
		{ KVM_EXIT_SHUTDOWN, VM_CAUSE_TRIPLE_FAULT },
		{ KVM_EXIT_INTERNAL_ERROR, VM_CAUSE_INTERNAL_ERROR },
		{ KVM_EXIT_FAIL_ENTRY, VM_CAUSE_FAIL_ENTRY },
		{ KVM_EXIT_UNKNOWN, VM_CAUSE_UNKNOWN_EXIT },
		{ KVM_EXIT_HYPERV, VM_CAUSE_UNKNOWN_EXIT },
		{ 0xffffffff, VM_CAUSE_UNKNOWN_EXIT },
	};
	size_t i;

	setup();
	for (i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		rig.run->exit_reason = fatal[i].reason;
		ck_assert_int_eq(exit_handle(&rig.env, rig.run, &rig.log),
				 EXIT_CRASH);
		ck_assert_int_eq(rig.log.cause, fatal[i].cause);
	}
}
END_TEST

START_TEST(harmless_exits_go_on)
{
	static const uint32_t harmless[] = { KVM_EXIT_HLT, KVM_EXIT_INTR,
					     KVM_EXIT_IRQ_WINDOW_OPEN,
					     KVM_EXIT_X86_RDMSR };
	size_t i;

	setup();
	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		rig.run->exit_reason = harmless[i];
		ck_assert_int_eq(exit_handle(&rig.env, rig.run, &rig.log),
				 EXIT_RESUME);
		ck_assert_uint_eq(rig.log.count[harmless[i]], 1);
	}
}
END_TEST

START_TEST(refused_msr_becomes_a_fault_in_the_guest)
{
	setup();
	rig.run->exit_reason = KVM_EXIT_X86_WRMSR;
	rig.run->msr.index = 0x1234;
	exit_handle(&rig.env, rig.run, &rig.log);
	ck_assert_uint_eq(rig.run->msr.error, 1);
}
END_TEST

START_TEST(history_keeps_the_last_exits)
{
	unsigned int i;

	setup();
	for (i = 0; i < EXIT_HISTORY + 5; i++)
		port_access(KVM_EXIT_IO_OUT, 1, (uint16_t)(0x2000 + i), 1,
			    4096);
	ck_assert_uint_eq(rig.log.total, EXIT_HISTORY + 5);
	ck_assert_uint_eq(
		rig.log.history[(rig.log.total - 1) % EXIT_HISTORY].addr,
		0x2000 + EXIT_HISTORY + 4);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		port_write_reaches_its_device,
		string_port_access_touches_every_element,
		unknown_port_reads_all_ones_and_is_counted,
		data_beyond_the_mapping_is_a_crash,
		mmio_of_every_width_reaches_its_device,
		fatal_exits_are_crashes_with_their_cause,
		harmless_exits_go_on,
		refused_msr_becomes_a_fault_in_the_guest,
		history_keeps_the_last_exits,
	};

	return SUITE_RUN("exit", tests);
}
