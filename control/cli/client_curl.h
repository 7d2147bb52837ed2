/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when the first request is made. Linking it would cost
 * every start of the command line 5 ms of relocation and TLS set-up, also
 * those that never talk to a socket (help, run --once, list of stopped
 * VMs); dlopen() moves that price to the commands that need it. Any thread;
 * loaded once.
 */
#ifndef AMBER_CONTROL_CLIENT_CURL_H
#define AMBER_CONTROL_CLIENT_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/err.h"

/* The functions of libcurl that amber calls. */
struct client_curl {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*easy_perform)(CURL *curl);
	CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
	void (*easy_cleanup)(CURL *curl);
	const char *(*easy_strerror)(CURLcode code);
	struct curl_slist *(*slist_append)(struct curl_slist *list,
					   const char *line);
	void (*slist_free_all)(struct curl_slist *list);
};

/*
 * The table, or NULL with e set (-ELIBACC): names the library and its
 * Debian package. Never freed.
 */
const struct client_curl *client_curl(struct err *e);

#endif
