/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three parts of the bare program share: bare.c (options, VM, vCPU
 * threads), bare_load.c (memory contents), bare_devices.c (ports). Options
 * are set before the first vCPU thread starts and then only read.
 */
#ifndef TESTS_BENCH_BARE_H
#define TESTS_BENCH_BARE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/platform.h"

#define BARE_MAX_CPUS 512

/* How a run ended; the guest's own number is below 128. */
enum end {
	END_POWEROFF = 0,
	END_REBOOT = 128,
	END_PANIC = 129,
	END_CRASH = 130,
	END_USAGE = 131,
	END_HOST = 132,
};

enum entry { ENTRY_AUTO, ENTRY_ELF, ENTRY_PVH };
enum irqchip { CHIP_FULL, CHIP_SPLIT, CHIP_NONE };

struct bare_options {
	uint64_t memory_bytes;
	unsigned cpus;
	enum irqchip chip;
	enum entry entry;
	const char *append, *input, *kernel;
	const char *ram; /* a file that memory maps privately; NULL: none */
	bool first_byte, loop, button, keys;
	uint64_t t0_ns; /* CLOCK_MONOTONIC at the exec */
};
extern struct bare_options opt;

/* Ends the process at once; how, if there is one, is said on stderr. */
_Noreturn void finish(enum end status, const char *how);
/* The result of a system call; negative ends the process. */
int must(int result, const char *what);
uint64_t now_ns(void);

/*
 * Fills ram (opt.memory_bytes) with the kernel, its start information, ACPI
 * tables and page tables; returns the entry, *pvh says of which kind.
 */
uint64_t load_guest(uint8_t *ram, bool *pvh);

/* Answers a KVM_EXIT_IO; any vCPU thread. */
void serve_io(int vm_fd, struct kvm_run *run);

#endif
