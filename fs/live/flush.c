/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/flush.h"

#include "fs/live/body.h"
#include "fs/workspace/pieces.h"
#include "layers/base/cleanup.h"

#include <errno.h>

uint64_t shale_flush_changed(struct shale_live *live, uint64_t ino)
{
	return atomic_load(&live->sync[ino % LIVE_SYNC_SLOTS]);
}

/* Does a durable record say that all of the file is durable? */
static bool is_fsynced(struct shale_live *live, uint64_t ino, uint64_t pos)
{
	const struct shale_flushed *it = &live->fsynced[ino % LIVE_SYNC_SLOTS];

	pthread_mutex_lock(&live->fsynced_lock);
	bool is = !pos || (it->ino == ino && it->pos >= pos);
	pthread_mutex_unlock(&live->fsynced_lock);
	return is;
}

void shale_flush_done(struct shale_live *live, uint64_t ino,
		      const struct shale_flush *flush)
{
	if (!flush->noted)
		return;
	if (flush->kept)
		shale_files_void(live->files, ino, flush->epoch, flush->kept);
	pthread_mutex_lock(&live->fsynced_lock);
	live->fsynced[ino % LIVE_SYNC_SLOTS] =
		(struct shale_flushed){ino, flush->pos};
	pthread_mutex_unlock(&live->fsynced_lock);
}

/* What data files a file has; -ENODATA: it is none. */
static int load_files(struct shale_live *live, uint64_t ino,
		      struct shale_body *body)
{
	int r = shale_body_load(body, live, ino);
	return r == -EISDIR || r == -EINVAL ? -ENODATA : r;
}

static int sync_files(const struct shale_body *body, struct shale_err *err)
{
	int r = 0;

	/* Others write it, too: whether it is clean is not known. */
	if (body->lent)
		r = shale_files_dirty(body->live->files, body->ino,
				      body->c.file[0].epoch);
	for (uint32_t i = 0; r == 0 && i < body->c.n_files; i++) {
		r = shale_files_sync(body->live->files, body->ino,
				     body->c.file[i].epoch, err);
		if (r == -ENOENT)
			r = 0; /* never written, or let go of since */
	}
	return r;
}

static bool any_kept(const struct shale_body *body)
{
	bool any = false;

	for (uint32_t i = 0; !any && i < body->c.n_files; i++)
		any = shale_files_kept(body->live->files, body->ino,
				       body->c.file[i].epoch) > 0;
	return any;
}

/*
 * Is all of it in the journal, or on disk?  `*kept`: as far as the journal has
 * to be flushed for that, 0: the data files are what counts.
 */
static bool all_kept(const struct shale_body *body, uint64_t *kept)
{
	bool all = !body->lent;

	*kept = 0;
	for (uint32_t i = 0; all && i < body->c.n_files; i++) {
		uint64_t pos;
		all = shale_files_covered(body->live->files, body->ino,
					  body->c.file[i].epoch, &pos);
		*kept = pos > *kept ? pos : *kept;
	}
	return all;
}

static bool any_much(const struct shale_body *body)
{
	bool any = body->lent;

	for (uint32_t i = 0; !any && i < body->c.n_files; i++)
		any = shale_files_much(body->live->files, body->ino,
				       body->c.file[i].epoch);
	return any;
}

/* ------------------------------------------- with the inode's lock, shared */

/* -E2BIG, -ENOSPC, -EDQUOT: they are to be flushed. */
static int keep_files(const struct shale_body *body, struct shale_err *err)
{
	struct shale_files *files = body->live->files;
	uint64_t written[SHALE_CONTENT_FILES], pos;
	cleanup_buf struct shale_buf bytes = {0};

	int r = shale_pieces_begin(&bytes, body->ino);
	for (uint32_t i = 0; r == 0 && i < body->c.n_files; i++)
		r = shale_files_gather(files, body->ino, body->c.file[i].epoch,
				       &bytes, &written[i], err);
	if (r == 0)
		r = shale_db_data(body->live->db, &bytes, &pos, err);
	for (uint32_t i = 0; r == 0 && i < body->c.n_files; i++)
		if (written[i])
			shale_files_keep(files, body->ino,
					 body->c.file[i].epoch, written[i],
					 pos);
	return r;
}

/*
 * What is on disk is newer than what the journal may have of it: from here on
 * that is void.  Only the newest data file is written any more, so it is the
 * one of which it is worth to know that soon.
 */
static int tell_files(const struct shale_body *body, struct shale_flush *out,
		      struct shale_err *err)
{
	struct shale_files *files = body->live->files;

	if (body->c.n_files) { /* before the record: bytes behind it count */
		out->epoch = body->c.file[0].epoch;
		out->kept = shale_files_kept(files, body->ino, out->epoch);
	}
	int r = shale_db_flushed(body->live->db, &body->ino, 1, err);
	for (uint32_t i = 0; r == 0 && i < body->c.n_files; i++)
		shale_files_told(files, body->ino, body->c.file[i].epoch);
	return r;
}

/*
 * Nobody changes the file, so its records are those of its data.  `seen`: the
 * last change that what was flushed before has for sure.
 */
static int note(struct shale_live *live, uint64_t ino, uint64_t seen,
		struct shale_flush *out, struct shale_err *err)
{
	cleanup_body struct shale_body body = {.live = live};
	struct shale_flush flush = {.noted = true,
				    .pos = shale_flush_changed(live, ino)};

	int r = load_files(live, ino, &body);
	if (r < 0)
		return r;
	/* The journal keeps nothing of what others write, too. */
	bool flushed = body.lent && flush.pos == seen;
	if (!body.lent)
		r = keep_files(&body, err);
	if (body.lent || r == -E2BIG || r == -ENOSPC || r == -EDQUOT) {
		r = flushed ? 0 : sync_files(&body, err);
		if (r == 0)
			r = tell_files(&body, &flush, err);
	}
	if (r == 0)
		*out = flush;
	return r;
}

/* ------------------------------------------------------------------------- */

int shale_flush_file(struct shale_live *live, uint64_t ino,
		     struct shale_flush *out, struct shale_err *err)
{
	cleanup_body struct shale_body body = {.live = live};
	uint64_t seen = shale_flush_changed(live, ino), kept;

	*out = (struct shale_flush){0};
	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	int r = load_files(live, ino, &body);
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	if (r < 0)
		return r;

	bool quiet = is_fsynced(live, ino, seen);
	if (quiet && all_kept(&body, &kept) && kept)
		return shale_db_data_sync(live->db, kept, err);
	quiet &= !any_kept(&body);
	if (quiet || any_much(&body))
		r = sync_files(&body, err);
	if (r < 0 || quiet)
		return r;
	/* Most is flushed by now; what came meanwhile is, under the lock. */
	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	r = note(live, ino, seen, out, err);
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	return r;
}
