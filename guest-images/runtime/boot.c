/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the entry to guest_main(), and what hvm_start_info says: command
 * line, memory map, ACPI. Entered by the first CPU alone; the values never
 * change after boot_start(), except that boot_reserve() eats from the bottom
 * of the free memory while only the first CPU runs.
 */
#include "guest-images/runtime/trap.h"

#define START_INFO_MAGIC 0x336ec578
#define RAM_TYPE	 1
#define MAX_MAP_ENTRIES	 64

/* Xen, public/arch-x86/hvm/start_info.h, version 1 */
struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, map;
	uint32_t map_entries, reserved;
};

struct map_entry {
	uint64_t start, bytes;
	uint32_t type, reserved;
};

extern uint8_t image_end[]; /* by the linker script */
uint8_t first_cpu_area[CPU_AREA_BYTES] __attribute__((aligned(CPU_AREA_BYTES)));

static const struct start_info *info;
static bool pvh;
static uint64_t reserved_end;

bool boot_was_pvh(void)
{
	return pvh;
}

const char *boot_cmdline(void)
{
	return info->cmdline ? (const char *)info->cmdline : "";
}

uint64_t boot_rsdp(void)
{
	return info->rsdp;
}

static const struct map_entry *map(void)
{
	return (const struct map_entry *)info->map;
}

static uint32_t map_entries(void)
{
	if (info->map == 0)
		return 0;
	return info->map_entries < MAX_MAP_ENTRIES ? info->map_entries
						   : MAX_MAP_ENTRIES;
}

uint64_t boot_ram_mib(void)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < map_entries(); i++)
		if (map()[i].type == RAM_TYPE)
			bytes += map()[i].bytes;
	return (bytes + (1 << 20) - 1) >> 20;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

struct ram_range boot_free_ram(void)
{
	struct ram_range r = { .start = 0, .end = 0 };
	uint32_t i;

	r.start = round_up(reserved_end, 0x1000);
	for (i = 0; i < map_entries(); i++) {
		const struct map_entry *e = &map()[i];

		if (e->type == RAM_TYPE && e->start <= r.start &&
		    e->start + e->bytes > r.start)
			r.end = e->start + e->bytes;
	}
	if (r.end > RAM_HOLE_START)
		r.end = RAM_HOLE_START;
	if (r.end < r.start)
		r.end = r.start;
	return r;
}

uint64_t boot_reserve(uint64_t bytes, uint64_t align)
{
	uint64_t at = round_up(reserved_end, align);

	reserved_end = at + bytes;
	return at;
}

void boot_start(uint64_t start_info, uint32_t was_pvh)
{
	info = (const struct start_info *)start_info;
	pvh = was_pvh != 0;
	reserved_end = (uint64_t)image_end;
	trap_init();
	if (pvh)
		paging_init();
	if (info->magic != START_INFO_MAGIC)
		guest_fail(FAIL_NO_START_INFO);
	guest_main();
	guest_ok();
}
