/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_STACK_H
#define SHALE_COMMIT_STACK_H

/*
 * The merge layer of a stack: what the images above put over the bottom one,
 * said as a layer of the bottom image.  Metadata only: contents are referred
 * to.
 */

#include "layers/blob/pack.h"
#include "layers/index/image.h"

/*
 * Put into `build` (contents through `pack`) all that `stack` has otherwise
 * than `bottom`.  Both are opened with their indexes; the stack's keeps the
 * bottom's inode numbers.
 */
int shale_stack_layer(const struct shale_image *stack,
		      const struct shale_image *bottom,
		      struct shale_tree_build *build, struct shale_pack *pack,
		      struct shale_err *err);

#endif
