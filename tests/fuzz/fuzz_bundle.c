/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes streams of snapshots. The first byte says how to use the rest: as a
 * stream, or as changes to a valid one (an offset of 16 bits and a byte,
 * each), whose headers then get the right checksums.
 */
#include "tests/unit/bundle_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 65536

static void change(struct bundle_rig *g, const uint8_t *in, size_t len)
{
	for (; len >= 3; in += 3, len -= 3)
		g->stream[(size_t)(in[0] | in[1] << 8) % g->len] = in[2];
	bundle_rig_seal(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_NONE;
	struct bundle_rig g;

	if (!size || size > INPUT_MAX)
		return 0;
	bundle_rig_open(&g);
	if (data[0] % 2) {
		change(&g, data + 1, size - 1);
	} else {
		free(g.stream);
		g.len = size - 1;
		g.stream = malloc(g.len ? g.len : 1);
		bundle_rig_must(g.stream != NULL);
		memcpy(g.stream, data + 1, g.len);
	}
	if (bundle_rig_read(&g, &e))
		bundle_rig_must(e.code < 0 && e.text[0]);
	bundle_rig_close(&g);
	return 0;
}
