/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions over console output; one thread per matcher. */
#include "vmm/matcher.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct matcher {
	regex_t regex;
	char line[MATCHER_LINE_BYTES + 1]; /* never holds a NUL inside */
	size_t len;
};

int matcher_create(struct matcher **out, const char *regex, struct err *e)
{
	struct matcher *m = calloc(1, sizeof(*m));
	char why[128];
	int r;

	if (!m)
		return err_sys(e, -ENOMEM, "matcher");
	r = regcomp(&m->regex, regex, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &m->regex, why, sizeof(why));
		free(m);
		return err_set(e, -EINVAL, "regular expression \"%s\": %s",
			       regex, why);
	}
	*out = m;
	return 0;
}

void matcher_destroy(struct matcher *m)
{
	if (!m)
		return;
	regfree(&m->regex);
	free(m);
}

void matcher_reset(struct matcher *m)
{
	m->len = 0;
}

static bool search(struct matcher *m)
{
	m->line[m->len] = 0;
	return regexec(&m->regex, m->line, 0, NULL, 0) == 0;
}

bool matcher_feed(struct matcher *m, const void *bytes, size_t len)
{
	const char *p = bytes;
	bool found = false;
	size_t i;

	for (i = 0; i < len && !found; i++) {
		if (p[i] == '\n' || m->len == MATCHER_LINE_BYTES) {
			found = search(m);
			m->len = 0;
		}
		if (p[i] != '\n' && p[i] != '\r' && p[i] != 0)
			m->line[m->len++] = p[i];
	}
	return found || (m->len && search(m));
}
