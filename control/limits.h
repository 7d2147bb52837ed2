/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit of the control plane, in one place; each is tested on both
 * sides. Bytes, milliseconds and counts as the names say.
 */
#ifndef AMBER_CONTROL_LIMITS_H
#define AMBER_CONTROL_LIMITS_H

/* Requests */
#define LIMIT_BODY_BYTES	  (64u << 10)
#define LIMIT_HEADER_BYTES	  (8u << 10)
#define LIMIT_REQUEST_MS	  5000 /* connect or last answer to whole request */
#define LIMIT_RESPONSE_MS	  30000 /* for taking a plain answer */
#define LIMIT_STREAM_MS		  60000 /* an event reader that takes nothing */
#define LIMIT_CONNECTIONS	  256
#define LIMIT_CONNECTIONS_PER_UID 64
#define LIMIT_ACCEPTS_PER_ROUND	  16
#define LIMIT_CONNECTION_POOL	  (16u << 10)
#define LIMIT_WAIT_S		  3600 /* ?wait= */

/* JSON */
#define LIMIT_JSON_DEPTH	 16
#define LIMIT_JSON_BODY_VALUES	 256 /* values in a request's body */
#define LIMIT_JSON_CONFIG_BYTES	 (256u << 10)
#define LIMIT_JSON_CONFIG_VALUES 4096 /* values in config.json */

/* Events */
#define LIMIT_EVENTS	     1024 /* kept for replay */
#define LIMIT_EVENT_BYTES    (8u << 10)
#define LIMIT_KEEPALIVE_MS   15000
#define LIMIT_JOURNAL_ANSWER 1024	/* records in one answer */
#define LIMIT_JOURNAL_BYTES  (4u << 20) /* of answer text, and of the file */

/* Files */
#define LIMIT_CONSOLE_LOG_BYTES (16u << 20) /* then it is rotated, once */
#define LIMIT_SCRIBE_BYTES	(1u << 20)  /* waiting to be written */
#define LIMIT_SCRIBE_LINGER_MS	20	    /* gathering before a write */
#define LIMIT_REPORT_BYTES	(256u << 10)

/* The end */
#define LIMIT_END_MS	   2000 /* readers and log writing, together */
#define LIMIT_SCRIBE_STACK (128u << 10)

#endif
