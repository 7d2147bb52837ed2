/* SPDX-License-Identifier: Apache-2.0 */
/* From a snapshot to a VM's directory and its process. */
#include "control/cli/cli_branch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "control/cli/cli_make.h"
#include "control/cli/cli_spawn.h"
#include "control/config_json.h"
#include "control/limits.h"
#include "control/text.h"
#include "devices/vnet.h"
#include "snapshot/store.h"

#define THROWN_LABEL "throwaway" /* its value: what it is used for */
#define THROWN_TRIES 100	 /* rivals that take the same number */
#define STEM_MAX     40
#define START_S	     60

/* --- its configuration ------------------------------------------------ */

static const struct config_row *find_row(const char *text, size_t len)
{
	char key[64];

	snprintf(key, sizeof(key), "%.*s", (int)len, text);
	return config_find_option(key);
}

/* KEY=VALUE, as the option --KEY VALUE of `amber create`. */
static int parse_set(const char *text, const struct config_row **row,
		     const char **value, struct err *e)
{
	const char *equals = strchr(text, '=');
	static const char *const fixed[] = { "name", "uuid", "disks" };
	size_t i;

	*row = equals ? find_row(text, (size_t)(equals - text)) : NULL;
	if (!*row)
		return err_set(e, -EINVAL,
			       "--set %.80s: is not KEY=VALUE of an option of "
			       "amber create (memory=1G)",
			       text);
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!strcmp((*row)->key, fixed[i]))
			return err_set(
				e, -EINVAL,
				"--set %.80s: is not to be set: a new VM "
				"has its own",
				text);
	*value = equals + 1;
	return 0;
}

/* Cards and kernels that are given take the place of those there were. */
static void make_room(struct vm_config *c, const struct config_row *row,
		      bool *had_nets, bool *had_kernels)
{
	if (!strcmp(row->key, "nets") && !*had_nets) {
		*had_nets = true;
		c->nets = 0;
	}
	if (row->type == CONFIG_KERNELS && !*had_kernels) {
		*had_kernels = true;
		while (c->kernels)
			free(c->kernel[--c->kernels]);
	}
}

static int apply_sets(const struct cli *cli, struct vm_config *c, struct err *e)
{
	bool had_nets = false, had_kernels = false;
	const struct config_row *row = NULL;
	const char *value = NULL;
	size_t i;
	int r = 0;

	for (i = 0; i < cli->givens && !r; i++) {
		if (cli->given[i].id != CLI_SET_KEY)
			continue;
		r = parse_set(cli->given[i].value, &row, &value, e);
		if (r)
			break;
		make_room(c, row, &had_nets, &had_kernels);
		r = config_set(c, row, value, e);
	}
	return r;
}

int cli_branch_check(const struct cli *cli, struct err *e)
{
	struct vm_config c;
	int r;

	config_init(&c);
	r = apply_sets(cli, &c, e);
	vm_config_fini(&c);
	return r;
}

/* A guest that goes on knows its cards by the addresses they had. */
static void keep_addresses(struct vm_config *c, const char *uuid)
{
	uint8_t mac[VNET_MAC_BYTES];
	unsigned int i;

	for (i = 0; i < c->nets; i++) {
		if (*c->net[i].mac)
			continue;
		vnet_mac_of(uuid, i, mac);
		snprintf(c->net[i].mac, sizeof(c->net[i].mac),
			 "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			 mac[2], mac[3], mac[4], mac[5]);
	}
}

/* What comes from a throwaway is none, unless it is made to be one. */
static void drop_thrown(struct vm_config *c)
{
	unsigned int i = 0;

	while (i < c->labels) {
		if (strcmp(c->label[i].key, THROWN_LABEL) != 0) {
			i++;
			continue;
		}
		c->labels--;
		memmove(&c->label[i], &c->label[i + 1],
			(c->labels - i) * sizeof(c->label[0]));
	}
}

/* Nothing of it gets out, and nothing of it stays. */
static int set_thrown(struct vm_config *c, const char *use, struct err *e)
{
	char label[VM_LABEL_MAX + 1];
	unsigned int i;

	for (i = 0; i < c->nets; i++) {
		c->net[i].kind = VM_NET_ISOLATED;
		c->net[i].name[0] = '\0';
	}
	c->on_poweroff = VM_POLICY_EXIT;
	/* One that is tried is to show it, not to be looked into. */
	if (!strcmp(use, CLI_BRANCH_TRY))
		c->on_crash = c->on_panic = VM_POLICY_EXIT;
	c->has_snapshots = 0; /* nobody will go back to them */
	snprintf(label, sizeof(label), THROWN_LABEL "=%s", use);
	return config_set(c, config_find_key("labels"), label, e);
}

static int read_config(const struct cli_vm *vm, const struct branch *br,
		       struct vm_config *c, struct err *e)
{
	int set = store_open(vm->dir, branch_meta(br)->id, e), r;
	struct buf text;

	if (set < 0)
		return set;
	buf_init(&text, LIMIT_JSON_CONFIG_BYTES);
	r = file_read(set, STORE_CONFIG, LIMIT_JSON_CONFIG_BYTES - 1, &text, e);
	if (!r)
		r = config_from_json(c, buf_text(&text), text.len, STORE_CONFIG,
				     e);
	buf_fini(&text);
	close(set);
	return r ? err_prefix(e, "snapshot %s", branch_meta(br)->name) : 0;
}

static int make_config(const struct cli *cli, const struct cli_vm *vm,
		       const struct cli_branch *b, struct branch *br,
		       struct vm_config *c, struct err *e)
{
	char path[PATH_MAX];
	int r = read_config(vm, br, c, e);

	if (!r && branch_is_warm(br))
		keep_addresses(c, branch_meta(br)->uuid);
	drop_thrown(c);
	if (!r)
		r = apply_sets(cli, c, e);
	if (!r && !b->name)
		r = set_thrown(c, b->use, e);
	text_copy(c->name, sizeof(c->name), b->made);
	if (!r)
		r = config_make_uuid(c->uuid, e);
	if (!r)
		r = home_vm_path(&cli->home, c->name, path, sizeof(path), e);
	if (!r)
		r = branch_place_disks(br, c, path, e);
	if (!r)
		config_finish(c, CONFIG_KEPT);
	return r ? r : config_check(c, e);
}

/* --- its directory ---------------------------------------------------- */

static int fill_dir(const struct cli *cli, const char *begun, int dir,
		    const struct vm_config *c, struct branch *br,
		    struct branch_figures *figures, struct err *e)
{
	char path[PATH_MAX];
	struct buf json;
	int r = home_vm_path(&cli->home, begun, path, sizeof(path), e);

	buf_init(&json, LIMIT_JSON_CONFIG_BYTES);
	if (!r)
		r = config_to_json(c, &json);
	if (!r)
		r = branch_make(br, dir, path, c, buf_text(&json), figures, e);
	if (!r)
		r = config_save(c, dir, e);
	buf_fini(&json);
	return r;
}

/* Nobody sees it before it is whole. */
static int make_dir(const struct cli *cli, const struct vm_config *c,
		    struct branch *br, struct branch_figures *figures,
		    struct err *e)
{
	char begun[HOME_BEGUN_BYTES];
	int dir = home_begin_vm(&cli->home, begun, e), lock, r;

	if (dir < 0)
		return dir;
	r = lock = vmdir_lock(dir, c->name, e);
	if (r >= 0)
		r = fill_dir(cli, begun, dir, c, br, figures, e);
	if (!r)
		r = home_publish_vm(&cli->home, begun, c->name, e);
	if (r)
		home_remove_vm(&cli->home, begun, NULL);
	if (lock >= 0)
		close(lock);
	close(dir);
	return r;
}

static int make(const struct cli *cli, const struct cli_vm *vm,
		struct cli_branch *b, struct branch *br, struct err *e)
{
	struct vm_config c;
	int r;

	config_init(&c);
	r = make_config(cli, vm, b, br, &c, e);
	if (!r)
		r = make_dir(cli, &c, br, &b->figures, e);
	vm_config_fini(&c);
	return r;
}

/* --- what is thrown away ---------------------------------------------- */

/* Its process has had the time to take the lock. */
static bool has_begun(int dir)
{
	struct stat st;

	return !faccessat(dir, VMDIR_STATE, F_OK, 0) ||
	       (!fstat(dir, &st) && time(NULL) - st.st_mtime > START_S);
}

/* Made for that use, and its process is dead: killed before it could end. */
static bool is_left_over(int dir, const char *use)
{
	bool is = false;
	struct vm_config c;
	unsigned int i;

	config_init(&c);
	if (has_begun(dir) && !config_load(&c, dir, NULL))
		for (i = 0; i < c.labels; i++)
			is |= !strcmp(c.label[i].key, THROWN_LABEL) &&
			      !strcmp(c.label[i].value, use);
	vm_config_fini(&c);
	return is;
}

static void sweep_one(const struct cli *cli, const char *name, const char *use)
{
	int dir = home_open_vm(&cli->home, name, NULL), lock = -1;

	if (dir >= 0 && is_left_over(dir, use))
		lock = vmdir_lock(dir, name, NULL);
	if (lock >= 0) {
		home_remove_vm(&cli->home, name, NULL);
		close(lock);
	}
	if (dir >= 0)
		close(dir);
}

static void sweep_thrown(const struct cli *cli, const char *stem,
			 const char *use)
{
	struct home_names names;
	size_t i;

	if (home_list(&cli->home, &names, NULL))
		return;
	for (i = 0; i < names.count; i++)
		if (!strncmp(names.name[i], stem, strlen(stem)))
			sweep_one(cli, names.name[i], use);
	home_names_fini(&names);
}

static int make_thrown(const struct cli *cli, const struct cli_vm *vm,
		       struct cli_branch *b, struct branch *br, struct err *e)
{
	char stem[STEM_MAX + 16];
	unsigned long n;
	int tries, r = -EEXIST;

	snprintf(stem, sizeof(stem), "%.*s-%s", STEM_MAX, vm->name, b->use);
	sweep_thrown(cli, stem, b->use);
	n = cli_make_number(cli, stem);
	for (tries = 0; tries < THROWN_TRIES && r == -EEXIST; tries++, n++) {
		snprintf(b->made, sizeof(b->made), "%s-%lu", stem, n);
		r = make(cli, vm, b, br, e);
	}
	return r;
}

/* --- its process ------------------------------------------------------ */

static int spawn(const struct cli *cli, struct cli_branch *b, struct err *e)
{
	struct cli_spawn s = {
		.home = &cli->home,
		.name = b->made,
		.from = b->is_warm ? b->id : NULL,
		.paused = b->paused,
		.remove = !b->name,
		.timeout_s = b->timeout_s,
	};
	uint64_t began = clock_mono_ns();
	int r = cli_spawn_start(&s, e);

	if (!r)
		r = cli_spawn_started(&s, e);
	cli_spawn_fini(&s);
	b->start_ns = clock_mono_ns() - began;
	return r;
}

int cli_branch_start(const struct cli *cli, const struct cli_vm *vm,
		     struct cli_branch *b, struct err *e)
{
	struct branch *br;
	int r = branch_open(&br, vm->dir, b->what, b->is_cold, e);

	if (r)
		return r;
	b->is_warm = branch_is_warm(br);
	text_copy(b->id, sizeof(b->id), branch_meta(br)->id);
	text_copy(b->snapshot, sizeof(b->snapshot), branch_meta(br)->name);
	if (b->name) {
		text_copy(b->made, sizeof(b->made), b->name);
		r = make(cli, vm, b, br, e);
	} else {
		r = make_thrown(cli, vm, b, br, e);
	}
	branch_close(br);
	if (r)
		return r;
	r = spawn(cli, b, e);
	if (r)
		cli_unmake_vm(cli, b->made);
	return r;
}

/* --- what is said of it ----------------------------------------------- */

void cli_branch_print(const struct cli_branch *b, const char *from,
		      struct buf *out)
{
	buf_printf(out, "%s: %s %s snapshot %s (%s) of %s", b->made,
		   b->paused ? "paused" : "running",
		   b->is_warm ? "from" : "from the disks of", b->snapshot,
		   b->id, from);
	if (b->figures.copied)
		buf_printf(out, "; %u disk%s copied", b->figures.copied,
			   b->figures.copied == 1 ? "" : "s");
	if (!b->name)
		buf_printf(out, "; it is gone when it ends");
	buf_puts(out, "\n");
}

json_t *cli_branch_json(const struct cli_branch *b, const char *from)
{
	return json_pack(
		"{s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:i}", "changed",
		1, "name", b->made, "state", b->paused ? "paused" : "running",
		"from", from, "snapshot", b->snapshot, "id", b->id, "warm",
		b->is_warm, "throwaway", !b->name, "layers_linked",
		(int)b->figures.linked, "disks_copied", (int)b->figures.copied);
}
