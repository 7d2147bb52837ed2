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

/* Snapshots */
#define LIMIT_PAUSE_US 3600000000 /* max_pause_us */

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

/* The guest's agent */
#define LIMIT_AGENT_REPLY_BYTES	  (7u << 20) /* one line of the guest */
#define LIMIT_AGENT_REPLY_VALUES  16384
#define LIMIT_AGENT_SYNC_BYTES	  512 /* of an answer to guest-sync */
#define LIMIT_AGENT_REQUEST_BYTES (128u << 10)
#define LIMIT_AGENT_QUEUE	  32
#define LIMIT_AGENT_EXECS	  8 /* commands that are waited for */
#define LIMIT_AGENT_TEXT_BYTES	  (512u << 10) /* output shown as text */
#define LIMIT_AGENT_SYNC_MS	  5000	       /* then it is tried again */
#define LIMIT_AGENT_CALL_MS	  5000	       /* a call, unless it says so */
#define LIMIT_AGENT_FREEZE_MS	  60000
#define LIMIT_AGENT_POLL_MIN_MS	  10 /* of guest-exec-status, growing to */
#define LIMIT_AGENT_POLL_MAX_MS	  500
#define LIMIT_AGENT_EXEC_WORDS	  128
#define LIMIT_AGENT_EXEC_MS	  30000 /* unless the caller says so */

/* The end */
#define LIMIT_END_MS	   2000 /* readers and log writing, together */
#define LIMIT_SCRIBE_STACK (128u << 10)

#endif
