/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/orphan.h"

#include "fs/live/lend.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Inodes without a name.  One that is open when its last name goes has an O
 * record; it is freed with its last handle, or when nobody can have one any
 * more.
 */

static bool may_stay(const struct shale_live *live,
		     const struct shale_live_node *node,
		     enum shale_orphans which)
{
	if (which == SHALE_ORPHANS_ALL)
		return false;
	return shale_handles_held(live->handles, node->ino) ||
	       (which == SHALE_ORPHANS_CLOSED && !S_ISREG(node->attr.mode));
}

static int free_locked(struct shale_live *live, uint64_t ino,
		       enum shale_orphans which)
{
	cleanup_change struct shale_change ch;
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_orphan(ino);
	struct shale_live_node *node;

	shale_change_init(&ch, live);
	int r = shale_live_get(live, &key, &value);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = shale_change_load(&ch, ino, &node);
	if (r < 0 && r != -ESTALE)
		return r;
	if (r == 0 && may_stay(live, node, which))
		return 0;
	ch.orphans--;
	shale_change_del(&ch, &key);
	if (r == 0 && node->attr.nlink == 0)
		shale_change_free(&ch, node);
	return shale_change_commit(&ch, NULL);
}

static int free_one(struct shale_live *live, uint64_t ino,
		    enum shale_orphans which)
{
	struct shale_locks locks;

	shale_locks_enter(live, &locks, &ino, 1);
	int r = free_locked(live, ino, which);
	shale_locks_leave(live, &locks);
	return r;
}

int shale_orphans_free(struct shale_live *live, enum shale_orphans which)
{
	cleanup_buf struct shale_buf key = {0};
	struct shale_key from = shale_key_orphan(0);

	for (uint64_t ino = 0;; ino++) {
		from = shale_key_orphan(ino);
		int r = shale_db_next(live->db, from.b, from.len, 1, &key, NULL,
				      NULL);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = shale_key_ino(&key, 'O', &ino);
		if (r == 0)
			r = free_one(live, ino, which);
		if (r < 0)
			return r;
	}
}

/* ---------------------------------------------------------------- handles */

int shale_live_opened(struct shale_live *live, const struct shale_caller *who,
		      uint64_t ino, uint64_t *handle)
{
	struct shale_live_node node;

	/* Against the removal of the last name: that looks for handles. */
	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	int r = shale_node_load(live, ino, &node);
	if (r == 0)
		r = shale_handles_take(live->handles, ino, who->request.unique,
				       handle);
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	return r;
}

void shale_live_writes(struct shale_live *live, uint64_t handle)
{
	shale_handles_note(live->handles, handle, SHALE_HANDLE_WRITES);
}

uint32_t shale_live_writers(struct shale_live *live)
{
	return shale_handles_noted(live->handles, SHALE_HANDLE_WRITES);
}

void shale_live_released(struct shale_live *live, uint64_t handle)
{
	uint64_t ino = shale_handles_ino(live->handles, handle);
	struct shale_live_node node;

	bool lends = ino && shale_lend_count(live);
	if (lends)
		shale_lend_release(live, ino, handle);
	else
		shale_handles_clear(live->handles, handle);
	/* All but regular files wait to be forgotten. */
	if (ino && atomic_load(&live->orphans) > 0 &&
	    shale_node_load(live, ino, &node) == 0 && S_ISREG(node.attr.mode))
		(void)free_one(live, ino, SHALE_ORPHANS_UNHELD);
	if (lends)
		shale_lend_end(live, ino);
}

void shale_live_forgotten(struct shale_live *live, uint64_t ino)
{
	/* What cannot be freed now is freed by the next open. */
	if (atomic_load(&live->orphans) > 0)
		(void)free_one(live, ino, SHALE_ORPHANS_UNHELD);
}
