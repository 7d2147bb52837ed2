/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small encoder of ACPI Machine Language (ACPI 6.4, chapter 20.2) over a
 * struct buf: what a DSDT of fixed devices needs, no more. Errors are
 * sticky: write everything, then ask aml_finish() once. One owner, one
 * thread at a time; used only while the tables are built.
 *
 * Names and paths are NameSegs of 1 to 4 characters (A-Z, _, and from the
 * second on 0-9), padded with '_' as ASL does. A path may begin with '\'
 * and joins segments with '.': "_SB", "\\_SB.PWRB".
 */
#ifndef AMBER_VMM_AML_H
#define AMBER_VMM_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define AML_DEPTH_MAX	   8
#define AML_SEGMENTS_MAX   8
#define AML_PKG_LENGTH_MAX 0x0fffffff /* 20.2.4: 28 bits */

struct aml {
	struct buf *out; /* borrowed; only appended to */
	size_t mark[AML_DEPTH_MAX];
	unsigned int depth; /* blocks that are open */
	int error;	    /* sticky: 0, -EINVAL or -E2BIG */
};

/* Starts to write at the end of out, which outlives a. */
void aml_init(struct aml *a, struct buf *out);

/*
 * Returns 0 or the first error: -EINVAL (a bad name or identifier, blocks
 * that do not pair up), -E2BIG (a block longer than AML_PKG_LENGTH_MAX), or
 * the error of the buffer.
 */
int aml_finish(struct aml *a);

/*
 * Blocks: everything up to the matching aml_end() is their content, and
 * their PkgLength is filled in there.
 */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *path);
void aml_method(struct aml *a, const char *path, unsigned int args,
		bool serialized);
void aml_package(struct aml *a, uint8_t elements);
void aml_if_local_has(struct aml *a, unsigned int local, uint64_t mask);
void aml_end(struct aml *a);

/* Name (path, ...): the data object that is written next is its value. */
void aml_name(struct aml *a, const char *path);

/* Data objects (20.2.3). */
void aml_integer(struct aml *a, uint64_t v); /* the shortest encoding */
void aml_string(struct aml *a, const char *ascii);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0501": 3 + 4 hex */

/* A region of I/O ports, and one 32-bit field at its start. */
void aml_port_region(struct aml *a, const char *path, uint16_t port,
		     uint8_t bytes);
void aml_field_u32(struct aml *a, const char *region, const char *field);

/* Statements of a method; locals are 0..7. */
void aml_load_local(struct aml *a, const char *path, unsigned int local);
void aml_notify(struct aml *a, const char *path, uint64_t value);

/*
 * Resource templates (6.4): a buffer that holds the descriptors written up
 * to aml_resources_end(), which adds the end tag.
 */
void aml_resources(struct aml *a);
void aml_ports(struct aml *a, uint16_t first, uint8_t count);
void aml_memory32(struct aml *a, uint32_t base, uint32_t bytes);
/* Active high; a level stays until its cause has been dealt with. */
void aml_interrupt_edge(struct aml *a, uint32_t gsi);
void aml_interrupt_level(struct aml *a, uint32_t gsi);
void aml_resources_end(struct aml *a);

#endif
