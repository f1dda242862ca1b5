/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/node.h"

#include "fs/live/body.h"

#include <errno.h>
#include <sys/stat.h>

enum { DIRECTORY_SIZE = 4096, SECTOR = 512 };

struct timespec shale_node_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

static int load_base(struct shale_live *live, struct shale_live_node *node)
{
	struct shale_attr attr;

	if (!shale_live_maybe_base(live, node->ino))
		return -ENOENT;
	int r = shale_index_attr(live->index, node->ino, &attr, NULL);
	if (r < 0)
		return r;
	node->base = true;
	node->base_size = attr.size;
	if (node->stored)
		return 0;

	node->attr = (struct shale_rec_attr){
		.mode = attr.mode,
		.uid = attr.uid,
		.gid = attr.gid,
		.nlink = attr.nlink,
		.rdev_major = attr.rdev_major,
		.rdev_minor = attr.rdev_minor,
		.mtime = attr.mtime,
		.ctime = attr.mtime,
		.atime = attr.mtime,
	};
	if (S_ISDIR(attr.mode)) {
		struct shale_index_dir dir;
		r = shale_index_dir(live->index, node->ino, &dir, NULL);
		node->attr.parent = dir.parent;
	}
	return r;
}

int shale_node_load(struct shale_live *live, uint64_t ino,
		    struct shale_live_node *out)
{
	struct shale_live_node node = {.ino = ino};

	if (shale_live_touched(live, ino)) {
		cleanup_buf struct shale_buf value = {0};
		struct shale_key key = shale_key_attr(ino);
		int r = shale_live_get(live, &key, &value);
		if (r == 0)
			r = shale_rec_attr_decode(&value, &node.attr, NULL);
		if (r < 0 && r != -ENOENT)
			return r;
		node.stored = r == 0;
		if (node.stored && !node.attr.mode)
			return -ESTALE;
	}
	int r = load_base(live, &node);
	if (r == -ENOENT)
		r = node.stored ? 0 : -ESTALE;
	if (r == 0)
		*out = node;
	return r;
}

int shale_node_load_dir(struct shale_live *live, uint64_t ino,
			struct shale_live_node *out)
{
	int r = shale_node_load(live, ino, out);
	if (r < 0)
		return r;
	if (!S_ISDIR(out->attr.mode))
		return -ENOTDIR;
	return out->attr.nlink ? 0 : -ENOENT;
}

static int target_size(struct shale_live *live,
		       const struct shale_live_node *node, uint64_t *size)
{
	cleanup_buf struct shale_buf target = {0};
	struct shale_key key = shale_key_target(node->ino);

	*size = node->base_size;
	if (node->base)
		return 0;
	int r = shale_live_get(live, &key, &target);
	if (r == 0)
		*size = target.len;
	return r;
}

/*
 * Of file handles.  A number means the same file for as long as there is the
 * workspace, whatever is committed.  The kernel knows the root by 0.
 */
static uint32_t generation_of(const struct shale_live *live,
			      const struct shale_live_node *node)
{
	uint32_t generation = live->ws->info.generation;

	if (node->ino == SHALE_ROOT_INO)
		return 0;
	return generation ? generation : !node->base;
}

/* Bytes of a base file that are not holes. */
static uint64_t base_space(struct shale_live *live,
			   const struct shale_live_node *node)
{
	if (node->base_size < SHALE_HOLES_FROM)
		return node->base_size;
	return shale_source_data(live->source, live->state.pinned, node->ino, 0,
				 node->base_size);
}

int shale_node_stat(struct shale_live *live, const struct shale_live_node *node,
		    struct shale_node *out)
{
	const struct shale_rec_attr *attr = &node->attr;
	struct shale_node stat = {
		.ino = node->ino,
		.generation = generation_of(live, node),
		.mode = attr->mode,
		.uid = attr->uid,
		.gid = attr->gid,
		.nlink = attr->nlink,
		.rdev_major = attr->rdev_major,
		.rdev_minor = attr->rdev_minor,
		.atime = attr->atime,
		.mtime = attr->mtime,
		.ctime = attr->ctime,
	};
	uint64_t space = 0;
	int r = 0;

	if (S_ISDIR(attr->mode)) {
		stat.size = space = DIRECTORY_SIZE;
	} else if (S_ISLNK(attr->mode)) {
		r = target_size(live, node, &stat.size);
	} else if (S_ISREG(attr->mode) && !node->stored) {
		stat.size = node->base_size;
		space = base_space(live, node);
	} else if (S_ISREG(attr->mode)) {
		r = shale_body_stat(live, node, &stat, &space);
	}
	stat.blocks = (space + SHALE_BLOCK - 1) / SHALE_BLOCK *
		      (SHALE_BLOCK / SECTOR);
	if (r == 0)
		*out = stat;
	return r;
}
