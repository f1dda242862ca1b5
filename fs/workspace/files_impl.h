/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_FILES_IMPL_H
#define SHALE_WORKSPACE_FILES_IMPL_H

/* What the parts of files.h share. */

#include "fs/workspace/file_table.h"
#include "fs/workspace/files.h"
#include "fs/workspace/trash.h"

struct shale_files {
	int dirfd; /* data/ */
	struct shale_trash *trash;
	struct shale_file_table table;
};

/* A mark at `pos` is durable: what the journal kept before it is on disk. */
void shale_files_unkeep(struct shale_files *files, uint64_t pos);

#endif
