/* SPDX-License-Identifier: Apache-2.0 */
/* Program `amber-vmm`: the hypervisor, one process per VM. */
#include <malloc.h>
#include <stdio.h>

#include "control/config_table.h"
#include "control/exit_codes.h"
#include "control/version.h"
#include "control/vmm.h"

#define USAGE_BYTES 16384

static int show_usage(void)
{
	struct buf text;
	int r;

	buf_init(&text, USAGE_BYTES);
	r = vmm_options_usage(&text);
	if (!r && (fputs(buf_text(&text), stdout) < 0 || fflush(stdout)))
		r = -EIO;
	buf_fini(&text);
	return r ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

int main(int argc, char **argv)
{
	struct vmm_options options;
	struct vm_config config;
	struct err e = ERR_NONE;
	int code;

	/* One heap: a second one per thread costs address space and time. */
	mallopt(M_ARENA_MAX, 1);
	config_init(&config);
	if (vmm_options_parse(&options, &config, argc, argv, &e)) {
		fprintf(stderr, "amber-vmm: %s\n", e.text);
		code = EXIT_CODE_USAGE;
	} else if (options.help) {
		code = show_usage();
	} else if (options.version) {
		code = puts("amber-vmm " AMBER_VERSION) < 0 ? EXIT_CODE_FAILED
							    : EXIT_CODE_OK;
	} else {
		code = vmm_run(&options, &config);
	}
	vm_config_fini(&config);
	return code;
}
