/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_IMPL_H
#define SHALE_LIVE_IMPL_H

/*
 * What the files of this room share: the live tree itself and its locks.
 */

#include "fs/live/live.h"
#include "fs/live/source.h"
#include "fs/live/told.h"
#include "fs/workspace/map64.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	LIVE_STRIPES = 64,
	LIVE_SYNC_SLOTS = 4096,
	LIVE_INODE_BYTES = 512, /* what a record counts against the quota */
};

struct shale_flushed {
	uint64_t ino, pos;
};

/* Files that are lent: see lend.h. */
struct shale_loans {
	struct shale_live_lender lender;
	bool on; /* more may be */
	_Atomic uint32_t n;
	pthread_mutex_t lock; /* of what follows */
	struct shale_map64 id, since;
};

struct shale_live {
	struct shale_workspace *ws;
	struct shale_db *db;
	struct shale_files *files;
	struct shale_handles *handles;
	const struct shale_image *base;
	const struct shale_index *index;
	struct shale_live_opts opts;
	uint64_t quota_bytes, quota_inodes;
	struct shale_source *source;

	/* Numbers below may be the base's; a bit for each that has a record. */
	uint64_t base_next;
	_Atomic uint64_t *touched;

	pthread_rwlock_t freeze;
	pthread_mutex_t names;
	pthread_rwlock_t stripe[LIVE_STRIPES];
	struct shale_loans loans;

	/*
	 * As stored.  The next number changes with `names` held and `freeze`
	 * shared; all else with `freeze` exclusive, so it may be read with that
	 * shared; and `pinned` only while the tree is being opened, so anybody
	 * may read it.  Numbers from `next_ino` up to state.next_ino are
	 * reserved and not given out yet.
	 */
	struct shale_rec_state state;
	uint64_t next_ino;
	bool rebase; /* being opened: the base is the last image now */

	struct shale_told told;

	_Atomic int64_t inodes, bytes; /* of the whole tree */
	_Atomic int64_t dirty;         /* I records */
	_Atomic int64_t fresh, sealed; /* of those, newer ones: see quota.h */
	_Atomic int64_t blocks;        /* present in maps, and reserved */
	_Atomic int64_t orphans;       /* O records */

	/* Journal position of the last change of an inode that fsync must
	 * make durable, by hash of its number; and how far it is. */
	_Atomic uint64_t sync[LIVE_SYNC_SLOTS];
	_Atomic uint64_t synced;
	/* By the same hash: an inode, and up to where a durable record of the
	 * journal says that its data is on disk. */
	pthread_mutex_t fsynced_lock;
	struct shale_flushed fsynced[LIVE_SYNC_SLOTS];

	/* Data files that a running commit may read: let go of by the next
	 * shale_live_committed().  `committed` mirrors the state's. */
	pthread_mutex_t held_lock;
	struct shale_buf held; /* struct shale_drop */
	uint32_t committed;

	/* Files that replaced others by rename, struct shale_replaced: their
	 * data is flushed before the journal that says so.  Who flushes some
	 * holds `replaced_flush`: until it is done, nobody else may think that
	 * there are none. */
	pthread_mutex_t replaced_flush;
	struct shale_buf flushing; /* under it */
	uint64_t names_from;       /* under it: syncs are of no position below */
	pthread_mutex_t replaced_lock;
	struct shale_buf replaced; /* under that */
};

struct shale_replaced {
	uint64_t ino, pos;
};

/* A data file that no record names any more. */
struct shale_drop {
	uint64_t ino;
	uint32_t epoch;
};

/* May the base have this number? */
static inline bool shale_live_maybe_base(const struct shale_live *live,
					 uint64_t ino)
{
	return ino < live->base_next;
}

/* May the inode have records?  False: it is exactly the base's (L3). */
bool shale_live_touched(struct shale_live *live, uint64_t ino);
void shale_live_touch(struct shale_live *live, uint64_t ino);

/*
 * Exclusive locks on up to four inodes, taken in one order whatever they are;
 * number 0 is none.
 */
struct shale_locks {
	unsigned n;
	unsigned stripe[4];
};
void shale_locks_take(struct shale_live *live, struct shale_locks *locks,
		      const uint64_t *inos, unsigned n);
void shale_locks_drop(struct shale_live *live, struct shale_locks *locks);
/* The same for a change that has to do with no name, which keeps a freeze off. */
void shale_locks_enter(struct shale_live *live, struct shale_locks *locks,
		       const uint64_t *inos, unsigned n);
void shale_locks_leave(struct shale_live *live, struct shale_locks *locks);
pthread_rwlock_t *shale_live_stripe(struct shale_live *live, uint64_t ino);

/* Store the state, and the image that it calls last.  Locks as above. */
int shale_live_set_state(struct shale_live *live,
			 const struct shale_rec_state *state,
			 const struct shale_rec_image *image, uint64_t *pos);

/* Read one record; -ENOENT. */
int shale_live_get(struct shale_live *live, const struct shale_key *key,
		   struct shale_buf *value);

/*
 * Call `fn` for every record of that letter, in order of keys, until it returns
 * anything but 0, which is returned.  It may change records.
 */
typedef int shale_live_fn(void *arg, const struct shale_buf *key,
			  const struct shale_buf *value, struct shale_err *err);
int shale_live_each(struct shale_live *live, char letter, shale_live_fn *fn,
		    void *arg, struct shale_err *err);

#endif
