/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/sync.h"

#include "fs/live/flush.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

enum {
	REPLACED_MANY = 64 << 10, /* bytes */
	SYNC_TRIES = 4
};

/* ----------------------------------------------------- replaced by rename */

/* What LMDB has is durable, with its data. */
static void forget_applied(struct shale_live *live)
{
	struct shale_replaced *list = (void *)live->replaced.data;
	struct shale_db_stats stats;
	size_t kept = 0;

	shale_db_stats(live->db, &stats);
	for (size_t i = 0; i < live->replaced.len / sizeof(*list); i++)
		if (list[i].pos > stats.applied)
			list[kept++] = list[i];
	live->replaced.len = kept * sizeof(*list);
}

#define NOT_YET UINT64_MAX

int shale_sync_replacing(struct shale_live *live, uint64_t ino)
{
	struct shale_replaced it = {ino, NOT_YET};

	pthread_mutex_lock(&live->replaced_lock);
	if (live->replaced.len >= REPLACED_MANY)
		forget_applied(live);
	int r = shale_buf_append(&live->replaced, &it, sizeof(it));
	pthread_mutex_unlock(&live->replaced_lock);
	return r;
}

void shale_sync_replaced(struct shale_live *live, uint64_t ino, uint64_t pos)
{
	pthread_mutex_lock(&live->replaced_lock);
	struct shale_replaced *list = (void *)live->replaced.data;
	/* It may be gone: who flushes it waits for the inode's lock. */
	for (size_t i = live->replaced.len / sizeof(*list); i-- > 0;)
		if (list[i].ino == ino && list[i].pos == NOT_YET)
			list[i].pos = pos;
	pthread_mutex_unlock(&live->replaced_lock);
}

/* Take over what is listed, behind what could not be flushed before. */
static int take_list(struct shale_live *live)
{
	pthread_mutex_lock(&live->replaced_lock);
	forget_applied(live);
	int r = shale_buf_append(&live->flushing, live->replaced.data,
				 live->replaced.len);
	if (r == 0)
		live->replaced.len = 0;
	pthread_mutex_unlock(&live->replaced_lock);
	return r;
}

/*
 * One that is gone has nothing to flush any more.  A crash that kept its rename
 * and not its removal would show it without its content: no sync may be of a
 * position before that.
 */
static int flush_taken(struct shale_live *live, struct shale_err *err)
{
	const struct shale_replaced *it = (const void *)live->flushing.data;
	size_t n = live->flushing.len / sizeof(*it);
	struct shale_flush flush;

	for (size_t i = 0; i < n; i++) {
		int r = shale_flush_file(live, it[i].ino, &flush, err);
		if (r == -ESTALE)
			live->names_from = shale_db_position(live->db);
		else if (r < 0 && r != -ENODATA)
			return r;
	}
	live->flushing.len = 0;
	return 0;
}

/*
 * Flush the data of files that replaced others up to now, and say so in the
 * journal: a crash that keeps the rename then keeps what was renamed.  `*from`:
 * the first position that may be synced now.
 */
static int flush_replaced(struct shale_live *live, uint64_t *from,
			  struct shale_err *err)
{
	pthread_mutex_lock(&live->replaced_flush);
	int r = take_list(live);
	if (r == 0)
		r = flush_taken(live, err);
	*from = live->names_from;
	pthread_mutex_unlock(&live->replaced_flush);
	return r;
}

/* ------------------------------------------------------------------ fsync */

/* Names up to `*now`, which is not before the call, are durable. */
static int sync_names(struct shale_live *live, uint64_t *now,
		      struct shale_err *err)
{
	uint64_t from = 0;

	for (int i = 0; i < SYNC_TRIES; i++) {
		*now = shale_db_position(
			live->db); /* before the list is read */
		int r = flush_replaced(live, &from, err);
		if (r < 0)
			return r;
		if (*now >= from)
			return shale_db_sync(live->db, *now, err);
	}
	return shale_db_advance(live->db, err); /* all data, and a mark */
}

/*
 * The data first, or with it, then the journal that says that it counts, and
 * only if it has something to say: one flush, but for much that is new.  What
 * another file's fsync made durable of the journal counts for names, not for
 * content: a replay asks for the file's own.
 */
int shale_live_fsync(struct shale_live *live, uint64_t ino, bool datasync,
		     struct shale_err *err)
{
	uint64_t pos = shale_flush_changed(live, ino), now;
	struct shale_flush flush = {0};

	(void)datasync; /* size and names count for both, times for neither */
	int r = shale_live_touched(live, ino)
			? shale_flush_file(live, ino, &flush, err)
			: 0;
	if (r == -ENODATA)
		r = 0;
	if (r < 0 || (!flush.noted && atomic_load(&live->synced) >= pos))
		return r;
	r = sync_names(live, &now, err);
	uint64_t old = atomic_load(&live->synced);
	while (r == 0 && old < now &&
	       !atomic_compare_exchange_weak(&live->synced, &old, now))
		;
	if (r == 0)
		shale_flush_done(live, ino, &flush);
	return r;
}

int shale_live_syncfs(struct shale_live *live)
{
	return shale_db_advance(live->db, NULL);
}
