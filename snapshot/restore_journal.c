/* SPDX-License-Identifier: Apache-2.0 */
/* snapshots/restoring, written, read and undone. */
#include "snapshot/restore_journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_in.h"
#include "snapshot/restore.h"
#include "snapshot/store.h"

static const struct json_limits limits = { JOURNAL_BYTES, 4, 256 };

static int open_store(int dir, struct err *e)
{
	return file_open_dir(dir, STORE_DIR, e);
}

/* --- as text --------------------------------------------------------- */

const char *journal_text(const json_t *step, const char *key)
{
	const char *s = json_string_value(json_object_get(step, key));

	return s ? s : "";
}

char *journal_print(const struct journal *j)
{
	json_t *json = json_pack("{s:O, s:s*}", "disks", j->steps, "done",
				 *j->done ? j->done : NULL);
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

	json_decref(json);
	return text;
}

static bool is_id(const char *s)
{
	return strlen(s) == SNAPSHOT_ID_CHARS &&
	       strspn(s, "0123456789abcdef") == SNAPSHOT_ID_CHARS;
}

static bool is_step(const json_t *step)
{
	const char *path = journal_text(step, "path");
	const char *was = journal_text(step, "was");
	size_t len = strlen(path), mark = strlen(JOURNAL_WAS);

	return *path == '/' && !strncmp(was, path, len) &&
	       !strncmp(was + len, JOURNAL_WAS, mark) &&
	       is_id(was + len + mark);
}

static int check(const json_t *json, struct err *e)
{
	const json_t *steps = json_object_get(json, "disks");
	size_t i;

	if (!json_is_array(steps))
		return err_set(e, -EBADMSG, JOURNAL ": disks: is no list");
	for (i = 0; i < json_array_size(steps); i++)
		if (!is_step(json_array_get(steps, i)))
			return err_set(e, -EBADMSG,
				       JOURNAL ": disk %zu: no such names", i);
	if (json_object_get(json, "done") && !is_id(journal_text(json, "done")))
		return err_set(e, -EBADMSG, JOURNAL ": done: is no ID");
	return 0;
}

int journal_parse(struct journal *j, const char *text, size_t len,
		  struct err *e)
{
	json_t *json;
	int r = json_in_parse(&json, text, len, &limits, JOURNAL, e);

	if (r)
		return r;
	r = check(json, e);
	if (!r) {
		snprintf(j->done, sizeof(j->done), "%s",
			 journal_text(json, "done"));
		j->steps = json_incref(json_object_get(json, "disks"));
	}
	json_decref(json);
	return r;
}

void journal_fini(struct journal *j)
{
	json_decref(j->steps);
	j->steps = NULL;
}

/* --- as a file ------------------------------------------------------- */

int journal_write(int dir, const struct journal *j, enum file_durability how,
		  struct err *e)
{
	char *text = journal_print(j);
	int store = open_store(dir, e), error = store < 0 ? store : 0;

	if (!error && !text)
		error = err_sys(e, -ENOMEM, JOURNAL);
	if (!error)
		error = file_commit(store, JOURNAL, text, strlen(text), how, e);
	if (store >= 0)
		close(store);
	free(text);
	return error;
}

int journal_remove(int dir, enum file_durability how, struct err *e)
{
	int store = open_store(dir, e), r = 0;

	if (store < 0)
		return store;
	if (unlinkat(store, JOURNAL, 0) < 0 && errno != ENOENT)
		r = err_sys(e, -errno, JOURNAL);
	else if (how == FILE_DURABLE && fsync(store) < 0)
		r = err_sys(e, -errno, STORE_DIR);
	close(store);
	return r;
}

/* --- what it is for -------------------------------------------------- */

int journal_keep(const json_t *step, struct err *e)
{
	const char *was = journal_text(step, "was");

	unlink(was);
	return link(journal_text(step, "path"), was) < 0
		       ? err_sys(e, -errno, "%s", was)
		       : 0;
}

/* Two names of one file are none that rename() would change. */
static int undo(const char *was, const char *path, struct err *e)
{
	if (rename(was, path) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", path);
	unlink(was);
	return 0;
}

int journal_undo(const struct journal *j, struct err *e)
{
	const json_t *step;
	size_t i;
	int r = 0, one;

	for (i = 0; i < json_array_size(j->steps); i++) {
		step = json_array_get(j->steps, i);
		one = undo(journal_text(step, "was"),
			   journal_text(step, "path"), e);
		r = r ? r : one;
	}
	return r;
}

void journal_forget(const struct journal *j)
{
	size_t i;

	for (i = 0; i < json_array_size(j->steps); i++)
		unlink(journal_text(json_array_get(j->steps, i), "was"));
}

/* --- after a kill ---------------------------------------------------- */

static int end(int dir, const struct journal *j, struct err *e)
{
	if (!*j->done)
		return journal_undo(j, e);
	journal_forget(j);
	return store_set_current(dir, j->done, FILE_DURABLE, e);
}

static int recover(int dir, const struct buf *text, struct err *e)
{
	struct journal j;
	int r = journal_parse(&j, (const char *)text->data, text->len, e);

	if (r)
		return r;
	r = end(dir, &j, e);
	if (!r)
		r = journal_remove(dir, FILE_DURABLE, e);
	journal_fini(&j);
	return r;
}

int restore_recover(int dir, struct err *e)
{
	int store = open_store(dir, NULL), r;
	struct buf text;

	if (store < 0)
		return 0;
	buf_init(&text, JOURNAL_BYTES);
	r = file_read(store, JOURNAL, JOURNAL_BYTES, &text, NULL);
	close(store);
	if (r == -ENOENT)
		r = 0;
	else if (!r)
		r = recover(dir, &text, e);
	else
		err_sys(e, r, STORE_DIR "/" JOURNAL);
	buf_fini(&text);
	return r;
}

bool restore_is_open(int dir)
{
	return !faccessat(dir, STORE_DIR "/" JOURNAL, F_OK, 0);
}
