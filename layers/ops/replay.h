/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_REPLAY_H
#define SHALE_OPS_REPLAY_H

/*
 * Replay: makes a directory of the host equal to a version, from nothing, or
 * from another version by changing what differs between the two and nothing
 * else.
 *
 * What stands at a path is the directory's owner's unless it is what one of the
 * two versions has there: type, size, mtime, mode, owner, device, target and
 * xattrs are compared, contents only where the times cannot tell (or with
 * `checksum`).  Anything else is *in the way*: told, and left as it is; all the
 * rest is done.  A path where nothing stands is nobody's.
 *
 * Everything is made in DIR/.shale-replay, with all its attributes, then
 * renamed: a file, and also a whole new directory; from another version many
 * are made durable together before.  So a path has what it had or all of the
 * new, and a replay that was interrupted, killed or cut off with the power is
 * run again to finish it.  (From nothing what is there is of the first attempt,
 * and is compared with the version.)  Names are removed first, directories'
 * times set last; when all is on disk, the stage goes.  Then the root gets its
 * time: one from nothing that is killed in between finds, when it is run again,
 * all that the version has and nothing more, and gives it that.
 */

#include "layers/ops/diff.h"

#define SHALE_REPLAY_STAGE ".shale-replay"

struct shale_replay_opts {
	size_t old_shared, new_shared; /* as struct shale_diff_opts has them */
	bool dry_run;                  /* tell, and change nothing */
	bool same_owner;               /* as struct shale_restore has it */
	bool no_xattrs;
	bool checksum;    /* compare contents of what would be replaced */
	unsigned threads; /* for whole directories; 0: one a processor */
	/* Names the two versions: an unfinished replay is gone on with if it
	 * was of the same. */
	const char *what;

	/* All may be NULL; called by one thread at a time. */
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total,
			 uint64_t files, const char *path);
	/* This path was (or would be) brought to the version. */
	int (*change)(void *arg, const struct shale_difference *d);
	/* `path` was left out, or is not all of what the version has. */
	void (*problem)(void *arg, const char *path, const char *what);
	void *arg;
};

struct shale_replay_result {
	uint64_t made;     /* names: new ones and replaced ones */
	uint64_t removed;  /* names */
	uint64_t changed;  /* attributes alone */
	uint64_t bytes;    /* of files made */
	uint64_t in_way;   /* left as they are: not of the version */
	uint64_t left_out; /* could not be made */
	uint64_t damaged;  /* of those: the image is damaged there */
	uint64_t xattrs;   /* files that lack some of them */
	bool unfinished;   /* damage or an I/O error left something that only
			    * a second run can make: the stage is there still */
};

/*
 * Make `dirfd` the tree of `to`.  `from` NULL: it must be empty, or hold an
 * unfinished replay of the same, or that very tree (else -ENOTEMPTY); in a dry
 * run it may also be negative: there is none yet.  Otherwise it holds `from`.
 * Goes on after what concerns one path; -ENOSPC, -EDQUOT, -EROFS, -ENOMEM and
 * -EINTR end it.
 */
int shale_replay(const struct shale_image *from, const struct shale_image *to,
		 int dirfd, const struct shale_replay_opts *opts,
		 struct shale_replay_result *result, struct shale_err *err);

#endif
