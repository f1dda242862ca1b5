/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/journal_disk.h"
#include "fs/workspace/ops.h"

#include <errno.h>
#include <string.h>

enum { DATA_MAX = 2 }; /* times opts.unapplied, in the journal */

/* ------------------------------------------------------------- reading */

/*
 * `recent` first, then LMDB as it is afterwards: what left `recent` in between
 * was in LMDB before (W2).
 */
int shale_db_get(struct shale_db *db, const void *key, size_t key_len,
		 struct shale_buf *value, struct shale_err *err)
{
	int r = shale_recent_get(db->recent, key, key_len, value);
	if (r == SHALE_RECENT_VALUE)
		return 0;
	if (r == SHALE_RECENT_DELETED)
		return -ENOENT;
	if (r < 0)
		return shale_err_set(err, -r, "read the workspace");

	struct shale_view *view;
	r = shale_view_take(db->env, &view, err);
	if (r < 0)
		return r;
	r = shale_view_get(view, key, key_len, value, err);
	shale_view_give(db->env, view);
	return r;
}

static int next_applied(struct shale_db *db, const void *from, size_t from_len,
			struct shale_buf *key, struct shale_buf *value,
			struct shale_err *err)
{
	struct shale_view *view;
	int r = shale_view_take(db->env, &view, err);
	if (r < 0)
		return r;
	r = shale_view_next(view, from, from_len, key, value, err);
	shale_view_give(db->env, view);
	return r;
}

/*
 * The smaller of the two sides' next keys into key and value; `recent` wins a
 * tie.  Returns enum shale_recent_answer (UNKNOWN: neither has one) or -errno.
 */
static int next_merged(struct shale_db *db, const struct shale_buf *from,
		       struct shale_buf *key, struct shale_buf *value,
		       struct shale_err *err)
{
	cleanup_buf struct shale_buf key2 = {0}, value2 = {0};

	int r = shale_recent_next(db->recent, from->data, from->len, key,
				  value);
	if (r < 0)
		return shale_err_set(err, -r, "read the workspace");
	int r2 = next_applied(db, from->data, from->len, &key2,
			      value ? &value2 : NULL, err);
	if (r2 < 0 && r2 != -ENOENT)
		return r2;
	if (r2 < 0 ||
	    (r != SHALE_RECENT_UNKNOWN &&
	     shale_key_compare(key->data, key->len, key2.data, key2.len) <= 0))
		return r;

	struct shale_buf swap = *key;
	*key = key2;
	key2 = swap;
	if (value) {
		swap = *value;
		*value = value2;
		value2 = swap;
	}
	return SHALE_RECENT_VALUE;
}

int shale_db_next(struct shale_db *db, const void *from, size_t from_len,
		  size_t prefix, struct shale_buf *key, struct shale_buf *value,
		  struct shale_err *err)
{
	/* A copy, because `from` may lie in `key`. */
	cleanup_buf struct shale_buf at = {0};
	static const uint8_t first[1] = {1}; /* smaller ones are our own */
	int r = from_len && *(const uint8_t *)from
			? shale_buf_append(&at, from, from_len)
			: shale_buf_append(&at, first, sizeof(first));
	if (r < 0)
		return shale_err_set(err, ENOMEM, "read the workspace");
	if (prefix > at.len || (prefix && at.data[0] != *(const uint8_t *)from))
		return -ENOENT;

	for (;;) {
		r = next_merged(db, &at, key, value, err);
		if (r < 0)
			return r;
		if (r == SHALE_RECENT_UNKNOWN || key->len < prefix ||
		    memcmp(key->data, at.data, prefix) != 0)
			return -ENOENT;
		if (r == SHALE_RECENT_VALUE)
			return 0;
		/* Deleted: go on behind it. */
		at.len = 0;
		if (shale_buf_append(&at, key->data, key->len) < 0 ||
		    !shale_buf_add(&at, 1))
			return shale_err_set(err, ENOMEM, "read the workspace");
	}
}

/* ------------------------------------------------------------- changing */

/* In order with other batches: the journal, then what readers see. */
static int commit_locked(struct shale_db *db, const struct shale_batch *batch,
			 const struct shale_request *request,
			 struct shale_record *record, struct shale_err *err)
{
	struct shale_recent_node *prepared = NULL;

	if (batch->barrier && atomic_load(&db->barrier) != SHALE_NO_BARRIER)
		return shale_err_say(err, EBUSY,
				     "another commit of this workspace is "
				     "being taken");
	int r = shale_recent_prepare(db->recent, batch->ops.data,
				     batch->ops.len, &prepared);
	if (r < 0)
		return shale_err_set(err, -r, "change the workspace");
	*record = (struct shale_record){
		.type = SHALE_JOURNAL_BATCH,
		.thread = shale_results_thread(&db->results),
		.connection = request ? request->connection : 0,
		.unique = request ? request->unique : 0,
		.follows = batch->follows,
		.body = batch->ops.data,
		.len = batch->ops.len,
	};
	r = shale_journal_append(db->journal, record, batch->frees, err);
	if (r < 0) {
		shale_recent_abandon(prepared);
		return r;
	}
	shale_recent_insert(db->recent, prepared, record->end);
	if (batch->barrier)
		atomic_store(&db->barrier, record->end);
	atomic_store(&db->position, record->end);
	return 0;
}

int shale_db_commit(struct shale_db *db, const struct shale_batch *batch,
		    const struct shale_request *request, uint64_t *pos,
		    struct shale_err *err)
{
	struct shale_record record;

	if (!batch->n && !batch->barrier) {
		if (pos)
			*pos = atomic_load(&db->position);
		return 0;
	}
	int r = batch->urgent ? 0 : shale_applier_throttle(db, err);
	if (r < 0)
		return r;

	for (bool again = true;; again = false) {
		pthread_mutex_lock(&db->commit);
		r = commit_locked(db, batch, request, &record, err);
		pthread_mutex_unlock(&db->commit);
		if (r != -ENOSPC || !again || !shale_applier_helps(db))
			break;
	}
	if (r < 0)
		return r;

	struct shale_result result = {record.thread, record.end,
				      record.connection, record.unique};
	shale_results_note(&db->results, &result);
	shale_applier_note(db, record.end);
	if (pos)
		*pos = record.end;
	return 0;
}

bool shale_db_answered(struct shale_db *db, const struct shale_request *request)
{
	return shale_results_has(&db->results, request->connection,
				 request->unique);
}

/*
 * Append a record that a sync, this one or a later one, has to flush; `reserve`
 * as of shale_journal_append().
 */
static int note_locked(struct shale_db *db, unsigned type, const uint8_t *body,
		       size_t len, bool reserve, struct shale_err *err)
{
	struct shale_record record = {.type = type, .body = body, .len = len};

	int r = shale_journal_append(db->journal, &record, reserve, err);
	if (r == 0)
		db->noted_end = record.end;
	return r;
}

int shale_db_sync(struct shale_db *db, uint64_t pos, struct shale_err *err)
{
	struct le64 body = le64_make(pos);
	int r = 0;

	pthread_mutex_lock(&db->commit);
	if (pos > db->noted) {
		r = note_locked(db, SHALE_JOURNAL_NAMES, body.b, sizeof(body),
				true, err);
		if (r == 0)
			db->noted = pos;
	}
	uint64_t end = db->noted_end;
	pthread_mutex_unlock(&db->commit);
	return r < 0 ? r : shale_journal_sync(db->journal, end, err);
}

int shale_db_flushed(struct shale_db *db, const uint64_t *inos, size_t n,
		     struct shale_err *err)
{
	cleanup_buf struct shale_buf body = {0};
	for (size_t i = 0; i < n; i++) {
		struct le64 ino = le64_make(inos[i]);
		if (shale_buf_append(&body, &ino, sizeof(ino)) < 0)
			return shale_err_set(err, ENOMEM, "sync");
	}
	if (!n)
		return 0;
	pthread_mutex_lock(&db->commit);
	int r = note_locked(db, SHALE_JOURNAL_FSYNC, body.data, body.len, true,
			    err);
	pthread_mutex_unlock(&db->commit);
	return r;
}

int shale_db_data(struct shale_db *db, const struct shale_buf *body,
		  uint64_t *pos, struct shale_err *err)
{
	int r = -E2BIG;

	pthread_mutex_lock(&db->commit);
	/* The applier is told of batches only, and makes room for no more. */
	if (shale_journal_end(db->journal) - atomic_load(&db->applied) <
	    DATA_MAX * db->opts.unapplied)
		r = note_locked(db, SHALE_JOURNAL_DATA, body->data, body->len,
				false, err);
	if (r == 0)
		*pos = db->noted_end;
	pthread_mutex_unlock(&db->commit);
	return r;
}

int shale_db_data_sync(struct shale_db *db, uint64_t pos, struct shale_err *err)
{
	return shale_journal_sync(db->journal, pos, err);
}

uint64_t shale_db_position(struct shale_db *db)
{
	return atomic_load(&db->position);
}

void shale_db_stats(struct shale_db *db, struct shale_db_stats *out)
{
	*out = (struct shale_db_stats){
		.position = atomic_load(&db->position),
		.applied = atomic_load(&db->applied),
		.journal_bytes = shale_journal_bytes(db->journal),
		.lmdb_bytes = shale_env_bytes(db->env),
	};
}
