/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_DB_IMPL_H
#define SHALE_WORKSPACE_DB_IMPL_H

/*
 * What the files of the database share: db.c (commit and read), db_open.c,
 * apply.c (the applier), apply_journal.c (batches into LMDB), snapshot.c.
 *
 * Locks, in this order: `commit`, `lock`, those inside journal, recent, env.
 */

#include "fs/workspace/db.h"
#include "fs/workspace/env.h"
#include "fs/workspace/journal.h"
#include "fs/workspace/recent.h"
#include "fs/workspace/results.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHALE_NO_BARRIER UINT64_MAX

struct shale_db {
	int dirfd;
	struct shale_db_opts opts; /* defaults filled in */
	struct shale_journal *journal;
	struct shale_recent *recent;
	struct shale_env *env;
	struct shale_results results;

	pthread_mutex_t commit; /* puts batches in order */
	uint64_t noted;         /* a NAMES record says this position */
	uint64_t noted_end;     /* behind it, and FSYNC records; by `commit` */

	_Atomic uint64_t position; /* behind the last batch */
	_Atomic uint64_t applied;  /* LMDB has the batches up to here */
	_Atomic uint64_t barrier;  /* nothing behind this is applied */
	atomic_bool idle;          /* the applier has nothing to do */
	atomic_bool told;          /* the applier knows that it is late */

	pthread_mutex_t lock; /* all below */
	pthread_cond_t wake;  /* for the applier */
	pthread_cond_t done;  /* an attempt of its ended */
	pthread_t thread;
	bool running, stop;
	bool busy;          /* the applier is at work, `lock` is free */
	uint64_t marked;    /* the last durable mark */
	uint64_t asks;      /* how often somebody asked for an attempt */
	uint64_t asks_seen; /* of those before the last attempt */
	uint64_t attempts;  /* ended so far */
	int failed;         /* of the last attempt, or 0 */
	struct shale_err failure;
	void (*on_failure)(void *arg, const struct shale_err *err);
	void *on_failure_arg;
};

/* What LMDB says of itself: 0, or -ENOENT when it is new. */
int shale_db_load_applied(struct shale_db *db, uint64_t *applied,
			  struct shale_err *err);

/* Write position 0 into a new one. */
int shale_db_make_applied(struct shale_db *db, struct shale_err *err);

/* Decides whether an operation of a batch that ends at `pos` is taken. */
typedef bool shale_apply_filter(void *arg, const uint8_t *key, size_t key_len,
				uint64_t pos);

/*
 * Apply the batches from db->applied to `to` by reading the journal, in
 * transactions of bounded size, then say that all up to `done` (>= to) is
 * applied.  db->applied follows.  `filter` may be NULL.
 */
int shale_db_apply(struct shale_db *db, uint64_t to, uint64_t done,
		   shale_apply_filter *filter, void *arg,
		   struct shale_err *err);

/* After a power cut: take what is trusted of the tail, see shale_db_open(). */
int shale_db_recover(struct shale_db *db, struct shale_err *err);

int shale_applier_start(struct shale_db *db, struct shale_err *err);
/* Mark and apply all that is left; the last error. */
int shale_applier_stop(struct shale_db *db, struct shale_err *err);
/*
 * Append the mark `pos`: the data files that batches up to there speak of are
 * on disk.  `*end` (may be NULL) is behind its record, which is not flushed.
 */
int shale_applier_mark(struct shale_db *db, uint64_t pos, uint64_t *end,
		       struct shale_err *err);
/* Batches go up to `pos` now: see whether the applier must know. */
void shale_applier_note(struct shale_db *db, uint64_t pos);
/* Wait while much too much is unapplied; an error if that will not end. */
int shale_applier_throttle(struct shale_db *db, struct shale_err *err);

/* The disk is full: did applying what there is let the journal's space go? */
bool shale_applier_helps(struct shale_db *db);

#endif
