/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_MOUNT_WORDS_H
#define SHALE_TOOLS_MOUNT_WORDS_H

/*
 * The words of `-o a,b=c`: those that say what is mounted (they have options of
 * their own on the command line; fstab has only words), those for the kernel
 * (tools/mounting.h), and those that mount(8) keeps for itself.
 */

#include "tools/mounting.h"

struct shale_mount_words {
	char *store, *workspace, *at, *quota,
		*inodes; /* owned; NULL: not said */
	bool rw, ephemeral;
	bool fstab; /* asked by way of mount(8): see shalefs(8) */
};
void shale_mount_words_release(struct shale_mount_words *words);

/* -EINVAL: a word is unknown. */
int shale_mount_words_parse(struct shale_mount_words *words,
			    struct shale_mounting *how,
			    const struct shale_strings *options,
			    struct shale_err *err);

#endif
