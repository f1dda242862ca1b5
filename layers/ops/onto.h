/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_ONTO_H
#define SHALE_OPS_ONTO_H

/*
 * The image that an import goes on from, asked by path: which inode numbers are
 * carried on, and what has not changed.
 */

#include "layers/ops/plan.h"
#include "layers/store/version.h"

struct shale_onto {
	struct shale_image *image; /* NULL: there is no parent */
	struct timespec trusted;   /* what was modified before this moment
				    * cannot have changed unseen */
	bool partly; /* the plan does not speak of all names: an inode with
		      * names of which it says nothing is not carried on */
	uint64_t next_ino;
	uint64_t *taken; /* numbers carried on: a hash set */
	size_t n_taken, slots;
};

/* `version` NULL: no parent, everything is new. */
int shale_onto_open(struct shale_onto *onto, struct shale_store *store,
		    const struct shale_version *version, struct shale_err *err);
void shale_onto_close(struct shale_onto *onto);

/*
 * Give `in`, seen as `name` in the parent's directory `dir` (0: a new one), the
 * number of what is there if that is of the same type and its number is not
 * taken: in->base and in->attr.ino.  An inode that has a base keeps it.
 */
int shale_onto_claim(struct shale_onto *onto, struct shale_plan_inode *in,
		     uint64_t dir, const char *name, size_t len,
		     struct shale_err *err);
/* The same by path. */
int shale_onto_claim_path(struct shale_onto *onto, struct shale_plan_inode *in,
			  const char *path, struct shale_err *err);

/*
 * Give `in` the number `ino`, whatever is called what.  -EEXIST: it is another
 * one's already.
 */
int shale_onto_adopt(struct shale_onto *onto, struct shale_plan_inode *in,
		     uint64_t ino, struct shale_err *err);

/* Does the inode differ from its base in anything but content and nlink? */
int shale_onto_compare(const struct shale_onto *onto,
		       const struct shale_plan *plan,
		       const struct shale_plan_inode *in, bool *same,
		       struct shale_err *err);

/*
 * Can its content be believed to be the base's without looking: same type,
 * size, mtime, mode, owner and xattrs, and not modified so late that the parent
 * may have read it within the same tick of the clock?
 */
int shale_onto_trusts(const struct shale_onto *onto,
		      const struct shale_plan *plan,
		      const struct shale_plan_inode *in, bool *trusted,
		      struct shale_err *err);

/* A number that no inode of the image or its parents has. */
uint64_t shale_onto_new_ino(struct shale_onto *onto);

#endif
