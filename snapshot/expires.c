/* SPDX-License-Identifier: Apache-2.0 */
/* A span from now on, or a moment. */
#include "snapshot/expires.h"

#include "base/clock.h"
#include "snapshot/prune.h"

int expires_parse(uint64_t *out_ns, const char *text, uint64_t now_ns,
		  struct err *e)
{
	struct prune_span span;
	uint64_t at;

	if (!prune_span_parse(&span, text, NULL))
		at = prune_span_after(now_ns, &span);
	else if (!clock_rfc3339_parse(text, &at))
		return err_set(e, -EINVAL,
			       "'%.40s' is neither of the form 1y5m7d2h nor a "
			       "time such as 2026-12-24T18:00:00Z",
			       text);
	if (at <= now_ns)
		return err_set(e, -EINVAL, "'%.40s' is not in the future",
			       text);
	*out_ns = at;
	return 0;
}
