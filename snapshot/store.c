/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets in directories. INV-1: a directory whose name is an ID is complete;
 * what is being made or taken away has another name.
 */
#include "snapshot/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kill_point.h"

#define CURRENT	       "current"
#define NEW	       ".new"
#define GONE	       ".gone"
#define NAME_MAX_BYTES 32

/* --- names ----------------------------------------------------------- */

static bool is_id(const char *name)
{
	return strlen(name) == SNAPSHOT_ID_CHARS &&
	       strspn(name, "0123456789abcdef") == SNAPSHOT_ID_CHARS;
}

/* snapshots/, opened; made if it is to be. */
static int open_store(int dir, bool make, struct err *e)
{
	if (make && mkdirat(dir, STORE_DIR, 0700) < 0 && errno != EEXIST)
		return err_sys(e, -errno, STORE_DIR);
	return file_open_dir(dir, STORE_DIR, e);
}

int store_open(int dir, const char *id, struct err *e)
{
	char path[NAME_MAX_BYTES];

	snprintf(path, sizeof(path), STORE_DIR "/%s", id);
	return file_open_dir(dir, path, e);
}

/* --- reading --------------------------------------------------------- */

int store_read_meta(int set, const char *id, struct snapshot_meta *m,
		    struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, SNAPSHOT_META_BYTES);
	r = file_read(set, STORE_META, SNAPSHOT_META_BYTES, &text, e);
	if (!r)
		r = snapshot_meta_parse(m, (const char *)text.data, text.len,
					e);
	if (!r && strcmp(m->id, id) != 0)
		r = err_set(e, -EBADMSG, "meta.json: is of snapshot %s", m->id);
	buf_fini(&text);
	return r;
}

/* A set whose description can't be read is lost. */
static int check_readable(const struct buf *text, struct err *e)
{
	struct snapshot_meta m;
	int r = snapshot_meta_parse(&m, (const char *)text->data, text->len, e);

	snapshot_meta_fini(&m);
	return r;
}

int store_write_meta(int set, const struct snapshot_meta *m, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text, SNAPSHOT_META_BYTES);
	r = snapshot_meta_print(m, &text, e);
	if (!r)
		r = check_readable(&text, e);
	if (!r)
		r = file_commit(set, STORE_META, text.data, text.len,
				FILE_DURABLE, e);
	buf_fini(&text);
	return r;
}

static int read_meta(int store, const char *id, struct snapshot_meta *m,
		     struct err *e)
{
	int set = file_open_dir(store, id, e), r;

	memset(m, 0, sizeof(*m));
	if (set < 0)
		return set;
	r = store_read_meta(set, id, m, e);
	if (r)
		err_prefix(e, "snapshot %s", id);
	close(set);
	return r;
}

static int by_age(const void *a, const void *b)
{
	const struct snapshot_meta *x = a, *y = b;

	if (x->created_ns != y->created_ns)
		return x->created_ns < y->created_ns ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int add(struct store_list *list, int store, const char *id)
{
	struct snapshot_meta *more, *m;
	struct err why = ERR_NONE;

	if (list->count == STORE_SETS_MAX)
		return -E2BIG;
	more = realloc(list->set, (list->count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->set = more;
	m = &list->set[list->count];
	if (!read_meta(store, id, m, &why)) {
		list->count++;
		return 0;
	}
	snapshot_meta_fini(m);
	if (faccessat(store, id, F_OK, 0) < 0 && errno == ENOENT)
		return 0; /* it was deleted meanwhile */
	if (!list->damaged++)
		memcpy(list->why, why.text, sizeof(list->why));
	return 0;
}

int store_list(int dir, struct store_list *list, struct err *e)
{
	int store = open_store(dir, false, NULL), r = 0;
	struct dirent *entry;
	DIR *d;

	*list = (struct store_list){ .count = 0 };
	if (store == -ENOENT)
		return 0;
	if (store < 0)
		return err_sys(e, store, STORE_DIR);
	d = fdopendir(store);
	if (!d) {
		close(store);
		return err_sys(e, -ENOMEM, STORE_DIR);
	}
	while (!r && (entry = readdir(d)) != NULL)
		if (is_id(entry->d_name))
			r = add(list, store, entry->d_name);
	closedir(d);
	if (r) {
		store_list_fini(list);
		return err_sys(e, r, STORE_DIR);
	}
	if (list->count)
		qsort(list->set, list->count, sizeof(*list->set), by_age);
	return 0;
}

void store_list_fini(struct store_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		snapshot_meta_fini(&list->set[i]);
	free(list->set);
	*list = (struct store_list){ .count = 0 };
}

static int not_found(const char *what, const struct store_list *list,
		     struct err *e)
{
	if (list->damaged)
		return err_set(e, -EBADMSG,
			       "no snapshot '%.64s' can be read; %s", what,
			       list->why);
	return err_set(e, -ENOENT, "no snapshot '%.64s' (%zu there)", what,
		       list->count);
}

static int find_by_name(int dir, const char *name, struct snapshot_meta *m,
			struct err *e)
{
	struct store_list list;
	int r = store_list(dir, &list, e);
	size_t i;

	if (r)
		return r;
	for (i = 0; i < list.count; i++)
		if (!strcmp(list.set[i].name, name))
			break;
	if (i < list.count) {
		/* Its texts are m's now. */
		*m = list.set[i];
		memset(&list.set[i], 0, sizeof(*m));
	} else {
		r = not_found(name, &list, e);
	}
	store_list_fini(&list);
	return r;
}

/* -ENOENT: there is none of this ID. */
static int find_by_id(int dir, const char *id, struct snapshot_meta *m,
		      struct err *e)
{
	int store = open_store(dir, false, NULL), r = -ENOENT;

	if (store < 0)
		return r;
	if (!faccessat(store, id, F_OK, 0))
		r = read_meta(store, id, m, e);
	close(store);
	return r;
}

int store_find(int dir, const char *what, struct snapshot_meta *m,
	       struct err *e)
{
	char current[SNAPSHOT_ID_CHARS + 1];
	int r = -ENOENT;

	memset(m, 0, sizeof(*m));
	if (!what || !*what) {
		store_current(dir, current);
		if (!*current)
			return err_set(e, -ENOENT,
				       "there is no snapshot to go back to");
		what = current;
	}
	if (is_id(what))
		r = find_by_id(dir, what, m, e);
	return r == -ENOENT ? find_by_name(dir, what, m, e) : r;
}

/* --- the current one ------------------------------------------------- */

void store_current(int dir, char id[SNAPSHOT_ID_CHARS + 1])
{
	int store = open_store(dir, false, NULL);
	struct buf text;

	*id = '\0';
	if (store < 0)
		return;
	buf_init(&text, SNAPSHOT_ID_CHARS + 2);
	if (!file_read(store, CURRENT, SNAPSHOT_ID_CHARS, &text, NULL) &&
	    is_id(buf_text(&text)) &&
	    !faccessat(store, buf_text(&text), F_OK, AT_SYMLINK_NOFOLLOW))
		memcpy(id, text.data, SNAPSHOT_ID_CHARS + 1);
	buf_fini(&text);
	close(store);
}

int store_set_current(int dir, const char *id, enum file_durability how,
		      struct err *e)
{
	char current[SNAPSHOT_ID_CHARS + 1];
	int store, r;

	store_current(dir, current);
	if (how == FILE_ATOMIC && !strcmp(current, id))
		return 0;
	store = open_store(dir, true, e);
	if (store < 0)
		return store;
	r = file_commit(store, CURRENT, id, strlen(id), how, e);
	close(store);
	return r;
}

/* --- coming ---------------------------------------------------------- */

static void suffixed(char name[NAME_MAX_BYTES], const char *id,
		     const char *suffix)
{
	snprintf(name, NAME_MAX_BYTES, "%s%s", id, suffix);
}

static int make_set(int store, char id[SNAPSHOT_ID_CHARS + 1], struct err *e)
{
	char name[NAME_MAX_BYTES];
	uint32_t random;
	int tries;

	for (tries = 0; tries < 100; tries++) {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return err_sys(e, -errno, "an ID: getrandom");
		snprintf(id, SNAPSHOT_ID_CHARS + 1, "%08x", random);
		if (!faccessat(store, id, F_OK, 0))
			continue;
		suffixed(name, id, NEW);
		if (!mkdirat(store, name, 0700))
			return file_open_dir(store, name, e);
		if (errno != EEXIST)
			return err_sys(e, -errno, "%s", name);
	}
	return err_sys(e, -EEXIST, "an ID for the snapshot");
}

int store_begin(int dir, char id[SNAPSHOT_ID_CHARS + 1], struct err *e)
{
	int store = open_store(dir, true, e), set;

	if (store < 0)
		return store;
	set = make_set(store, id, e);
	close(store);
	return set;
}

int store_begin_as(int dir, const char *id, struct err *e)
{
	int store = open_store(dir, true, e), set;
	char name[NAME_MAX_BYTES];

	if (store < 0)
		return store;
	suffixed(name, id, NEW);
	set = mkdirat(store, name, 0700) < 0 ? err_sys(e, -errno, "%s", name)
					     : file_open_dir(store, name, e);
	close(store);
	return set;
}

int store_open_begun(int dir, const char *id, struct err *e)
{
	char path[NAME_MAX_BYTES];

	snprintf(path, sizeof(path), STORE_DIR "/%s" NEW, id);
	return file_open_dir(dir, path, e);
}

static int publish(int store, const char *id, struct err *e)
{
	char name[NAME_MAX_BYTES];
	int set;

	suffixed(name, id, NEW);
	set = file_open_dir(store, name, e);
	if (set < 0)
		return set;
	if (fsync(set) < 0 || renameat(store, name, store, id) < 0) {
		int r = err_sys(e, -errno, "snapshot %s", id);

		close(set);
		return r;
	}
	close(set);
	KILL_POINT("snapshot-named");
	return fsync(store) < 0 ? err_sys(e, -errno, STORE_DIR) : 0;
}

int store_publish(int dir, const char *id, struct err *e)
{
	int store = open_store(dir, false, e), r;

	if (store < 0)
		return store;
	r = publish(store, id, e);
	close(store);
	return r;
}

/* --- going ----------------------------------------------------------- */

void store_drop(int dir, const char *id)
{
	int store = open_store(dir, false, NULL);
	char name[NAME_MAX_BYTES];

	if (store < 0)
		return;
	suffixed(name, id, NEW);
	file_remove_tree(store, name, NULL);
	close(store);
}

/* The name first: half of it must not be found. */
static int remove_set(int store, const char *id, struct err *e)
{
	char name[NAME_MAX_BYTES];

	suffixed(name, id, GONE);
	if (renameat(store, id, store, name) < 0 || fsync(store) < 0)
		return err_sys(e, -errno, "snapshot %s", id);
	KILL_POINT("snapshot-gone");
	return file_remove_tree(store, name, e);
}

int store_rewrite(int dir, const struct snapshot_meta *m, struct err *e)
{
	int set = store_open(dir, m->id, e), r;

	if (set < 0)
		return set;
	r = store_write_meta(set, m, e);
	close(set);
	return r;
}

/* Memory that stands on it would be lost. */
static int check_dependants(const struct store_list *list,
			    const struct snapshot_meta *m, struct err *e)
{
	const char *first = NULL;
	size_t i, others = 0;

	for (i = 0; i < list->count; i++) {
		if (strcmp(list->set[i].base, m->id) != 0)
			continue;
		others += first != NULL;
		first = first ? first : list->set[i].name;
	}
	if (!first)
		return 0;
	if (others)
		return err_set(e, -EPERM,
			       "snapshot %s: the memory of %s and %zu more is "
			       "an increment of it: delete them first",
			       m->name, first, others);
	return err_set(e, -EPERM,
		       "snapshot %s: the memory of %s is an increment of it: "
		       "delete that first",
		       m->name, first);
}

/* Its child has come from its parent now. */
static int reparent(int dir, struct snapshot_meta *child, const char *parent,
		    struct err *e)
{
	memcpy(child->parent, parent, sizeof(child->parent));
	return store_rewrite(dir, child, e);
}

static int reparent_all(int dir, const struct snapshot_meta *m, struct err *e)
{
	struct store_list list;
	int r = store_list(dir, &list, e);
	size_t i;

	if (r)
		return r;
	r = check_dependants(&list, m, e);
	for (i = 0; i < list.count && !r; i++)
		if (!strcmp(list.set[i].parent, m->id))
			r = reparent(dir, &list.set[i], m->parent, e);
	store_list_fini(&list);
	return r;
}

static int leave_current(int dir, int store, const struct snapshot_meta *m,
			 struct err *e)
{
	char current[SNAPSHOT_ID_CHARS + 1];

	store_current(dir, current);
	if (strcmp(current, m->id) != 0)
		return 0;
	if (*m->parent)
		return store_set_current(dir, m->parent, FILE_DURABLE, e);
	return unlinkat(store, CURRENT, 0) < 0 ? err_sys(e, -errno, CURRENT)
					       : 0;
}

int store_remove(int dir, const struct snapshot_meta *m, struct err *e)
{
	int store = open_store(dir, false, e), r;

	if (store < 0)
		return store;
	r = reparent_all(dir, m, e);
	if (!r)
		r = leave_current(dir, store, m, e);
	if (!r)
		r = remove_set(store, m->id, e);
	close(store);
	return r;
}

/* What file_commit() was about to rename is one, too. */
static bool is_leftover(const char *name)
{
	size_t len = strlen(name);

	if (*name == '.')
		return len > 4 && !strcmp(name + len - 4, ".tmp");
	return len > SNAPSHOT_ID_CHARS &&
	       (!strcmp(name + SNAPSHOT_ID_CHARS, NEW) ||
		!strcmp(name + SNAPSHOT_ID_CHARS, GONE));
}

/* Nothing can be done with it, and nobody can say what it needs. */
static bool has_no_meta(int store, const char *name)
{
	char path[NAME_MAX_BYTES];
	struct stat st;

	if (!is_id(name))
		return false;
	snprintf(path, sizeof(path), "%s/" STORE_META, name);
	return fstatat(store, path, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	       errno == ENOENT;
}

unsigned int store_sweep(int dir)
{
	int store = open_store(dir, false, NULL);
	unsigned int found = 0;
	struct dirent *entry;
	DIR *d;

	if (store < 0)
		return 0;
	d = fdopendir(store);
	if (!d) {
		close(store);
		return 0;
	}
	while ((entry = readdir(d)) != NULL)
		if (is_leftover(entry->d_name) ||
		    has_no_meta(store, entry->d_name))
			found += !file_remove_tree(store, entry->d_name, NULL);
	closedir(d);
	return found;
}
