/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_LIVE_H
#define SHALE_LIVE_LIVE_H

/*
 * The live tree: a pinned read-only base (an image's index) and a delta (the
 * workspace's database).  Node = base + delta.  It keeps no object for an
 * inode: every operation reads records, decides, and commits one batch, so what
 * is answered is what the journal holds.  Knows nothing of FUSE; tested without
 * a mount.
 *
 * Invariants (docs/architecture.md cites them):
 *   L1  an operation is one batch: it happened as a whole, or not at all.
 *   L2  a node's number never changes, and is never used again.
 *   L3  a base inode without a record is exactly the base's.
 *   L4  data is in its data file before a batch says that a block counts.
 *   L5  no notification to the kernel is sent from inside an operation.
 *
 * Locks, in this order: `freeze` (shared by every mutation; exclusive while the
 * epoch is raised), the names lock (mutations of names), an inode's content
 * lock (striped), the database's own.  None is held while a chunk is read for
 * another inode.
 *
 * Every call is thread-safe.  Names are not NUL-terminated.  Returns are 0 or
 * -errno with the POSIX meaning of the operation.
 */

#include "fs/live/record.h"
#include "fs/workspace/workspace.h"
#include "layers/index/image.h"

#include <sys/types.h>

struct shale_live;

/* Opens image `n` manifests for contents (no index).  Called at most once an
 * image; the live tree closes it. */
struct shale_live_opts {
	int (*open_image)(void *arg, const struct shale_rec_image *which,
			  struct shale_image **out, struct shale_err *err);
	/* The same with its index: the last committed one, to discard to. */
	int (*open_indexed)(void *arg, const struct shale_rec_image *which,
			    struct shale_image **out, struct shale_err *err);
	void *arg;
	/*
	 * The connection goes on: the base is the one that was pinned, and
	 * whoever is inside keeps what is open.
	 */
	bool takeover;
	bool no_ahead; /* nothing is decompressed ahead of a reader */
	/*
	 * 0: no limit.  Blocks of all epochs, and a fixed sum for each inode
	 * that has changed since the last commit.  What needs more is -EDQUOT;
	 * what only frees is always let through.
	 */
	uint64_t quota_bytes, quota_inodes;
};

/*
 * `base` (with index) is the pinned image, closed by the caller after the live
 * tree; its manifests are `which`.  A new workspace is initialised; one that is
 * resumed is brought onto `base` if that is its last committed image: records
 * that the image holds are dropped.
 */
int shale_live_open(struct shale_live **out, struct shale_workspace *ws,
		    struct shale_handles *handles,
		    const struct shale_image *base,
		    const struct shale_rec_image *which,
		    const struct shale_live_opts *opts, struct shale_err *err);
/* Frees orphans, flushes, closes (not the workspace). */
void shale_live_close(struct shale_live *live);

/*
 * What a workspace is based on for its next mount: the last committed image, or
 * what it was made from.
 */
int shale_live_base_of(struct shale_workspace *ws, struct shale_rec_image *out,
		       struct shale_err *err);

struct shale_node {
	uint64_t ino;
	uint32_t generation;
	uint32_t mode, uid, gid, nlink;
	uint32_t rdev_major, rdev_minor;
	uint64_t size, blocks; /* blocks: 512 bytes */
	struct timespec atime, mtime, ctime;
};

/*
 * Nodes that an operation changed and whose attributes had been told since they
 * last changed: what was told may arrive after the operation's answer, which
 * says nothing of them, and must not be believed (fs/live/told.h).
 */
enum { SHALE_STALE_MAX = 4 };
struct shale_stale {
	unsigned n;
	uint64_t ino[SHALE_STALE_MAX];
};

/* Who asks, for new nodes; `umask` is applied unless a default ACL rules. */
struct shale_caller {
	uint32_t uid, gid, umask;
	uint32_t thread;  /* that asks, and asks for one thing at a time; 0 */
	bool keeps_times; /* a change of content sets none */
	struct shale_request request;
	struct shale_err *err; /* words for damage that is met; may be NULL */
	/* Set if setuid, setgid or capabilities went because of what he wrote:
	 * whoever cached the mode has to forget it.  May be NULL. */
	bool *lost_privileges;
	struct shale_stale *stale; /* added to; NULL: it is known otherwise */
	/* Is he in a group, or may he keep setgid nevertheless?  NULL: no. */
	bool (*keeps_setgid)(void *arg, uint32_t gid);
	void *arg;
};

/*
 * Did an earlier daemon of this connection do what `who` asks?  Then its batch
 * is there, and the answer is the present state: nobody else can have changed
 * what the kernel holds locked until it is answered.
 */
bool shale_live_answered(struct shale_live *live,
			 const struct shale_caller *who);

/* ---------------------------------------------------------------- names */

int shale_live_lookup(struct shale_live *live, uint64_t dir, const char *name,
		      size_t len, struct shale_node *out);
int shale_live_getattr(struct shale_live *live, uint64_t ino,
		       struct shale_node *out);
/* The same for the thread of that number, which will tell of itself when it
 * changes something (struct shale_caller). */
int shale_live_lookup_for(struct shale_live *live, uint32_t thread,
			  uint64_t dir, const char *name, size_t len,
			  struct shale_node *out);
int shale_live_getattr_for(struct shale_live *live, uint32_t thread,
			   uint64_t ino, struct shale_node *out);

/*
 * Make a node.  `mode` has the type; `target` (symlinks) has `target_len`
 * bytes; rdev for devices.  setgid directories hand on their group, default
 * ACLs are inherited.
 */
struct shale_make {
	uint32_t mode;
	uint32_t rdev_major, rdev_minor;
	const char *target;
	size_t target_len;
};
int shale_live_make(struct shale_live *live, const struct shale_caller *who,
		    uint64_t dir, const char *name, size_t len,
		    const struct shale_make *what, struct shale_node *out);
/* A regular file without a name (O_TMPFILE); shale_live_link() may name it. */
int shale_live_tmpfile(struct shale_live *live, const struct shale_caller *who,
		       uint64_t dir, uint32_t mode, struct shale_node *out);
int shale_live_link(struct shale_live *live, const struct shale_caller *who,
		    uint64_t ino, uint64_t dir, const char *name, size_t len,
		    struct shale_node *out);
int shale_live_unlink(struct shale_live *live, const struct shale_caller *who,
		      uint64_t dir, const char *name, size_t len);
int shale_live_rmdir(struct shale_live *live, const struct shale_caller *who,
		     uint64_t dir, const char *name, size_t len);
/* flags: 0, RENAME_EXCHANGE, or RENAME_NOREPLACE and RENAME_WHITEOUT, which
 * leaves a device 0:0 under the old name. */
int shale_live_rename(struct shale_live *live, const struct shale_caller *who,
		      uint64_t dir, const char *name, size_t len,
		      uint64_t new_dir, const char *new_name, size_t new_len,
		      unsigned flags);
/* Target appended to `target`. */
int shale_live_readlink(struct shale_live *live, uint64_t ino,
			struct shale_buf *target);

/*
 * Append "/a/b", a name of the inode now, for messages.  The base knows names
 * by number, the workspace does not: with `search` it is looked for among all
 * that it recorded, which may take long; without, only directories are, each in
 * its parent.  -ENOENT: none found.
 */
int shale_live_path(struct shale_live *live, uint64_t ino, bool search,
		    struct shale_buf *out);

/*
 * Entries of a directory from offset `off` on (0: the start; "." and ".." are
 * offsets 1 and 2).  `fn` returns false when it has no room: that entry will be
 * asked for again.  `next` is the offset to go on after the entry.  With `plus`
 * the node is filled in (not for "." and ".."), else only ino and mode's type.
 */
typedef bool shale_live_entry_fn(void *arg, const char *name, size_t len,
				 const struct shale_node *node, uint64_t next);
int shale_live_readdir(struct shale_live *live, uint64_t dir, uint64_t off,
		       bool plus, shale_live_entry_fn *fn, void *arg);

/* ----------------------------------------------------------- attributes */

enum {
	SHALE_SET_MODE = 1,
	SHALE_SET_UID = 2,
	SHALE_SET_GID = 4,
	SHALE_SET_SIZE = 8,
	SHALE_SET_ATIME = 16,
	SHALE_SET_MTIME = 32,
	SHALE_SET_CTIME = 64,
	SHALE_SET_KILL_SUIDGID = 128,
	/* Beside ATIME, MTIME: to the moment that becomes the ctime. */
	SHALE_SET_ATIME_NOW = 256,
	SHALE_SET_MTIME_NOW = 512,
};
struct shale_set {
	unsigned what;
	uint32_t mode, uid, gid;
	uint64_t size;
	struct timespec atime, mtime, ctime;
};
int shale_live_setattr(struct shale_live *live, const struct shale_caller *who,
		       uint64_t ino, const struct shale_set *set,
		       struct shale_node *out);

/* Value appended to `value`; -ENODATA. */
int shale_live_getxattr(struct shale_live *live, uint64_t ino, const char *name,
			struct shale_buf *value);
/* Names, each with its NUL. */
int shale_live_listxattr(struct shale_live *live, uint64_t ino,
			 struct shale_buf *names);
/* flags: XATTR_CREATE, XATTR_REPLACE.  Setting an access ACL changes the mode;
 * with `kill_sgid` it takes setgid away.  -EOPNOTSUPP: no such namespace. */
int shale_live_setxattr(struct shale_live *live, const struct shale_caller *who,
			uint64_t ino, const char *name, const void *value,
			size_t len, int flags, bool kill_sgid);
int shale_live_removexattr(struct shale_live *live,
			   const struct shale_caller *who, uint64_t ino,
			   const char *name);

/* -------------------------------------------------------------- content */

/* Take and give back a handle; the last one of a nameless inode frees it. */
int shale_live_opened(struct shale_live *live, const struct shale_caller *who,
		      uint64_t ino, uint64_t *handle);
void shale_live_released(struct shale_live *live, uint64_t handle);
/*
 * Files may be lent (lend.h): who opens such a file first, for writing, has the
 * kernel read and write it itself.  `lender` hands a descriptor to the kernel,
 * which calls it by a number, not 0, until that is closed; and is told when size
 * and times of a file may be others than it knows (no lock is held then; NULL:
 * it keeps none).  Before anybody opens anything.  An error says what
 * is in the way: nothing will be lent, then.
 */
struct shale_live_lender {
	int (*open)(void *arg, int fd, uint32_t *id);
	void (*close)(void *arg, uint32_t id);
	void (*changed)(void *arg, uint64_t ino);
	void *arg;
};
int shale_live_lend(struct shale_live *live,
		    const struct shale_live_lender *lender,
		    struct shale_err *err);
/* As shale_live_opened(); `*lent_as` is 0 for a file that is not lent. */
int shale_live_opened_lent(struct shale_live *live,
			   const struct shale_caller *who, uint64_t ino,
			   bool writes, uint64_t *handle, uint32_t *lent_as);
/* Has the inode been changed, so that it may have been lent? */
bool shale_live_is_changed(struct shale_live *live, uint64_t ino);

/* The handle is for writing; how many are there? */
void shale_live_writes(struct shale_live *live, uint64_t handle);
uint32_t shale_live_writers(struct shale_live *live);
/* The kernel has dropped an inode: if it has no name, nobody can have it. */
void shale_live_forgotten(struct shale_live *live, uint64_t ino);

int shale_live_read(struct shale_live *live, uint64_t ino, uint64_t off,
		    void *data, size_t len, size_t *got, struct shale_err *err);
/* kill: clear setuid and setgid as a write by a user without CAP_FSETID does;
 * `who` is asked whether he is in the group of a file that is setgid only. */
int shale_live_write(struct shale_live *live, const struct shale_caller *who,
		     uint64_t ino, uint64_t off, const void *data, size_t len,
		     bool kill);
/* mode: 0, FALLOC_FL_KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE [|
 * KEEP_SIZE] */
int shale_live_fallocate(struct shale_live *live,
			 const struct shale_caller *who, uint64_t ino, int mode,
			 uint64_t off, uint64_t len, bool kill);
/*
 * Copy within the mount: what lies in images is taken over by reference, whole
 * blocks at a time; only what is dirty is copied.  `*done` may be less than
 * len.
 */
int shale_live_copy(struct shale_live *live, const struct shale_caller *who,
		    uint64_t src, uint64_t src_off, uint64_t dst,
		    uint64_t dst_off, uint64_t len, bool kill, uint64_t *done);
/* SEEK_DATA, SEEK_HOLE. */
int shale_live_seek(struct shale_live *live, uint64_t ino, uint64_t off,
		    int whence, uint64_t *out);
int shale_live_fsync(struct shale_live *live, uint64_t ino, bool datasync,
		     struct shale_err *err);
int shale_live_syncfs(struct shale_live *live);

struct shale_live_counts {
	uint64_t inodes, bytes;             /* of the whole tree */
	uint64_t dirty_inodes, data_bytes;  /* of the workspace */
	uint64_t quota_bytes, quota_inodes; /* 0: no limit */
	uint64_t used_bytes, used_inodes;   /* what counts against it */
	uint32_t lent; /* files that the kernel reads and writes itself */
	uint32_t epoch, committed;
	uint64_t next_ino;
};
int shale_live_counts(struct shale_live *live, struct shale_live_counts *out);

/* -------------------------------------------------------------- discard */

/* What a cache above the live tree must forget. */
struct shale_live_forget {
	void (*name)(void *arg, uint64_t dir, const char *name, size_t len);
	void (*inode)(void *arg, uint64_t ino);
	void *arg;
};
struct shale_live_discarded {
	uint64_t inodes; /* that were reset, or went */
};

/*
 * Back to the last committed image: everything, or what is at and below some
 * paths ("/a/b", from the root).  No commit may be under way.  `forget` (may be
 * NULL) is called without locks, before this returns, so not from a thread that
 * serves a request (L5).
 *
 * A path is as it is in the image afterwards, and so is all below it; what is
 * new there goes.  What is outside stays: a name that a file of the image has
 * got there stays a name of that file; a file that was moved in from there
 * goes. What is open and has no name any more lives until it is closed.
 *
 * All paths are one batch.  Everything is as many as it takes; after a crash in
 * between the next shale_live_open() goes on.
 *
 * -EBUSY: files are lent; -ENOKEY: neither there nor in the image; -EXDEV: a directory has moved in or
 * out, or a directory above is another one (the message names both places);
 * -E2BIG: too much for one batch.
 */
int shale_live_discard(struct shale_live *live, const char *const *paths,
		       size_t n, const struct shale_live_forget *forget,
		       struct shale_live_discarded *out, struct shale_err *err);

/* ------------------------------------------------------- commit, section 7 */

/*
 * Stop mutations for a moment, raise the epoch.  -EBUSY: files are lent.  `*frozen` is the epoch that
 * the commit takes (all changes of it and older), `*pos` the journal position
 * of the raise; shale_db_pause_at(pos) then makes the snapshot.
 */
int shale_live_freeze(struct shale_live *live, uint32_t *frozen, uint64_t *pos,
		      struct shale_err *err);

/*
 * Everything up to epoch `frozen` is now in the image `which`: record it, point
 * contents at it in bounded batches, let go of sealed data files.  Safe to
 * repeat; a crash in between leaves it to be finished by the next open.
 */
int shale_live_committed(struct shale_live *live, uint32_t frozen,
			 const struct shale_rec_image *which,
			 struct shale_err *err);

#endif
