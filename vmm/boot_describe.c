/* SPDX-License-Identifier: Apache-2.0 */
/* The boot log's words about a loaded kernel. Pure; any thread. */
#include <ctype.h>
#include <inttypes.h>

#include "base/clock.h"
#include "vmm/boot_internal.h"

/* Text from people and files: one line stays one line. */
static void put_plain(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_put_u8(out, iscntrl((unsigned char)*text) ? '?'
							      : (uint8_t)*text);
}

static void put_address(struct buf *out, const char *name, gpa_t gpa)
{
	if (gpa)
		buf_printf(out, ", %s 0x%" PRIx64, name, gpa);
}

static void put_duration(struct buf *out, const char *name, uint64_t ns)
{
	buf_printf(out, "%s %llu.%03llu ms", name, ns / NS_PER_MS,
		   ns % NS_PER_MS / NS_PER_US);
}

static void put_tables(struct buf *out, const struct boot_result *boot)
{
	buf_printf(out, "tables: GDT 0x%" PRIx64, boot->gdt);
	put_address(out, "zero page", boot->zero_page);
	put_address(out, "start info", boot->start_info);
	put_address(out, "identity page tables", boot->page_tables);
	put_address(out, "RSDP", boot->rsdp);
	buf_puts(out, "\n");
}

static void put_times(struct buf *out, const struct boot_result *boot)
{
	const struct boot_times *t = &boot->times;

	put_duration(out, "times: plan", t->plan_ns);
	put_duration(out, ", kernel", t->kernel_ns);
	if (boot->initrd_path)
		put_duration(out, ", initrd", t->initrd_ns);
	put_duration(out, ", tables", t->tables_ns);
	buf_puts(out, "\n");
}

void boot_describe(const struct boot_result *boot, struct buf *out)
{
	buf_puts(out, "kernel: ");
	put_plain(out, boot->kernel_path);
	buf_printf(out,
		   ": %s, at 0x%" PRIx64 "-0x%" PRIx64 " (%" PRIu64
		   " bytes read), entry 0x%" PRIx64 "\n",
		   boot_kind_text(boot->kind), boot->kernel_start,
		   boot->kernel_end, boot->kernel_bytes, boot->entry);
	if (boot->initrd_path) {
		buf_puts(out, "initrd: ");
		put_plain(out, boot->initrd_path);
		buf_printf(out,
			   ": at 0x%" PRIx64 "-0x%" PRIx64 " (%" PRIu64
			   " bytes)\n",
			   boot->initrd_start, boot->initrd_end,
			   boot->initrd_end - boot->initrd_start);
	}
	buf_printf(out, "command line: %u characters at 0x%" PRIx64 ": ",
		   boot->cmdline_bytes, boot->cmdline_gpa);
	put_plain(out, boot->cmdline);
	buf_puts(out, "\n");
	put_tables(out, boot);
	put_times(out, boot);
}
