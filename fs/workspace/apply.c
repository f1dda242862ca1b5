/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/journal_disk.h"
#include "layers/base/clock.h"

#include <errno.h>

enum { THROTTLE = 4 }; /* times opts.unapplied */

/* ------------------------------------------------------------- one turn */

int shale_applier_mark(struct shale_db *db, uint64_t pos, uint64_t *end,
		       struct shale_err *err)
{
	struct le64 body = le64_make(pos);
	struct shale_record record = {
		.type = SHALE_JOURNAL_MARK,
		.body = body.b,
		.len = sizeof(body),
	};
	int r = shale_journal_append(db->journal, &record, true, err);
	if (r == 0 && end)
		*end = record.end;
	return r;
}

/*
 * Write the mark `pos`.  One flush is enough: the mark's own record says that
 * data files are on disk, which they are by then; it counts in a replay only if
 * all records before it are there; and nothing is applied before the flush.
 */
static int mark(struct shale_db *db, uint64_t pos, struct shale_err *err)
{
	int r = db->opts.flush ? db->opts.flush(db->opts.arg, pos, err) : 0;
	if (r < 0)
		return shale_err_wrap(err, r, "flush");

	uint64_t end = 0;
	r = shale_applier_mark(db, pos, &end, err);
	return r < 0 ? r : shale_journal_sync(db->journal, end, err);
}

/* Mark where batches end now, unless `*marked` is there; then apply to `to`. */
static int turn(struct shale_db *db, uint64_t *marked, struct shale_err *err)
{
	uint64_t pos = atomic_load(&db->position);
	if (*marked < pos) {
		int r = mark(db, pos, err);
		if (r < 0)
			return r;
		*marked = pos;
	}
	/* Read after the position: a barrier is set before its batch shows. */
	uint64_t to = atomic_load(&db->barrier);
	if (to > *marked)
		to = *marked;
	if (to <= atomic_load(&db->applied))
		return 0;

	shale_env_clear_readers(db->env);
	int r = shale_db_apply(db, to, to, NULL, NULL, err);
	uint64_t applied = atomic_load(&db->applied);
	shale_recent_drop(db->recent, applied);
	if (db->opts.applied)
		db->opts.applied(db->opts.arg, applied);
	shale_journal_drop(db->journal, applied);
	shale_journal_prepare(db->journal);
	if (r == 0)
		shale_journal_keep_reserve(db->journal);
	return r;
}

/* ----------------------------------------------------------- the thread */

static bool behind(struct shale_db *db)
{
	uint64_t to = atomic_load(&db->position);
	uint64_t barrier = atomic_load(&db->barrier);
	if (to > barrier)
		to = barrier;
	return to > atomic_load(&db->applied);
}

/* Much is not applied, and the last attempt did not fail. */
static bool late(struct shale_db *db)
{
	return !db->failed &&
	       atomic_load(&db->position) - atomic_load(&db->applied) >=
		       db->opts.unapplied;
}

/*
 * Sleep until there is something to apply, and from then on until the interval
 * is over, somebody asks, or it is much.
 */
static void wait_for_work(struct shale_db *db)
{
	const uint64_t interval = db->opts.interval_ms * UINT64_C(1000000);
	struct timespec until = shale_clock_in(interval);

	while (!db->stop) {
		/* Paused, it is no commit that wakes it. */
		atomic_store(&db->idle,
			     atomic_load(&db->barrier) == SHALE_NO_BARRIER);
		if (!behind(db)) {
			pthread_cond_wait(&db->wake, &db->lock);
			until = shale_clock_in(interval);
			continue;
		}
		atomic_store(&db->idle, false);
		/* Told again from here on; what came before, late() sees. */
		atomic_store(&db->told, false);
		if (db->asks != db->asks_seen || late(db) ||
		    pthread_cond_timedwait(&db->wake, &db->lock, &until) ==
			    ETIMEDOUT)
			break;
	}
	atomic_store(&db->idle, false);
	db->asks_seen = db->asks;
}

/* Lock held, and released meanwhile. */
static void report(struct shale_db *db, const struct shale_err *err)
{
	void (*fn)(void *, const struct shale_err *) = db->on_failure;
	void *arg = db->on_failure_arg;

	pthread_mutex_unlock(&db->lock);
	if (fn)
		fn(arg, err);
	pthread_mutex_lock(&db->lock);
}

void shale_db_on_failure(struct shale_db *db,
			 void (*fn)(void *arg, const struct shale_err *err),
			 void *arg)
{
	pthread_mutex_lock(&db->lock);
	db->on_failure = fn;
	db->on_failure_arg = arg;
	pthread_mutex_unlock(&db->lock);
}

static void *applier(void *arg)
{
	struct shale_db *db = arg;
	struct shale_err err;

	shale_journal_prepare(db->journal); /* while nobody waits for it */
	pthread_mutex_lock(&db->lock);
	for (;;) {
		wait_for_work(db);
		if (!behind(db) && db->stop)
			break;
		uint64_t marked = db->marked;
		db->busy = true;
		pthread_mutex_unlock(&db->lock);
		err.msg[0] = 0;
		int r = turn(db, &marked, &err);
		pthread_mutex_lock(&db->lock);
		db->busy = false;
		db->marked = marked;
		db->attempts++;
		bool news = r < 0 && !db->failed;
		db->failed = r;
		if (r < 0)
			db->failure = err;
		pthread_cond_broadcast(&db->done);
		if (news)
			report(db, &err);
		if (r < 0 && db->stop)
			break;
	}
	pthread_mutex_unlock(&db->lock);
	return NULL;
}

int shale_applier_start(struct shale_db *db, struct shale_err *err)
{
	int r = pthread_create(&db->thread, NULL, applier, db);
	if (r)
		return shale_err_set(err, r, "start the applier");
	db->running = true;
	return 0;
}

int shale_applier_stop(struct shale_db *db, struct shale_err *err)
{
	if (!db->running)
		return 0;
	pthread_mutex_lock(&db->lock);
	atomic_store(&db->barrier, SHALE_NO_BARRIER);
	db->stop = true;
	pthread_cond_signal(&db->wake);
	pthread_mutex_unlock(&db->lock);
	pthread_join(db->thread, NULL);
	db->running = false;
	if (!behind(db))
		return 0;
	if (err)
		*err = db->failure;
	return db->failed;
}

/* ------------------------------------------------------ asked by others */

void shale_applier_note(struct shale_db *db, uint64_t pos)
{
	/*
	 * Two atomic loads as a rule.  The applier sets `idle` before it looks
	 * at the position for the last time, and holds the lock from there to
	 * its sleep: either it sees the position or we see the flag.
	 */
	uint64_t behind_by = pos - atomic_load(&db->applied);
	if (!atomic_load(&db->idle) && (behind_by < db->opts.unapplied ||
					atomic_exchange(&db->told, true)))
		return;
	pthread_mutex_lock(&db->lock);
	pthread_cond_signal(&db->wake);
	pthread_mutex_unlock(&db->lock);
}

static bool too_late(struct shale_db *db)
{
	uint64_t limit = (uint64_t)THROTTLE * db->opts.unapplied;

	/* With a barrier up nobody waits: who lifts it may be next to commit.
	 */
	return atomic_load(&db->position) - atomic_load(&db->applied) > limit &&
	       atomic_load(&db->barrier) == SHALE_NO_BARRIER;
}

int shale_applier_throttle(struct shale_db *db, struct shale_err *err)
{
	int r = 0;

	if (!too_late(db))
		return 0;
	pthread_mutex_lock(&db->lock);
	while (too_late(db)) {
		r = db->failed;
		if (r < 0) {
			if (err)
				*err = db->failure;
			break;
		}
		pthread_cond_wait(&db->done, &db->lock);
	}
	pthread_mutex_unlock(&db->lock);
	return r < 0 ? shale_err_wrap(err, r, "too much is not applied yet")
		     : 0;
}

/* Wait, lock held, until `pos` is applied or an attempt made since fails. */
static int wait_applied(struct shale_db *db, uint64_t pos,
			struct shale_err *err)
{
	/* An attempt that is under way may have begun before the question. */
	uint64_t attempt = db->attempts + (db->busy ? 1 : 0);

	if (atomic_load(&db->applied) >= pos)
		return 0;
	db->asks++;
	pthread_cond_signal(&db->wake);
	while (atomic_load(&db->applied) < pos) {
		pthread_cond_wait(&db->done, &db->lock);
		if (atomic_load(&db->applied) >= pos)
			break;
		if (db->failed && db->attempts > attempt) {
			if (err)
				*err = db->failure;
			return db->failed;
		}
	}
	return 0;
}

int shale_db_advance(struct shale_db *db, struct shale_err *err)
{
	pthread_mutex_lock(&db->lock);
	int r = wait_applied(db, atomic_load(&db->position), err);
	pthread_mutex_unlock(&db->lock);
	return r;
}

bool shale_applier_helps(struct shale_db *db)
{
	return behind(db) && atomic_load(&db->barrier) == SHALE_NO_BARRIER &&
	       shale_db_advance(db, NULL) == 0;
}

static void lift_barrier(struct shale_db *db)
{
	atomic_store(&db->barrier, SHALE_NO_BARRIER);
	db->asks++; /* somebody may have waited for what the barrier held */
	pthread_cond_signal(&db->wake);
	pthread_cond_broadcast(&db->done);
}

int shale_db_pause_at(struct shale_db *db, uint64_t pos, struct shale_err *err)
{
	int r = 0;

	pthread_mutex_lock(&db->lock);
	uint64_t barrier = atomic_load(&db->barrier);
	if (barrier != SHALE_NO_BARRIER && barrier != pos) {
		r = shale_err_say(err, EBUSY,
				  "the database is held for another commit");
	} else {
		atomic_store(&db->barrier, pos);
		/* A turn that began before may not have seen the barrier. */
		while (db->busy)
			pthread_cond_wait(&db->done, &db->lock);
		if (atomic_load(&db->applied) <= pos)
			r = wait_applied(db, pos, err);
		else
			r = shale_err_say(err, ERANGE,
					  "more than the commit is applied "
					  "already");
		if (r < 0)
			lift_barrier(db);
	}
	pthread_mutex_unlock(&db->lock);
	return r;
}

void shale_db_resume(struct shale_db *db)
{
	pthread_mutex_lock(&db->lock);
	lift_barrier(db);
	pthread_mutex_unlock(&db->lock);
}
