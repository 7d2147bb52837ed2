/* SPDX-License-Identifier: Apache-2.0 */
/* What -o, -b and -F say about a new image. Main thread. */
#include <string.h>

#include "control/cli/cli_disk.h"
#include "control/cli/cli_handlers.h"
#include "control/cli/cli_out.h"
#include "control/config_value.h"
#include "disk/qcow2_spec.h"

static uint32_t log2_of(uint64_t n)
{
	return n && !(n & (n - 1)) ? (uint32_t)__builtin_ctzll(n) : 99;
}

static int set_prealloc(struct cli_disk_options *o, const char *value,
			struct err *e)
{
	unsigned int i;

	for (i = 0; qcow2_prealloc_names[i]; i++)
		if (!strcmp(value, qcow2_prealloc_names[i])) {
			o->prealloc = (enum qcow2_prealloc)i;
			return 0;
		}
	return err_set(e, -EINVAL,
		       "preallocation=%.16s is neither off, metadata, falloc "
		       "nor full",
		       value);
}

/* One KEY=VALUE of -o. */
static int set_option(struct cli_disk_options *options, const char *key,
		      const char *value, struct err *e)
{
	struct qcow2_options *o = &options->image;
	uint64_t n = 0;
	int r = 0;

	if (!strcmp(key, "compat")) {
		o->version = !strcmp(value, "0.10") ? 2 : 3;
		if (o->version == 3 && strcmp(value, "1.1"))
			return err_set(e, -EINVAL,
				       "compat=%.16s is neither 0.10 nor 1.1",
				       value);
	} else if (!strcmp(key, "cluster_size")) {
		r = config_parse_number(key, value, true, &n, e);
		o->cluster_bits = log2_of(n);
	} else if (!strcmp(key, "refcount_bits")) {
		r = config_parse_number(key, value, false, &n, e);
		o->refcount_order = log2_of(n);
	} else if (!strcmp(key, "extended_l2")) {
		r = config_parse_switch(key, value, &o->is_extended, e);
	} else if (!strcmp(key, "lazy_refcounts")) {
		r = config_parse_switch(key, value, &o->is_lazy, e);
	} else if (!strcmp(key, "compression_type")) {
		o->compression = !strcmp(value, "zstd");
		if (!o->compression && strcmp(value, "zlib"))
			r = err_set(e, -EINVAL,
				    "compression_type=%.16s is neither zlib "
				    "nor zstd",
				    value);
	} else if (!strcmp(key, "preallocation")) {
		r = set_prealloc(options, value, e);
	} else {
		r = err_set(e, -EINVAL,
			    "-o %.32s: compat, cluster_size, refcount_bits, "
			    "extended_l2, lazy_refcounts, compression_type or "
			    "preallocation",
			    key);
	}
	return r;
}

static int set_options(struct cli_disk_options *o, const char *list,
		       struct err *e)
{
	char copy[256], *rest = copy, *word, *value;
	int r = 0;

	if (strlen(list) >= sizeof(copy))
		return err_set(e, -EINVAL, "-o has more than %zu characters",
			       sizeof(copy) - 1);
	memcpy(copy, list, strlen(list) + 1);
	while (!r && (word = strsep(&rest, ","))) {
		value = strchr(word, '=');
		if (!value)
			return err_set(e, -EINVAL, "-o %.32s is no KEY=VALUE",
				       word);
		*value++ = '\0';
		r = set_option(o, word, value, e);
	}
	return r;
}

int cli_disk_backing(const struct cli *cli, const char **file,
		     const char **format)
{
	*file = cli_value(cli, CLI_BACKING);
	*format = cli_value(cli, CLI_BACKING_FORMAT);
	if (!*file == !*format)
		return 0;
	cli_error(NULL, "-b FILE and -F FORMAT belong together");
	return EXIT_CODE_USAGE;
}

/* Subclusters, where the other options leave room for them. */
static void choose_extended(struct qcow2_options *o)
{
	o->is_extended = o->backing && o->version == 3 &&
			 o->cluster_bits >= QCOW2_EXTENDED_BITS_MIN;
}

int cli_disk_options(const struct cli *cli, struct cli_disk_options *out)
{
	bool is_said = false;
	struct err e = ERR_NONE;
	size_t i;
	int r;

	*out = (struct cli_disk_options){ .image = qcow2_defaults };
	for (i = 0; i < cli->givens; i++) {
		if (cli->given[i].id != CLI_SET)
			continue;
		if (set_options(out, cli->given[i].value, &e))
			return cli_fail_usage(&e);
		is_said |= strstr(cli->given[i].value, "extended_l2") != NULL;
	}
	r = cli_disk_backing(cli, &out->image.backing,
			     &out->image.backing_format);
	if (!r && !is_said)
		choose_extended(&out->image);
	return r;
}
