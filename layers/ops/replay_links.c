/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/diff_impl.h"

#include <errno.h>
#include <string.h>

/*
 * The names of one inode of the new version are to be one file, and no other's.
 * Where one of them has a file of the old version with the same content, the
 * group goes on with that file, unless another group *claimed* it before; then
 * names that the file has already need nothing, the others become links to it.
 * A group without such a file is made once and linked.
 */

static struct shale_replay_group *group_at(const struct shale_replaying *rp,
					   uint32_t number)
{
	return (struct shale_replay_group *)(void *)rp->links.groups.data +
	       number - 1;
}

/* The path of the n-th name of an inode. */
static int name_of(const struct shale_replaying *rp,
		   const struct shale_image *image, uint64_t ino, uint32_t n,
		   struct shale_buf *path)
{
	path->len = 0;
	int r = shale_index_path(image->index, ino, n, path, rp->err);
	return r == 0 && !shale_buf_str(path) ? -ENOMEM : r;
}

/* The inode at a path; 0: none. */
static int inode_at(const struct shale_replaying *rp,
		    const struct shale_image *image,
		    const struct shale_buf *path, uint64_t *ino)
{
	int r = shale_index_find(image->index, (const char *)path->data, ino,
				 rp->err);
	if (r == -ENOENT)
		*ino = 0;
	return r == -ENOENT ? 0 : r;
}

/* Does the new version keep that file under its own number?  Only known where
 * the two share layers. */
static int keeps_itself(const struct shale_replaying *rp, uint64_t from_ino)
{
	cleanup_buf struct shale_buf path = {0};
	int r = 0;

	if (!rp->opts->old_shared || !rp->opts->new_shared)
		return 0;
	for (uint32_t n = 0; r == 0; n++) {
		uint64_t is;
		r = name_of(rp, rp->from, from_ino, n, &path);
		if (r == 0)
			r = inode_at(rp, rp->to, &path, &is);
		if (r == 0 && is == from_ino)
			return 1;
	}
	return r == -ENOENT ? 0 : r;
}

/* 1: one content, so that a file of the one can become the other. */
static int same_thing(const struct shale_replaying *rp, uint64_t from_ino,
		      uint64_t ino)
{
	struct shale_difference d = {
		.path = "", .old_ino = from_ino, .new_ino = ino};
	int r = shale_index_attr(rp->from->index, from_ino, &d.was, rp->err);
	if (r == 0)
		r = shale_index_attr(rp->to->index, ino, &d.is, rp->err);
	if (r < 0 || ((d.was.mode ^ d.is.mode) & S_IFMT))
		return r;
	r = shale_diff_inodes(rp->from, rp->to, false, &d, rp->err);
	return r < 0 ? r : !(d.what & SHALE_DIFF_CONTENT);
}

/* 1: the group goes on with what `path` has in the old version. */
static int try_claim(struct shale_replaying *rp, uint32_t number, uint64_t ino,
		     const struct shale_buf *path, bool own_number)
{
	struct shale_inodemap_slot *slot;
	uint64_t was;

	int r = inode_at(rp, rp->from, path, &was);
	if (r < 0 || !was || (was == ino) != own_number)
		return r;
	r = shale_inodemap_find(&rp->links.claims, 0, was, &slot, rp->err);
	if (r < 0)
		return r;
	if (slot->inode)
		return 0;
	r = same_thing(rp, was, ino);
	if (r > 0 && was != ino) {
		int kept = keeps_itself(rp, was);
		r = kept < 0 ? kept : !kept;
	}
	if (r <= 0)
		return r;
	struct shale_replay_group *group = group_at(rp, number);
	group->path = strdup((const char *)path->data);
	if (!group->path)
		return shale_err_set(rp->err, ENOMEM, "replay");
	group->from_ino = was;
	slot->inode = number;
	return 1;
}

/* First by its own number, then by any. */
static int claim(struct shale_replaying *rp, uint32_t number, uint64_t ino)
{
	cleanup_buf struct shale_buf path = {0};
	int r = 0;

	for (int own = 1; own >= 0 && r == 0; own--) {
		for (uint32_t n = 0; r == 0; n++) {
			r = name_of(rp, rp->to, ino, n, &path);
			if (r == 0)
				r = try_claim(rp, number, ino, &path, own);
		}
		if (r == -ENOENT)
			r = 0;
	}
	return r < 0 ? r : 0;
}

int shale_replay_group(struct shale_replaying *rp, uint64_t ino,
		       struct shale_replay_group **out)
{
	const struct shale_replay_group none = {0};
	struct shale_inodemap_slot *slot;
	int r = shale_inodemap_find(&rp->links.members, 0, ino, &slot, rp->err);
	if (r < 0)
		return r;
	if (!slot->inode) {
		if (shale_buf_append(&rp->links.groups, &none, sizeof(none)) <
		    0)
			return shale_err_set(rp->err, ENOMEM, "replay");
		slot->inode = (uint32_t)(rp->links.groups.len / sizeof(none));
		uint32_t number = slot->inode;
		r = rp->from ? claim(rp, number, ino) : 0;
		*out = group_at(rp, number);
		return r;
	}
	*out = group_at(rp, slot->inode);
	return 0;
}

void shale_replay_links_release(struct shale_replay_links *links)
{
	struct shale_replay_group *g = (void *)links->groups.data;
	for (size_t i = 0; i < links->groups.len / sizeof(*g); i++)
		free(g[i].path);
	shale_buf_release(&links->groups);
	shale_inodemap_release(&links->claims);
	shale_inodemap_release(&links->members);
}
