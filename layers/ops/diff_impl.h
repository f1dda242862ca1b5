/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_DIFF_IMPL_H
#define SHALE_OPS_DIFF_IMPL_H

/*
 * What the parts of a comparison share: what the layers say that only one of
 * the two has (diff_marks.c), how two inodes compare (diff_inode.c,
 * diff_content.c), and the walk (diff.c).
 */

#include "layers/base/buf.h"
#include "layers/ops/diff.h"

/* An inode of which a layer says something that only one of the two has. */
struct shale_diff_inode {
	uint64_t ino;
	bool content; /* of its content too */
};

/* A name below which, or at which, something may differ. */
struct shale_diff_name {
	uint64_t dir;
	const char *name; /* in a map */
	uint16_t len;
};

/*
 * Where to look, in two images that share their lowest layers: a directory that
 * both have (by number) differs at most in these names, an inode that both have
 * only if it is one of these.  Both sorted, none twice.
 */
struct shale_diff_marks {
	struct shale_buf inodes; /* struct shale_diff_inode, by number */
	struct shale_buf names;  /* struct shale_diff_name, by (dir, name) */
};

void shale_diff_marks_release(struct shale_diff_marks *marks);
int shale_diff_marks_find(struct shale_diff_marks *marks,
			  const struct shale_image *old,
			  const struct shale_image *fresh,
			  const struct shale_diff_opts *opts,
			  struct shale_err *err);
/* NULL: nothing is said of it. */
const struct shale_diff_inode *
shale_diff_marks_inode(const struct shale_diff_marks *marks, uint64_t ino);
/* The run of names in a directory; returns how many. */
size_t shale_diff_marks_dir(const struct shale_diff_marks *marks, uint64_t dir,
			    const struct shale_diff_name **first);

/*
 * In what two inodes of one type differ: sets d->was, d->is and d->what.
 * `same_content`: it is known that their contents do not.
 */
int shale_diff_inodes(const struct shale_image *old,
		      const struct shale_image *fresh, bool same_content,
		      struct shale_difference *d, struct shale_err *err);

#endif
