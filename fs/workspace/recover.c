/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/journal_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * After a power cut.  Behind the last mark a data file may hold anything, so
 * keys that speak of its content count only as far as the inode was fsynced.
 * And the tail ends at the last position that a mark or a sync was of.  Batches
 * behind it may have reached the disk, by chance or together with the record
 * that says so, without the data that is flushed before them (of a file that
 * replaced another by rename).
 */

struct fsynced {
	uint64_t ino, pos; /* its data was on disk when `pos` was written */
};

struct tail {
	uint64_t end;    /* names count up to here */
	uint64_t marked; /* data files are right up to here */
	struct shale_buf fsynced;
	const char *letters;
};

static void note_position(struct tail *tail, unsigned type, uint64_t pos)
{
	if (tail->end < pos)
		tail->end = pos;
	if (type == SHALE_JOURNAL_MARK && tail->marked < pos)
		tail->marked = pos;
}

static int note_record(void *arg, const struct shale_record *record,
		       struct shale_err *err)
{
	struct tail *tail = arg;
	struct le64 value;

	if (record->type == SHALE_JOURNAL_BATCH)
		return 0;
	for (size_t at = 0; at < record->len; at += sizeof(value)) {
		memcpy(&value, record->body + at, sizeof(value));
		struct fsynced it = {le64_get(value), record->start};
		if (record->type != SHALE_JOURNAL_FSYNC)
			note_position(tail, record->type, le64_get(value));
		else if (shale_buf_append(&tail->fsynced, &it, sizeof(it)) < 0)
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

/* The position of the inode's last fsync, or 0. */
static uint64_t last_fsync(const struct tail *tail, uint64_t ino)
{
	const struct fsynced *list = (const void *)tail->fsynced.data;
	size_t low = 0, high = tail->fsynced.len / sizeof(*list);

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
	return pos <= last_fsync(tail, ino);
}

int shale_db_recover(struct shale_db *db, struct shale_err *err)
{
	uint64_t applied = atomic_load(&db->applied);
	struct tail tail = {.end = applied,
			    .letters = db->opts.content_letters};

	int r = shale_journal_open(&db->journal, db->dirfd, applied, true,
				   note_record, &tail, err);
	if (r == 0 && tail.fsynced.len)
		qsort(tail.fsynced.data,
		      tail.fsynced.len / sizeof(struct fsynced),
		      sizeof(struct fsynced), by_ino);
	/* What is not taken counts as applied: nobody shall read it again. */
	uint64_t end = r == 0 ? shale_journal_end(db->journal) : 0;
	if (r == 0)
		r = shale_db_apply(db, tail.end, end, trusted, &tail, err);
	if (r == 0)
		atomic_store(&db->position, end);
	shale_buf_release(&tail.fsynced);
	return r;
}
