/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_FILE_FAILED_H
#define SHALE_WORKSPACE_FILE_FAILED_H

/*
 * Data files that could not be flushed.  The kernel tells so once, and may then
 * call clean what it dropped: such a file is never clean again, for the process
 * that was told and for those after it.  They find it in the list
 * `data/failed`, a line for each, `<inode>.<epoch>` in hex; `-` before it: that
 * file was removed.  The list is for kills; after a power cut, which believes
 * nothing that was not flushed, it says nothing.
 */

#include "fs/workspace/file_table.h"
#include "layers/base/err.h"

/* A flush of the file, which is in use, failed with `error` (> 0). */
void shale_file_fail(struct shale_file_table *table, struct shale_file *file,
		     int error);

/* It is removed: what is written from now on is another file.  Lock held. */
void shale_file_unfail(struct shale_file_table *table, struct shale_file *file);

/* For shale_file_collect(). */
bool shale_file_has_failed(const struct shale_file *file, void *arg);

/* What earlier processes listed has failed here, too. */
int shale_file_load_failed(struct shale_file_table *table,
			   struct shale_err *err);

/* There was a power cut: all of that is over. */
int shale_file_forget_failed(struct shale_file_table *table,
			     struct shale_err *err);

#endif
