/* SPDX-License-Identifier: Apache-2.0 */
/* One walk through a template, which writes and measures. */
#include "snapshot/naming.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/name.h"

#define PART_MAX  20 /* characters of the VM's name, and of the purpose */
#define UTC_BYTES 32

enum part { VM, PURPOSE, KIND, UTC, PARTS };

static const struct {
	const char *word;
	size_t max; /* characters that it becomes */
} parts[PARTS] = {
	[VM] = { "{vm}", PART_MAX },
	[PURPOSE] = { "{purpose}", PART_MAX },
	[KIND] = { "{kind}", 6 },
	[UTC] = { "{utc}", 16 },
};

/* The one that text begins with; PARTS: none. */
static enum part find_part(const char *text)
{
	int i;

	for (i = 0; i < PARTS; i++)
		if (!strncmp(text, parts[i].word, strlen(parts[i].word)))
			return (enum part)i;
	return PARTS;
}

int naming_check(const char *template, struct err *e)
{
	size_t len = 0, i = 0;

	while (template[i]) {
		enum part part = find_part(template + i);
		unsigned char c = (unsigned char)template[i];

		if (part < PARTS) {
			len += parts[part].max;
			i += strlen(parts[part].word);
			continue;
		}
		if (c == '{')
			return err_set(e, -EINVAL,
				       "'%.63s': what is in {} is vm, purpose, "
				       "kind or utc (character %zu)",
				       template, i + 1);
		if (!isalnum(c) && (!i || !strchr("_.-", c)))
			return err_set(e, -EINVAL,
				       "'%.63s': no name has character %zu",
				       template, i + 1);
		len++;
		i++;
	}
	if (!len || len > NAMING_LENGTH_MAX)
		return err_set(e, -EINVAL,
			       "'%.63s' becomes a name of up to %zu "
			       "characters, not of 1..%d",
			       template, len, NAMING_LENGTH_MAX);
	return 0;
}

static void print_purpose(const char *purpose, char text[PART_MAX + 1])
{
	size_t i;

	snprintf(text, PART_MAX + 1, "%.20s", purpose);
	for (i = 0; text[i]; i++)
		if (!isalnum((unsigned char)text[i]))
			text[i] = '-';
}

static void print_utc(uint64_t ns, char text[UTC_BYTES])
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, UTC_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

void naming_make(const char *template, const struct snapshot_meta *m,
		 char name[SNAPSHOT_NAME_MAX + 1])
{
	char purpose[PART_MAX + 1], utc[UTC_BYTES];
	const char *const texts[PARTS] = { m->vm, purpose,
					   snapshot_kind_text(m->kind), utc };
	size_t len = 0, room = SNAPSHOT_NAME_MAX + 1;
	enum part part;

	print_purpose(m->purpose, purpose);
	print_utc(m->created_ns, utc);
	*name = '\0';
	while (*template && len + 1 < room) {
		part = find_part(template);
		if (part == PARTS) {
			name[len++] = *template ++;
			name[len] = '\0';
			continue;
		}
		snprintf(name + len, room - len, "%.20s", texts[part]);
		len += strlen(name + len);
		template += strlen(parts[part].word);
	}
}

/* --- patterns -------------------------------------------------------- */

static int compile(regex_t *regex, const char *pattern, struct err *e)
{
	char why[128];
	int r = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);

	if (!r)
		return 0;
	regerror(r, regex, why, sizeof(why));
	return err_set(e, -EINVAL, "'%.127s': %s", pattern, why);
}

int naming_check_pattern(const char *pattern, struct err *e)
{
	regex_t regex;
	int r = compile(&regex, pattern, e);

	if (!r)
		regfree(&regex);
	return r;
}

int naming_match(const char *pattern, const char *name, struct err *e)
{
	char whole[VM_PATTERN_MAX + 8];
	regex_t regex;
	int r;

	snprintf(whole, sizeof(whole), "^(%s)$", pattern);
	r = compile(&regex, whole, e);
	if (r)
		return r;
	r = regexec(&regex, name, 0, NULL, 0);
	regfree(&regex);
	if (!r)
		return 0;
	return err_set(e, -EINVAL,
		       "the name '%s' does not match '%s', as the "
		       "configuration of this VM wants it (snapshots: pattern)",
		       name, pattern);
}
