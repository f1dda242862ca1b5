/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_CHANGES_H
#define SHALE_COMMIT_CHANGES_H

/*
 * What a workspace changes relative to its last commit, or to what it was made
 * from: read from its database by whoever may not own it.  A mounted workspace
 * is read as of what its daemon has applied (ask it to "sync" first), any other
 * one is locked while it is read.
 */

#include "fs/workspace/workspace.h"
#include "layers/store/version.h"

#include <stdbool.h>

struct shale_change {
	char letter; /* 'A'dded, 'D'eleted, 'M': content, 'T'ype, 'm':
			attributes */
	const char
		*path; /* "/a/b", in the new tree, or the old one if deleted */
	size_t len;
};

/* Returns 0 to go on; anything else ends the listing and is returned. */
typedef int shale_change_fn(void *arg, const struct shale_change *change);

/*
 * List the changes, sorted by path.  Costs what changed, and for a directory
 * that moved what lies below it.  -ENOKEY: no such workspace; -EBUSY.
 */
int shale_changes_list(struct shale_store *store, const char *workspace,
		       bool mounted, shale_change_fn *fn, void *arg,
		       struct shale_err *err);

/* Is there any record of a change of a *mounted* workspace? */
int shale_changes_any(int store_dirfd, const char *workspace, bool *any,
		      struct shale_err *err);

/* What a list of workspaces says of one. */
struct shale_workspace_facts {
	struct shale_workspace_info info;
	bool committed; /* … to this image: */
	struct shale_digest last;
	bool changed;   /* since then, or since it was made */
	uint64_t bytes; /* on disk */
};
/* `mounted` as above.  -ENOKEY, -EBUSY, -EUCLEAN. */
int shale_workspace_facts(struct shale_store *store, const char *workspace,
			  bool mounted, struct shale_workspace_facts *out,
			  struct shale_err *err);
void shale_workspace_facts_release(struct shale_workspace_facts *facts);

#endif
