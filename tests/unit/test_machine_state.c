/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that is saved, taken down, built from what was saved, and goes
 * on: with a real KVM and tiny guests that say what they remember.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices/console.h"
#include "tests/unit/suite.h"
#include "vmm/machine.h"
#include "vmm/machine_private.h"
#include "vmm/machine_state.h"
#include "vmm/ram_freeze.h"
#include "vmm/ram_image.h"
#include "vmm/vcpu_state.h"

#define MIB	  (1u << 20)
#define TIMEOUT_S 20
#define STATE_MAX (64u << 20)

static struct vm_config config;
static struct console *console;
static struct machine *m;
static struct buf state;
static int image = -1;
static uint64_t cursor;
static char said[65536]; /* the console, so far */
static size_t said_len;
static sem_t output, parked;
static _Atomic bool has_end;

/* --- a machine ------------------------------------------------------- */

static void on_output(void *ctx)
{
	(void)ctx;
	sem_post(&output);
}

static void on_parked(void *ctx)
{
	(void)ctx;
	sem_post(&parked);
}

static void on_report(void *ctx)
{
	(void)ctx;
	has_end = true;
	sem_post(&output);
}

static void wait_for_post(sem_t *s)
{
	struct timespec due;

	clock_gettime(CLOCK_REALTIME, &due);
	due.tv_sec += TIMEOUT_S;
	ck_assert_msg(!sem_timedwait(s, &due), "nothing happens: %s", said);
}

static void set_up(const char *guest, const char *append)
{
	struct console_config cc = { .on_output = on_output };
	struct err e = ERR_NONE;
	static char path[64];

	snprintf(path, sizeof(path), "build/guests/%s.elf", guest);
	config = (struct vm_config){ .memory_bytes = 64 * MIB, .cpus = 1 };
	config.kernel[0] = path;
	config.kernels = 1;
	config.append = (char *)(uintptr_t)append;
	sem_init(&output, 0, 0);
	sem_init(&parked, 0, 0);
	ck_assert_int_eq(vcpu_install_kick(&e), 0);
	ck_assert_int_eq(console_create(&console, &cc, &e), 0);
	buf_init(&state, STATE_MAX);
}

static int try_build(bool from_state, struct err *e)
{
	struct ram_images images = { .fd = { image }, .count = 1 };
	struct machine_config mc = {
		.vm = &config,
		.console = console,
		.ops = { NULL, on_report, on_parked },
	};

	if (from_state) {
		mc.state = state.data;
		mc.state_bytes = state.len;
		mc.memory = images;
	}
	return machine_build(&m, &mc, NULL, e);
}

static void build(bool from_state)
{
	struct err e = ERR_NONE;
	int r = try_build(from_state, &e);

	ck_assert_msg(!r, "%s", e.text);
}

static void tear_down(void)
{
	machine_destroy(m);
	m = NULL;
	console_destroy(console);
	buf_fini(&state);
	if (image >= 0)
		close(image);
	image = -1;
}

static void park(void)
{
	if (machine_is_parked(m))
		return;
	machine_park(m);
	while (!machine_is_parked(m))
		wait_for_post(&parked);
	while (!machine_quiesce(m))
		wait_for_post(&parked);
}

/* The machine is gone, and all of it is in state and image. */
static void put_away(void)
{
	struct ram_image_figures figures;
	struct err e = ERR_NONE;

	park();
	if (image >= 0)
		close(image);
	buf_reset(&state);
	image = memfd_create("memory", MFD_CLOEXEC);
	ck_assert_msg(!machine_save(m, &state, &e), "%s", e.text);
	ck_assert_msg(!machine_save_memory(m, image, &figures, &e), "%s",
		      e.text);
	ck_assert_uint_gt(figures.written, 0);
	ck_assert_uint_lt(figures.written, 2048);
	machine_destroy(m);
	m = NULL;
}

/* --- what it says ---------------------------------------------------- */

static void read_console(void)
{
	do {
		said_len += console_read(console, &cursor, said + said_len,
					 sizeof(said) - 1 - said_len, NULL);
	} while (!console_ack(console, cursor));
	said[said_len] = '\0';
}

static const char *wait_for(const char *text, const char *from)
{
	const char *at;

	for (;;) {
		read_console();
		at = strstr(from, text);
		if (at)
			return at;
		wait_for_post(&output);
	}
}

/*
 * The nonce and count of the last whole line. Going back may have been in the
 * middle of one, of which only the end is said again.
 */
static void last_line(char nonce[32], unsigned int *count)
{
	char *end = strrchr(said, '\n'), *at;
	bool is_whole = false;

	while (end && !is_whole) {
		*end = '\0';
		at = strrchr(said, '\n');
		at = at ? at + 1 : said;
		is_whole = sscanf(at, "nonce=%31s count=%u", nonce, count) == 2;
		*end = '\n';
		end = at > said ? at - 1 : NULL;
	}
	ck_assert_msg(is_whole, "'%s'", said);
}

/* --- promises -------------------------------------------------------- */

START_TEST(restored_guest_continues_counting)
{
	char before[32], after[32];
	unsigned int was, is, i;

	set_up("nonce", "period_ms=10");
	build(false);
	machine_run(m);
	wait_for("count=5", said);
	for (i = 0; i < 5; i++) {
		put_away();
		read_console();
		last_line(before, &was);
		build(true);
		ck_assert(machine_is_parked(m));
		machine_run(m);
		while (said_len < sizeof(said) - 1000) {
			wait_for_post(&output);
			read_console();
			last_line(after, &is);
			if (is >= was + 3)
				break;
		}
		ck_assert_str_eq(before, after);
		ck_assert_uint_ge(is, was + 3);
	}
	/* Each count once, in order, whatever happened between two. */
	read_console();
	last_line(after, &is);
	for (i = 1; i <= is; i++) {
		char want[64];
		const char *at;

		snprintf(want, sizeof(want), "nonce=%s count=%u\r\n", after, i);
		at = strstr(said, want);
		if (!at) {
			snprintf(want, sizeof(want), "nonce=%s count=%u\n",
				 after, i);
			at = strstr(said, want);
		}
		ck_assert_msg(at != NULL, "count %u is missing in %s", i, said);
		ck_assert_ptr_null(strstr(at + 1, want));
	}
	tear_down();
}
END_TEST

START_TEST(saved_machine_says_the_same_when_saved_again)
{
	struct err e = ERR_NONE;
	struct buf again;

	set_up("nonce", "period_ms=1000");
	build(false);
	machine_run(m);
	wait_for("count=1", said);
	put_away();
	build(true);
	buf_init(&again, STATE_MAX);
	ck_assert_msg(!machine_save(m, &again, &e), "%s", e.text);
	ck_assert_uint_eq(again.len, state.len);
	buf_fini(&again);
	tear_down();
}
END_TEST

START_TEST(another_machine_is_refused_by_what_differs)
{
	struct err e = ERR_NONE;

	set_up("nonce", "period_ms=1000");
	build(false);
	machine_run(m);
	wait_for("count=1", said);
	put_away();
	config.memory_bytes = 32 * MIB;
	ck_assert_int_eq(try_build(true, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "memory"));
	config.memory_bytes = 64 * MIB;
	config.cpus = 2;
	e = (struct err)ERR_NONE;
	ck_assert_int_ne(try_build(true, &e), 0);
	ck_assert_msg(e.text[0] != 0, "no reason");
	config.cpus = 1;
	strcpy(config.cpu_disable[0], "xsave");
	config.cpu_disables = 1;
	e = (struct err)ERR_NONE;
	ck_assert_int_eq(try_build(true, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.text, "CPUID leaf"));
	config.cpu_disables = 0;
	build(true);
	tear_down();
}
END_TEST

/* Whatever byte is another one: an error, or a machine, never a crash. */
START_TEST(damaged_state_is_an_error)
{
	struct err e;
	size_t i, refused = 0;

	set_up("nonce", "period_ms=1000");
	build(false);
	machine_run(m);
	wait_for("count=1", said);
	put_away();
	for (i = 0; i < state.len; i += 1 + state.len / 40) {
		((uint8_t *)state.data)[i] ^= 0x41;
		e = (struct err)ERR_NONE;
		m = NULL;
		refused += try_build(true, &e) != 0;
		machine_destroy(m);
		((uint8_t *)state.data)[i] ^= 0x41;
	}
	ck_assert_uint_gt(refused, 35); /* checksums find all of them */
	m = NULL;
	build(true);
	tear_down();
}
END_TEST

/* In place, again and again: the same counts come once more. */
START_TEST(rewound_guest_counts_the_same_again)
{
	struct ram_images images = { .count = 1 };
	struct ram_freeze_order order = { .moment = "one" };
	struct ram_freeze f;
	struct ram_image_figures figures;
	struct err e = ERR_NONE;
	char nonce[32], again[32];
	unsigned int was, is, i;

	set_up("nonce", "period_ms=5");
	build(false);
	machine_run(m);
	wait_for("count=5", said);
	park();
	image = memfd_create("memory", MFD_CLOEXEC);
	ck_assert_msg(!machine_save(m, &state, &e), "%s", e.text);
	order.fd = image;
	ck_assert_msg(!machine_freeze_memory(m, &f, &order, &e), "%s", e.text);
	read_console();
	last_line(nonce, &was);
	machine_run(m);
	ck_assert_msg(!ram_freeze_wait(&f, &figures, &e), "%s", e.text);
	ram_freeze_cancel(&f);
	images.fd[0] = image;
	for (i = 0; i < 20; i++) {
		char want[32];
		size_t from = said_len;

		snprintf(want, sizeof(want), "count=%u", was + 4);
		wait_for(want, said + from);
		park();
		ck_assert_msg(
			!machine_rewind(m, state.data, state.len, &images, &e),
			"%s", e.text);
		read_console();
		machine_run(m);
	}
	park();
	read_console();
	last_line(again, &is);
	ck_assert_str_eq(nonce, again);
	ck_assert_uint_le(is, was + 50);
	tear_down();
}
END_TEST

static void reload(void)
{
	struct err e = ERR_NONE;
	bool is_lost;
	int r;

	park();
	r = machine_reload(m, &is_lost, &e);
	ck_assert_msg(!r && !is_lost, "%s", e.text);
	machine_run(m);
}

static unsigned int times_said(const char *line)
{
	const char *at = said;
	unsigned int n = 0;

	while ((at = strstr(at, line)) != NULL) {
		at++;
		n++;
	}
	return n;
}

#define BURST 25 /* reloads in a row */

/* Reset and loaded at any moment: every count comes, once. */
START_TEST(reloaded_guest_counts_on)
{
	char nonce[32], want[64];
	unsigned int was, is, i;

	set_up("nonce", "period_ms=3");
	build(false);
	machine_run(m);
	wait_for("count=2", said);
	read_console();
	last_line(nonce, &was);
	/* Between bursts it has time to count on, on any machine. */
	for (is = was; is < was + 40; read_console(), last_line(want, &is)) {
		for (i = 0; i < BURST; i++)
			reload();
		snprintf(want, sizeof(want), "nonce=%s count=%u\n", nonce,
			 is + 1);
		wait_for(want, said);
	}
	ck_assert_str_eq(nonce, want);
	for (i = was; i <= is; i++) {
		snprintf(want, sizeof(want), "nonce=%s count=%u\n", nonce, i);
		ck_assert_msg(times_said(want) == 1, "not once: %s in %s", want,
			      said);
	}
	tear_down();
}
END_TEST

/* Time goes on: the TSC, and what the LAPIC's timer has left. */
static void stop_time(struct vcpu_state *st)
{
	enum { CURRENT_COUNT = 0x390, IA32_TSC = 0x10 };
	uint32_t i;

	memset(st->lapic.regs + CURRENT_COUNT, 0, 4);
	for (i = 0; i < st->msrs; i++)
		if (st->msr[i].index == IA32_TSC)
			st->msr[i].value = 0;
}

static void ck_same_vcpu(const struct state_section *a,
			 const struct state_section *b)
{
	struct vcpu_state *st = calloc(2, sizeof(*st));
	const struct state_section *of[] = { a, b };
	struct err e = ERR_NONE;
	struct state_io io;
	int i;

	ck_assert_ptr_nonnull(st);
	for (i = 0; i < 2; i++) {
		state_load(&io, of[i]->name, of[i]->bytes, of[i]->len);
		vcpu_state_sync(&st[i], &io);
		ck_assert_msg(!state_end(&io, &e), "%s", e.text);
		stop_time(&st[i]);
	}
	ck_assert_mem_eq(&st[0].mp, &st[1].mp, sizeof(st->mp));
	ck_assert_mem_eq(&st[0].regs, &st[1].regs, sizeof(st->regs));
	ck_assert_mem_eq(&st[0].sregs, &st[1].sregs, sizeof(st->sregs));
	ck_assert_mem_eq(st[0].xsave, st[1].xsave, st[0].xsave_bytes);
	ck_assert_mem_eq(&st[0].xcrs, &st[1].xcrs, sizeof(st->xcrs));
	ck_assert_mem_eq(&st[0].debug, &st[1].debug, sizeof(st->debug));
	ck_assert_mem_eq(&st[0].lapic, &st[1].lapic, sizeof(st->lapic));
	ck_assert_mem_eq(st[0].msr, st[1].msr, sizeof(st->msr));
	ck_assert_mem_eq(&st[0].events, &st[1].events, sizeof(st->events));
	free(st);
}

static void ck_same_section(const struct state_section *a,
			    const struct state_section *b)
{
	ck_assert_str_eq(a->name, b->name);
	if (!strcmp(a->name, "vcpu"))
		ck_same_vcpu(a, b);
	else if (strcmp(a->name, "clock") != 0)
		ck_assert_msg(a->len == b->len &&
				      !memcmp(a->bytes, b->bytes, a->len),
			      "%s.%u is another one", a->name, a->instance);
}

static void save(struct buf *out)
{
	struct err e = ERR_NONE;

	buf_init(out, STATE_MAX);
	ck_assert_msg(!machine_save(m, out, &e), "%s", e.text);
}

START_TEST(reload_leaves_everything_as_it_was)
{
	struct state_section a, b;
	struct err e = ERR_NONE;
	size_t at = 0, at_too = 0;
	struct buf was, is;
	bool is_lost;

	set_up("smp", "");
	config.cpus = 3;
	config.rng = config.balloon = config.virtio_console = true;
	build(false);
	machine_run(m);
	wait_for("ready", said);
	park();
	save(&was);
	ck_assert_msg(!machine_reload(m, &is_lost, &e), "%s", e.text);
	save(&is);
	ck_assert(!state_read_header(was.data, was.len, &at, &e));
	ck_assert(!state_read_header(is.data, is.len, &at_too, &e));
	while (state_read_section(was.data, was.len, &at, &a, &e) > 0) {
		ck_assert_int_eq(
			state_read_section(is.data, is.len, &at_too, &b, &e),
			1);
		ck_same_section(&a, &b);
	}
	ck_assert_uint_eq(at, was.len);
	buf_fini(&was);
	buf_fini(&is);
	tear_down();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		restored_guest_continues_counting,
		saved_machine_says_the_same_when_saved_again,
		another_machine_is_refused_by_what_differs,
		damaged_state_is_an_error,
		rewound_guest_counts_the_same_again,
		reloaded_guest_counts_on,
		reload_leaves_everything_as_it_was,
	};

	if (access("/dev/kvm", R_OK | W_OK)) {
		printf("/dev/kvm is missing or not writable\n");
		return 77;
	}
	return SUITE_RUN("machine_state", tests);
}
