/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to one VM's socket through libcurl. One thread at a time
 * per client. Invariant: a client's handle carries no per-request option
 * beyond the call that set it.
 */
#include "control/cli/client.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/cli/client_curl.h"

struct client {
	const struct client_curl *lib; /* borrowed from the loader */
	CURL *curl;		       /* owned */
	struct curl_slist *json;       /* owned: headers of a JSON body */
	char *path;		       /* owned: the socket */
};

/* What curl's callbacks work on during one exchange. */
struct exchange {
	struct client *client;
	struct client_reply *reply;
	int (*on_bytes)(void *ctx, const char *bytes, size_t len);
	void *ctx;
	bool ended; /* on_bytes wants no more */
};

void client_reply_init(struct client_reply *r)
{
	*r = (struct client_reply){ 0 };
	buf_init(&r->body, CLIENT_BODY_BYTES);
}

void client_reply_fini(struct client_reply *r)
{
	if (r)
		buf_fini(&r->body);
}

static void reply_reset(struct client_reply *r)
{
	buf_reset(&r->body);
	r->status = 0;
	r->has_position = false;
	r->position = 0;
	r->problem = (struct client_problem){ .code = "" };
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->curl)
		c->lib->easy_cleanup(c->curl);
	if (c->json)
		c->lib->slist_free_all(c->json);
	free(c->path);
	free(c);
}

int client_open(struct client **out, const char *socket_path, struct err *e)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->lib = client_curl(e);
	if (!c->lib) {
		client_close(c);
		return -ELIBACC;
	}
	c->path = strdup(socket_path);
	c->curl = c->lib->easy_init();
	if (c->curl)
		c->json = c->lib->slist_append(
			NULL, "Content-Type: application/json");
	if (!c->path || !c->json) {
		client_close(c);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*out = c;
	return 0;
}

static int errno_for_status(int status)
{
	switch (status) {
	case 409:
		return -EBUSY;
	case 401:
	case 403:
		return -EACCES;
	case 504:
		return -ETIMEDOUT;
	default:
		return -EREMOTEIO;
	}
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

int client_problem_read(int status, const char *body, size_t len,
			struct client_problem *p, struct err *e)
{
	json_t *problem = json_loadb(body, len, 0, NULL);
	const char *what = text_of(problem, "detail");
	int r = errno_for_status(status);

	if (!*what)
		what = text_of(problem, "title");
	snprintf(p->code, sizeof(p->code), "%s", text_of(problem, "code"));
	snprintf(p->help, sizeof(p->help), "%s", text_of(problem, "help"));
	if (*what)
		err_set(e, r, "%s", what);
	else
		err_set(e, r, "the VM's process answered HTTP status %d",
			status);
	json_decref(problem);
	return r;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
	static const char name[] = "Amber-Position:";
	struct exchange *x = ctx;
	size_t len = size * count;
	char number[24];

	if (x->reply && len > sizeof(name) &&
	    strncasecmp(line, name, sizeof(name) - 1) == 0) {
		size_t n = len - (sizeof(name) - 1);

		if (n >= sizeof(number))
			n = sizeof(number) - 1;
		memcpy(number, line + sizeof(name) - 1, n);
		number[n] = 0;
		x->reply->position = strtoull(number, NULL, 10);
		x->reply->has_position = true;
	}
	return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct exchange *x = ctx;
	size_t len = size * count;
	long status = 0;

	x->client->lib->easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE,
				     &status);
	if (x->on_bytes && status / 100 == 2) {
		x->ended = x->on_bytes(x->ctx, bytes, len) != 0;
		return x->ended ? 0 : len;
	}
	return buf_put(&x->reply->body, bytes, len) ? 0 : len;
}

static int transport_error(const struct client *c, CURLcode code, struct err *e)
{
	long sys = 0;

	c->lib->easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &sys);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		if (sys == EACCES || sys == EPERM)
			return err_set(e, -EACCES,
				       "not allowed to use %s (its owner, root "
				       "and those whom the configuration's "
				       "access names are)",
				       c->path);
		if (sys == ENOENT)
			return err_set(e, -ENOENT, "%s: no such socket",
				       c->path);
		return err_set(e, -ECONNREFUSED, "nobody serves %s", c->path);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, -ETIMEDOUT,
			       "no answer in time from the VM's process");
	case CURLE_OUT_OF_MEMORY:
		return err_set(e, -ENOMEM, "out of memory");
	case CURLE_WRITE_ERROR:
		return err_set(e, -EFBIG, "the answer is longer than %u bytes",
			       CLIENT_BODY_BYTES);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return err_set(e, -EPIPE,
			       "the VM's process closed the connection");
	default:
		return err_set(e, -EPROTO, "%s", c->lib->easy_strerror(code));
	}
}

static int exchange(struct client *c, struct exchange *x, const char *method,
		    const char *target, const char *body,
		    unsigned int timeout_ms, struct err *e)
{
	const struct client_curl *lib = c->lib;
	struct client_reply *r = x->reply;
	char url[512];
	long status = 0;
	CURLcode code;

	if (snprintf(url, sizeof(url), "http://amber%s", target) >=
	    (int)sizeof(url))
		return err_set(e, -EINVAL, "%.40s...: too long", target);
	lib->easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->path);
	lib->easy_setopt(c->curl, CURLOPT_URL, url);
	lib->easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	lib->easy_setopt(c->curl, CURLOPT_PROXY, "");
	lib->easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)CLIENT_CONNECT_MS);
	lib->easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	lib->easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
	lib->easy_setopt(c->curl, CURLOPT_HEADERDATA, x);
	lib->easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
	lib->easy_setopt(c->curl, CURLOPT_WRITEDATA, x);
	lib->easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	lib->easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
	if (strcmp(method, "POST") == 0) {
		lib->easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->json);
		lib->easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE,
				 (long)strlen(body ? body : ""));
		lib->easy_setopt(c->curl, CURLOPT_COPYPOSTFIELDS,
				 body ? body : "");
	}
	code = lib->easy_perform(c->curl);
	if (x->ended)
		return 0;
	if (code)
		return transport_error(c, code, e);
	lib->easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	if (status / 100 == 2)
		return 0;
	return client_problem_read(r->status, buf_text(&r->body), r->body.len,
				   &r->problem, e);
}

int client_request(struct client *c, const char *method, const char *target,
		   const char *body, unsigned int timeout_ms,
		   struct client_reply *r, struct err *e)
{
	struct exchange x = { .client = c, .reply = r };

	reply_reset(r);
	return exchange(c, &x, method, target, body, timeout_ms, e);
}

int client_stream(struct client *c, const char *target,
		  int (*on_bytes)(void *ctx, const char *bytes, size_t len),
		  void *ctx, unsigned int timeout_ms, struct err *e)
{
	struct client_reply reply;
	struct exchange x = {
		.client = c, .reply = &reply, .on_bytes = on_bytes, .ctx = ctx
	};
	int r;

	client_reply_init(&reply);
	r = exchange(c, &x, "GET", target, NULL, timeout_ms, e);
	client_reply_fini(&reply);
	return r;
}
