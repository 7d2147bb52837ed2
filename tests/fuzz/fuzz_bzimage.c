/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the bzImage loader: the input is a kernel with the two magic
 * numbers of a setup header; too short ones stay as they are.
 */
#include "tests/fuzz/fuzz_boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (!size || size > FUZZ_BYTES_MAX)
		return 0;
	copy = malloc(size); /* so that ASan sees its exact end */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= 0x206) {
		copy[0] = 'M'; /* never ELF */
		put_le16(copy + 0x1fe, 0xaa55);
		memcpy(copy + 0x202, "HdrS", 4);
	}
	fuzz_boot(copy, size);
	free(copy);
	return 0;
}
