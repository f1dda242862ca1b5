/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_RENAME_H
#define SHALE_LIVE_RENAME_H

#include <stdbool.h>
#include <stdint.h>

/* All that the decision about a rename depends on. */
struct shale_rename_facts {
	unsigned flags;
	uint64_t src, dst; /* inodes; dst 0: no such name */
	bool src_dir, dst_dir;
	bool same_parent;
	bool into_itself; /* the new parent is src or lies below it */
	bool out_of_dst;  /* the old parent is dst or lies below it */
	bool dst_empty;
};

enum shale_rename_verdict {
	SHALE_RENAME_NOTHING, /* both names are of one inode */
	SHALE_RENAME_MOVE,    /* nothing was there */
	SHALE_RENAME_REPLACE,
	SHALE_RENAME_EXCHANGE,
};

/*
 * What a rename does, and to the link counts of both parents; or -EINVAL,
 * -EEXIST, -ENOENT, -EISDIR, -ENOTDIR, -ENOTEMPTY.  Pure.
 */
struct shale_rename_plan {
	enum shale_rename_verdict verdict;
	int old_links, new_links;
};
int shale_rename_decide(const struct shale_rename_facts *facts,
			struct shale_rename_plan *out);

#endif
