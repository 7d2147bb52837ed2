/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saved vCPU from hostile bytes: an error, or a state that is the same when
 * it is saved and loaded again.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/vcpu_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vcpu_state st, again;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_io io;
	struct buf out;

	memset(&st, 0, sizeof(st));
	memset(&again, 0, sizeof(again));
	state_load(&io, "vcpu", data, size);
	vcpu_state_sync(&st, &io);
	if (state_end(&io, NULL))
		return 0;
	buf_init(&out, 1 << 20);
	state_save(&io, "vcpu", &out);
	vcpu_state_sync(&st, &io);
	if (state_end(&io, NULL) || out.len != size ||
	    memcmp(out.data, data, size))
		abort();
	state_load(&io, "vcpu", out.data, out.len);
	vcpu_state_sync(&again, &io);
	if (state_end(&io, NULL) || memcmp(&st, &again, sizeof(st)))
		abort();
	buf_fini(&out);
	return 0;
}
