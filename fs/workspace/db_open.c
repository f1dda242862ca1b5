/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/journal_disk.h"
#include "fs/workspace/pieces.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { INTERVAL_MS = 5000, UNAPPLIED = 16 << 20 };

/* ------------------------------------------------- was there a power cut? */

/* `boot` holds the id of the boot in which the database was last opened. */
static int read_boot_id(struct shale_buf *out, struct shale_err *err)
{
	return shale_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128,
			       out, err);
}

static int same_boot(struct shale_db *db, bool *same, struct shale_err *err)
{
	cleanup_buf struct shale_buf now = {0}, then = {0};
	int r = read_boot_id(&now, err);
	if (r < 0)
		return r;
	r = shale_read_file(db->dirfd, "boot", 128, &then, err);
	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return r;
	*same = r == 0 && now.len == then.len &&
		memcmp(now.data, then.data, now.len) == 0;
	return 0;
}

static int write_boot(struct shale_db *db, struct shale_err *err)
{
	cleanup_buf struct shale_buf now = {0};
	int r = read_boot_id(&now, err);
	if (r < 0)
		return r;
	return shale_file_replace(db->dirfd, "boot", now.data, now.len, err);
}

/* ------------------------------------------------------------- replaying */

/* A replay after a power cut would write these bytes down. */
static int keep_pieces(struct shale_db *db, const struct shale_record *record,
		       struct shale_err *err)
{
	const uint8_t *data = record->body;
	size_t len = record->len;
	struct shale_data_piece piece;
	uint64_t ino;

	int r = shale_pieces_open(&data, &len, &ino);
	while (r == 0 && db->opts.kept &&
	       shale_pieces_next(&data, &len, &piece) > 0)
		r = db->opts.kept(db->opts.arg, ino, piece.epoch, record->end);
	return r < 0 ? shale_err_set(err, -r, "replay the journal") : 0;
}

static int replay_record(void *arg, const struct shale_record *record,
			 struct shale_err *err)
{
	struct shale_db *db = arg;
	struct shale_recent_node *nodes;

	if (record->type == SHALE_JOURNAL_DATA)
		return keep_pieces(db, record, err);
	if (record->type != SHALE_JOURNAL_BATCH)
		return 0;
	int r = shale_recent_prepare(db->recent, record->body, record->len,
				     &nodes);
	if (r < 0)
		return shale_err_set(err, -r, "replay the journal");
	shale_recent_insert(db->recent, nodes, record->end);
	struct shale_result result = {record->thread, record->end,
				      record->connection, record->unique};
	shale_results_note(&db->results, &result);
	atomic_store(&db->position, record->end);
	return 0;
}

/*
 * A process was killed if anything is left to be applied.  Which data files it
 * had written and not flushed nobody knows any more, nor which of them replaced
 * others by rename: so all are flushed, and a mark says so before the next sync
 * has a power cut believe the names.
 */
static int flush_left(struct shale_db *db, struct shale_err *err)
{
	uint64_t pos = atomic_load(&db->position);
	int r = 0;

	if (syncfs(db->dirfd) < 0 && db->opts.flush_all)
		r = db->opts.flush_all(db->opts.arg, NULL);
	else if (db->opts.flush)
		r = db->opts.flush(db->opts.arg, pos, NULL);
	/* What cannot be flushed, now or by the killed one, stays known: no
	 * mark then, and the applier tells who asks for one. */
	if (r < 0)
		return 0;
	r = shale_applier_mark(db, pos, NULL, err);
	/* On a full disk no sync finds room either before the next mark. */
	return r == -ENOSPC || r == -EDQUOT ? 0 : r;
}

static int replay(struct shale_db *db, uint64_t applied, struct shale_err *err)
{
	int r = shale_journal_open(&db->journal, db->dirfd, applied, false,
				   replay_record, db, err);
	if (r == 0)
		r = shale_env_mend(db->env, err);
	if (r < 0 || atomic_load(&db->position) == applied)
		return r;
	return flush_left(db, err);
}

/* ------------------------------------------------------------- opening */

/*
 * A new database begins with a journal and a position.  The order matters: one
 * without the other is a loss, unless the journal is still empty.
 */
static int make_new(struct shale_db *db, struct shale_err *err)
{
	int r = shale_journal_make(db->dirfd, err);
	if (r == -EEXIST)
		return -EUCLEAN;
	if (r < 0)
		return r;
	r = write_boot(db, err);
	if (r == 0)
		r = shale_db_make_applied(db, err);
	/* LMDB flushes its file, not the file's name. */
	cleanup_fd int dir =
		openat(db->dirfd, "db", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && dir < 0)
		r = shale_err_set(err, errno, "open 'db'");
	return r < 0 ? r : shale_dir_sync(dir, "db", err);
}

static int open_parts(struct shale_db *db, struct shale_err *err)
{
	uint64_t applied = 0;
	bool same = false;

	int r = shale_env_open(&db->env, db->dirfd, true, err);
	if (r < 0)
		return r;
	r = shale_db_load_applied(db, &applied, err);
	if (r == -ENOENT)
		r = make_new(db, err);
	if (r == 0)
		r = same_boot(db, &same, err);
	if (r < 0)
		return r;
	atomic_store(&db->applied, applied);
	atomic_store(&db->position, applied);
	if (same)
		return replay(db, applied, err);
	if (db->opts.power_cut)
		r = db->opts.power_cut(db->opts.arg, err);
	if (r == 0)
		r = shale_db_recover(db, err);
	return r < 0 ? r : write_boot(db, err);
}

static void init_parts(struct shale_db *db)
{
	shale_clock_cond_init(&db->wake);
	pthread_cond_init(&db->done, NULL);
	pthread_mutex_init(&db->commit, NULL);
	pthread_mutex_init(&db->lock, NULL);
	atomic_store(&db->barrier, SHALE_NO_BARRIER);
}

static void db_free(struct shale_db *db)
{
	shale_journal_close(db->journal);
	shale_recent_free(db->recent);
	shale_env_close(db->env);
	shale_results_release(&db->results);
	pthread_cond_destroy(&db->wake);
	pthread_cond_destroy(&db->done);
	pthread_mutex_destroy(&db->commit);
	pthread_mutex_destroy(&db->lock);
	if (db->dirfd >= 0)
		close(db->dirfd);
	free(db);
}

SHALE_DEFINE_CLEANUP(db, struct shale_db *, db_free);

int shale_db_open(struct shale_db **out, int dirfd,
		  const struct shale_db_opts *opts, struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_db)
	struct shale_db *db = calloc(1, sizeof(*db));
	if (!db)
		return shale_err_set(err, ENOMEM, "open the workspace");
	db->dirfd = -1;
	if (opts)
		db->opts = *opts;
	if (!db->opts.interval_ms)
		db->opts.interval_ms = INTERVAL_MS;
	if (!db->opts.unapplied)
		db->opts.unapplied = UNAPPLIED;
	init_parts(db);

	db->dirfd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (db->dirfd < 0)
		return shale_err_set(err, errno, "open the workspace");
	db->recent = shale_recent_new();
	if (!db->recent)
		return shale_err_set(err, ENOMEM, "open the workspace");

	int r = shale_results_init(&db->results, err);
	if (r == 0)
		r = open_parts(db, err);
	if (r == 0)
		r = shale_applier_start(db, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&db);
	return 0;
}

int shale_db_close(struct shale_db *db, struct shale_err *err)
{
	if (!db)
		return 0;
	int r = shale_applier_stop(db, err);
	db_free(db);
	return r;
}
