/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/xattr.h"

#include "fs/live/acl.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int shale_xattr_load(struct shale_live *live,
		     const struct shale_live_node *node, struct shale_buf *list)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_xattrs(node->ino);
	struct shale_rec_xattrs rec;
	const void *base;
	uint32_t len;

	if (node->stored) {
		int r = shale_live_get(live, &key, &value);
		if (r == 0)
			r = shale_rec_xattrs_decode(&value, &rec, NULL);
		if (r == 0)
			return shale_buf_append(list, rec.list, rec.len);
		if (r != -ENOENT)
			return r;
	}
	if (!node->base)
		return 0;
	int r = shale_index_xattrs(live->index, node->ino, &base, &len, NULL);
	return r < 0 ? r : shale_buf_append(list, base, len);
}

void shale_xattr_store(struct shale_change *ch, struct shale_live_node *node,
		       const struct shale_buf *list)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_xattrs(node->ino);
	struct shale_rec_xattrs rec = {
		.epoch = ch->live->state.epoch,
		.list = list->data,
		.len = (uint32_t)list->len,
	};

	int r = shale_rec_xattrs_encode(&rec, &value);
	if (r < 0)
		ch->r = ch->r ? ch->r : r;
	else
		shale_change_put(ch, &key, value.data, value.len);
	shale_change_touch(ch, node);
}

int shale_xattr_without(const struct shale_buf *list, const char *name,
			struct shale_buf *out)
{
	struct shale_xattr x;
	uint32_t at = 0, from = 0;
	bool found = false;
	int r;

	while ((r = shale_xattr_next(list->data, (uint32_t)list->len, &at, &x,
				     NULL)) > 0) {
		if (x.name_len == strlen(name) &&
		    memcmp(x.name, name, x.name_len) == 0)
			found = true;
		else if (shale_buf_append(out, list->data + from, at - from) <
			 0)
			return -ENOMEM;
		from = at;
	}
	if (r < 0)
		return r;
	return found ? 0 : -ENODATA;
}

static int kill_caps(struct shale_change *ch, struct shale_live_node *node)
{
	cleanup_buf struct shale_buf list = {0}, rest = {0};

	int r = shale_xattr_load(ch->live, node, &list);
	if (r < 0 || !list.len)
		return r;
	r = shale_xattr_without(&list, "security.capability", &rest);
	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	shale_xattr_store(ch, node, &rest);
	return 1;
}

static bool keeps_setgid(const struct shale_caller *who, uint32_t gid)
{
	return who->gid == gid ||
	       (who->keeps_setgid && who->keeps_setgid(who->arg, gid));
}

int shale_xattr_kill_privileges(struct shale_change *ch,
				const struct shale_caller *who,
				struct shale_live_node *node)
{
	uint32_t taken = S_ISUID;

	if (S_ISDIR(node->attr.mode))
		return 0;
	if (node->attr.mode & S_ISGID &&
	    (node->attr.mode & S_IXGRP || !keeps_setgid(who, node->attr.gid)))
		taken |= S_ISGID;
	taken &= node->attr.mode;
	node->attr.mode &= ~taken;
	int r = kill_caps(ch, node);
	if (r < 0 || (r == 0 && !taken))
		return r;
	if (who->lost_privileges)
		*who->lost_privileges = true;
	return 1;
}

/* ---------------------------------------------------------------- reading */

int shale_live_getxattr(struct shale_live *live, uint64_t ino, const char *name,
			struct shale_buf *value)
{
	cleanup_buf struct shale_buf list = {0};
	struct shale_live_node node;
	struct shale_xattr x;

	int r = shale_node_load(live, ino, &node);
	if (r == 0)
		r = shale_xattr_load(live, &node, &list);
	if (r < 0)
		return r;
	if (!list.len)
		return -ENODATA;
	r = shale_xattr_find(list.data, (uint32_t)list.len, name, &x, NULL);
	return r < 0 ? r : shale_buf_append(value, x.value, x.value_len);
}

int shale_live_listxattr(struct shale_live *live, uint64_t ino,
			 struct shale_buf *names)
{
	cleanup_buf struct shale_buf list = {0};
	struct shale_live_node node;
	struct shale_xattr x;
	uint32_t at = 0;

	int r = shale_node_load(live, ino, &node);
	if (r == 0)
		r = shale_xattr_load(live, &node, &list);
	while (r == 0 && (r = shale_xattr_next(list.data, (uint32_t)list.len,
					       &at, &x, NULL)) > 0) {
		r = shale_buf_append(names, x.name, x.name_len);
		if (r == 0)
			r = shale_buf_append(names, "", 1);
	}
	return r;
}

/* --------------------------------------------------------------- changing */

/*
 * An access ACL sets the mode, too, and is not kept if the mode says all of it;
 * an empty ACL is none.  Returns 1 if nothing is to be kept under the name.
 */
static int apply_acl(struct shale_live_node *node, const char *name,
		     const void *value, size_t len, bool kill_sgid)
{
	bool access = strcmp(name, SHALE_ACL_ACCESS) == 0;
	uint32_t mode;
	bool equal;

	if (!access && strcmp(name, SHALE_ACL_DEFAULT) != 0)
		return 0;
	int r = shale_acl_check(value, len);
	if (r < 0)
		return r;
	if (S_ISLNK(node->attr.mode))
		return -EOPNOTSUPP;
	if (!access && !S_ISDIR(node->attr.mode))
		return -EACCES;
	if (len == 4)
		return 1;
	if (!access)
		return 0;
	r = shale_acl_mode(value, len, &mode, &equal);
	if (r < 0)
		return r;
	node->attr.mode = (node->attr.mode & ~0777u) | mode;
	if (kill_sgid)
		node->attr.mode &= ~(uint32_t)S_ISGID;
	return equal;
}

/* `value` NULL: remove. */
struct edit {
	const char *name;
	const void *value;
	size_t len;
	int flags;
	bool kill_sgid;
};

static int change_list(struct shale_change *ch, struct shale_live_node *node,
		       const struct edit *edit)
{
	cleanup_buf struct shale_buf list = {0}, next = {0};
	const char *name = edit->name;
	const void *value = edit->value;
	size_t len = edit->len;
	int flags = edit->flags;

	int r = shale_xattr_load(ch->live, node, &list);
	if (r < 0)
		return r;
	r = shale_xattr_without(&list, name, &next);
	if (r == -ENODATA && (!value || (flags & XATTR_REPLACE)))
		return r;
	if (r == 0 && (flags & XATTR_CREATE))
		return -EEXIST;
	if (r < 0 && r != -ENODATA)
		return r;
	r = value ? apply_acl(node, name, value, len, edit->kill_sgid) : 0;
	if (r < 0)
		return r;
	if (value && r == 0) {
		r = shale_xattr_append(&next, name, value, len, NULL);
		if (r == 0)
			r = shale_xattr_sort(&next, NULL);
		if (r < 0)
			return r;
	}
	if (next.len > SHALE_XATTRS_MAX)
		return -ENOSPC;
	shale_xattr_store(ch, node, &next);
	return 0;
}

static int change_xattr(struct shale_live *live, const struct shale_caller *who,
			uint64_t ino, const struct edit *edit)
{
	cleanup_change struct shale_change ch;
	struct shale_live_node *node;
	struct shale_locks locks;

	shale_locks_enter(live, &locks, &ino, 1);
	shale_change_init(&ch, live);
	int r = shale_change_load(&ch, ino, &node);
	if (r == 0)
		r = change_list(&ch, node, edit);
	if (r == 0)
		shale_change_unsaid(&ch, node);
	if (r == 0)
		r = shale_change_commit(&ch, who);
	shale_locks_leave(live, &locks);
	return r;
}

/* As of other file systems: what else there is in an image may stay and go. */
static int check_name(const char *name)
{
	static const char *const spaces[] = {"user.", "trusted.", "security.",
					     NULL};
	size_t len = strlen(name);

	if (!len || len > XATTR_NAME_MAX)
		return -ERANGE;
	if (!strcmp(name, SHALE_ACL_ACCESS) || !strcmp(name, SHALE_ACL_DEFAULT))
		return 0;
	for (size_t i = 0; spaces[i]; i++)
		if (strncmp(name, spaces[i], strlen(spaces[i])) == 0)
			return name[strlen(spaces[i])] ? 0 : -EINVAL;
	return -EOPNOTSUPP;
}

int shale_live_setxattr(struct shale_live *live, const struct shale_caller *who,
			uint64_t ino, const char *name, const void *value,
			size_t len, int flags, bool kill_sgid)
{
	struct edit edit = {name, value ? value : "", len, flags, kill_sgid};
	int r = check_name(name);

	if (r == 0 && len > XATTR_SIZE_MAX)
		r = -E2BIG;
	if (r < 0)
		return r;
	return change_xattr(live, who, ino, &edit);
}

int shale_live_removexattr(struct shale_live *live,
			   const struct shale_caller *who, uint64_t ino,
			   const char *name)
{
	struct edit edit = {.name = name};

	return change_xattr(live, who, ino, &edit);
}
