/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request through the library's callbacks: head, body, handler, answer.
 * Loop thread, inside MHD_run(). INV-1: a suspended connection has a call
 * that is open, or a stream that waits.
 */
#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "control/control.h"
#include "control/routes.h"
#include "control/server_private.h"
#include "control/text.h"

#define STREAM_BLOCK_BYTES 8192

static struct conn *conn_of(struct call *call)
{
	return (struct conn *)((char *)call - offsetof(struct conn, call));
}

/* --- the carrier of calls ----------------------------------------------- */

static void on_finished(struct call *call)
{
	struct conn *conn = conn_of(call);

	if (!conn->is_dispatching)
		server_resume(conn);
}

static void on_wake(struct call *call)
{
	server_resume(conn_of(call));
}

static const struct call_carrier carrier = { on_finished, on_wake };

static void suspend(struct conn *conn)
{
	conn_queue(conn, QUEUE_NONE);
	conn->is_suspended = true;
	MHD_suspend_connection(conn->mhd);
	if (conn->is_broken || conn->is_closing)
		request_cancel(conn);
}

void request_cancel(struct conn *conn)
{
	struct call *call = &conn->call;

	if (conn->stage == STAGE_RUNNING && call->kind == CALL_OPEN) {
		/* A command goes on; its answer will find nobody. */
		if (call->cancel)
			call->cancel(call);
		else if (conn->server->is_draining || conn->is_closing) {
			vm_forget(conn->server->cfg.control->vm, call);
			call_problem(call, PROBLEM_ENDING, "broken off");
			call_finish(call);
		}
		return;
	}
	server_resume(conn);
}

/* --- answers ------------------------------------------------------------ */

static ssize_t read_stream(void *cls, uint64_t pos, char *to, size_t max)
{
	struct conn *conn = cls;
	struct call_stream *stream = &conn->call.stream;
	ssize_t n;

	(void)pos;
	if (conn->is_broken)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = stream->read(stream->ctx, to, max);
	if (n == -ENODATA)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0) {
		suspend(conn);
		conn_watch_hup(conn);
		return 0;
	}
	conn_queue(conn, QUEUE_STREAM);
	return n;
}

static void on_upgraded(void *cls, struct MHD_Connection *mhd, void *con_cls,
			const char *extra, size_t extra_len, MHD_socket fd,
			struct MHD_UpgradeResponseHandle *handle);

static struct MHD_Response *make_response(struct conn *conn)
{
	struct call *call = &conn->call;

	switch (call->kind) {
	case CALL_STREAM:
		return MHD_create_response_from_callback(
			call->stream.bytes == CALL_LENGTH_UNKNOWN
				? MHD_SIZE_UNKNOWN
				: call->stream.bytes,
			STREAM_BLOCK_BYTES, read_stream, conn, NULL);
	case CALL_UPGRADE:
		return MHD_create_response_for_upgrade(on_upgraded, conn);
	default:
		/* The body lives until the next request begins. */
		return MHD_create_response_from_buffer(call->body.len,
						       call->body.data,
						       MHD_RESPMEM_PERSISTENT);
	}
}

static bool add_headers(struct MHD_Response *response, const struct call *call)
{
	bool fine = true;
	unsigned int i;

	if (call->kind == CALL_UPGRADE)
		fine = MHD_add_response_header(response, "Upgrade",
					       call->upgrade.protocol);
	else if (call->type)
		fine = MHD_add_response_header(response, "Content-Type",
					       call->type);
	if (call->kind == CALL_STREAM)
		fine = fine && MHD_add_response_header(
				       response, "Cache-Control", "no-store");
	if (call->allow)
		fine = fine &&
		       MHD_add_response_header(response, "Allow", call->allow);
	for (i = 0; i < call->headers && fine; i++)
		fine = MHD_add_response_header(response, call->header[i].name,
					       call->header[i].value);
	return fine;
}

static enum MHD_Result send_answer(struct conn *conn)
{
	struct call *call = &conn->call;
	struct MHD_Response *response;
	enum MHD_Result r = MHD_NO;

	if (call->kind == CALL_BYTES && call->body.error)
		call_problem(call, PROBLEM_INTERNAL,
			     "the answer is too large, or memory is short");
	response = make_response(conn);
	if (!response)
		return MHD_NO;
	if (add_headers(response, call))
		r = MHD_queue_response(conn->mhd, call->status, response);
	MHD_destroy_response(response);
	conn->stage = STAGE_ANSWER;
	conn_queue(conn,
		   call->kind == CALL_STREAM ? QUEUE_STREAM : QUEUE_ANSWER);
	return r;
}

static void close_upgraded(void *ctx)
{
	struct conn *conn = ctx;

	conn_shut(conn);
	MHD_upgrade_action(conn->upgraded, MHD_UPGRADE_ACTION_CLOSE);
	server_kick(conn->server);
}

static void on_upgraded(void *cls, struct MHD_Connection *mhd, void *con_cls,
			const char *extra, size_t extra_len, MHD_socket fd,
			struct MHD_UpgradeResponseHandle *handle)
{
	struct conn *conn = cls;
	struct call_upgrade *u = &conn->call.upgrade;

	(void)mhd;
	(void)con_cls;
	conn_queue(conn, QUEUE_NONE);
	conn->stage = STAGE_UPGRADED;
	conn->upgraded = handle;
	u->opened(u->ctx, fd, extra, extra_len, close_upgraded, conn);
}

/* --- requests ----------------------------------------------------------- */

static const char *header(struct conn *conn, const char *name)
{
	return MHD_lookup_connection_value(conn->mhd, MHD_HEADER_KIND, name);
}

static bool wants_upgrade(struct conn *conn)
{
	const char *upgrade = header(conn, "Upgrade");
	const char *connection = header(conn, "Connection");

	return upgrade && connection &&
	       strcasecmp(upgrade, "amber-console") == 0 &&
	       strcasestr(connection, "upgrade");
}

static bool head_is_too_large(struct conn *conn)
{
	const union MHD_ConnectionInfo *info;

	info = MHD_get_connection_info(conn->mhd,
				       MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	return info &&
	       info->header_size > conn->server->cfg.limits.header_bytes;
}

/* Announced to be too large? Then not a byte of it is waited for. */
static bool body_is_too_large(struct conn *conn)
{
	const char *text = header(conn, "Content-Length");
	uint64_t bytes;

	return text && (!text_to_number(text, UINT64_MAX, &bytes) ||
			bytes > conn->server->cfg.limits.body_bytes);
}

static void answer_too_large(struct conn *conn)
{
	call_problem(&conn->call, PROBLEM_TOO_LARGE,
		     "the body is larger than %zu bytes",
		     conn->server->cfg.limits.body_bytes);
	dispatch_refused(&conn->call);
}

static enum MHD_Result take_head(struct conn *conn, const char *method,
				 const char *url)
{
	struct call *call = &conn->call;

	call_init(call, conn->server->cfg.control, &carrier, &conn->peer);
	buf_reset(&conn->body);
	conn->stage = STAGE_BODY;
	if (head_is_too_large(conn)) {
		call_problem(call, PROBLEM_HEADERS_TOO_LARGE,
			     "request line and headers are larger than %zu "
			     "bytes",
			     conn->server->cfg.limits.header_bytes);
		return send_answer(conn);
	}
	if (!dispatch_begin(call, method, url))
		conn->stage = STAGE_REFUSED;
	if (body_is_too_large(conn)) {
		if (conn->stage != STAGE_REFUSED)
			answer_too_large(conn);
		return send_answer(conn);
	}
	call->wants_upgrade = wants_upgrade(conn);
	return MHD_YES;
}

static enum MHD_Result take_body(struct conn *conn, const char *bytes,
				 size_t *len)
{
	if (conn->stage != STAGE_REFUSED && buf_put(&conn->body, bytes, *len)) {
		/* The library takes no answer in the middle of a body. */
		answer_too_large(conn);
		conn_break_off(conn, PROBLEM_TOO_LARGE,
			       "the body is too large");
		return MHD_NO;
	}
	*len = 0;
	return MHD_YES;
}

struct args {
	struct query_arg arg[CALL_QUERY_MAX];
	size_t count;
	bool overflow;
};

static enum MHD_Result take_arg(void *cls, enum MHD_ValueKind kind,
				const char *key, const char *value)
{
	struct args *args = cls;

	(void)kind;
	if (args->count == CALL_QUERY_MAX) {
		args->overflow = true;
		return MHD_NO;
	}
	args->arg[args->count++] = (struct query_arg){ key, value };
	return MHD_YES;
}

static enum MHD_Result run_call(struct conn *conn)
{
	struct call *call = &conn->call;
	struct args args = { .count = 0 };

	MHD_get_connection_values(conn->mhd, MHD_GET_ARGUMENT_KIND, take_arg,
				  &args);
	conn->stage = STAGE_RUNNING;
	conn_queue(conn, QUEUE_NONE);
	if (args.overflow) {
		call_problem(call, PROBLEM_BAD_REQUEST,
			     "more than %d query parameters", CALL_QUERY_MAX);
		return send_answer(conn);
	}
	conn->is_dispatching = true;
	dispatch_run(call, args.arg, args.count, conn->body.data,
		     conn->body.len);
	conn->is_dispatching = false;
	if (call->kind != CALL_OPEN)
		return send_answer(conn);
	suspend(conn);
	if (conn->is_suspended && call->cancel)
		conn_watch_hup(conn);
	return MHD_YES;
}

enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd,
			       const char *url, const char *method,
			       const char *version, const char *upload_data,
			       size_t *upload_data_size, void **req_cls)
{
	const union MHD_ConnectionInfo *info;
	struct conn *conn = *req_cls;

	(void)cls;
	(void)version;
	if (!conn) {
		info = MHD_get_connection_info(
			mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
		conn = info ? info->socket_context : NULL;
		if (!conn || conn->is_closing)
			return MHD_NO;
		*req_cls = conn;
		return take_head(conn, method, url);
	}
	if (*upload_data_size)
		return take_body(conn, upload_data, upload_data_size);
	switch (conn->stage) {
	case STAGE_BODY:
		return run_call(conn);
	case STAGE_REFUSED:
	case STAGE_RUNNING:
		return send_answer(conn);
	default:
		return MHD_YES;
	}
}

/* Gives back what the call holds, however it ended. */
static void end_call(struct conn *conn)
{
	struct call *call = &conn->call;

	if (conn->stage == STAGE_RUNNING && call->kind == CALL_OPEN) {
		conn->is_suspended = false;
		if (call->cancel)
			call->cancel(call);
		else
			vm_forget(conn->server->cfg.control->vm, call);
	}
	if (call->kind == CALL_STREAM && call->stream.closed)
		call->stream.closed(call->stream.ctx);
	if (call->kind == CALL_UPGRADE && !conn->upgraded)
		call->upgrade.failed(call->upgrade.ctx);
	call->kind = CALL_BYTES;
	loop_disarm(&call->timer);
}

void request_completed(void *cls, struct MHD_Connection *mhd, void **req_cls,
		       enum MHD_RequestTerminationCode code)
{
	struct conn *conn = *req_cls;

	(void)cls;
	(void)mhd;
	(void)code;
	*req_cls = NULL;
	if (!conn)
		return;
	end_call(conn);
	if (conn->stage == STAGE_UPGRADED)
		return;
	conn->stage = STAGE_IDLE;
	conn_queue(conn, QUEUE_KEPT);
}

void request_connection(void *cls, struct MHD_Connection *mhd,
			void **socket_context,
			enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct conn *conn;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		info = MHD_get_connection_info(
			mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
		conn = info ? conn_find(cls, info->connect_fd) : NULL;
		if (conn)
			conn->mhd = mhd;
		*socket_context = conn;
		return;
	}
	conn = *socket_context;
	*socket_context = NULL;
	if (conn)
		conn_free(conn);
}

/* Decodes %XX in place; NUL and what is malformed stays as it is. */
size_t request_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
	static const char digits[] = "0123456789abcdef";
	char *from = text, *to = text;

	(void)cls;
	(void)mhd;
	while (*from) {
		const char *hi = NULL, *lo = NULL;

		if (*from == '%' && from[1] && from[2]) {
			hi = strchr(digits, tolower((unsigned char)from[1]));
			lo = strchr(digits, tolower((unsigned char)from[2]));
		}
		if (!hi || !lo || (hi == digits && lo == digits)) {
			*to++ = *from++;
			continue;
		}
		*to++ = (char)((hi - digits) * 16 + (lo - digits));
		from += 3;
	}
	*to = 0;
	return (size_t)(to - text);
}
