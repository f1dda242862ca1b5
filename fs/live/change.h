/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_CHANGE_H
#define SHALE_LIVE_CHANGE_H

/*
 * What one operation changes, while it is being decided: attributes of the
 * nodes it is about, records, data files that go.  shale_change_commit() makes
 * it one batch (L1); until then nothing has happened.  Failures of the calls
 * in between are kept and come out at the commit.
 *
 * The caller holds the live tree's `freeze` shared and the locks of the inodes
 * that it loads.
 */

#include "fs/live/node.h"

enum { CHANGE_NODES = 6 };

struct shale_change {
	struct shale_live *live;
	struct shale_batch batch;
	int r; /* the first failure */
	struct {
		struct shale_live_node node;
		bool dirty;
		bool unsaid; /* by the answer */
	} nodes[CHANGE_NODES];
	unsigned n;
	struct timespec now;
	struct shale_buf drops; /* struct shale_drop */
	int64_t inodes, bytes, orphans;
	int64_t records;       /* I records more than before */
	int64_t fresh, sealed; /* of those, by epoch: see quota.h */
	int64_t blocks;        /* to be added once it has happened (freed) */
	int64_t reserved;      /* added already; given back if it fails */
	bool lazy;             /* fsync need not make it durable */
	uint64_t pos;          /* where it is in the journal, once it is */
};
#define cleanup_change __attribute__((cleanup(shale_change_release)))

void shale_change_init(struct shale_change *ch, struct shale_live *live);
void shale_change_release(struct shale_change *ch);

/*
 * Attributes of a node, to read and to change: a node loaded twice is the same.
 * Valid until the release.  -ESTALE.
 */
int shale_change_load(struct shale_change *ch, uint64_t ino,
		      struct shale_live_node **out);

/* A new node, not stored yet. */
struct shale_live_node *shale_change_new(struct shale_change *ch, uint64_t ino);

/*
 * The same as the operation makes it below `dir`: its owner, group and mode,
 * default ACLs, target; it has no name yet.  The names lock is held.
 */
int shale_make_node(struct shale_change *ch, const struct shale_live_node *dir,
		    const struct shale_caller *who,
		    const struct shale_make *what,
		    struct shale_live_node **out);

/* Store the node's attributes, as they are at the commit; ctime is now. */
void shale_change_touch(struct shale_change *ch, struct shale_live_node *node);
/* The same, and ctime stays. */
void shale_change_keep(struct shale_change *ch, struct shale_live_node *node);
/* As touch when its content has changed: mtime is now, too, unless `who`
 * keeps the times. */
void shale_change_modify(struct shale_change *ch, struct shale_live_node *node,
			 const struct shale_caller *who);

/* The answer says nothing of this node, though it has changed: if it was told
 * before, `who` hears that it is stale. */
void shale_change_unsaid(struct shale_change *ch,
			 const struct shale_live_node *node);

void shale_change_put(struct shale_change *ch, const struct shale_key *key,
		      const void *value, size_t len);
void shale_change_del(struct shale_change *ch, const struct shale_key *key);
void shale_change_put_name(struct shale_change *ch, uint64_t dir,
			   const char *name, size_t len,
			   const struct shale_rec_name *rec);

/*
 * Store or delete (`now` NULL) the I record of an inode; `before` is the epoch
 * of the one that is there, 0 if there is none.
 */
void shale_change_put_attr(struct shale_change *ch, uint64_t ino,
			   uint32_t before, const struct shale_rec_attr *now);

/* May somebody still use an inode that has lost its last name? */
bool shale_change_in_use(const struct shale_change *ch,
			 const struct shale_live_node *node);

/* Its content is gone: data files, maps and C record. */
void shale_change_free_content(struct shale_change *ch,
			       const struct shale_live_node *node);

/* The inode is gone: its records and data files go, or a tombstone stays. */
void shale_change_free(struct shale_change *ch, struct shale_live_node *node);

/* One link less; an inode without a name goes, unless a handle is open. */
void shale_change_unlink(struct shale_change *ch, struct shale_live_node *node);

/* `who` NULL: a change of our own. */
int shale_change_commit(struct shale_change *ch,
			const struct shale_caller *who);

#endif
