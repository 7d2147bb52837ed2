/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing compressed clusters, one behind the other without regard to the
 * clusters of the file: several may share one, one may reach into the next
 * (qcow2.rst [Compressed Clusters Descriptor]). The image's thread; it blocks.
 */
#include <errno.h>

#include "base/kill_point.h"
#include "disk/file_io.h"
#include "disk/qcow2.h"

/* One more reference to the cluster that the last one ended in; 1: it has as
 * many as it can count. */
static int share(struct qcow2 *q)
{
	uint64_t c = (q->packed_at - 1) >> q->cluster_bits, n;
	int r = qcow2_get_refcount(q, c, &n);

	if (r)
		return r;
	if (n == qcow2_count_max(q))
		return 1;
	return qcow2_set_refcount(q, c, n + 1);
}

static int place(struct qcow2 *q, size_t n, uint64_t *host)
{
	uint64_t mask = q->cluster_bytes - 1, room, next, got;
	bool is_fresh;
	int r = 1;

	room = q->packed_at & mask ? q->cluster_bytes - (q->packed_at & mask)
				   : 0;
	*host = q->packed_at;
	if (room >= n)
		r = share(q);
	if (r <= 0)
		return r;
	r = qcow2_take(q, 1, &next, &got, &is_fresh);
	if (r)
		return r;
	if (room && next == q->packed_at + room && room < n) {
		r = share(q);
		if (r <= 0)
			return r;
	}
	*host = next;
	return 0;
}

int qcow2_put_packed(struct qcow2 *q, uint64_t guest, const uint8_t *bytes,
		     size_t n)
{
	uint64_t host = 0;
	int r = place(q, n, &host);

	if (r)
		return r;
	q->packed_at = host + n;
	r = file_write_at(q->files, q->fd, bytes, n, host);
	KILL_POINT("packed-written");
	return r ? r : qcow2_link_packed(q, guest, host, n);
}
