/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_IMPORT_LAYER_H
#define SHALE_OPS_IMPORT_LAYER_H

/*
 * Import of layers (struct shale_import_opts, `layer`): the plan has what the
 * layers put and hide, the parent shows through everywhere else.  So the cost
 * follows the layers, not the image.
 *
 * Marks are taken as they come, and settled when all have come: a whiteout
 * means the same before and after its siblings.
 */

#include "layers/ops/import_impl.h"
#include "layers/ops/whiteout.h"

/*
 * What an entry means in the kind of layer that is imported.  A mark is obeyed
 * and `what` is not SHALE_WHITEOUT_ENTRY: there is nothing more to do.  An
 * entry loses overlayfs's xattrs (`xattrs` holds the rest).
 */
int shale_import_mark(struct shale_import *imp, struct shale_arrival *arrival,
		      struct shale_buf *path, struct shale_buf *xattrs,
		      struct shale_whiteout *mark, struct shale_err *err);
/* What `mark` says of an entry that has its place as `name` of the plan. */
int shale_import_marked(struct shale_import *imp,
			const struct shale_whiteout *mark, uint32_t name,
			struct shale_err *err);

/* The inode that lower layers have at `path`, as one of the plan, or
 * SHALE_PLAN_NONE. */
int shale_import_lower(struct shale_import *imp, const char *path,
		       uint32_t *inode, struct shale_err *err);

/* All sources have come: which directories carry on which of the parent's. */
int shale_import_settle(struct shale_import *imp, struct shale_err *err);

/*
 * Count links, and say in the tree what of the parent the layers took away.
 * `inodes` and `bytes` become what is left of the parent's.
 */
int shale_import_losses(struct shale_import *imp, struct shale_metadoc *doc,
			uint64_t *inodes, uint64_t *bytes,
			struct shale_err *err);

#endif
