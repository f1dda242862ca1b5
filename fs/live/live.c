/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/live.h"

#include "fs/live/discard.h"
#include "fs/live/impl.h"
#include "fs/live/lend.h"
#include "fs/live/orphan.h"
#include "fs/live/quota.h"
#include "fs/live/resume.h"
#include "fs/live/settle.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

/* ------------------------------------------------------- which are touched */

bool shale_live_touched(struct shale_live *live, uint64_t ino)
{
	if (!shale_live_maybe_base(live, ino))
		return true;
	return atomic_load(&live->touched[ino / 64]) >> (ino % 64) & 1;
}

void shale_live_touch(struct shale_live *live, uint64_t ino)
{
	if (shale_live_maybe_base(live, ino))
		atomic_fetch_or(&live->touched[ino / 64],
				UINT64_C(1) << (ino % 64));
}

/* ------------------------------------------------------------------ locks */

pthread_rwlock_t *shale_live_stripe(struct shale_live *live, uint64_t ino)
{
	return &live->stripe[ino % LIVE_STRIPES];
}

void shale_locks_take(struct shale_live *live, struct shale_locks *locks,
		      const uint64_t *inos, unsigned n)
{
	uint64_t wanted = 0;

	static_assert(LIVE_STRIPES == 64, "a bit a stripe");
	for (unsigned i = 0; i < n; i++)
		if (inos[i])
			wanted |= UINT64_C(1) << (inos[i] % LIVE_STRIPES);
	locks->n = 0;
	for (; wanted; wanted &= wanted - 1) { /* the lowest bit goes */
		unsigned s = (unsigned)__builtin_ctzll(wanted);
		pthread_rwlock_wrlock(&live->stripe[s]);
		locks->stripe[locks->n++] = s;
	}
}

void shale_locks_drop(struct shale_live *live, struct shale_locks *locks)
{
	while (locks->n)
		pthread_rwlock_unlock(&live->stripe[locks->stripe[--locks->n]]);
}

void shale_locks_enter(struct shale_live *live, struct shale_locks *locks,
		       const uint64_t *inos, unsigned n)
{
	pthread_rwlock_rdlock(&live->freeze);
	shale_locks_take(live, locks, inos, n);
}

void shale_locks_leave(struct shale_live *live, struct shale_locks *locks)
{
	shale_locks_drop(live, locks);
	pthread_rwlock_unlock(&live->freeze);
}

static void init_locks(struct shale_live *live)
{
	pthread_rwlockattr_t attr;

	/* A freeze must not wait for a stream of writers to end. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&live->freeze, &attr);
	for (unsigned s = 0; s < LIVE_STRIPES; s++)
		pthread_rwlock_init(&live->stripe[s], &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&live->names, NULL);
	pthread_mutex_init(&live->loans.lock, NULL);
	pthread_mutex_init(&live->held_lock, NULL);
	pthread_mutex_init(&live->replaced_flush, NULL);
	pthread_mutex_init(&live->replaced_lock, NULL);
	pthread_mutex_init(&live->fsynced_lock, NULL);
}

/* ---------------------------------------------------------------- records */

int shale_live_get(struct shale_live *live, const struct shale_key *key,
		   struct shale_buf *value)
{
	return shale_db_get(live->db, key->b, key->len, value, NULL);
}

int shale_live_each(struct shale_live *live, char letter, shale_live_fn *fn,
		    void *arg, struct shale_err *err)
{
	cleanup_buf struct shale_buf from = {0}, key = {0}, value = {0};

	int r = shale_buf_append(&from, &letter, 1);
	while (r == 0) {
		r = shale_db_next(live->db, from.data, from.len, 1, &key,
				  &value, err);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = fn(arg, &key, &value, err);
		from.len = 0;
		if (r == 0)
			r = shale_buf_append(&from, key.data, key.len);
		if (r == 0)
			r = shale_buf_append(&from, "", 1);
	}
	return r;
}

/* Who reads it has not the lock under which others of the state change. */
static void set_if_changed(uint32_t *value, uint32_t now)
{
	if (*value != now)
		*value = now;
}

int shale_live_set_state(struct shale_live *live,
			 const struct shale_rec_state *state,
			 const struct shale_rec_image *image, uint64_t *pos)
{
	cleanup_batch struct shale_batch batch = {0};
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_state();

	/* A snapshot is made of what is before this batch, and of it. */
	batch.barrier = live->state.epoch && state->epoch > live->state.epoch;
	batch.urgent = true;
	int r = shale_rec_state_encode(state, &value);
	if (r == 0)
		r = shale_batch_put(&batch, key.b, key.len, value.data,
				    value.len);
	if (r == 0 && image) {
		key = shale_key_image(state->last);
		value.len = 0;
		r = shale_rec_image_encode(image, &value);
		if (r == 0)
			r = shale_batch_put(&batch, key.b, key.len, value.data,
					    value.len);
	}
	if (r == 0)
		r = shale_db_commit(live->db, &batch, NULL, pos, NULL);
	if (r < 0)
		return r;
	live->state.next_ino = state->next_ino;
	set_if_changed(&live->state.epoch, state->epoch);
	set_if_changed(&live->state.committed, state->committed);
	set_if_changed(&live->state.last, state->last);
	set_if_changed(&live->state.pinned, state->pinned);
	return 0;
}

/* ------------------------------------------------------------ open, close */

static void free_live(struct shale_live *live)
{
	shale_source_free(live->source);
	pthread_rwlock_destroy(&live->freeze);
	for (unsigned s = 0; s < LIVE_STRIPES; s++)
		pthread_rwlock_destroy(&live->stripe[s]);
	pthread_mutex_destroy(&live->names);
	pthread_mutex_destroy(&live->loans.lock);
	shale_map64_release(&live->loans.id);
	shale_map64_release(&live->loans.since);
	pthread_mutex_destroy(&live->held_lock);
	pthread_mutex_destroy(&live->replaced_flush);
	pthread_mutex_destroy(&live->replaced_lock);
	pthread_mutex_destroy(&live->fsynced_lock);
	shale_buf_release(&live->flushing);
	shale_buf_release(&live->replaced);
	shale_buf_release(&live->held);
	free(live->touched);
	free(live);
}

SHALE_DEFINE_CLEANUP(live, struct shale_live *, free_live);

static int new_live(struct shale_live **out, struct shale_workspace *ws,
		    struct shale_handles *handles,
		    const struct shale_image *base,
		    const struct shale_live_opts *opts, struct shale_err *err)
{
	struct shale_live *live = calloc(1, sizeof(*live));
	if (!live)
		return shale_err_set(err, ENOMEM, "open the live tree");
	init_locks(live);
	live->ws = ws;
	live->db = ws->db;
	live->files = ws->files;
	live->handles = handles;
	live->base = base;
	live->index = base->index;
	if (opts) {
		live->opts = *opts;
		live->quota_bytes = opts->quota_bytes;
		live->quota_inodes = opts->quota_inodes;
	}
	live->base_next = shale_index_next_ino(base->index);
	live->touched = calloc(live->base_next / 64 + 1, sizeof(uint64_t));
	int r = live->touched ? shale_source_new(&live->source, ws->db, base,
						 opts, err)
			      : -ENOMEM;
	if (r < 0)
		free_live(live);
	else
		*out = live;
	return r;
}

/*
 * What was begun is finished, in the order in which each step may rely on the
 * one before: contents point at the last image, nobody is without a name, and
 * then the base may become that image.
 */
static int resume(struct shale_live *live, const struct shale_rec_image *which,
		  struct shale_err *err)
{
	int r = shale_resume_state(live, which, err);
	if (r < 0)
		return r;
	live->next_ino = live->state.next_ino;
	live->committed = live->state.committed;
	shale_source_pin(live->source, live->state.pinned);
	r = shale_resume_count(live, err);
	if (r < 0)
		return r;
	r = shale_lend_resume(live, err);
	if (r < 0)
		return r;
	r = shale_settle(live);
	if (r == 0)
		r = shale_orphans_free(live, live->opts.takeover
						     ? SHALE_ORPHANS_CLOSED
						     : SHALE_ORPHANS_UNHELD);
	if (r < 0)
		return shale_err_set(err, -r, "resume the workspace");
	if (live->rebase) {
		r = shale_resume_rebase(live, err);
		if (r < 0)
			return r;
		shale_source_pin(live->source, live->state.pinned);
		memset(live->touched, 0,
		       (live->base_next / 64 + 1) * sizeof(uint64_t));
		r = shale_resume_count(live, err);
	}
	if (r == 0)
		r = shale_discard_resume(live, err);
	return r < 0 ? r : shale_resume_sweep(live, err);
}

/*
 * What a killed process did is not applied yet: fsync of any inode counts.
 * Returns whether all is applied, so that no power cut can undo it.
 */
static bool expect_fsync(struct shale_live *live)
{
	struct shale_db_stats stats;

	shale_db_stats(live->db, &stats);
	for (unsigned i = 0;
	     i < LIVE_SYNC_SLOTS && stats.applied < stats.position; i++)
		atomic_store(&live->sync[i], stats.position);
	return stats.applied == stats.position;
}

int shale_live_open(struct shale_live **out, struct shale_workspace *ws,
		    struct shale_handles *handles,
		    const struct shale_image *base,
		    const struct shale_rec_image *which,
		    const struct shale_live_opts *opts, struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_live) struct shale_live *live = NULL;

	int r = new_live(&live, ws, handles, base, opts, err);
	if (r < 0)
		return r;
	bool applied = expect_fsync(live);
	r = resume(live, which, err);
	if (r == 0 && applied && !live->rebase)
		r = shale_resume_images(live, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&live);
	return 0;
}

void shale_live_close(struct shale_live *live)
{
	if (!live)
		return;
	/* What fails here is done by the next open. */
	(void)shale_orphans_free(live, SHALE_ORPHANS_ALL);
	shale_lend_end_all(live, SHALE_LEND_GONE);
	(void)shale_db_advance(live->db, NULL);
	free_live(live);
}

bool shale_live_is_changed(struct shale_live *live, uint64_t ino)
{
	return shale_live_touched(live, ino);
}

bool shale_live_answered(struct shale_live *live,
			 const struct shale_caller *who)
{
	return shale_db_answered(live->db, &who->request);
}

int shale_live_base_of(struct shale_workspace *ws, struct shale_rec_image *out,
		       struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_state();
	struct shale_rec_state state;

	int r = shale_db_get(ws->db, key.b, key.len, &value, err);
	if (r == -ENOENT) {
		if (!ws->info.n_base || ws->info.n_base > 32)
			return shale_err_say(err, EUCLEAN,
					     "workspace.json names no base");
		out->n = (uint32_t)ws->info.n_base;
		memcpy(out->manifest, ws->info.base,
		       out->n * sizeof(out->manifest[0]));
		return 0;
	}
	if (r == 0)
		r = shale_rec_state_decode(&value, &state, err);
	if (r < 0)
		return r;
	key = shale_key_image(state.last);
	r = shale_db_get(ws->db, key.b, key.len, &value, err);
	return r < 0 ? r : shale_rec_image_decode(&value, out, err);
}

int shale_live_counts(struct shale_live *live, struct shale_live_counts *out)
{
	pthread_rwlock_rdlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	*out = (struct shale_live_counts){
		.inodes = (uint64_t)atomic_load(&live->inodes),
		.bytes = (uint64_t)atomic_load(&live->bytes),
		.dirty_inodes = (uint64_t)atomic_load(&live->dirty),
		.data_bytes =
			(uint64_t)atomic_load(&live->blocks) * SHALE_BLOCK,
		.quota_bytes = live->quota_bytes,
		.quota_inodes = live->quota_inodes,
		.used_bytes = shale_quota_bytes(live),
		.used_inodes = shale_quota_inodes(live),
		.lent = shale_lend_count(live),
		.epoch = live->state.epoch,
		.committed = live->state.committed,
		.next_ino = live->next_ino,
	};
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	return 0;
}
