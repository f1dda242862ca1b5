/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_DB_H
#define SHALE_WORKSPACE_DB_H

/*
 * The persistent state of a workspace: an ordered map from short keys to
 * values, changed by *batches*.  A batch is one record of the journal: it is
 * there as a whole or not at all, and it is in the page cache before
 * shale_db_commit() returns, so a process that is killed loses none.
 *
 * Behind the journal, one thread applies batches to an LMDB environment:
 *
 *     commit -> journal (write) -> `recent` (memory, ordered)
 *                  |
 *                  +- flush mark at M: data files flushed, journal fsynced
 *                  +- apply up to M:   LMDB transaction, synchronous
 *                  +- forget in `recent` what M covers; drop old segments
 *
 * Invariants (docs/architecture.md cites them):
 *   W1  LMDB never holds a batch that is not covered by a durable flush mark.
 *   W2  a key's newest value is in `recent`, or LMDB has it.
 *   W3  the position up to which batches were applied is a value of the same
 *       LMDB transaction.
 *   W4  every journal record and every LMDB value carries a checksum.
 *
 * Keys order by memcmp, 1 to 400 bytes.  Any thread may read; commits are
 * serialised inside.  One process owns a database (the workspace's lock says
 * so), others may open snapshots.  Never used across fork.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_db;

struct shale_db_opts {
	/*
	 * Make everything durable that data files hold now and batches up to
	 * `pos` speak of.  Called by the flushing thread, no lock held; it must
	 * not commit.  Returns 0 or -errno, which leaves the mark unwritten
	 * (and the next try comes later).  NULL: there are no data files.
	 */
	int (*flush)(void *arg, uint64_t pos, struct shale_err *err);
	/*
	 * The same at the open after a kill, of every data file there is: the
	 * host tells of an error, and not where.  NULL as above.
	 */
	int (*flush_all)(void *arg, struct shale_err *err);
	/*
	 * Batches up to `pos` are applied: what waited for that may go.  Same
	 * thread and rules.  May be NULL.
	 */
	void (*applied)(void *arg, uint64_t pos);
	/*
	 * There was a power cut: of what was not flushed before, nothing is
	 * believed.  Called once, by the open, first.  May be NULL.
	 */
	int (*power_cut)(void *arg, struct shale_err *err);
	/*
	 * What shale_db_data() kept, by the open: after a power cut bytes to be
	 * written to a data file (`flush` follows), otherwise only that they
	 * are in the journal, at `pos`.  NULL: there are no data files.
	 */
	int (*write)(void *arg, uint64_t ino, uint32_t epoch, const void *data,
		     size_t len, uint64_t off, struct shale_err *err);
	int (*kept)(void *arg, uint64_t ino, uint32_t epoch, uint64_t pos);
	void *arg;
	/*
	 * First letters of keys that say which bytes of an inode's data files
	 * count ("CM"); the inode is the big-endian number behind the letter.
	 * After a power cut, changes of such keys behind the last mark are
	 * taken only up to the inode's last fsync.  NULL: there are none.
	 */
	const char *content_letters;
	unsigned interval_ms; /* between marks; 0: 5000 */
	size_t unapplied;     /* bytes that bring a mark early; 0: 16 MiB */
};

/*
 * Open or make the database in the directory `dirfd`: files `db/`, `journal.*`,
 * `boot` and `reserve`.  Reads the journal behind the applied position; a torn
 * record at its end is where it ends; damage before the end is -EUCLEAN.
 *
 * After a power cut (another boot id) the journal ends at the last position
 * that a flush mark or a shale_db_sync() was of.  So what is taken is a prefix
 * of the names and attributes, with the content of what was fsynced.  Batches
 * behind that position are dropped, also those that reached the disk with the
 * mark's or the sync's own record: of what they say, nothing was flushed.
 */
int shale_db_open(struct shale_db **out, int dirfd,
		  const struct shale_db_opts *opts, struct shale_err *err);

/* Flush, mark, apply all, close.  Errors are reported; memory goes anyway. */
int shale_db_close(struct shale_db *db, struct shale_err *err);

/* ------------------------------------------------------------- reading */

/* Append the value of `key` to `value` (cleared first).  -ENOENT; -EUCLEAN. */
int shale_db_get(struct shale_db *db, const void *key, size_t key_len,
		 struct shale_buf *value, struct shale_err *err);

/*
 * The first key >= `from` that begins with the first `prefix` bytes of `from`;
 * key and value (may be NULL) are replaced in the buffers.  -ENOENT: no
 * further.  To go on, append a zero byte to the key found.
 */
int shale_db_next(struct shale_db *db, const void *from, size_t from_len,
		  size_t prefix, struct shale_buf *key, struct shale_buf *value,
		  struct shale_err *err);

/* ------------------------------------------------------------- changing */

/*
 * A batch under construction.  Zero initialised is empty; release when done.
 * Within a batch the last word on a key counts.  At most 8 MiB of keys and
 * values.  Keys do not begin with a zero byte.
 */
struct shale_batch {
	struct shale_buf ops;
	uint32_t n;
	/* Lets space go (a deletion): may use the reserve of a full disk. */
	bool frees;
	/* Does not wait for the applier, however far that is behind: everybody
	 * else waits for who commits it. */
	bool urgent;
	/* Data that it speaks of has just been written to the workspace's file
	 * system: see shale_journal_append(). */
	bool follows;
	/*
	 * Nothing behind this batch is applied until shale_db_pause_at() its
	 * position and shale_db_resume(): set by the freeze of a commit.  Who
	 * sets it must see to the resume, also when the commit fails: until
	 * then the journal and what is in memory only grow.
	 */
	bool barrier;
};
#define cleanup_batch __attribute__((cleanup(shale_batch_release)))
void shale_batch_release(struct shale_batch *batch);
int shale_batch_put(struct shale_batch *batch, const void *key, size_t key_len,
		    const void *value, size_t value_len);
int shale_batch_del(struct shale_batch *batch, const void *key, size_t key_len);

/*
 * The request a batch answers: what a takeover needs to answer it once.  The
 * connection's random id and the request's `unique` without bit 63; zeros for
 * changes of our own.
 */
struct shale_request {
	uint64_t connection, unique;
};

/*
 * Append the batch to the journal and let readers see it.  `*pos` (may be NULL)
 * is the journal position behind it; `request` may be NULL.  An empty batch is
 * fine and leaves no record.  Waits for the applier when it is far behind.  On
 * an error nothing has changed: -EINVAL (a key), -E2BIG, -ENOSPC, -EDQUOT,
 * -EBUSY (a second barrier), -EIO (from then on every commit fails).
 */
int shale_db_commit(struct shale_db *db, const struct shale_batch *batch,
		    const struct shale_request *request, uint64_t *pos,
		    struct shale_err *err);

/*
 * Is this the last request that some thread committed, in this process or in
 * those before it?  Then its batch is there, and a resent request is answered
 * from the present state (the kernel holds the directories until it has its
 * reply), not executed twice.  Survives the journal; forgotten when the thread
 * commits its next batch.
 */
bool shale_db_answered(struct shale_db *db,
		       const struct shale_request *request);

/*
 * Make batches up to `pos` (shale_db_position() at some time) durable, and have
 * a replay after a power cut believe their names.  The caller has flushed the
 * data of files that replaced others by rename up to there, and told so by
 * shale_db_flushed().  Concurrent calls share one flush.
 */
int shale_db_sync(struct shale_db *db, uint64_t pos, struct shale_err *err);

/*
 * Record that the data files of `n` inodes were flushed: a replay after a power
 * cut believes their content up to here.  No flush: the next shale_db_sync()
 * covers the record.
 */
int shale_db_flushed(struct shale_db *db, const uint64_t *inos, size_t n,
		     struct shale_err *err);

/*
 * The same for one inode, whose data files have bytes that are not on disk:
 * they are in `body`, the body of a record DATA (pieces.h), or in those before
 * it; a replay after a power cut writes them down.  So the data files need no
 * flush.  `*pos` is behind the record.  -E2BIG: there is much of that already,
 * and the files are to be flushed; -ENOSPC, -EDQUOT.
 */
int shale_db_data(struct shale_db *db, const struct shale_buf *body,
		  uint64_t *pos, struct shale_err *err);

/* Make what it kept durable up to `pos`, if it is not yet. */
int shale_db_data_sync(struct shale_db *db, uint64_t pos,
		       struct shale_err *err);

/* Position behind the last batch. */
uint64_t shale_db_position(struct shale_db *db);

/*
 * Flush, mark and apply up to the present position; wait for it (behind a
 * barrier: for the resume).
 */
int shale_db_advance(struct shale_db *db, struct shale_err *err);

/*
 * Apply up to exactly `pos` (a position got from shale_db_commit) and pause
 * there until shale_db_resume(): LMDB then holds the state as of `pos`, for
 * shale_snapshot_open() by another process.  Commits go on meanwhile.  -ERANGE:
 * more is applied already (its batch was no barrier); -EBUSY: a barrier stands
 * elsewhere.  After an error nothing is paused and no barrier stands, except
 * with -EBUSY.
 */
int shale_db_pause_at(struct shale_db *db, uint64_t pos, struct shale_err *err);
void shale_db_resume(struct shale_db *db);

/*
 * From now on, call `fn` when flushing, marking or applying in the background
 * fails, and again only after an attempt that did not.  From the applier's
 * thread, without a lock.
 */
void shale_db_on_failure(struct shale_db *db,
			 void (*fn)(void *arg, const struct shale_err *err),
			 void *arg);

/* For `status`: positions, bytes of the journal, bytes of LMDB pages used. */
struct shale_db_stats {
	uint64_t position, applied, journal_bytes, lmdb_bytes;
};
void shale_db_stats(struct shale_db *db, struct shale_db_stats *out);

/* ------------------------------------------------------------ snapshots */

/*
 * A read-only view of the LMDB side as of now.  Holds one read transaction:
 * LMDB cannot reuse pages freed since, so do not keep it for ever.
 * Thread-safe (calls take turns).
 */
struct shale_snapshot;
/*
 * From another process than the owner's, never from the owner's: an LMDB
 * environment must not be open twice in one process.
 */
int shale_snapshot_open(struct shale_snapshot **out, int dirfd,
			struct shale_err *err);
/* From the owner's process; closed before the database. */
int shale_db_snapshot(struct shale_db *db, struct shale_snapshot **out,
		      struct shale_err *err);
void shale_snapshot_close(struct shale_snapshot *snapshot);
/* As shale_db_get() and shale_db_next(). */
int shale_snapshot_get(struct shale_snapshot *snapshot, const void *key,
		       size_t key_len, struct shale_buf *value,
		       struct shale_err *err);
int shale_snapshot_next(struct shale_snapshot *snapshot, const void *from,
			size_t from_len, size_t prefix, struct shale_buf *key,
			struct shale_buf *value, struct shale_err *err);

#endif
