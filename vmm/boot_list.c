/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot lists: kernels in the order of preference, the first good one is
 * loaded. Only for the thread that builds the machine. INV-1: a refused
 * kernel leaves guest memory as it was and no descriptor open.
 */
#include "vmm/boot.h"

static int try_kernel(struct boot_result *out, const struct boot_list *list,
		      size_t i, const struct boot_reader *initrd,
		      const struct gmem *mem, struct err *e)
{
	struct boot_reader kernel;
	struct boot_request req = {
		.kernel = &kernel,
		.initrd = initrd,
		.cmdline = list->cmdline,
		.rsdp = list->rsdp,
	};
	int r;

	r = boot_reader_open(&kernel, list->kernels[i], BOOT_KERNEL_BYTES_MAX,
			     e);
	if (r)
		return r;
	r = boot_load(out, &req, mem, e);
	boot_reader_close(&kernel);
	return r;
}

static int first_good(struct boot_result *out, size_t *chosen,
		      const struct boot_list *list,
		      const struct boot_reader *initrd, const struct gmem *mem,
		      struct err *e)
{
	struct err first = ERR_NONE, why;
	size_t i;

	for (i = 0; i < list->count; i++) {
		why = (struct err)ERR_NONE;
		if (!try_kernel(out, list, i, initrd, mem, &why)) {
			*chosen = i;
			return 0;
		}
		if (list->refused)
			list->refused(list->ctx, list->kernels[i], &why);
		if (i == 0)
			first = why;
	}
	if (list->count == 1)
		return err_set(e, first.code, "%s", first.text);
	return err_set(e, first.code,
		       "none of %zu kernels can be loaded; the first: %s",
		       list->count, first.text);
}

int boot_first_loadable(struct boot_result *out, size_t *chosen,
			const struct boot_list *list, const struct gmem *mem,
			struct err *e)
{
	struct boot_reader initrd;
	int r;

	if (!list->count)
		return err_set(e, -EINVAL, "no kernel was given");
	if (!list->initrd)
		return first_good(out, chosen, list, NULL, mem, e);
	r = boot_reader_open(&initrd, list->initrd, BOOT_INITRD_BYTES_MAX, e);
	if (r)
		return err_prefix(e, "initrd"), r;
	r = first_good(out, chosen, list, &initrd, mem, e);
	boot_reader_close(&initrd);
	return r;
}
