/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_REPLAY_IMPL_H
#define SHALE_OPS_REPLAY_IMPL_H

/*
 * What the parts of a replay share: the two ways (replay.c), the steps
 * (replay_steps.c), what stands in the directory (replay_local.c), names of one
 * file (replay_links.c), doing a step (replay_apply.c, replay_dir.c,
 * replay_file.c), the place where things are made (replay_stage.c), what was
 * made there and is to get its names (replay_batch.c), directories' ends
 * (replay_finish.c), and whether there is nothing to do (replay_whole.c).
 */

#include "layers/base/buf.h"
#include "layers/ops/inodemap.h"
#include "layers/ops/replay.h"
#include "layers/ops/restore.h"

#include <sys/stat.h>

/* When a step is done.  What one round has made has its names before the next
 * begins. */
enum shale_replay_round {
	SHALE_REPLAY_ALONE, /* directories, files with one name */
	SHALE_REPLAY_FIRST, /* files with several names: the first is made */
	SHALE_REPLAY_MORE,  /* and the others are linked to it */
	SHALE_REPLAY_ATTRS, /* their attributes: when each name that is to be
			     * another file's has become that */
	SHALE_REPLAY_ROUNDS,
};

/* A path at which the two versions differ. */
struct shale_replay_step {
	struct shale_difference d; /* its path is the step's own */
	enum shale_replay_round round;
	bool failed;  /* told already: nothing more to do */
	bool covered; /* a directory around it was made with all below it */
	bool shut;    /* what is around it is no directory here */
	bool staged;  /* made, and has not got its name */
};

/* What stands at a path of the directory. */
enum shale_local {
	SHALE_LOCAL_NONE,  /* nothing */
	SHALE_LOCAL_OLD,   /* what the old version has; attributes may be the
			    * new one's already */
	SHALE_LOCAL_NEW,   /* what the new version has */
	SHALE_LOCAL_OTHER, /* something else: it is in the way */
};

/* A step, and what stands at its path. */
struct shale_replay_place {
	struct shale_replaying *rp;
	struct shale_replay_step *step;
	const struct shale_difference *d; /* the step's */
	int parent; /* its directory, and the name there */
	const char *name;
	enum shale_local local;
	struct stat st;   /* unless there is nothing */
	const char *what; /* why it is in the way, if it is */
};

/* Which names of the directory are to be one file. */
struct shale_replay_links {
	struct shale_inodemap claims;  /* (0, inode of `from`) -> group */
	struct shale_inodemap members; /* (0, inode of `to`) -> group */
	struct shale_buf groups;       /* struct shale_replay_group */
};

/* The names of one inode of `to`. */
struct shale_replay_group {
	uint64_t from_ino; /* the file in the directory that it goes on with;
			    * 0: none */
	char *path;        /* a name of it, once there is one */
	const struct shale_replay_step *maker; /* that made it, if one did */
};

struct shale_replaying {
	const struct shale_image *from, *to;
	const struct shale_replay_opts *opts;
	struct shale_replay_result *sum;
	struct shale_err *err;
	struct shale_restore restore; /* of `to` */
	int root;
	bool again;             /* it goes on with an unfinished one */
	struct shale_buf steps; /* struct shale_replay_step, by path */
	struct shale_buf dirs;  /* char *: directories to finish */
	struct shale_buf batch; /* struct shale_replay_staged */
	uint64_t batch_bytes;
	struct shale_replay_links links;
};

/* -------------------------------------------------------- telling, counting */

/* `path` is left as it is, or lacks something. */
void shale_replay_say(struct shale_replaying *rp, const char *path,
		      const char *what);
/* It is in the way. */
void shale_replay_in_way(struct shale_replaying *rp,
			 struct shale_replay_step *step, const char *what);
/* What came of a step: 1: some xattrs lack, `why` says which.  Returns -errno
 * if that ends everything. */
int shale_replay_outcome(struct shale_replaying *rp,
			 struct shale_replay_step *step, int r,
			 const struct shale_err *why);
/* It is done, or would be. */
int shale_replay_told(struct shale_replaying *rp,
		      const struct shale_replay_step *step);
/* -EINTR: nobody wants it any more.  Tells progress. */
int shale_replay_stopped(const struct shale_replaying *rp);

/* ------------------------------------------------------------ the directory */

/*
 * Open the directory of `path` ("/a/b": that of "/a"), and point `*name` at
 * the name in it.  -ENOENT, -ENOTDIR, -ELOOP: no such directory here.
 */
int shale_replay_parent(const struct shale_replaying *rp, const char *path,
			const char **name);

/*
 * What stands at a step's path; sets `st` unless it is SHALE_LOCAL_NONE, and
 * `*what` says what is otherwise for SHALE_LOCAL_OTHER.
 */
int shale_replay_look(const struct shale_replaying *rp, int parent,
		      const char *name, const struct shale_difference *d,
		      struct stat *st, enum shale_local *out, const char **what,
		      struct shale_err *err);

/* Owner, mode, xattrs and time of what has that name, which is of `from`. */
int shale_replay_attributes(const struct shale_replaying *rp, int parent,
			    const char *name, const struct shale_difference *d,
			    struct shale_err *err);

/* -------------------------------------------------------------------- steps */

/* A path at which the versions differ: for shale_diff(), which has them
 * ascending.  `arg` is the struct shale_replaying. */
int shale_replay_add_step(void *arg, const struct shale_difference *d);
/* Do all of them. */
int shale_replay_steps(struct shale_replaying *rp);
void shale_replay_steps_release(struct shale_replaying *rp);

/* Remove what only the old version has at this path. */
int shale_replay_remove(struct shale_replaying *rp,
			struct shale_replay_step *step);
/* Bring a path to the new version, or find that it comes in a later round.
 * Sets `*whole` for a directory that was made with all below it, `*shut` for
 * one that is none here. */
int shale_replay_apply(struct shale_replaying *rp,
		       struct shale_replay_step *step, bool *whole, bool *shut);

/* The same for a place that was looked at: a directory; anything else. */
int shale_replay_dir(struct shale_replay_place *p, bool *whole, bool *shut);
int shale_replay_file(struct shale_replay_place *p);
/* One of several names of a file, now or before. */
int shale_replay_link(struct shale_replay_place *p);
/* Attributes alone. */
int shale_replay_set(struct shale_replay_place *p);

/* The group of an inode of `to`, whose name in the directory is sought. */
int shale_replay_group(struct shale_replaying *rp, uint64_t ino,
		       struct shale_replay_group **out);
void shale_replay_links_release(struct shale_replay_links *links);

/* Something changes in the directory of `path`, or at the directory itself. */
int shale_replay_touch(struct shale_replaying *rp, const char *path,
		       bool itself);
/* The bits without which its owner cannot change what is in a directory. */
enum { SHALE_REPLAY_OPEN_BITS = 0700 };
/* The directory of `path`, opened for changes in it. */
int shale_replay_open(struct shale_replaying *rp, const char *path,
		      const char **name, struct shale_err *err);
/* Modes and times of all that were touched, the deepest first. */
int shale_replay_finish(struct shale_replaying *rp);
/* Those of the root alone. */
int shale_replay_finish_root(struct shale_replaying *rp);

/* 1: the directory holds what the version has, and nothing more, as far as
 * attributes tell; only directories' times may be others, and the directories
 * are touched, to be finished.  0: it does not.  Ends at the first path that
 * is otherwise. */
int shale_replay_is_whole(struct shale_replaying *rp);

/* ----------------------------------------------------------------- the batch
 *
 * What was made in the stage gets its name after it is on disk, many at a time:
 * so after a power cut, too, a path has what it had or all of the new.
 */

/*
 * `staged` in the stage, with `bytes` of content, is to be what the place's
 * step says.  It is told when it is.
 */
int shale_replay_batch_add(const struct shale_replay_place *p,
			   const char *staged, uint64_t bytes);
/* All on disk, then each to its path. */
int shale_replay_batch_flush(struct shale_replaying *rp);

/* ----------------------------------------------------------------- the stage
 */

/*
 * Open the directory in which things are made, emptied.  `what` is kept there;
 * `*again`: it had been already.  -EEXIST: the name is not a directory of ours.
 */
int shale_replay_stage_open(int root, const char *what, int *stage, bool *again,
			    struct shale_err *err);
/* Is there one, and what does it say?  -ENOENT. */
int shale_replay_stage_read(int root, struct shale_buf *what,
			    struct shale_err *err);
/* Remove what was made there. */
int shale_replay_stage_clear(int stage, struct shale_err *err);
int shale_replay_stage_remove(int root, int stage, struct shale_err *err);

#endif
