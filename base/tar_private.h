/* SPDX-License-Identifier: Apache-2.0 */
/* What tar.c and tar_read.c share. */
#ifndef AMBER_BASE_TAR_PRIVATE_H
#define AMBER_BASE_TAR_PRIVATE_H

#include "base/tar.h"

#define TAR_MAGIC \
	"ustar\0" \
	"00" /* with its version */
#define TAR_FILE	  '0'
#define TAR_PAX		  'x'
#define TAR_SPARSE	  "GNU.sparse."
#define TAR_OCTAL_MAX	  077777777777ULL /* what eleven digits hold */
#define TAR_RECORDS_BYTES 4096

struct tar_block {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12];
	char checksum[8], type, link[100], magic[8], uname[32], gname[32];
	char major[8], minor[8], prefix[155], rest[12];
};

unsigned int tar_checksum(const struct tar_block *b);

#endif
