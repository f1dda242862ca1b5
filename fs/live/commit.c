/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/settle.h"

#include "fs/live/lend.h"
#include "fs/live/quota.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/*
 * Let go of data files of epochs up to `epoch` that were kept for a commit,
 * when batches up to `pos` are applied.
 */
static void let_go(struct shale_live *live, uint32_t epoch, uint64_t pos)
{
	size_t kept = 0;

	pthread_mutex_lock(&live->held_lock);
	struct shale_drop *drops = (void *)live->held.data;
	for (size_t i = 0; i < live->held.len / sizeof(*drops); i++) {
		if (drops[i].epoch > epoch)
			drops[kept++] = drops[i];
		else
			(void)shale_files_remove(live->files, drops[i].ino,
						 drops[i].epoch, pos);
	}
	live->held.len = kept * sizeof(*drops);
	pthread_mutex_unlock(&live->held_lock);
}

int shale_live_freeze(struct shale_live *live, uint32_t *frozen, uint64_t *pos,
		      struct shale_err *err)
{
	shale_lend_end_all(live, SHALE_LEND_CLOSED);
	pthread_rwlock_wrlock(&live->freeze);
	struct shale_rec_state state = live->state;
	int r = shale_lend_refuse(live, err);
	if (r < 0) {
		pthread_rwlock_unlock(&live->freeze);
		return r;
	}
	r = -EOVERFLOW;
	if (state.epoch < UINT32_MAX) {
		*frozen = state.epoch++;
		r = shale_live_set_state(live, &state, NULL, pos);
	}
	/* The image's next number is the state's: none below it is new. */
	if (r == 0) {
		live->next_ino = live->state.next_ino;
		shale_quota_seal(live);
		/* What was kept belongs to a commit that failed: this one does
		 * not see it.  But one that began under the daemon before us
		 * may still be reading it. */
		if (!live->opts.takeover)
			let_go(live, *frozen, *pos);
	}
	pthread_rwlock_unlock(&live->freeze);
	return r < 0 ? shale_err_set(err, -r, "freeze the workspace") : 0;
}

/* Record the image; nothing to do the second time. */
static int record(struct shale_live *live, uint32_t frozen,
		  const struct shale_rec_image *which, struct shale_err *err)
{
	struct shale_rec_state state = live->state;

	if (frozen <= state.committed)
		return 0;
	if (frozen >= state.epoch)
		return shale_err_say(err, EINVAL,
				     "epoch %" PRIu32 " was never frozen",
				     frozen);
	state.committed = frozen;
	state.last++;
	int r = shale_live_set_state(live, &state, which, NULL);
	if (r < 0)
		return shale_err_set(err, -r, "record the new image");
	pthread_mutex_lock(&live->held_lock);
	live->committed = frozen;
	pthread_mutex_unlock(&live->held_lock);
	r = shale_quota_settle(live);
	return r < 0 ? shale_err_set(err, -r, "count what changed") : 0;
}

int shale_live_committed(struct shale_live *live, uint32_t frozen,
			 const struct shale_rec_image *which,
			 struct shale_err *err)
{
	/* Before any record names it; not under a lock that writers need. */
	int r = shale_workspace_need_images(live->ws, which->manifest, which->n,
					    err);
	if (r < 0)
		return r;
	/* Alone: each change counts on one side of the commit. */
	pthread_rwlock_wrlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	r = record(live, frozen, which, err);
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	if (r < 0)
		return r;
	r = shale_settle(live);
	if (r < 0)
		return shale_err_set(err, -r, "point contents at the image");
	let_go(live, live->committed, shale_db_position(live->db));
	return 0;
}
