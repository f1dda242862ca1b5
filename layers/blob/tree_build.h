/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TREE_BUILD_H
#define SHALE_BLOB_TREE_BUILD_H

/*
 * Makes a tree blob.  Records are added in any order, each key once, and kept
 * in memory (about 100 bytes an inode, 40 and the name a dirent) until
 * shale_tree_build_finish() sorts and writes them.  The bytes written depend
 * only on what was added and on the order in which chunks were.
 *
 * Not thread-safe, but for the chunk calls below, which the packer's writer
 * thread makes while others add inodes: the builder locks inside.
 */

#include "layers/base/cleanup.h"
#include "layers/blob/tree.h"

struct shale_tree_build;

int shale_tree_build_new(struct shale_tree_build **out, struct shale_err *err);
void shale_tree_build_free(struct shale_tree_build *b);
SHALE_DEFINE_CLEANUP(build, struct shale_tree_build *, shale_tree_build_free);
#define cleanup_build SHALE_CLEANUP(shale_cleanup_build)

/*
 * Add an inode.  `in->attr.mode` 0: a tombstone.  `target` and `xattrs` are
 * copied; equal xattr lists are stored once, sorted by name.  Only regular
 * files and symlinks keep a size.
 */
int shale_tree_build_inode(struct shale_tree_build *b,
			   const struct shale_inode *in, struct shale_err *err);

/* Add a name; in->ino 0: a tombstone.  The name is copied. */
int shale_tree_build_dirent(struct shale_tree_build *b,
			    const struct shale_dirent *in,
			    struct shale_err *err);

/*
 * Have a data blob in BLOBS, and get its number.  The blob being written has no
 * digest yet: pass NULL, and say it with shale_tree_build_own_blob().
 */
int shale_tree_build_blob(struct shale_tree_build *b,
			  const struct shale_digest *digest, uint64_t size,
			  uint32_t *blob, struct shale_err *err);
void shale_tree_build_own_blob(struct shale_tree_build *b,
			       const struct shale_digest *digest,
			       uint64_t size);

/*
 * Have a chunk in CHUNKS and get its number.  `in->start` and `in->blob` are
 * ignored: `blob` is from shale_tree_build_blob().  A chunk that is there (same
 * blob number and offset) is not added again.
 */
int shale_tree_build_chunk(struct shale_tree_build *b,
			   const struct shale_chunk *in, uint32_t blob,
			   uint32_t *chunk, struct shale_err *err);

/*
 * Add content.  `in->chunk` is from shale_tree_build_chunk() or SHALE_HOLE; the
 * extent must lie within that one chunk.  An extent that carries on where the
 * one added before ended (same inode, next offset, next chunk from its start)
 * is joined to it.  `packed` is the hash of the extent's content for a part of
 * a pack, NULL otherwise (such extents are not joined).  Extents of one inode
 * come in ascending order.
 */
int shale_tree_build_extent(struct shale_tree_build *b,
			    const struct shale_extent *in,
			    const struct shale_hash128 *packed,
			    struct shale_err *err);

/*
 * Leave every extent of `ino` out of the blob, whether added before this call
 * or after: its content was given up half way (the file changed while it was
 * read, or a later entry took its name).  Its chunks stay.
 */
int shale_tree_build_forget(struct shale_tree_build *b, uint64_t ino,
			    struct shale_err *err);

/*
 * Contents that were added under a number of [first, first + n) belong to
 * to[number - first]; 0: to nobody.  For who knows an inode's number only after
 * its content.  Call it once, when all contents are added.
 */
int shale_tree_build_renumber(struct shale_tree_build *b, uint64_t first,
			      const uint64_t *to, size_t n,
			      struct shale_err *err);

/*
 * How the builder's chunks use one data blob; the place in the array is the
 * blob's number.
 */
struct shale_build_use {
	struct shale_digest digest;
	uint64_t size; /* bytes of the blob */
	uint64_t live; /* stored bytes of the chunks that are named here */
	bool move;     /* for shale_tree_build_move(); false so far */
};

/* What the chunks so far use.  `*uses` is allocated. */
int shale_tree_build_uses(const struct shale_tree_build *b,
			  struct shale_build_use **uses, size_t *n,
			  struct shale_err *err);

/*
 * Move the chunks of the blobs marked in `uses` into the builder's own blob,
 * which must not have any yet: `fn` copies one, in the order of CHUNKS, and
 * says at which offset of that blob.  All move or, after an error, none.  For
 * the end: no chunk may be added afterwards.
 */
int shale_tree_build_move(struct shale_tree_build *b,
			  const struct shale_build_use *uses,
			  int (*fn)(void *arg, const struct shale_chunk *chunk,
				    uint64_t *off, struct shale_err *err),
			  void *arg, struct shale_err *err);

/* Records of a section so far. */
uint64_t shale_tree_build_count(const struct shale_tree_build *b,
				enum shale_tree_section section);

/*
 * Write the blob to `fd` (empty, read-write).  `next_ino` is above every inode
 * number of the image.  Double keys are -EINVAL.  Does not fsync.
 */
int shale_tree_build_finish(struct shale_tree_build *b, int fd,
			    uint64_t next_ino, struct shale_digest *digest,
			    uint64_t *size, struct shale_err *err);

/*
 * Compose neighbouring layers of one image, bottom first, into a builder of one
 * tree blob that says the same, to be finished with `*next_ino`.  `bottom`:
 * nothing lies below them, so tombstones go.  -EFBIG: what they say is out of
 * all proportion to their size (hostile).  Memory is what a builder of the
 * result needs, plus 4 bytes an extent of the trees.
 */
int shale_tree_compose_begin(struct shale_tree_build **out,
			     struct shale_tree *const *trees, size_t n,
			     bool bottom, uint64_t *next_ino,
			     struct shale_err *err);

/* The same, written to `fd` as it is. */
int shale_tree_compose(struct shale_tree *const *trees, size_t n, bool bottom,
		       int fd, struct shale_digest *digest, uint64_t *size,
		       struct shale_err *err);

#endif
