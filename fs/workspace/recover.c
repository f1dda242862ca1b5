/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/journal_disk.h"
#include "fs/workspace/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * After a power cut.  Behind the last mark a data file may hold anything, so
 * keys that speak of its content count only as far as the inode was fsynced.
 * Bytes that were fsynced by way of the journal are written down first, but for
 * those that have been on disk since: there the file may be newer.
 * And the tail ends at the last position that a mark or a sync was of.  Batches
 * behind it may have reached the disk, by chance or together with the record
 * that says so, without the data that is flushed before them (of a file that
 * replaced another by rename).
 */

struct fsynced {
	uint64_t ino, pos; /* something is said of its data at `pos` */
};

struct tail {
	uint64_t end;             /* names count up to here */
	uint64_t marked;          /* data files are right up to here */
	struct shale_buf fsynced; /* its data was on disk, or in the journal */
	struct shale_buf flushed; /* of these, what was on disk */
	const char *letters;
	struct shale_db *db;
	bool written; /* something was, to a data file */
};

static void note_position(struct tail *tail, unsigned type, uint64_t pos)
{
	if (tail->end < pos)
		tail->end = pos;
	if (type == SHALE_JOURNAL_MARK && tail->marked < pos)
		tail->marked = pos;
}

static int note_inode(struct tail *tail, const struct shale_record *record,
		      uint64_t ino)
{
	struct fsynced it = {ino, record->start};

	int r = shale_buf_append(&tail->fsynced, &it, sizeof(it));
	if (r == 0 && record->type == SHALE_JOURNAL_FSYNC)
		r = shale_buf_append(&tail->flushed, &it, sizeof(it));
	return r;
}

static int note_record(void *arg, const struct shale_record *record,
		       struct shale_err *err)
{
	struct tail *tail = arg;
	struct le64 value;
	/* Of DATA the inode is the first number. */
	size_t len = record->type == SHALE_JOURNAL_DATA ? sizeof(value)
							: record->len;

	if (record->type == SHALE_JOURNAL_BATCH)
		return 0;
	for (size_t at = 0; at < len; at += sizeof(value)) {
		memcpy(&value, record->body + at, sizeof(value));
		if (record->type == SHALE_JOURNAL_MARK ||
		    record->type == SHALE_JOURNAL_NAMES)
			note_position(tail, record->type, le64_get(value));
		else if (note_inode(tail, record, le64_get(value)) < 0)
			return shale_err_set(err, ENOMEM, "replay the journal");
	}
	return 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct fsynced *x = a, *y = b;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->pos > y->pos) - (x->pos < y->pos);
}

static void sort(struct shale_buf *buf)
{
	if (buf->len)
		qsort(buf->data, buf->len / sizeof(struct fsynced),
		      sizeof(struct fsynced), by_ino);
}

/* The position of the inode's last one in the sorted list, or 0. */
static uint64_t last_of(const struct shale_buf *buf, uint64_t ino)
{
	const struct fsynced *list = (const void *)buf->data;
	size_t low = 0, high = buf->len / sizeof(*list);

	while (low < high) { /* the first one of a later inode */
		size_t middle = low + (high - low) / 2;
		if (list[middle].ino <= ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low && list[low - 1].ino == ino ? list[low - 1].pos : 0;
}

static bool trusted(void *arg, const uint8_t *key, size_t key_len, uint64_t pos)
{
	const struct tail *tail = arg;
	uint64_t ino = 0;

	if (pos <= tail->marked || !tail->letters ||
	    !strchr(tail->letters, key[0]) || key_len < 9)
		return true;
	for (int i = 1; i <= 8; i++)
		ino = ino << 8 | key[i];
	return pos <= last_of(&tail->fsynced, ino);
}

/* Write down the pieces of a record, unless they have been on disk since. */
static int write_pieces(void *arg, const struct shale_record *record,
			struct shale_err *err)
{
	struct tail *tail = arg;
	const struct shale_db_opts *opts = &tail->db->opts;
	const uint8_t *data = record->body;
	size_t len = record->len;
	struct shale_data_piece piece;
	uint64_t ino;

	if (record->type != SHALE_JOURNAL_DATA || !opts->write ||
	    record->end <= tail->marked)
		return 0;
	int r = shale_pieces_open(&data, &len, &ino);
	if (r == 0 && record->start < last_of(&tail->flushed, ino))
		return 0;
	while (r == 0 && shale_pieces_next(&data, &len, &piece) > 0) {
		r = opts->write(opts->arg, ino, piece.epoch, piece.data,
				piece.len, piece.off, err);
		tail->written = true;
	}
	return r;
}

/* On disk before the database says that they count (W1). */
static int write_data(struct tail *tail, uint64_t from, uint64_t end,
		      struct shale_err *err)
{
	struct shale_db *db = tail->db;

	int r = shale_journal_read(db->journal, from, end, write_pieces, tail,
				   err);
	if ((r == -ENOSPC || r == -EDQUOT) &&
	    shale_journal_free_reserve(db->journal))
		r = shale_journal_read(db->journal, from, end, write_pieces,
				       tail, err);
	if (r == 0 && tail->written && db->opts.flush)
		r = db->opts.flush(db->opts.arg, end, err);
	return r;
}

int shale_db_recover(struct shale_db *db, struct shale_err *err)
{
	uint64_t applied = atomic_load(&db->applied);
	struct tail tail = {
		.end = applied, .letters = db->opts.content_letters, .db = db};

	int r = shale_journal_open(&db->journal, db->dirfd, applied, true,
				   note_record, &tail, err);
	sort(&tail.fsynced);
	sort(&tail.flushed);
	/* What is not taken counts as applied: nobody shall read it again. */
	uint64_t end = r == 0 ? shale_journal_end(db->journal) : 0;
	if (r == 0)
		r = write_data(&tail, applied, end, err);
	if (r == 0)
		r = shale_db_apply(db, tail.end, end, trusted, &tail, err);
	if (r == 0)
		atomic_store(&db->position, end);
	shale_buf_release(&tail.fsynced);
	shale_buf_release(&tail.flushed);
	return r;
}
