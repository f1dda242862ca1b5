/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNTING_H
#define SHALE_TOOLS_MOUNTING_H

/*
 * What `mount` and `browse` share: the mountpoint, FUSE options, the mount(2)
 * itself (as root) or by way of fusermount3 (as a user), and the start of
 * shalefs behind it.
 */

#include "fs/control/control.h"
#include "layers/base/buf.h"
#include "tools/cmd.h"

struct shale_mounting {
	unsigned long flags; /* MS_* */
	bool allow_other;
	bool foreground;
	bool debug; /* a line to the daemon's log for each request */
	bool writeback; /* written data waits in the kernel's cache */
	bool quota; /* of the workspace, from now on */
	uint64_t quota_bytes, quota_inodes;
	/* Ways to read faster that are left out. */
	bool no_ahead, no_push, no_direct;
};

/* What a mount gets unless options say otherwise: nosuid, nodev. */
void shale_mounting_default(struct shale_mounting *how);

/* Apply one of the kernel's or FUSE's words of `-o`.  -EINVAL: unknown. */
int shale_mounting_word(struct shale_mounting *how, const char *word,
			size_t len, struct shale_err *err);
/* Apply the words of `-o a,b -o c`, all of which are of these. */
int shale_mounting_options(struct shale_mounting *how,
			   const struct shale_strings *options,
			   struct shale_err *err);

/* The words that make `how` of nothing, "ro,nosuid,…", appended to `out`. */
int shale_mounting_spell(const struct shale_mounting *how,
			 struct shale_buf *out);

/*
 * Check a mountpoint: a directory, not a Shale mount already; one that is not
 * empty is warned of.  Its absolute path is the caller's.
 */
int shale_mounting_point(struct shale_ctx *ctx, const char *dir, char **out);

/*
 * Mount at info->mountpoint and start the daemon.  Returns when the mount
 * answers, or in the foreground when it has been unmounted.  After an error
 * nothing is mounted and the state is gone.  -EEXIST: somebody mounted there
 * at the same time.
 */
int shale_mounting_start(struct shale_ctx *ctx, struct shale_store *store,
			 struct shale_mount_info *info,
			 const struct shale_mounting *how);

/* Undo a mount: umount2(2), or fusermount3 for those who may not.  `lazy` lets
 * those inside finish.  -EINVAL: nothing is mounted there. */
int shale_mounting_undo(const char *dir, bool lazy, struct shale_err *err);
/* End the requests of a mount that nobody answers, where we may: ECONNABORTED
 * to those who wait for them.  True: that has unmounted it, too. */
bool shale_mounting_abort(const char *dir);

#endif
