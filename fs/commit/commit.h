/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_COMMIT_H
#define SHALE_COMMIT_COMMIT_H

/*
 * Makes a workspace's changes the next version.  Runs in the committing process
 * on a snapshot, mounted or not: the daemon is only asked to freeze before and
 * told of the result afterwards (tools/cmd_commit.c).
 *
 * The parent is the workspace's last image.  If that is a stack, the version
 * gets one layer more, which says what the stack's other images put over the
 * bottom one; the parent is then the bottom image, the others are recorded.
 */

#include "fs/workspace/db.h"
#include "fs/workspace/files.h"
#include "layers/blob/pack.h"
#include "layers/store/version.h"

struct shale_commit {
	struct shale_store *store;
	struct shale_snapshot *snapshot;
	struct shale_files *files;
	const char *workspace;  /* its name, for metadata.json */
	const char *repo, *tag; /* tag NULL: none but `latest` */
	bool latest;
	bool allow_empty; /* a version even if nothing changed */
	/* Author, message, data version and labels: taken over by the
	 * version, if there is one. */
	struct shale_description *description;
	struct shale_codec_choice codec;
	unsigned threads; /* 0: one a processor */
	/* Called now and then; true: stop with -EINTR.  May be NULL. */
	bool (*going)(void *arg, const struct shale_pack_stats *stats);
	void *arg;
};

struct shale_commit_result {
	struct shale_version
		*version; /* NULL: nothing changed.  The caller's */
	struct shale_pack_stats stats;
	uint64_t changes;   /* inodes and names that the layer speaks of */
	uint64_t tree_size; /* bytes of its tree blob */
	uint64_t frozen_us; /* how long mutations were stopped */
};

/*
 * Pack, publish.  The caller has a lease, until the workspace knows of the
 * version.  -EINTR when stopped; an error leaves the store as it was, but for
 * what gc finds.
 */
int shale_commit_run(const struct shale_commit *commit,
		     struct shale_commit_result *out, struct shale_err *err);

#endif
