/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the ELF loader: the input is a kernel that starts as ELF does. */
#include "tests/fuzz/fuzz_boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 4 || size > FUZZ_BYTES_MAX)
		return 0;
	copy = malloc(size); /* so that ASan sees its exact end */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	memcpy(copy, "\177ELF", 4);
	fuzz_boot(copy, size);
	free(copy);
	return 0;
}
