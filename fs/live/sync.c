/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/sync.h"

#include "fs/live/body.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

enum { REPLACED_MANY = 64 << 10 }; /* bytes */

static _Atomic uint64_t *changed_at(struct shale_live *live, uint64_t ino)
{
	return &live->sync[ino % LIVE_SYNC_SLOTS];
}

/* What data files a file has; -ENODATA: it is none. */
static int load_files(struct shale_live *live, uint64_t ino,
		      struct shale_body *body)
{
	int r = shale_body_load(body, live, ino);
	return r == -EISDIR || r == -EINVAL ? -ENODATA : r;
}

static int sync_files(struct shale_live *live, uint64_t ino,
		      const struct shale_body *body)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < body->c.n_files; i++) {
		r = shale_files_sync(live->files, ino, body->c.file[i].epoch,
				     NULL);
		if (r == -ENOENT)
			r = 0; /* never written, or let go of since */
	}
	return r;
}

/* With the inode's lock, so that its records are those of flushed data. */
static int note_flushed(struct shale_live *live, uint64_t ino, uint64_t seen,
			uint64_t *pos)
{
	cleanup_body struct shale_body body = {.live = live};
	int r = 0;

	*pos = atomic_load(changed_at(live, ino));
	if (*pos != seen) {
		r = load_files(live, ino, &body);
		if (r == 0)
			r = sync_files(live, ino, &body);
	}
	return r < 0 ? r : shale_db_flushed(live->db, &ino, 1, NULL);
}

/* Does a durable record say that all of the file is on disk? */
static bool is_fsynced(struct shale_live *live, uint64_t ino, uint64_t pos)
{
	const struct shale_flushed *it = &live->fsynced[ino % LIVE_SYNC_SLOTS];

	pthread_mutex_lock(&live->fsynced_lock);
	bool is = !pos || (it->ino == ino && it->pos >= pos);
	pthread_mutex_unlock(&live->fsynced_lock);
	return is;
}

static void set_fsynced(struct shale_live *live, uint64_t ino, uint64_t pos)
{
	pthread_mutex_lock(&live->fsynced_lock);
	live->fsynced[ino % LIVE_SYNC_SLOTS] = (struct shale_flushed){ino, pos};
	pthread_mutex_unlock(&live->fsynced_lock);
}

/*
 * Flush a file's data, and have the journal say so: a replay after a power cut
 * believes records of its content up to there.  `*pos` is where its last change
 * stands if the journal has to be flushed for that, 0 if not.
 */
static int flush_file(struct shale_live *live, uint64_t ino, uint64_t *pos)
{
	cleanup_body struct shale_body body = {.live = live};
	uint64_t seen = atomic_load(changed_at(live, ino));

	*pos = 0;
	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	int r = load_files(live, ino, &body);
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	if (r == 0)
		r = sync_files(live, ino, &body);
	if (r < 0 || is_fsynced(live, ino, seen))
		return r;

	/* Most is flushed by now; what came meanwhile is, under the lock. */
	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	r = note_flushed(live, ino, seen, pos);
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	return r;
}

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

void shale_sync_replaced(struct shale_live *live, uint64_t ino, uint64_t pos)
{
	struct shale_replaced it = {ino, pos};

	pthread_mutex_lock(&live->replaced_lock);
	if (live->replaced.len >= REPLACED_MANY)
		forget_applied(live);
	/* Out of memory: the file is as safe as on other file systems. */
	(void)shale_buf_append(&live->replaced, &it, sizeof(it));
	pthread_mutex_unlock(&live->replaced_lock);
}

/*
 * Flush the data of files that replaced others, and say so in the journal: a
 * crash that keeps the rename then keeps what was renamed.
 */
static int flush_replaced(struct shale_live *live)
{
	cleanup_buf struct shale_buf list = {0};
	uint64_t pos;

	pthread_mutex_lock(&live->replaced_lock);
	forget_applied(live);
	list = live->replaced;
	live->replaced = (struct shale_buf){0};
	pthread_mutex_unlock(&live->replaced_lock);

	const struct shale_replaced *it = (const void *)list.data;
	size_t n = list.len / sizeof(*it);
	int r = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = flush_file(live, it[i].ino, &pos);
		if (r == -ESTALE || r == -ENODATA)
			r = 0; /* removed since, or no file */
	}
	if (r < 0) { /* the next one tries again */
		pthread_mutex_lock(&live->replaced_lock);
		(void)shale_buf_append(&live->replaced, list.data, list.len);
		pthread_mutex_unlock(&live->replaced_lock);
	}
	return r;
}

/* ------------------------------------------------------------------ fsync */

/*
 * The data first, then the journal that says that it counts, and only if it has
 * something to say: overwriting in place costs one flush.  What another file's
 * fsync made durable of the journal counts for names, not for content: a replay
 * asks for the file's own.
 */
int shale_live_fsync(struct shale_live *live, uint64_t ino, bool datasync)
{
	uint64_t pos = atomic_load(changed_at(live, ino)), flushed = 0;

	(void)datasync; /* size and names count for both, times for neither */
	int r = shale_live_touched(live, ino) ? flush_file(live, ino, &flushed)
					      : 0;
	if (r == -ENODATA)
		r = 0;
	if (r < 0 || (!flushed && atomic_load(&live->synced) >= pos))
		return r;
	uint64_t now = shale_db_position(live->db);
	r = flush_replaced(live);
	if (r == 0)
		r = shale_db_sync(live->db, 0, NULL);
	uint64_t old = atomic_load(&live->synced);
	while (r == 0 && old < now &&
	       !atomic_compare_exchange_weak(&live->synced, &old, now))
		;
	if (r == 0 && flushed)
		set_fsynced(live, ino, flushed);
	return r;
}

int shale_live_syncfs(struct shale_live *live)
{
	return shale_db_advance(live->db, NULL);
}
