/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a tiny guest needs. A guest is one file in guest-images/guests/
 * with a guest_main(); the runtime boots the machine, calls it on the first
 * CPU at CPL0, and takes its return for success. CPL0 code runs with
 * interrupts off: they come in cpu_wait() and in code at CPL3 only, so
 * handlers and guest_main() never race.
 */
#ifndef GUEST_RUNTIME_GUEST_H
#define GUEST_RUNTIME_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/platform.h"
#include "guest-images/runtime/cpu.h"

void guest_main(void);

/*
 * At file level: this byte goes out on COM1 in the guest's first five
 * instructions. It must be the first character of the first line, which the
 * guest then prints without it.
 */
#define GUEST_FIRST_BYTE(byte)              \
	extern const char guest_first_byte; \
	const char guest_first_byte = (byte)

/* At file level: the guest asks for the PVH entry (32 bits, paging off). */
#define GUEST_PVH                                        \
	__asm__(".pushsection .note.Xen, \"a\", @note\n" \
		".balign 4\n"                            \
		".long 4, 4, 18\n"                       \
		".asciz \"Xen\"\n"                       \
		".long pvh_start\n"                      \
		".popsection")

/* ---- output: one line each, "key=value", cut at 511 bytes ---- */
void fact_u64(const char *key, uint64_t value);
void fact_hex(const char *key, uint64_t value); /* 16 digits */
void fact_text(const char *key, const char *value);
void print_line(const char *text);
/* Several facts on one line: begin, add, end. */
void line_begin(void);
void line_u64(const char *key, uint64_t value);
void line_hex(const char *key, uint64_t value);
void line_text(const char *key, const char *value);
void line_end(void);

/* ---- endings ---- */
/* The runtime's own FAIL numbers; a guest's are 1 to 63. */
#define FAIL_TRAP	   64 /* plus the vector of an unexpected exception */
#define FAIL_NO_KVMCLOCK   123
#define FAIL_NO_DEADLINE   124
#define FAIL_BAD_NUMBER	   125
#define FAIL_NO_START_INFO 126
void guest_ready(void);		      /* prints "ready", milestone 3 */
_Noreturn void guest_ok(void);	      /* prints "OK", debug exit 0 */
_Noreturn void guest_fail(uint8_t n); /* prints "FAIL n", debug exit n */
_Noreturn void guest_exit(uint8_t n); /* debug exit n, prints nothing */
_Noreturn void guest_poweroff(void);  /* ACPI S5 */
_Noreturn void guest_triple_fault(void);
/* Serves interrupts and NMIs until somebody ends the machine. */
_Noreturn void guest_idle(void);

/* ---- what the loader handed over (boot.c) ---- */
struct ram_range {
	uint64_t start, end;
};
bool boot_was_pvh(void);
const char *boot_cmdline(void);
uint64_t boot_ram_mib(void); /* rounded up over the legacy holes */
/* RAM above the kernel image and the CPUs' areas, up to the 3 GiB hole. */
struct ram_range boot_free_ram(void);

/* ---- the command line: words "key=value" ---- */
/* Decimal, or hexadecimal behind 0x. A value that is no number: FAIL 125. */
uint64_t arg_u64(const char *key, uint64_t fallback);
bool arg_is(const char *key, const char *value);
bool arg_given(const char *key);
/* The word's text, cut at bytes - 1; "" when it isn't there. */
void arg_text(const char *key, char *text, size_t bytes);

/* ---- ACPI tables ---- */
/* Fills ids with the usable CPUs' APIC ids, returns how many there are. */
unsigned acpi_cpus(uint32_t *ids, unsigned max);

/* ---- interrupts: vectors 32 to 46 ---- */
#define VECTOR_TIMER 32
#define VECTOR_WAKE  33
#define VECTOR_GSI   34 /* plus 0..11, the guest chooses */
/* The handler runs at CPL0 with interrupts off; the EOI follows it. */
void trap_handle(unsigned vector, void (*handler)(void));
uint64_t trap_nmis(void);

enum timer { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_DEADLINE };

/* The local APIC of this CPU, as x2APIC unless apic=x is given. */
void lapic_init(void);
uint32_t lapic_id(void);
void lapic_eoi(void);
/* VECTOR_TIMER in ns from now; TIMER_PERIODIC: and every ns again. */
void lapic_timer(enum timer kind, uint64_t ns);
void lapic_timer_stop(void);
/* Sends command (ICR bits 0..31: vector, delivery mode, level) to a CPU. */
void lapic_send(uint32_t id, uint32_t command);
/* Routes a GSI, edge-triggered, to this CPU. */
void ioapic_route(unsigned gsi, unsigned vector);
/* The same for a level: its handler has to deal with the cause. */
void ioapic_route_level(unsigned gsi, unsigned vector);

/* ---- time: kvmclock, nanoseconds since the VM's start ---- */
uint64_t clock_ns(void);
/* TSC ticks in ns. */
uint64_t clock_tsc(uint64_t ns);
/* Waits that long; serves interrupts meanwhile. Takes the timer. */
void clock_sleep(uint64_t ns);

/* ---- CPL3 (user.c) ---- */
#define CPU_USER_PORTS 0x1000 /* ports below are open to CPL3 */
/* Runs fn(arg) at CPL3 with interrupts on, returns what it returns. */
uint64_t user_call(uint64_t (*fn)(void *arg), void *arg);
/* The same with ring=3 on the command line, else a plain call at CPL0. */
uint64_t ring_call(uint64_t (*fn)(void *arg), void *arg);
/* The guest's own system calls, numbers from SYS_GUEST on. */
typedef uint64_t user_syscall_fn(uint64_t number, uint64_t a, uint64_t b);
void user_set_syscalls(user_syscall_fn *fn);
#define SYS_RETURN  0
#define SYS_WAIT    1 /* sleep until an interrupt was served */
#define SYS_WAIT_IF 2 /* SYS_WAIT if the uint32_t at address a is still b */
#define SYS_GUEST   3
/* From CPL3: a system call through the gate. */
uint64_t sys_call(uint64_t number, uint64_t a, uint64_t b);
/* 64 random bits: RDRAND where the CPU has it, else mixed from the TSC. */
uint64_t user_random(void);

/* ---- all CPUs (smp.c) ---- */
#define SMP_MAX_CPUS 1024
/*
 * Starts every CPU of the MADT; each one runs work(index) at CPL0 and then
 * idles. Returns how many CPUs run, this one included (index 0, which
 * doesn't run work); those that do not come within twelve seconds are missing.
 */
unsigned smp_start(void (*work)(unsigned index));
/* Waits until all of them have finished work. */
void smp_join(void);
uint32_t smp_apic_id(unsigned index);

#endif
