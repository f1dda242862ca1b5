/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_FOREST_H
#define SHALE_MOUNT_FOREST_H

/*
 * The read-only trees of one mount.  A plain mount has one, tree 0.  A history
 * mount has a made-up tree 0 (fs/mount/synth.h) whose leaves are images, trees
 * 1 and up, opened when somebody first looks into them.
 *
 * A node's id is its tree number in bits 62 to 40 and its inode number in bits
 * 39 to 0.  No object is kept for a node.  Thread-safe.  Knows nothing of FUSE.
 * Returns are 0 or -errno; -EIO (damage) leaves words in `err`.
 */

#include "fs/mount/push.h"
#include "fs/mount/synth.h"
#include "layers/base/buf.h"
#include "layers/index/image.h"

#include <stdbool.h>

enum { SHALE_TREE_SHIFT = 40, SHALE_TREE_MAX = (1 << 23) - 1 };

static inline uint64_t shale_node_id(uint32_t tree, uint64_t ino)
{
	return (uint64_t)tree << SHALE_TREE_SHIFT | ino;
}
static inline uint32_t shale_node_tree(uint64_t id)
{
	return (uint32_t)(id >> SHALE_TREE_SHIFT);
}
static inline uint64_t shale_node_ino(uint64_t id)
{
	return id & ((UINT64_C(1) << SHALE_TREE_SHIFT) - 1);
}

struct shale_forest;

/* A history mount's neighbours. */
struct shale_forest_opts {
	/* A new reference to the tree 0 of now. */
	int (*top)(void *arg, struct shale_synth **out, struct shale_err *err);
	/* Open image number `tree`; the forest closes it.  May take long. */
	int (*open)(void *arg, uint32_t tree, struct shale_image **out,
		    struct shale_err *err);
	void *arg;
};

/* Ways to read faster that are left out. */
struct shale_reading {
	bool no_ahead; /* nothing is decompressed ahead of a reader */
	bool no_push;  /* the kernel is given nothing that it did not ask for */
};

/* A forest of one image, which stays the caller's. */
int shale_forest_single(struct shale_forest **out,
			const struct shale_image *image,
			const struct shale_reading *reading,
			struct shale_err *err);
int shale_forest_many(struct shale_forest **out,
		      const struct shale_forest_opts *opts,
		      struct shale_err *err);
void shale_forest_free(struct shale_forest *f);

/*
 * Where files of the one image are pushed; NULL: nowhere from now on.  A forest
 * of many pushes none.
 */
void shale_forest_push_to(struct shale_forest *f, shale_push_fn *fn, void *arg);

struct shale_forest_node {
	uint64_t id;
	struct shale_attr attr; /* attr.ino is the inode number in its tree */
	uint64_t blocks;        /* of 512 bytes */
	bool changes;           /* part of the made-up tree: may be gone soon */
};

/* `name` may be "." and "..".  -ENOENT, -ENOTDIR, -ESTALE. */
int shale_forest_lookup(struct shale_forest *f, uint64_t dir, const char *name,
			size_t len, struct shale_forest_node *out,
			struct shale_err *err);
int shale_forest_getattr(struct shale_forest *f, uint64_t id,
			 struct shale_forest_node *out, struct shale_err *err);

/* Of which entries the attributes are wanted. */
enum shale_listing {
	SHALE_LIST_NAMES, /* of none */
	SHALE_LIST_DIRS,  /* of directories */
	SHALE_LIST_ALL,
};

/*
 * Entries from offset `off` on.  `fn` returns false when it has no room.  Where
 * `filled`, `node` holds all attributes; else its id, and in attr.mode the type
 * ("." and "..", what is not wanted, and images that are not open).
 */
typedef bool shale_forest_entry_fn(void *arg, const char *name, size_t len,
				   const struct shale_forest_node *node,
				   bool filled, uint64_t next);
int shale_forest_readdir(struct shale_forest *f, uint64_t dir, uint64_t off,
			 enum shale_listing what, shale_forest_entry_fn *fn,
			 void *arg, struct shale_err *err);

/* What they find is appended to `out`. */
int shale_forest_readlink(struct shale_forest *f, uint64_t id,
			  struct shale_buf *out, struct shale_err *err);
int shale_forest_getxattr(struct shale_forest *f, uint64_t id, const char *name,
			  struct shale_buf *out, struct shale_err *err);
int shale_forest_listxattr(struct shale_forest *f, uint64_t id,
			   struct shale_buf *out, struct shale_err *err);

/* False: no node has any, and none will. */
bool shale_forest_has_xattrs(const struct shale_forest *f);

/* Up to `len` bytes are appended to `view`, as by shale_content_view(). */
int shale_forest_read(struct shale_forest *f, uint64_t id, uint64_t off,
		      void *room, size_t len, struct shale_view *view,
		      struct shale_err *err);
int shale_forest_seek(struct shale_forest *f, uint64_t id, uint64_t off,
		      bool data, uint64_t *out, struct shale_err *err);

/* Totals for statfs; zeros for a history mount. */
void shale_forest_totals(struct shale_forest *f, uint64_t *inodes,
			 uint64_t *bytes);

/* Append "/path/of/node" for messages, or "inode N" if it has none. */
void shale_forest_name(struct shale_forest *f, uint64_t id,
		       struct shale_buf *out);

#endif
