/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TREE_CHECK_H
#define SHALE_BLOB_TREE_CHECK_H

#include "layers/blob/tree.h"

/*
 * Look at every record of a tree blob: checksums, order, bounds, meaning (names
 * that are empty, ".", "..", hold '/' or NUL, unsorted or double; extents that
 * overlap or leave their chunks; unknown types; sizes over 2^63 - 1; numbers
 * above next_ino; hash tables that are not sorted permutations).  What needs
 * the whole image (cycles, two parents) is the index's to find.
 *
 * Returns 0 or -EUCLEAN with the first thing found.
 */
int shale_tree_check(const struct shale_tree *tree, struct shale_err *err);

#endif
