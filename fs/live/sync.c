/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/sync.h"

#include "fs/live/body.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

enum { REPLACED_MANY = 64 << 10 }; /* bytes */

static int sync_files(struct shale_live *live, uint64_t ino)
{
	cleanup_body struct shale_body body = {.live = live};

	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	int r = shale_body_load(&body, live, ino);
	if (r == -EISDIR || r == -EINVAL)
		r = 0;
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	for (uint32_t i = 0; r == 0 && i < body.c.n_files; i++) {
		r = shale_files_sync(live->files, ino, body.c.file[i].epoch,
				     NULL);
		if (r == -ENOENT)
			r = 0; /* never written, or let go of since */
	}
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
	cleanup_buf struct shale_buf list = {0}, inos = {0};

	pthread_mutex_lock(&live->replaced_lock);
	forget_applied(live);
	list = live->replaced;
	live->replaced = (struct shale_buf){0};
	pthread_mutex_unlock(&live->replaced_lock);

	const struct shale_replaced *it = (const void *)list.data;
	size_t n = list.len / sizeof(*it);
	int r = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = sync_files(live, it[i].ino);
		if (r == 0)
			r = shale_buf_append(&inos, &it[i].ino,
					     sizeof(it[i].ino));
		else if (r == -ESTALE)
			r = 0; /* removed since */
	}
	if (r == 0 && inos.len)
		r = shale_db_flushed(live->db, (const void *)inos.data,
				     inos.len / sizeof(uint64_t), NULL);
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
 * something to say: overwriting in place costs one flush.
 */
int shale_live_fsync(struct shale_live *live, uint64_t ino, bool datasync)
{
	uint64_t pos = atomic_load(&live->sync[ino % LIVE_SYNC_SLOTS]);

	(void)datasync; /* size and names count for both, times for neither */
	int r = shale_live_touched(live, ino) ? sync_files(live, ino) : 0;
	if (r < 0 || atomic_load(&live->synced) >= pos)
		return r;
	uint64_t now = shale_db_position(live->db);
	r = flush_replaced(live);
	if (r == 0)
		r = shale_db_sync(live->db, ino, NULL);
	uint64_t old = atomic_load(&live->synced);
	while (r == 0 && old < now &&
	       !atomic_compare_exchange_weak(&live->synced, &old, now))
		;
	return r;
}

int shale_live_syncfs(struct shale_live *live)
{
	return shale_db_advance(live->db, NULL);
}
