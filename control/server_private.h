/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the server, shared by server*.c: connections, their
 * deadlines and the stages of a request. Loop thread.
 */
#ifndef AMBER_CONTROL_SERVER_PRIVATE_H
#define AMBER_CONTROL_SERVER_PRIVATE_H

#include <microhttpd.h>

#include "control/call.h"
#include "control/listener.h"
#include "control/server.h"

/* What a connection's deadline is for; each queue has one length of time. */
enum conn_queue {
	QUEUE_NONE,   /* no deadline: the VM works, or it was upgraded */
	QUEUE_FRESH,  /* no whole request yet */
	QUEUE_KEPT,   /* answered before; no whole new request yet */
	QUEUE_ANSWER, /* takes a plain answer */
	QUEUE_STREAM, /* takes a stream */
	QUEUE_COUNT
};

enum conn_stage {
	STAGE_IDLE,    /* between requests, or reading a head */
	STAGE_BODY,    /* head accepted, reading the body */
	STAGE_REFUSED, /* answered already, the body is thrown away */
	STAGE_RUNNING, /* the handler has it */
	STAGE_ANSWER,  /* the answer is on its way */
	STAGE_UPGRADED
};

struct conn {
	struct server *server;
	struct MHD_Connection *mhd; /* NULL until it has begun */
	int fd;			    /* the library's */
	struct peer peer;
	enum conn_stage stage;

	enum conn_queue queue;
	uint64_t due_ns;
	struct conn *next, *prev;   /* in the queue */
	struct conn *older, *newer; /* among all */

	bool is_closing;     /* shut down; no longer counted */
	bool is_suspended;   /* the library leaves it alone */
	bool is_dispatching; /* inside dispatch_run() */
	bool is_broken;	     /* the peer is gone: the stream ends */
	struct loop_fd hup;  /* tells that, while suspended */
	struct MHD_UpgradeResponseHandle *upgraded;
	struct buf body;
	struct call call; /* of the present request */
};

struct server {
	struct server_config cfg;
	struct MHD_Daemon *mhd;
	struct loop_fd mhd_watch, listen_watch;
	struct listener listener;
	struct loop_timer run_timer, deadline_timer, listen_timer;
	struct conn *oldest, *newest; /* all */
	struct {
		struct conn *first, *last;
	} queue[QUEUE_COUNT];
	unsigned int count; /* that are not closing */
	bool is_running;    /* inside MHD_run() */
	bool is_draining, is_drained;
};

/* --- server_conn.c: who is connected, and for how long ------------------ */

/* Takes in an accepted socket; closes it when it is not welcome. */
void conn_welcome(struct server *s, int fd);
/* Sends a problem without a request; and closes fd then. */
void conn_tell(int fd, enum problem_code code, const char *detail);
void conn_turn_away(int fd, enum problem_code code, const char *detail);
struct conn *conn_find(struct server *s, int fd);
/* Puts it into a queue, its deadline from now on. */
void conn_queue(struct conn *conn, enum conn_queue queue);
/* Ends it; the library notices and lets go of it. */
void conn_shut(struct conn *conn);
/* Sends a problem past the library (nothing was answered yet), then ends. */
void conn_break_off(struct conn *conn, enum problem_code code,
		    const char *detail);
/* The library has let go. */
void conn_free(struct conn *conn);
/* While suspended: learn that the peer is gone. */
void conn_watch_hup(struct conn *conn);

/* --- server_request.c: the library's callbacks -------------------------- */
enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd,
			       const char *url, const char *method,
			       const char *version, const char *upload_data,
			       size_t *upload_data_size, void **req_cls);
void request_completed(void *cls, struct MHD_Connection *mhd, void **req_cls,
		       enum MHD_RequestTerminationCode code);
void request_connection(void *cls, struct MHD_Connection *mhd,
			void **socket_context,
			enum MHD_ConnectionNotificationCode code);
size_t request_unescape(void *cls, struct MHD_Connection *mhd, char *text);
/* The peer went away while its call was open. */
void request_cancel(struct conn *conn);

/* --- server.c ----------------------------------------------------------- */
/* Runs the library soon. */
void server_kick(struct server *s);
void server_resume(struct conn *conn);

#endif
