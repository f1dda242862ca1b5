/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_IMPORT_IMPL_H
#define SHALE_OPS_IMPORT_IMPL_H

/*
 * What the parts of import share.  The stages, in their order:
 *
 *  1. sources add arrivals to the plan; contents of archives are packed as
 *     they arrive (source_dir.c, source_archive.c)
 *     of a layer, it is then settled what shows through (import_layer.c)
 *  2. what has no inode number yet gets one in walk order (import_number.c)
 *  3. contents of directories' files are read and packed (import_read.c)
 *  4. what differs from the parent is said in the tree (import_emit.c; of a
 *     layer, what it takes away: import_losses.c)
 *  5. blobs and version are published (import.c)
 */

#include "layers/ops/feed.h"
#include "layers/ops/inodemap.h"
#include "layers/ops/import.h"
#include "layers/ops/metadoc.h"
#include "layers/ops/onto.h"
#include "layers/ops/reader.h"

struct shale_source {
	char *name; /* as it was given */
	const char *kind;
	uint64_t size;
	struct timespec mtime;
	struct shale_digest digest;
	bool has_digest;
};

struct shale_import {
	struct shale_store *store;
	struct shale_blobs *blobs;
	int lease;
	struct shale_import_opts opts;
	char *prefix; /* cleaned; "" without one */
	size_t prefix_len;
	struct timespec started;

	struct shale_plan plan;
	struct shale_onto onto; /* good after shale_import_parent() */
	struct shale_inodemap links;
	struct shale_inodemap adopted; /* the parent's inodes in the plan that
					* a layer's links name */
	struct shale_buf sources;      /* struct shale_source */
	struct shale_buf roots;        /* struct shale_read_root, as many */

	/* import_beside.c */
	pthread_t opener;
	bool opener_runs;
	struct shale_err opener_err;
	pthread_mutex_t opener_lock; /* of these two */
	bool is_open;
	int opened;
	struct shale_buf large; /* plan's inodes (uint32_t) … */
	size_t large_seen;      /* … of which so many were looked at */
	struct shale_read_early early;

	/* The trees that the new one will stand on, and refers to. */
	struct shale_layer_desc *below;
	size_t n_below;
	struct shale_image *lower;

	struct shale_tree_build *build;
	struct shale_pack *pack;
	struct shale_feed feed;
	struct shale_import_result result;
	uint64_t inodes, bytes; /* of the whole image */
	uint64_t done, total;   /* bytes of content, for progress */
	uint64_t files;         /* begun to read */

	/* Numbers of [SHALE_IMPORT_UNPLACED, …), for contents that came before
	 * it was known where in the walk their inode stands: what each became
	 * (uint64_t; 0: of no use any more). */
	struct shale_buf unplaced;
};
#define SHALE_IMPORT_UNPLACED (UINT64_C(1) << 39)

/* -EINTR once the caller wants to stop, else 0. */
int shale_import_check(struct shale_import *imp, struct shale_err *err);

/* Say that something is not as it should be, and go on. */
void shale_import_problem(struct shale_import *imp, const char *path,
			  const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void shale_import_show(struct shale_import *imp, const char *path);

/* Begin a source.  `rootfd` is taken over (-1: not a directory). */
int shale_import_source(struct shale_import *imp, const char *name,
			const char *kind, const struct stat *st, int rootfd,
			struct shale_err *err);
struct shale_source *shale_import_last_source(const struct shale_import *imp);

/* The arrival's path with the prefix, held in `buf`. */
int shale_import_full_path(const struct shale_import *imp,
			   struct shale_arrival *arrival, struct shale_buf *buf,
			   struct shale_err *err);

/*
 * Add an arrival with its path in the source; `buf` is for the path with the
 * prefix.  With arrival->link, its inode is `linked`.
 */
int shale_import_arrive(struct shale_import *imp, struct shale_arrival *arrival,
			struct shale_buf *buf, uint32_t linked, uint32_t *name,
			struct shale_err *err);

/* The parent's content that an inode's may be equal to, or `*base` NULL. */
int shale_import_base(struct shale_import *imp,
		      const struct shale_plan_inode *in,
		      struct shale_content *content,
		      const struct shale_content **base, struct shale_err *err);

/*
 * The content begun last is given up; the inode needs another number if this
 * one was spent.
 */
int shale_import_drop(struct shale_import *imp, uint32_t inode,
		      struct shale_err *err);

/* Begin to open the parent, and wait for that: what it came to, each time. */
void shale_import_open_parent(struct shale_import *imp);
int shale_import_parent(struct shale_import *imp, struct shale_err *err);
/* A large file of a directory is in the plan; have one compared early. */
int shale_import_large(struct shale_import *imp, uint32_t inode,
		       struct shale_err *err);
void shale_import_compare_early(struct shale_import *imp);

/* A number for a new inode whose content is to be packed already. */
int shale_import_unplaced(struct shale_import *imp, uint64_t *ino,
			  struct shale_err *err);
int shale_import_number(struct shale_import *imp, const uint32_t *order,
			size_t n, struct shale_err *err);
int shale_import_read(struct shale_import *imp, const uint32_t *order, size_t n,
		      struct shale_err *err);
int shale_import_emit(struct shale_import *imp, const uint32_t *order, size_t n,
		      struct shale_metadoc *doc, struct shale_err *err);

#endif
