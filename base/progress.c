/* SPDX-License-Identifier: Apache-2.0 */
/* Two counters and a flag. No locks, for children of threads. */
#include "base/progress.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

struct progress *progress_create(void)
{
	struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void progress_destroy(struct progress *p)
{
	if (p)
		munmap(p, sizeof(*p));
}

void progress_expect(struct progress *p, uint64_t bytes)
{
	if (p)
		p->total += bytes;
}

int progress_add(struct progress *p, uint64_t bytes)
{
	if (!p)
		return 0;
	p->done += bytes;
	return p->is_unwanted ? -ECANCELED : 0;
}

void progress_cancel(struct progress *p)
{
	if (p)
		p->is_unwanted = true;
}
