/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads libcurl once; any thread. Invariant: the table is complete or the
 * error is set.
 */
#include "control/cli/client_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

static struct client_curl table;
static struct err failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
	const char *name;
	size_t at;
} rows[] = {
	{ "curl_global_init", offsetof(struct client_curl, global_init) },
	{ "curl_easy_init", offsetof(struct client_curl, easy_init) },
	{ "curl_easy_setopt", offsetof(struct client_curl, easy_setopt) },
	{ "curl_easy_perform", offsetof(struct client_curl, easy_perform) },
	{ "curl_easy_getinfo", offsetof(struct client_curl, easy_getinfo) },
	{ "curl_easy_cleanup", offsetof(struct client_curl, easy_cleanup) },
	{ "curl_easy_strerror", offsetof(struct client_curl, easy_strerror) },
	{ "curl_slist_append", offsetof(struct client_curl, slist_append) },
	{ "curl_slist_free_all", offsetof(struct client_curl, slist_free_all) },
};

static void load(void)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	size_t i;

	if (!lib) {
		err_set(&failure, -ELIBACC,
			"libcurl.so.4 can't be loaded (package libcurl4)");
		return;
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		void *symbol = dlsym(lib, rows[i].name);

		if (!symbol) {
			err_set(&failure, -ELIBACC,
				"libcurl.so.4 has no %s (package libcurl4)",
				rows[i].name);
			return;
		}
		memcpy((char *)&table + rows[i].at, &symbol, sizeof(symbol));
	}
	/* Unix sockets only: no TLS to set up. */
	if (table.global_init(CURL_GLOBAL_NOTHING))
		err_set(&failure, -ELIBACC, "libcurl can't be initialised");
}

const struct client_curl *client_curl(struct err *e)
{
	pthread_once(&once, load);
	if (failure.code) {
		err_set(e, failure.code, "%s", failure.text);
		return NULL;
	}
	return &table;
}
