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

char *journal_print(json_t *steps)
{
	json_t *json = json_pack("{s:O}", "disks", steps);
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

	json_decref(json);
	return text;
}

static bool is_step(const json_t *step)
{
	const char *path = journal_text(step, "path");
	const char *was = journal_text(step, "was");
	size_t len = strlen(path), mark = strlen(JOURNAL_WAS);

	if (*path != '/' || strncmp(was, path, len) != 0 ||
	    strncmp(was + len, JOURNAL_WAS, mark) != 0)
		return false;
	was += len + mark;
	return strlen(was) == SNAPSHOT_ID_CHARS &&
	       strspn(was, "0123456789abcdef") == SNAPSHOT_ID_CHARS;
}

static int check(const json_t *steps, struct err *e)
{
	size_t i;

	if (!json_is_array(steps))
		return err_set(e, -EBADMSG, JOURNAL ": disks: is no list");
	for (i = 0; i < json_array_size(steps); i++)
		if (!is_step(json_array_get(steps, i)))
			return err_set(e, -EBADMSG,
				       JOURNAL ": disk %zu: no such names", i);
	return 0;
}

int journal_parse(json_t **steps, const char *text, size_t len, struct err *e)
{
	json_t *json;
	int r = json_in_parse(&json, text, len, &limits, JOURNAL, e);

	if (r)
		return r;
	r = check(json_object_get(json, "disks"), e);
	if (!r)
		*steps = json_incref(json_object_get(json, "disks"));
	json_decref(json);
	return r;
}

/* --- as a file ------------------------------------------------------- */

int journal_write(int dir, json_t *steps, struct err *e)
{
	char *text = journal_print(steps);
	int store = open_store(dir, e), error = store < 0 ? store : 0;

	if (!error && !text)
		error = err_sys(e, -ENOMEM, JOURNAL);
	if (!error)
		error = file_commit(store, JOURNAL, text, strlen(text),
				    FILE_DURABLE, e);
	if (store >= 0)
		close(store);
	free(text);
	return error;
}

int journal_remove(int dir, struct err *e)
{
	int store = open_store(dir, e), r = 0;

	if (store < 0)
		return store;
	if (unlinkat(store, JOURNAL, 0) < 0 || fsync(store) < 0)
		r = err_sys(e, -errno, JOURNAL);
	close(store);
	return r;
}

/* --- what it is for -------------------------------------------------- */

int journal_undo(const json_t *steps, struct err *e)
{
	const json_t *step;
	size_t i;
	int r = 0;

	for (i = 0; i < json_array_size(steps); i++) {
		step = json_array_get(steps, i);
		if (rename(journal_text(step, "was"),
			   journal_text(step, "path")) < 0 &&
		    errno != ENOENT)
			r = err_sys(e, -errno, "%s",
				    journal_text(step, "path"));
	}
	return r;
}

void journal_forget(const json_t *steps)
{
	size_t i;

	for (i = 0; i < json_array_size(steps); i++)
		unlink(journal_text(json_array_get(steps, i), "was"));
}

/* --- after a kill ---------------------------------------------------- */

static int recover(int dir, const struct buf *text, struct err *e)
{
	json_t *steps;
	int r = journal_parse(&steps, (const char *)text->data, text->len, e);

	if (r)
		return r;
	r = journal_undo(steps, e);
	if (!r)
		r = journal_remove(dir, e);
	json_decref(steps);
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
