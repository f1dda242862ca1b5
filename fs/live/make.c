/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/acl.h"
#include "fs/live/names.h"
#include "fs/live/xattr.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { RESERVE = 256 }; /* inode numbers with one record of the state */

/* The next number; the names lock is held.  Never given out again (L2). */
static int next_ino(struct shale_live *live, uint64_t *ino)
{
	if (live->next_ino == live->state.next_ino) {
		struct shale_rec_state state = live->state;
		if (state.next_ino > SHALE_INO_MAX - RESERVE)
			return -ENOSPC;
		state.next_ino += RESERVE;
		int r = shale_live_set_state(live, &state, NULL, NULL);
		if (r < 0)
			return r;
	}
	*ino = live->next_ino++;
	return 0;
}

/*
 * Mode and xattrs of a new node: default ACLs of the directory rule, else the
 * umask does.
 */
static int inherit(struct shale_change *ch, const struct shale_live_node *dir,
		   const struct shale_caller *who, struct shale_live_node *node)
{
	cleanup_buf struct shale_buf list = {0}, xattrs = {0};

	if (S_ISLNK(node->attr.mode)) {
		node->attr.mode = S_IFLNK | 0777;
		return 0;
	}
	int r = shale_xattr_load(ch->live, dir, &list);
	if (r < 0)
		return r;
	r = shale_acl_inherit(&list, &node->attr.mode, &xattrs);
	if (r == -ENODATA) {
		node->attr.mode &= ~(who->umask & 0777);
		return 0;
	}
	if (r == 0 && xattrs.len)
		shale_xattr_store(ch, node, &xattrs);
	return r;
}

int shale_make_node(struct shale_change *ch, const struct shale_live_node *dir,
		    const struct shale_caller *who,
		    const struct shale_make *what, struct shale_live_node **out)
{
	uint64_t ino = 0;

	int r = next_ino(ch->live, &ino);
	if (r < 0)
		return r;
	struct shale_live_node *node = shale_change_new(ch, ino);
	node->attr.mode = what->mode;
	node->attr.uid = who->uid;
	node->attr.gid = who->gid;
	node->attr.rdev_major = what->rdev_major;
	node->attr.rdev_minor = what->rdev_minor;
	if (dir->attr.mode & S_ISGID) {
		node->attr.gid = dir->attr.gid;
		if (S_ISDIR(what->mode))
			node->attr.mode |= S_ISGID;
	}
	if (S_ISDIR(what->mode)) {
		node->attr.parent = dir->ino;
		node->attr.nlink = 2;
	}
	if (S_ISLNK(what->mode)) {
		struct shale_key key = shale_key_target(ino);
		shale_change_put(ch, &key, what->target, what->target_len);
	}
	r = inherit(ch, dir, who, node);
	*out = node;
	return r;
}

static int check_make(const struct shale_make *what)
{
	switch (what->mode & S_IFMT) {
	case S_IFLNK:
		if (!what->target_len)
			return -ENOENT;
		return what->target_len > SHALE_TARGET_MAX ? -ENAMETOOLONG : 0;
	case S_IFREG:
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return what->mode > 0177777 ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/* The node as it is after the commit, without reading it again. */
static int stat_new(struct shale_live *live, const struct shale_live_node *node,
		    struct shale_node *out)
{
	struct shale_live_node stored = *node;

	stored.stored = true;
	return shale_node_stat(live, &stored, out);
}

static int make_locked(struct shale_live *live, const struct shale_caller *who,
		       uint64_t dir, const char *name, size_t len,
		       const struct shale_make *what, struct shale_node *out)
{
	cleanup_change struct shale_change ch;
	struct shale_live_node parent_now, *parent, *node;
	struct shale_name_state state;

	shale_change_init(&ch, live);
	int r = shale_node_load_dir(live, dir, &parent_now);
	if (r == 0)
		r = shale_change_load(&ch, dir, &parent);
	if (r == 0)
		r = shale_names_find(live, parent, name, len, &state);
	if (r == 0 && shale_merge_ino(&state))
		r = -EEXIST;
	if (r == 0)
		r = shale_make_node(&ch, parent, who, what, &node);
	if (r < 0)
		return r;
	shale_names_set(&ch, parent, name, len, &state, node->ino, what->mode);
	if (S_ISDIR(what->mode))
		parent->attr.nlink++;
	r = shale_change_commit(&ch, who);
	return r < 0 ? r : stat_new(live, node, out);
}

int shale_live_make(struct shale_live *live, const struct shale_caller *who,
		    uint64_t dir, const char *name, size_t len,
		    const struct shale_make *what, struct shale_node *out)
{
	struct shale_locks locks;

	int r = shale_names_check(name, len);
	if (r == 0)
		r = check_make(what);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	shale_locks_take(live, &locks, &dir, 1);
	r = make_locked(live, who, dir, name, len, what, out);
	shale_locks_drop(live, &locks);
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	return r;
}

static int tmpfile_locked(struct shale_live *live,
			  const struct shale_caller *who, uint64_t dir,
			  const struct shale_make *what, struct shale_node *out)
{
	cleanup_change struct shale_change ch;
	struct shale_live_node parent, *node;

	shale_change_init(&ch, live);
	int r = shale_node_load_dir(live, dir, &parent);
	if (r == 0)
		r = shale_make_node(&ch, &parent, who, what, &node);
	if (r < 0)
		return r;
	struct shale_key orphan = shale_key_orphan(node->ino);
	node->attr.nlink = 0;
	node->attr.born = SHALE_UNBORN;
	shale_change_put(&ch, &orphan, NULL, 0);
	ch.orphans++;
	r = shale_change_commit(&ch, who);
	return r < 0 ? r : stat_new(live, node, out);
}

int shale_live_tmpfile(struct shale_live *live, const struct shale_caller *who,
		       uint64_t dir, uint32_t mode, struct shale_node *out)
{
	struct shale_make what = {.mode = S_IFREG | (mode & 07777)};

	pthread_rwlock_rdlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	int r = tmpfile_locked(live, who, dir, &what, out);
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	return r;
}
