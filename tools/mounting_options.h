/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNTING_OPTIONS_H
#define SHALE_TOOLS_MOUNTING_OPTIONS_H

/* How something is mounted, and the words of `-o` that say so. */

#include "layers/base/buf.h"
#include "layers/base/err.h"
#include "tools/cmd.h"

struct shale_mounting {
	unsigned long flags; /* MS_* */
	bool allow_other;
	bool foreground;
	bool debug;     /* a line to the daemon's log for each request */
	bool writeback; /* written data waits in the kernel's cache */
	bool passthrough; /* the kernel writes data files itself */
	bool lean;      /* who only lists is given no inodes */
	bool quota;     /* of the workspace, from now on */
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

/* The kernel's words for MS_* flags, "ro,nosuid,…", appended to `out`. */
int shale_mounting_spell_flags(unsigned long flags, struct shale_buf *out);

/* The words that make `how` of nothing, "ro,nosuid,…", appended to `out`. */
int shale_mounting_spell(const struct shale_mounting *how,
			 struct shale_buf *out);

#endif
