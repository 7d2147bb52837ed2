/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as config.json: refused with a text, or accepted; what was
 * accepted prints to something that reads back to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_json.h"
#include "control/config_table.h"
#include "control/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fine)
{
	if (!fine)
		abort();
}

static void print(const struct vm_config *c, struct buf *out)
{
	buf_init(out, LIMIT_JSON_CONFIG_BYTES * 8);
	must(config_to_json(c, out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_NONE;
	struct vm_config c, again;
	struct buf first, second;

	config_init(&c);
	if (config_from_json(&c, (const char *)data, size, "input", &e)) {
		must(e.code < 0 && *e.text);
		vm_config_fini(&c);
		return 0;
	}
	print(&c, &first);
	config_init(&again);
	must(config_from_json(&again, buf_text(&first), first.len, "again",
			      &e) == 0);
	print(&again, &second);
	must(first.len == second.len &&
	     memcmp(first.data, second.data, first.len) == 0);
	buf_fini(&first);
	buf_fini(&second);
	vm_config_fini(&again);
	vm_config_fini(&c);
	return 0;
}
