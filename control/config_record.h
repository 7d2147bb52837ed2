/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of config.json that hold a list of objects, or one, each of which is one
 * use of an option: --disk PATH,format=raw,ro. One table of fields per kind
 * describes both; usage text, man pages and schema come from it. Any thread;
 * no shared state.
 */
#ifndef AMBER_CONTROL_CONFIG_RECORD_H
#define AMBER_CONTROL_CONFIG_RECORD_H

#include "base/json_in.h"
#include "control/config_table.h"
#include "control/json_out.h"

enum config_field_type {
	FIELD_PATH,   /* char *, absolute, owned */
	FIELD_WORD,   /* char[max + 1]: letters, digits, _ . - */
	FIELD_TEXT,   /* char[max + 1]: printable */
	FIELD_ENUM,   /* uint32_t: the place in names */
	FIELD_BOOL,   /* bool; as an option a flag */
	FIELD_NUMBER, /* uint32_t, min..max */
	FIELD_BYTES,  /* uint64_t, min..max, with K M G T */
	FIELD_MAC     /* char[18]: six bytes in hex */
};

struct config_field {
	const char *key;
	enum config_field_type type;
	size_t offset; /* in the record */
	uint64_t min, max;
	const char *const *names; /* FIELD_ENUM; ends with NULL; "": unset */
	const char *unset;	  /* the default, for people */
	const char *help;
};

struct config_record {
	const char *stem; /* of ids that were not given: "disk" */
	/* The first one is what the option begins with. */
	const struct config_field *fields;
	size_t field_count;
	/* The option begins with "kind" or "kind=NAME": field 0, field 1. */
	bool has_kind;
	/* There is one, or none: an object, not a list of them; the option has
	 * no beginning of its own, and takes the place of what was there. */
	bool is_single;
	size_t bytes;		    /* of a record */
	size_t list, count;	    /* members of struct vm_config */
	unsigned int max;	    /* records */
	size_t id;		    /* member of the record: char[]; not of a
				     * single one */
	void (*init)(void *record); /* defaults */
	/* Is it possible as a whole? Errors name who. */
	int (*check)(const void *record, const char *who, struct err *e);
};

extern const struct config_record config_disks, config_nets, config_ports,
	config_snapshots;

/* Adds the record that an option's text describes. */
int config_record_option(struct vm_config *c, const struct config_row *row,
			 const char *who, const char *text, struct err *e);
/* Adds the records of an array of objects, or that of an object. */
int config_record_json(struct vm_config *c, const struct config_row *row,
		       const char *who, json_t *list, struct err *e);
/* Prints "key": [ ... ], or { ... }, unless there is none; what has its default
 * is left out. */
void config_record_print(struct json_out *j, const struct config_row *row,
			 const struct vm_config *c);

#endif
