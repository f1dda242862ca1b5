/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_DIRS_H
#define SHALE_COMMIT_DIRS_H

/*
 * Two directories under one name, one of which took the other's place.
 */

#include "fs/commit/records.h"
#include "layers/index/index.h"

/*
 * Have `ino`, of the workspace on `base`, and `old_ino` of the index `old` the
 * same mode, owner and xattrs?  Times tell of names, which are listed
 * themselves.
 */
int shale_dirs_same(const struct shale_records *records,
		    const struct shale_index *base, uint64_t ino,
		    const struct shale_index *old, uint64_t old_ino, bool *same,
		    struct shale_err *err);

#endif
