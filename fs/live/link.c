/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/body.h"
#include "fs/live/names.h"
#include "fs/live/xattr.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <sys/stat.h>

/* -------------------------------------------------------------------- link */

/*
 * An inode that never had a name (O_TMPFILE) gets one.  No image has it,
 * whatever was committed before: it is born now, and with it all that it holds.
 */
static int adopt(struct shale_change *ch, struct shale_live_node *node)
{
	cleanup_buf struct shale_buf list = {0};
	struct shale_key orphan = shale_key_orphan(node->ino);

	node->attr.born = ch->live->state.epoch;
	shale_change_del(ch, &orphan);
	ch->orphans--;
	int r = shale_body_renew(ch, node);
	if (r == 0)
		r = shale_xattr_load(ch->live, node, &list);
	if (r == 0 && list.len)
		shale_xattr_store(ch, node, &list);
	return r;
}

static int link_locked(struct shale_live *live, const struct shale_caller *who,
		       uint64_t ino, uint64_t dir, const char *name, size_t len,
		       struct shale_node *out)
{
	cleanup_change struct shale_change ch;
	struct shale_live_node parent_now, *parent, *node;
	struct shale_name_state state;

	shale_change_init(&ch, live);
	int r = shale_node_load_dir(live, dir, &parent_now);
	if (r == 0)
		r = shale_change_load(&ch, dir, &parent);
	if (r == 0)
		r = shale_change_load(&ch, ino, &node);
	if (r == 0 && S_ISDIR(node->attr.mode))
		r = -EPERM;
	if (r == 0)
		r = shale_names_find(live, parent, name, len, &state);
	if (r == 0 && shale_merge_ino(&state))
		r = -EEXIST;
	if (r == 0 && node->attr.nlink == UINT32_MAX)
		r = -EMLINK;
	/* What lost its last name stays without, as in Linux's vfs_link(). */
	if (r == 0 && !node->attr.nlink && node->attr.born != SHALE_UNBORN)
		r = -ENOENT;
	if (r == 0 && !node->attr.nlink)
		r = adopt(&ch, node);
	if (r < 0)
		return r;

	node->attr.nlink++;
	shale_change_touch(&ch, node);
	shale_names_set(&ch, parent, name, len, &state, ino, node->attr.mode);
	r = shale_change_commit(&ch, who);
	if (r < 0)
		return r;
	node->stored = true;
	return shale_node_stat(live, node, out);
}

int shale_live_link(struct shale_live *live, const struct shale_caller *who,
		    uint64_t ino, uint64_t dir, const char *name, size_t len,
		    struct shale_node *out)
{
	struct shale_locks locks;
	uint64_t inos[2] = {ino, dir};

	int r = shale_names_check(name, len);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	shale_locks_take(live, &locks, inos, 2);
	r = link_locked(live, who, ino, dir, name, len, out);
	shale_locks_drop(live, &locks);
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	return r;
}

/* ------------------------------------------------------------ unlink, rmdir */

static int remove_found(struct shale_live *live, const struct shale_caller *who,
			uint64_t dir, const char *name, size_t len, bool rmdir,
			const struct shale_name_state *state)
{
	cleanup_change struct shale_change ch;
	struct shale_live_node *parent, *node;

	shale_change_init(&ch, live);
	int r = shale_change_load(&ch, dir, &parent);
	if (r == 0)
		r = shale_change_load(&ch, shale_merge_ino(state), &node);
	if (r == 0 && S_ISDIR(node->attr.mode) != rmdir)
		r = rmdir ? -ENOTDIR : -EISDIR;
	if (r == 0 && rmdir)
		r = shale_names_empty(live, node);
	if (r < 0)
		return r;

	shale_names_remove(&ch, parent, name, len, state);
	if (rmdir)
		parent->attr.nlink--;
	shale_change_unlink(&ch, node);
	return shale_change_commit(&ch, who);
}

static int remove_name(struct shale_live *live, const struct shale_caller *who,
		       uint64_t dir, const char *name, size_t len, bool rmdir)
{
	struct shale_live_node parent;
	struct shale_name_state state;
	struct shale_locks locks;

	int r = shale_names_check(name, len);
	if (r == -EEXIST)
		return !rmdir ? -EISDIR : len == 1 ? -EINVAL : -ENOTEMPTY;
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	r = shale_node_load_dir(live, dir, &parent);
	if (r == 0)
		r = shale_names_find(live, &parent, name, len, &state);
	if (r == 0 && !shale_merge_ino(&state))
		r = -ENOENT;
	if (r == 0) {
		uint64_t inos[2] = {dir, shale_merge_ino(&state)};
		shale_locks_take(live, &locks, inos, 2);
		r = remove_found(live, who, dir, name, len, rmdir, &state);
		shale_locks_drop(live, &locks);
	}
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	return r;
}

int shale_live_unlink(struct shale_live *live, const struct shale_caller *who,
		      uint64_t dir, const char *name, size_t len)
{
	return remove_name(live, who, dir, name, len, false);
}

int shale_live_rmdir(struct shale_live *live, const struct shale_caller *who,
		     uint64_t dir, const char *name, size_t len)
{
	return remove_name(live, who, dir, name, len, true);
}
