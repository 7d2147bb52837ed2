/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amber disk bench`: how fast the disk layer is, without a guest: requests
 * through the queue that a VM's disk has. Main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "control/cli/cli_disk.h"
#include "control/cli/cli_out.h"

#define DEPTH_MAX 256

struct slot {
	struct disk_request r; /* first: done() gets it */
	struct iovec iov;
	struct bench *bench;
};

struct bench {
	struct disk *disk;
	struct ioq *q;
	struct slot slot[DEPTH_MAX];
	uint8_t *memory; /* owned */
	uint64_t depth, bytes, size, step, at, random, end_ns;
	uint64_t begun, count; /* count 0: until the end */
	uint64_t done;
	bool writes, is_random;
	int error;
};

static void start(struct bench *b, struct slot *s);

static void ended(struct disk_request *r, int error)
{
	struct slot *s = (struct slot *)r;
	struct bench *b = s->bench;

	b->done++;
	if (error)
		b->error = error;
	else if (b->count ? b->begun < b->count : clock_mono_ns() < b->end_ns)
		start(b, s);
}

static uint64_t next_offset(struct bench *b)
{
	uint64_t at = b->at;

	b->begun++;
	if (!b->is_random) {
		b->at = (at + b->step) % b->size;
		return at > b->size - b->bytes ? 0 : at;
	}
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random % (b->size / b->bytes) * b->bytes;
}

static void start(struct bench *b, struct slot *s)
{
	s->bench = b;
	s->r = (struct disk_request){ .op = b->writes ? DISK_WRITE : DISK_READ,
				      .offset = next_offset(b),
				      .bytes = b->bytes,
				      .iov = &s->iov,
				      .iovs = 1,
				      .done = ended };
	disk_submit(b->disk, &s->r);
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static void print(const struct cli *cli, const struct bench *b, uint64_t ns,
		  uint64_t cpu)
{
	double seconds = (double)ns / 1e9, used = (double)cpu / 1e9;
	double rate = (double)b->done / seconds;
	struct buf out;

	if (cli_has(cli, CLI_JSON)) {
		cli_print_json(json_pack("{s:I, s:f, s:f, s:f}", "requests",
					 (json_int_t)b->done, "seconds",
					 seconds, "cpu_seconds", used,
					 "requests_per_second", rate));
		return;
	}
	buf_init(&out, 512);
	buf_printf(&out,
		   "%llu requests of %llu bytes in %.2f s: %.0f per second, "
		   "%.1f MiB/s, %.2f us of CPU each\n",
		   (unsigned long long)b->done, (unsigned long long)b->bytes,
		   seconds, rate, rate * (double)b->bytes / 1048576,
		   used * 1e6 / (double)(b->done ? b->done : 1));
	cli_print(&out);
	buf_fini(&out);
}

static int run(const struct cli *cli, struct bench *b, uint64_t ms)
{
	uint64_t began = clock_mono_ns(), cpu = cpu_ns(), i;
	int r = 0;

	b->end_ns = began + ms * NS_PER_MS;
	for (i = 0; i < b->depth && (!b->count || i < b->count); i++) {
		b->slot[i].iov =
			(struct iovec){ b->memory + i * b->bytes, b->bytes };
		start(b, &b->slot[i]);
	}
	while (ioq_in_flight(b->q) && r >= 0)
		r = ioq_run(b->q, IOQ_FOREVER);
	if (r < 0 || b->error) {
		cli_error(NULL, "%s: %s", cli->args[1],
			  strerror(b->error ? -b->error : -r));
		return EXIT_CODE_FAILED;
	}
	print(cli, b, clock_mono_ns() - began, cpu_ns() - cpu);
	return EXIT_CODE_OK;
}

static int read_options(const struct cli *cli, struct bench *b, uint32_t *ms,
			struct err *e)
{
	const char *block = cli_value(cli, CLI_BLOCK);
	const char *step = cli_value(cli, CLI_STEP);
	int r = cli_number(cli, CLI_DEPTH, 1, DEPTH_MAX, &b->depth, e);

	if (!r && block && !cli_disk_size("--block", block, &b->bytes))
		return -EINVAL;
	b->step = b->bytes;
	if (!r && step && !cli_disk_size("--step", step, &b->step))
		return -EINVAL;
	if (!r)
		r = cli_number(cli, CLI_COUNT, 1, UINT64_MAX, &b->count, e);
	if (!r)
		r = cli_seconds(cli, CLI_SECONDS, ms, e);
	if (!r && (!b->step || b->step % DISK_SECTOR_BYTES))
		r = err_set(e, -EINVAL, "--step: a multiple of 512");
	if (!r &&
	    (!b->bytes || b->bytes % DISK_SECTOR_BYTES || b->bytes > 16u << 20))
		r = err_set(e, -EINVAL,
			    "--block: a multiple of 512, at most 16M");
	b->writes = cli_has(cli, CLI_WRITE);
	b->is_random = cli_has(cli, CLI_RANDOM);
	return r;
}

static int open_all(const struct cli *cli, struct bench *b, struct err *e)
{
	struct disk_config config = { .path = cli->args[1],
				      .read_only = !b->writes };
	int r;

	if (cli_disk_format(cli, CLI_FORMAT, &config.format))
		return -EINVAL;
	if (cli_has(cli, CLI_DIRECT))
		config.cache = DISK_DIRECT;
	r = disk_open(&b->disk, &config, e);
	if (r)
		return r;
	b->size = disk_get_info(b->disk)->bytes;
	if (b->size < b->bytes)
		return err_set(e, -EINVAL, "%s is smaller than a request",
			       cli->args[1]);
	r = ioq_open(&b->q, IOQ_AUTO, DEPTH_MAX, NULL, e);
	if (r)
		return r;
	disk_attach(b->disk, b->q);
	if (posix_memalign((void **)&b->memory, 4096, b->depth * b->bytes))
		return err_sys(e, -ENOMEM, "memory of the requests");
	for (uint64_t i = 0; i < b->depth * b->bytes; i++)
		b->memory[i] = (uint8_t)(i * 31 + 1);
	return 0;
}

int cli_disk_bench(const struct cli *cli)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err e = ERR_NONE;
	uint32_t ms = 0;
	int status;

	if (!b)
		return EXIT_CODE_FAILED;
	b->depth = 32;
	b->bytes = 4096;
	b->random = 88172645463325252ULL;
	if (read_options(cli, b, &ms, &e))
		status = cli_fail_usage(&e);
	else if (open_all(cli, b, &e))
		status = cli_fail(NULL, &e);
	else
		status = run(cli, b, ms ? ms : 2000);
	disk_close(b->disk);
	ioq_close(b->q);
	free(b->memory);
	free(b);
	return status;
}
