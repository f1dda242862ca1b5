/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_DELTA_H
#define SHALE_COMMIT_DELTA_H

/*
 * A snapshot of a workspace, made into a layer over the workspace's last image:
 * the records of epochs after the last committed one go into a tree builder,
 * contents through the packer.  Costs what changed, not the image.
 */

#include "fs/commit/records.h"
#include "fs/workspace/files.h"
#include "layers/blob/pack.h"
#include "layers/index/image.h"

struct shale_delta {
	const struct shale_records *records; /* names loaded */
	struct shale_snapshot *snapshot;     /* theirs */
	struct shale_files *files;
	struct shale_rec_state state;    /* as of the snapshot */
	const struct shale_image *lower; /* the last image: its trees */
	struct shale_tree_build *build;
	struct shale_pack *pack;

	/* Opens what contents refer to; `which` is a G record.  Called once for
	 * each image; closed by shale_delta_release(). */
	int (*open_image)(void *arg, const struct shale_rec_image *which,
			  struct shale_image **out, struct shale_err *err);
	bool (*cancelled)(void *arg); /* may be NULL */
	void *arg;

	/* What came of it. */
	int64_t inodes, bytes; /* more (or less) than the last image has */
	uint64_t changes;      /* inodes and names that the layer speaks of */
	struct shale_buf said; /* struct shale_attr of the inodes, by number */

	struct shale_image **images; /* private: opened so far, by number */
	uint32_t n_images;
};

/* Put everything that changed into build and pack.  -EINTR when cancelled. */
int shale_delta_run(struct shale_delta *delta, struct shale_err *err);
void shale_delta_release(struct shale_delta *delta);

/*
 * The content of one dirty inode, into the packer, and what the layer says of
 * it (`in->content`, `in->limit`).  `lower`: its content in the last image,
 * NULL if it has none.
 */
int shale_delta_content(struct shale_delta *delta, struct shale_inode *in,
			const struct shale_rec_content *content,
			const struct shale_content *lower,
			struct shale_err *err);

/* Image number `n` (a G record), opened for contents. */
int shale_delta_image(struct shale_delta *delta, uint32_t n,
		      struct shale_image **out, struct shale_err *err);

/* Inode record of the last image, topmost; -ENOENT: none, or deleted. */
int shale_delta_lower(const struct shale_delta *delta, uint64_t ino,
		      struct shale_inode *out, struct shale_err *err);

/* Does the last image have this name? */
int shale_delta_lower_has(const struct shale_delta *delta, uint64_t dir,
			  const char *name, size_t len, bool *has,
			  struct shale_err *err);

#endif
