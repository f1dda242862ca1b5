/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/acl.h"
#include "fs/live/lend.h"
#include "fs/live/xattr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* An access ACL follows the mode. */
static int chmod_acl(struct shale_change *ch, struct shale_live_node *node)
{
	cleanup_buf struct shale_buf list = {0};
	struct shale_xattr x;

	int r = shale_xattr_load(ch->live, node, &list);
	if (r < 0 || !list.len)
		return r;
	r = shale_xattr_find(list.data, (uint32_t)list.len, SHALE_ACL_ACCESS,
			     &x, NULL);
	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	if (shale_acl_check(x.value, x.value_len) < 0 || x.value_len <= 4)
		return 0; /* an image's, and no ACL: nothing to follow */
	uint8_t *value = list.data + ((const uint8_t *)x.value - list.data);
	shale_acl_chmod(value, x.value_len, node->attr.mode);
	shale_xattr_store(ch, node, &list);
	return 0;
}

static int set_owner_and_mode(struct shale_change *ch,
			      const struct shale_caller *who,
			      struct shale_live_node *node,
			      const struct shale_set *set)
{
	int r = 0;

	/* A new owner does not inherit privileges; the kernel asks for the
	 * same. */
	if (set->what &
	    (SHALE_SET_UID | SHALE_SET_GID | SHALE_SET_KILL_SUIDGID))
		r = shale_xattr_kill_privileges(ch, who, node);
	if (r < 0)
		return r;
	if (set->what & SHALE_SET_UID)
		node->attr.uid = set->uid;
	if (set->what & SHALE_SET_GID)
		node->attr.gid = set->gid;
	if (!(set->what & SHALE_SET_MODE))
		return 0;
	node->attr.mode = (node->attr.mode & S_IFMT) | (set->mode & 07777);
	return chmod_acl(ch, node);
}

static bool sane(const struct timespec *t)
{
	return t->tv_nsec >= 0 && t->tv_nsec < 1000000000;
}

/* What is set to now is what the ctime has become. */
static int set_times(struct shale_live_node *node, const struct shale_set *set)
{
	if (set->what & SHALE_SET_CTIME)
		node->attr.ctime = set->ctime;
	if (set->what & SHALE_SET_ATIME)
		node->attr.atime = set->what & SHALE_SET_ATIME_NOW
					   ? node->attr.ctime
					   : set->atime;
	if (set->what & SHALE_SET_MTIME)
		node->attr.mtime = set->what & SHALE_SET_MTIME_NOW
					   ? node->attr.ctime
					   : set->mtime;
	return sane(&node->attr.atime) && sane(&node->attr.mtime) &&
			       sane(&node->attr.ctime)
		       ? 0
		       : -EINVAL;
}

static int setattr_locked(struct shale_live *live,
			  const struct shale_caller *who, uint64_t ino,
			  const struct shale_set *set, struct shale_node *out)
{
	cleanup_change struct shale_change ch;
	cleanup_body struct shale_body body = {.live = live};
	struct shale_live_node *node;

	shale_change_init(&ch, live);
	int r = shale_change_load(&ch, ino, &node);
	if (r == 0 && (set->what & SHALE_SET_SIZE)) {
		r = shale_body_of(&body, live, node);
		body.err = who->err;
		if (r == 0)
			r = shale_body_resize(&body, set->size);
		if (r == 0)
			shale_body_store(&body, &ch);
		if (!who->keeps_times)
			node->attr.mtime = ch.now;
	}
	if (r == 0)
		r = set_owner_and_mode(&ch, who, node, set);
	if (r < 0)
		return r;
	shale_change_touch(&ch, node);
	r = set_times(node, set);
	bool timed = set->what & (SHALE_SET_SIZE | SHALE_SET_MTIME);
	if (r == 0)
		r = shale_lend_stamp(live, ino,
				     timed ? &node->attr.mtime : NULL);
	if (r == 0)
		r = shale_change_commit(&ch, who);
	if (r < 0)
		return r;
	node->stored = true;
	return shale_node_stat(live, node, out);
}

int shale_live_setattr(struct shale_live *live, const struct shale_caller *who,
		       uint64_t ino, const struct shale_set *set,
		       struct shale_node *out)
{
	struct shale_locks locks;
	int r;

	do {
		shale_locks_enter(live, &locks, &ino, 1);
		r = setattr_locked(live, who, ino, set, out);
		shale_locks_leave(live, &locks);
	} while (r == -EAGAIN && (r = shale_lend_settle(live, ino)) == 0);
	return r;
}
