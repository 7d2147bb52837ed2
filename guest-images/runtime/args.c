/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as words "key=value", separated by blanks; the first word
 * with a key counts. A bad number ends the guest: a test that asks for
 * nonsense must not pass. Any CPU at CPL0; no state.
 */
#include "guest-images/runtime/guest.h"

/* What follows "key=" in the command line, or NULL. */
static const char *find(const char *key)
{
	const char *at = boot_cmdline();
	const char *k;

	while (*at) {
		for (k = key; *k && *at == *k; k++)
			at++;
		if (*k == '\0' && *at == '=')
			return at + 1;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

static bool at_end(char c)
{
	return c == '\0' || c == ' ';
}

/* 0 to 15, or 16 when c is no digit. */
static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	return 16;
}

uint64_t arg_u64(const char *key, uint64_t fallback)
{
	const char *at = find(key);
	uint64_t value = 0;
	unsigned base = 10;

	if (!at)
		return fallback;
	if (at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	if (at_end(*at))
		guest_fail(FAIL_BAD_NUMBER);
	for (; !at_end(*at); at++) {
		if (digit(*at) >= base || value > UINT64_MAX / 16)
			guest_fail(FAIL_BAD_NUMBER);
		value = value * base + digit(*at);
	}
	return value;
}

bool arg_is(const char *key, const char *value)
{
	const char *at = find(key);

	if (!at)
		return false;
	while (*value && *at == *value) {
		at++;
		value++;
	}
	return *value == '\0' && at_end(*at);
}

bool arg_given(const char *key)
{
	return find(key) != NULL;
}

void arg_text(const char *key, char *text, size_t bytes)
{
	const char *at = find(key);
	size_t n = 0;

	while (at && !at_end(at[n]) && n + 1 < bytes) {
		text[n] = at[n];
		n++;
	}
	text[n] = '\0';
}
