/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/journal_disk.h"
#include "fs/workspace/ops.h"

#include <errno.h>

/*
 * Bytes of keys and values in one transaction.  On a full disk small ones: each
 * can use the pages that the ones before it left free.
 */
enum { TXN_BYTES = 2 << 20, TXN_BYTES_FULL = 64 << 10 };

static const uint8_t key_applied[1] = {0}, key_results[2] = {0, 1};

/*
 * Of the batches of one transaction only the last word on each key is put into
 * LMDB, in the order of its tree: an inode that is written again and again, or
 * a directory in which names are made, is put once.
 */
struct applying {
	struct shale_db *db;
	shale_apply_filter *filter;
	void *arg;
	struct shale_recent *keys; /* of one transaction; NULL: none yet */
	size_t bytes_max;
};

struct putting {
	struct shale_txn *txn;
	struct shale_err *err;
};

static int put(void *arg, const struct shale_op *op)
{
	const struct putting *p = arg;

	return op->put ? shale_txn_put(p->txn, op->key, op->key_len, op->value,
				       op->value_len, p->err)
		       : shale_txn_del(p->txn, op->key, op->key_len, p->err);
}

/*
 * Commit with the position, so that the two never disagree (W3), and with the
 * requests answered last, which the journal may forget from here on.
 */
static int fill_txn(struct applying *a, struct shale_txn *txn, uint64_t pos,
		    struct shale_err *err)
{
	struct shale_disk_applied disk = {
		.version = le32_make(SHALE_DB_VERSION),
		.applied = le64_make(pos),
	};
	cleanup_buf struct shale_buf results = {0};
	struct putting p = {txn, err};

	int r = a->keys ? shale_recent_each(a->keys, put, &p) : 0;
	if (r == 0)
		r = shale_txn_put(txn, key_applied, sizeof(key_applied), &disk,
				  sizeof(disk), err);
	if (r == 0 && shale_results_encode(&a->db->results, pos, &results) < 0)
		r = shale_err_set(err, ENOMEM, "database: change");
	if (r == 0)
		r = shale_txn_put(txn, key_results, sizeof(key_results),
				  results.data, results.len, err);
	return r;
}

static int commit(struct applying *a, uint64_t pos, struct shale_err *err)
{
	struct shale_txn *txn;

	int r = shale_txn_begin(a->db->env, &txn, err);
	if (r < 0)
		return r;
	r = fill_txn(a, txn, pos, err);
	if (r < 0) {
		shale_txn_abort(txn);
		return r;
	}
	r = shale_txn_commit(txn, err);
	shale_recent_free(a->keys);
	a->keys = NULL;
	if (r == 0)
		atomic_store(&a->db->applied, pos);
	return r;
}

/* The operations that the filter takes, appended to `out`. */
static int take_ops(const struct applying *a, const struct shale_record *record,
		    struct shale_buf *out)
{
	const uint8_t *data = record->body, *from = data;
	size_t len = record->len;
	struct shale_op op;
	int r;

	while ((r = shale_ops_next(&data, &len, &op)) > 0) {
		if (a->filter(a->arg, op.key, op.key_len, record->end) &&
		    shale_buf_append(out, from, (size_t)(data - from)) < 0)
			return -ENOMEM;
		from = data;
	}
	return r;
}

static int add_ops(struct applying *a, const struct shale_record *record)
{
	cleanup_buf struct shale_buf taken = {0};
	const uint8_t *ops = record->body;
	size_t len = record->len;
	struct shale_recent_node *nodes;
	int r = 0;

	if (!a->keys)
		a->keys = shale_recent_new();
	if (!a->keys)
		return -ENOMEM;
	if (a->filter) {
		r = take_ops(a, record, &taken);
		ops = taken.data;
		len = taken.len;
	}
	if (r == 0)
		r = shale_recent_prepare(a->keys, ops, len, &nodes);
	if (r == 0)
		shale_recent_insert(a->keys, nodes, record->end);
	return r;
}

static int apply_record(void *arg, const struct shale_record *record,
			struct shale_err *err)
{
	struct applying *a = arg;

	if (record->type != SHALE_JOURNAL_BATCH)
		return 0;
	int r = add_ops(a, record);
	if (r < 0)
		return shale_err_set(err, -r, "database: change");
	if (shale_recent_bytes(a->keys) < a->bytes_max)
		return 0;
	return commit(a, record->end, err);
}

static int apply_once(struct applying *a, uint64_t to, uint64_t done,
		      struct shale_err *err)
{
	struct shale_db *db = a->db;

	int r = shale_journal_read(db->journal, atomic_load(&db->applied), to,
				   apply_record, a, err);
	if (r == 0 && (a->keys || atomic_load(&db->applied) < done))
		r = commit(a, done, err);
	shale_recent_free(a->keys);
	a->keys = NULL;
	return r;
}

static bool disk_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

int shale_db_apply(struct shale_db *db, uint64_t to, uint64_t done,
		   shale_apply_filter *filter, void *arg, struct shale_err *err)
{
	struct applying a = {
		.db = db, .filter = filter, .arg = arg, .bytes_max = TXN_BYTES};

	int r = apply_once(&a, to, done, err);
	if (r == 0 || !disk_full(r))
		return r;
	/* The reserve is for this too: applying is what frees the journal. */
	shale_journal_free_reserve(db->journal);
	a.bytes_max = TXN_BYTES_FULL;
	r = apply_once(&a, to, done, err);
	if (disk_full(r))
		return shale_err_set(err, ENOSPC, "database: change");
	return r;
}

int shale_db_make_applied(struct shale_db *db, struct shale_err *err)
{
	struct applying a = {.db = db};

	return commit(&a, 0, err);
}

static int decode_applied(const struct shale_buf *value, uint64_t *applied,
			  struct shale_err *err)
{
	struct shale_disk_applied disk;

	if (value->len != sizeof(disk))
		return shale_err_say(err, EUCLEAN,
				     "database: its position has a wrong size");
	memcpy(&disk, value->data, sizeof(disk));
	if (le32_get(disk.version) != SHALE_DB_VERSION)
		return shale_err_say(err, EPROTONOSUPPORT,
				     "database: made by another version of "
				     "Shale (format %u)",
				     le32_get(disk.version));
	if (le64_get(disk.applied) > INT64_MAX)
		return shale_err_say(err, EUCLEAN,
				     "database: its position is impossible");
	*applied = le64_get(disk.applied);
	return 0;
}

int shale_db_load_applied(struct shale_db *db, uint64_t *applied,
			  struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_view *view;
	int r = shale_view_take(db->env, &view, err);
	if (r < 0)
		return r;

	r = shale_view_get(view, key_applied, sizeof(key_applied), &value, err);
	if (r == 0)
		r = decode_applied(&value, applied, err);
	if (r == 0)
		r = shale_view_get(view, key_results, sizeof(key_results),
				   &value, err);
	if (r == 0)
		r = shale_results_decode(&db->results, &value, err);
	shale_view_give(db->env, view);
	return r;
}
