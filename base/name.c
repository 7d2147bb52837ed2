/* SPDX-License-Identifier: Apache-2.0 */
/* What a name may be made of. */
#include "base/name.h"

#include <ctype.h>
#include <string.h>

int name_check(const char *name, size_t max, struct err *e)
{
	size_t i, len = strlen(name);

	if (!len)
		return err_set(e, -EINVAL, "the name is empty");
	if (len > max)
		return err_set(e, -EINVAL,
			       "the name has %zu characters, the limit is %zu",
			       len, max);
	for (i = 0; i < len; i++) {
		if (isalnum((unsigned char)name[i]) ||
		    (i && strchr("_.-", name[i])))
			continue;
		return err_set(e, -EINVAL,
			       "'%.64s': character %zu is not a letter or a "
			       "digit%s",
			       name, i + 1, i ? " or one of _ . -" : "");
	}
	return 0;
}

bool name_is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}
