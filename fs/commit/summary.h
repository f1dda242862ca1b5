/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_SUMMARY_H
#define SHALE_COMMIT_SUMMARY_H

/*
 * The metadata.json of a commit: what its layer says, as paths.  A directory
 * that moved is two names, and one that was deleted is one, however much lies
 * below.
 */

#include "fs/commit/delta.h"
#include "layers/store/version.h"

/*
 * Write what `delta`, which has run, put into its layer to `fd` (empty).
 * `base` is the index of the image that the workspace's mount serves
 * (state.pinned); the one source is the workspace: its name, the bytes that
 * were read from it, and the time of the commit.
 */
int shale_summary_write(const struct shale_delta *delta,
			const struct shale_index *base, const char *workspace,
			uint64_t bytes, const struct timespec *when, int fd,
			struct shale_layer_desc *out, struct shale_err *err);

#endif
