/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: says what the loader handed over. Its first byte goes out before
 * anything else, so that the time from exec to it can be measured.
 */
#include "guest-images/runtime/guest.h"

GUEST_FIRST_BYTE('h');

#define MAX_CPUS 1024

void guest_main(void)
{
	static uint32_t ids[MAX_CPUS];

	fact_text("ello", "amber");
	fact_text("entry", boot_was_pvh() ? "pvh" : "elf64");
	fact_text("cmdline", boot_cmdline());
	fact_u64("ram_mib", boot_ram_mib());
	fact_u64("cpus", acpi_cpus(ids, MAX_CPUS));
	guest_ready();
}
