/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_SYNTH_H
#define SHALE_MOUNT_SYNTH_H

/*
 * A made-up tree of directories, symlinks and places where images hang: the
 * upper part of a history mount.  Built by one thread, then sealed; from then
 * on it never changes and any number of threads read it.  A table that replaces
 * an earlier one keeps the inode number of every path that both have (of a
 * link: with the same target), and never gives the number of a path that is
 * gone to another.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdint.h>
#include <time.h>

enum { SHALE_SYNTH_ROOT = 1 };

enum shale_synth_kind { SHALE_SYNTH_DIR, SHALE_SYNTH_LINK, SHALE_SYNTH_TREE };

struct shale_synth_node {
	uint64_t ino, parent; /* the root's parent is the root */
	char *name;
	enum shale_synth_kind kind;
	char *target;  /* links */
	uint32_t tree; /* trees: number of the image in the forest */
	struct timespec mtime;
	uint32_t subdirs;
};

struct shale_synth;

/*
 * A table under construction with one reference; `old` may be NULL.  `mtime`
 * must differ from the old one's, so that the kernel drops what it listed.
 * -ENOMEM
 */
int shale_synth_new(struct shale_synth **out, const struct shale_synth *old,
		    const struct timespec *mtime);
struct shale_synth *shale_synth_ref(struct shale_synth *s);
void shale_synth_unref(struct shale_synth *s);

/*
 * Add what stands at `path` ("a/b/c"); directories above it are made.  `target`
 * for links, `tree` for trees.  A path that is there already stays as it is.
 * `mtime` is of what stands there; a directory's is that of the whole table.
 */
int shale_synth_add(struct shale_synth *s, const char *path,
		    enum shale_synth_kind kind, const char *target,
		    uint32_t tree, const struct timespec *mtime);
int shale_synth_seal(struct shale_synth *s);

/*
 * The numbers outlive the process in a file: of a sealed table, append to `out`
 * what it has beyond `old` (NULL: all).  -ENOMEM.
 */
int shale_synth_save(const struct shale_synth *s, const struct shale_synth *old,
		     struct shale_buf *out);
/*
 * What was saved, one after another, as a table that only serves as the `old`
 * of others.  `*used`: where it ends; what is behind was torn.  -EUCLEAN.
 */
int shale_synth_load(struct shale_synth **out, const void *data, size_t len,
		     size_t *used, struct shale_err *err);

/* NULL: there is none. */
const struct shale_synth_node *shale_synth_get(const struct shale_synth *s,
					       uint64_t ino);
const struct shale_synth_node *shale_synth_lookup(const struct shale_synth *s,
						  uint64_t dir,
						  const char *name, size_t len);
/* The child of `dir` with the lowest number above `after`. */
const struct shale_synth_node *shale_synth_next(const struct shale_synth *s,
						uint64_t dir, uint64_t after);

/* Append "/a/b", where the image of that number hangs.  -ENOENT. */
struct shale_buf;
int shale_synth_path(const struct shale_synth *s, uint32_t tree,
		     struct shale_buf *out);

#endif
