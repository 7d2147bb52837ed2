/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest program that runs one tiny guest on /dev/kvm: plain ioctls,
 * nothing of amber but its address map. `make bench` sets it beside amber as
 * the floor of what a start and an exit can cost, and the tiny guests are
 * tried on it alone. Threads: one per vCPU. It is a measuring tool: whatever
 * goes wrong ends the process with a line of text.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bare.h"

#define MAX_CPUID 256

struct cpu {
	int fd;
	unsigned index;
	struct kvm_run *run;
	pthread_t thread;
};

struct bare_options opt = {
	.memory_bytes = 128u << 20,
	.cpus = 1,
	.append = "",
};

static int kvm_fd, vm_fd;
static uint8_t *ram;
static struct cpu cpus[BARE_MAX_CPUS];

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

_Noreturn void finish(enum end status, const char *how)
{
	if (how)
		fprintf(stderr, "bare: %s\n", how);
	_exit(status);
}

static _Noreturn void host_error(const char *what)
{
	perror(what);
	finish(END_HOST, "the host refused");
}

int must(int result, const char *what)
{
	if (result < 0)
		host_error(what);
	return result;
}

static _Noreturn void crash(const struct cpu *cpu)
{
	const struct kvm_run *run = cpu->run;
	struct kvm_regs regs;
	unsigned i;

	fprintf(stderr, "bare: vcpu %u exit reason %u", cpu->index,
		run->exit_reason);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		fprintf(stderr, " suberror %u data", run->internal.suberror);
		for (i = 0; i < run->internal.ndata && i < 6; i++)
			fprintf(stderr, " %llx",
				(unsigned long long)run->internal.data[i]);
	}
	if (ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0)
		fprintf(stderr, " rip %llx rsp %llx rax %llx",
			(unsigned long long)regs.rip,
			(unsigned long long)regs.rsp,
			(unsigned long long)regs.rax);
	fprintf(stderr, "\n");
	finish(END_CRASH, "the guest crashed");
}

static void run_once(struct cpu *cpu)
{
	/* EAGAIN: a vCPU that waits for its INIT or SIPI was looked at. */
	while (ioctl(cpu->fd, KVM_RUN, 0) < 0)
		if (errno != EINTR && errno != EAGAIN)
			host_error("KVM_RUN");
}

static void serve(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		serve_io(vm_fd, run);
		break;
	case KVM_EXIT_MMIO:
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		break;
	case KVM_EXIT_HLT:
		finish(END_POWEROFF, "halted without an interrupt controller");
	default:
		crash(cpu);
	}
}

/*
 * The bench loop: exits that are not COM1's or an ending are answered with
 * nothing at all. The time is that from the first of them to the first other
 * exit behind them.
 */
static bool is_bench_exit(const struct kvm_run *run)
{
	if (run->exit_reason == KVM_EXIT_MMIO)
		return true;
	return run->exit_reason == KVM_EXIT_IO && run->io.port != PORT_COM1 &&
	       run->io.port != PORT_DEBUG_EXIT &&
	       run->io.port != PORT_MILESTONE;
}

static void bench_loop(struct cpu *cpu)
{
	uint64_t start = 0, exits = 0;

	for (;;) {
		run_once(cpu);
		if (is_bench_exit(cpu->run)) {
			if (exits++ == 0)
				start = now_ns();
			continue;
		}
		if (exits > 1)
			fprintf(stderr, "exits=%llu ns_per_exit=%.1f\n",
				(unsigned long long)exits,
				(double)(now_ns() - start) / (double)exits);
		exits = 0;
		serve(cpu);
	}
}

static void *cpu_thread(void *arg)
{
	struct cpu *cpu = arg;

	if (opt.loop)
		bench_loop(cpu);
	for (;;) {
		run_once(cpu);
		serve(cpu);
	}
	return NULL;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool pvh)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = pvh || type == 3,
		.l = !pvh && type == 11,
	};
}

static void set_entry(const struct cpu *cpu, uint64_t entry, bool pvh)
{
	struct kvm_regs regs = { .rip = entry, .rflags = 2 };
	struct kvm_sregs s;

	must(ioctl(cpu->fd, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.cs = flat(8, 11, pvh);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(16, 3, pvh);
	s.tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
	s.cr0 = 0x11;
	if (!pvh) {
		s.cr0 = 0x80000011;
		s.cr3 = BOOT_PAGE_TABLES;
		s.cr4 = 0x20;
		s.efer = 0x500;
	}
	regs.rbx = BOOT_START_INFO;
	regs.rdi = BOOT_START_INFO;
	regs.rsi = BOOT_ZERO_PAGE;
	must(ioctl(cpu->fd, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
	must(ioctl(cpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Memory before any interrupt controller: this order is the fast one. */
static void create_vm(void)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = opt.memory_bytes,
	};
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP,
					.args = { GSI_COUNT } };
	struct kvm_enable_cap wide_ids = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS |
			  KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};
	int file = -1;

	if (opt.ram)
		file = must(open(opt.ram, O_RDONLY | O_CLOEXEC), opt.ram);
	kvm_fd = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm_fd = must(ioctl(kvm_fd, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ram = mmap(NULL, opt.memory_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_NORESERVE | (file < 0 ? MAP_ANONYMOUS : 0),
		   file, 0);
	if (ram == MAP_FAILED)
		host_error("mmap");
	slot.userspace_addr = (uintptr_t)ram;
	must(ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot), "memory slot");
	must(ioctl(vm_fd, KVM_SET_TSS_ADDR, KVM_TSS), "KVM_SET_TSS_ADDR");
	if (opt.chip == CHIP_FULL)
		must(ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	if (opt.chip == CHIP_SPLIT)
		must(ioctl(vm_fd, KVM_ENABLE_CAP, &split), "split irqchip");
	/* Else an IPI to id 255 goes to all. */
	if (opt.chip != CHIP_NONE && opt.cpus > 255)
		must(ioctl(vm_fd, KVM_ENABLE_CAP, &wide_ids), "x2APIC ids");
}

static void set_cpuid(const struct cpu *cpu)
{
	static struct kvm_cpuid2 *id;
	/* Not part of what KVM says by itself. */
	bool deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION,
			      KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	uint32_t apic_id = cpu->index & 0xff;
	unsigned i;

	if (!id) {
		id = calloc(1,
			    sizeof(*id) + MAX_CPUID * sizeof(id->entries[0]));
		if (!id)
			finish(END_HOST, "no memory");
		id->nent = MAX_CPUID;
		must(ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, id), "CPUID");
	}
	for (i = 0; i < id->nent; i++) {
		struct kvm_cpuid_entry2 *e = &id->entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0xffffff) | apic_id << 24;
		if (e->function == 1 && deadline)
			e->ecx |= 1u << 24;
		if (e->function == 0xb)
			e->edx = cpu->index;
	}
	must(ioctl(cpu->fd, KVM_SET_CPUID2, id), "KVM_SET_CPUID2");
}

static void create_cpu(struct cpu *cpu, unsigned index, size_t run_bytes)
{
	cpu->index = index;
	cpu->fd = must(ioctl(vm_fd, KVM_CREATE_VCPU, index), "KVM_CREATE_VCPU");
	cpu->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			cpu->fd, 0);
	if (cpu->run == MAP_FAILED)
		host_error("mmap of a vCPU");
	set_cpuid(cpu);
}

static void create_cpus(void)
{
	int bytes = must(ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), "vCPU size");
	unsigned i;

	for (i = 0; i < opt.cpus; i++)
		create_cpu(&cpus[i], i, (size_t)bytes);
}

static void start_other_cpus(void)
{
	unsigned i;

	for (i = 1; i < opt.cpus; i++)
		if (pthread_create(&cpus[i].thread, NULL, cpu_thread, &cpus[i]))
			finish(END_HOST, "no thread for a vCPU");
}

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: bare [options] GUEST.elf\n"
		"  --memory MIB      guest memory (16 to 3072, default 128)\n"
		"  --cpus N          vCPUs (1 to %d)\n"
		"  --append TEXT     the guest's command line\n"
		"  --ram FILE        memory is a private mapping of it\n"
		"  --irqchip KIND    full (default), split or none\n"
		"  --entry KIND      auto (default: PVH note first), elf, pvh\n"
		"  --first-byte      print first_byte_us on stderr\n"
		"  --t0 NS           CLOCK_MONOTONIC at the exec, for the "
		"above\n"
		"  --loop            answer nothing, print ns_per_exit\n"
		"  --input TEXT      serial input once the guest is ready\n"
		"  --button, --keys  power button, Ctrl-Alt-Del when ready\n"
		"  --timeout S       end by SIGALRM (default 60)\n"
		"status: the guest's number, 0 power off, 128 reboot, 129 "
		"panic,"
		" 130 crash,\n131 usage, 132 host\n",
		BARE_MAX_CPUS);
	exit(END_USAGE);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0' || n < min || n > max) {
		fprintf(stderr, "bare: %s is not in %llu..%llu\n", text,
			(unsigned long long)min, (unsigned long long)max);
		usage();
	}
	return n;
}

/* The index of text in the NULL-terminated list of words. */
static int one_of(const char *text, const char *const *words)
{
	int i;

	for (i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	fprintf(stderr, "bare: %s is not known\n", text);
	usage();
}

static const struct option option_rows[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, 'c' },
	{ "append", required_argument, NULL, 'a' },
	{ "ram", required_argument, NULL, 'r' },
	{ "irqchip", required_argument, NULL, 'q' },
	{ "entry", required_argument, NULL, 'e' },
	{ "t0", required_argument, NULL, 't' },
	{ "timeout", required_argument, NULL, 'T' },
	{ "input", required_argument, NULL, 'i' },
	{ "first-byte", no_argument, NULL, 'f' },
	{ "loop", no_argument, NULL, 'l' },
	{ "button", no_argument, NULL, 'b' },
	{ "keys", no_argument, NULL, 'k' },
	{ NULL, 0, NULL, 0 },
};

static void set_option(int c)
{
	static const char *const chips[] = { "full", "split", "none", NULL };
	static const char *const entries[] = { "auto", "elf", "pvh", NULL };

	switch (c) {
	case 'm':
		opt.memory_bytes = number(optarg, 16, 3072) << 20;
		break;
	case 'c':
		opt.cpus = (unsigned)number(optarg, 1, BARE_MAX_CPUS);
		break;
	case 'a':
		opt.append = optarg;
		break;
	case 'r':
		opt.ram = optarg;
		break;
	case 'q':
		opt.chip = (enum irqchip)one_of(optarg, chips);
		break;
	case 'e':
		opt.entry = (enum entry)one_of(optarg, entries);
		break;
	case 't':
		opt.t0_ns = number(optarg, 0, UINT64_MAX);
		break;
	case 'T':
		alarm((unsigned)number(optarg, 1, 3600));
		break;
	case 'i':
		opt.input = optarg;
		break;
	case 'f':
		opt.first_byte = true;
		break;
	case 'l':
		opt.loop = true;
		break;
	case 'b':
		opt.button = true;
		break;
	case 'k':
		opt.keys = true;
		break;
	default:
		usage();
	}
}

int main(int argc, char **argv)
{
	uint64_t entry;
	bool pvh;
	int c;

	opt.t0_ns = now_ns();
	alarm(60);
	while ((c = getopt_long(argc, argv, "", option_rows, NULL)) != -1)
		set_option(c);
	if (optind + 1 != argc || strlen(opt.append) > 4095)
		usage();
	opt.kernel = argv[optind];
	create_vm();
	create_cpus();
	entry = load_guest(ram, &pvh);
	set_entry(&cpus[0], entry, pvh);
	start_other_cpus();
	cpu_thread(&cpus[0]);
	return 0;
}
