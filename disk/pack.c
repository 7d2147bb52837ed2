/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of jobs: the user fills and empties it in order, workers take what
 * is ready. INV-1: a job's memory belongs to whom its state says.
 */
#include "disk/pack.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "disk/qcow2_spec.h"

#define JOBS	    32
#define THREADS_MAX 8
/* As QEMU writes them: a window of 4 KiB, so that old readers can. */
#define WINDOW_BITS  (-12)
#define MEMORY_LEVEL 9

enum { JOB_USER, JOB_READY, JOB_WORKER, JOB_OVER };

struct packer {
	uint32_t type;
	size_t cluster_bytes;
	struct pack_job job[JOBS];
	unsigned int first, begun; /* of the ring; the user's */
	uint8_t *memory;	   /* owned: of all jobs */

	pthread_mutex_t mutex; /* of what follows, and of states */
	pthread_cond_t ready, over;
	bool ends;
	pthread_t thread[THREADS_MAX];
	unsigned int threads;
};

/* --- a cluster ------------------------------------------------------- */

static int deflate_cluster(const struct packer *p, struct pack_job *job)
{
	z_stream z;
	int r;

	memset(&z, 0, sizeof(z));
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS,
			 MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	z.next_in = job->in;
	z.avail_in = (unsigned int)p->cluster_bytes;
	z.next_out = job->out;
	z.avail_out = (unsigned int)p->cluster_bytes - 1;
	r = deflate(&z, Z_FINISH);
	job->out_bytes = r == Z_STREAM_END ? z.total_out : 0;
	deflateEnd(&z);
	return 0;
}

static int zstd_cluster(const struct packer *p, struct pack_job *job)
{
	size_t n = ZSTD_compress(job->out, p->cluster_bytes - 1, job->in,
				 p->cluster_bytes, ZSTD_CLEVEL_DEFAULT);

	job->out_bytes = ZSTD_isError(n) ? 0 : n;
	return 0;
}

static void pack(const struct packer *p, struct pack_job *job)
{
	job->error = p->type == QCOW2_COMPRESSION_ZSTD
			     ? zstd_cluster(p, job)
			     : deflate_cluster(p, job);
}

/* --- workers --------------------------------------------------------- */

static struct pack_job *find_ready(struct packer *p)
{
	unsigned int i;

	for (i = 0; i < JOBS; i++)
		if (p->job[i].state == JOB_READY)
			return &p->job[i];
	return NULL;
}

static void *work(void *arg)
{
	struct packer *p = arg;
	struct pack_job *job;

	pthread_mutex_lock(&p->mutex);
	for (;;) {
		job = find_ready(p);
		if (!job && p->ends)
			break;
		if (!job) {
			pthread_cond_wait(&p->ready, &p->mutex);
			continue;
		}
		job->state = JOB_WORKER;
		pthread_mutex_unlock(&p->mutex);
		pack(p, job);
		pthread_mutex_lock(&p->mutex);
		job->state = JOB_OVER;
		pthread_cond_signal(&p->over);
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

static int start_threads(struct packer *p)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	int r = 0;

	if (n < 1)
		n = 1;
	while (!r && p->threads < THREADS_MAX &&
	       p->threads < (unsigned long)n) {
		r = pthread_create(&p->thread[p->threads], NULL, work, p);
		p->threads += !r;
	}
	return p->threads ? 0 : -r;
}

/* --- the user -------------------------------------------------------- */

int packer_open(struct packer **out, uint32_t type, size_t cluster_bytes,
		struct err *e)
{
	struct packer *p = calloc(1, sizeof(*p));
	unsigned int i;
	int r;

	if (!p)
		return err_sys(e, -ENOMEM, "memory for compression");
	p->type = type;
	p->cluster_bytes = cluster_bytes;
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->ready, NULL);
	pthread_cond_init(&p->over, NULL);
	p->memory = malloc(2 * JOBS * cluster_bytes);
	for (i = 0; i < JOBS && p->memory; i++) {
		p->job[i].in = p->memory + 2 * i * cluster_bytes;
		p->job[i].out = p->job[i].in + cluster_bytes;
	}
	r = p->memory ? start_threads(p) : -ENOMEM;
	if (r) {
		packer_close(p);
		return err_sys(e, r, "threads for compression");
	}
	*out = p;
	return 0;
}

void packer_close(struct packer *p)
{
	unsigned int i;

	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->ends = true;
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->mutex);
	for (i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->over);
	pthread_cond_destroy(&p->ready);
	pthread_mutex_destroy(&p->mutex);
	free(p->memory);
	free(p);
}

struct pack_job *packer_room(struct packer *p)
{
	return p->begun < JOBS ? &p->job[(p->first + p->begun) % JOBS] : NULL;
}

void packer_begin(struct packer *p, struct pack_job *job)
{
	p->begun++;
	pthread_mutex_lock(&p->mutex);
	job->state = JOB_READY;
	pthread_cond_signal(&p->ready);
	pthread_mutex_unlock(&p->mutex);
}

struct pack_job *packer_result(struct packer *p)
{
	struct pack_job *job = &p->job[p->first];

	if (!p->begun)
		return NULL;
	pthread_mutex_lock(&p->mutex);
	while (job->state != JOB_OVER)
		pthread_cond_wait(&p->over, &p->mutex);
	job->state = JOB_USER;
	pthread_mutex_unlock(&p->mutex);
	p->first = (p->first + 1) % JOBS;
	p->begun--;
	return job;
}
