/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/unit/db-rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

struct watch {
	struct shale_db *db;
	_Atomic uint64_t flushed; /* committed before the last flush began */
	_Atomic int flushes, fail, ahead;
};

static int watch_flush(void *arg, uint64_t at, struct shale_err *e)
{
	(void)at;
	struct watch *w = arg;
	uint64_t pos = w->db ? shale_db_position(w->db) : 0;

	atomic_fetch_add(&w->flushes, 1);
	if (atomic_load(&w->fail))
		return shale_err_set(e, EIO, "disk");
	usleep(1000);
	atomic_store(&w->flushed, pos);
	return 0;
}

static void watch_applied(void *arg, uint64_t pos)
{
	struct watch *w = arg;
	struct shale_db_stats stats;
	if (!w->db)
		return;
	shale_db_stats(w->db, &stats);
	if (pos > atomic_load(&w->flushed) || stats.applied != pos)
		atomic_store(&w->ahead, 1);
}

TEST(the_database_is_never_ahead_of_what_was_flushed)
{
	struct watch w = {0};
	const struct shale_db_opts opts = {.flush = watch_flush,
					   .applied = watch_applied,
					   .arg = &w,
					   .interval_ms = 2,
					   .unapplied = 4096};
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &opts);

	w.db = db;
	for (int i = 0; i < 5000; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		db_put(db, key, "value");
	}
	CHECK(atomic_load(&w.flushes) > 3);
	CHECK(!atomic_load(&w.ahead));
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(with_nothing_committed_nothing_is_flushed)
{
	struct watch w = {0};
	const struct shale_db_opts opts = {
		.flush = watch_flush, .arg = &w, .interval_ms = 1};
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &opts);

	db_put(db, "a", "1");
	CHECK_OK(shale_db_advance(db, &err));
	int before = atomic_load(&w.flushes);
	uint64_t pos = shale_db_position(db);
	usleep(20000);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_OK(shale_db_close(db, &err));
	CHECK_INT(atomic_load(&w.flushes), before);
	db = db_open(dir, &opts);
	CHECK_INT(shale_db_position(db), pos);
	CHECK_OK(shale_db_close(db, &err));
	CHECK_INT(atomic_load(&w.flushes), before);
	close(dir);
}

TEST(a_flush_that_fails_is_told_and_tried_again)
{
	struct watch w = {.fail = 1};
	struct shale_db_opts opts = db_lazy;
	opts.flush = watch_flush;
	opts.arg = &w;
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &opts);

	db_put(db, "a", "1");
	CHECK_INT(shale_db_advance(db, &err), -EIO);
	CHECK_STR(err.msg, "flush: disk: Input/output error");
	struct shale_db_stats stats;
	shale_db_stats(db, &stats);
	CHECK_INT(stats.applied, 0);
	CHECK_STR(db_get(db, "a"), "1");
	db_put(db, "b", "2");
	atomic_store(&w.fail, 0);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(db_dump(db, ""), "a=1 b=2");
	db_put(db, "c", "3");
	atomic_store(&w.fail, 1);
	CHECK_INT(shale_db_close(db, &err), -EIO);
	/* What was not applied is in the journal. */
	db = db_open(dir, &db_lazy);
	CHECK_STR(db_dump(db, ""), "a=1 b=2 c=3");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

static void count_failure(void *arg, const struct shale_err *why)
{
	CHECK_STR(why->msg, "flush: disk: Input/output error");
	++*(_Atomic int *)arg;
}

TEST(a_failure_in_the_background_is_told_once_until_it_succeeds)
{
	struct watch w = {.fail = 1};
	struct shale_db_opts opts = db_lazy;
	_Atomic int told = 0;
	opts.flush = watch_flush;
	opts.arg = &w;
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &opts);

	shale_db_on_failure(db, count_failure, &told);
	db_put(db, "a", "1");
	for (int i = 0; i < 3; i++)
		CHECK_INT(shale_db_advance(db, &err), -EIO);
	atomic_store(&w.fail, 0);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_INT(told, 1);
	db_put(db, "b", "2");
	atomic_store(&w.fail, 1);
	CHECK_INT(shale_db_advance(db, &err), -EIO);
	atomic_store(&w.fail, 0);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_INT(told, 2);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

/* A disk that takes its time: until told, or 20 s. */
static int slow_flush(void *arg, uint64_t at, struct shale_err *e)
{
	(void)at;
	(void)e;
	for (int i = 0; i < 20000 && !atomic_load((atomic_bool *)arg); i++)
		usleep(1000);
	return 0;
}

TEST(what_holds_up_others_does_not_wait_for_a_slow_disk)
{
	atomic_bool go = false;
	const struct shale_db_opts opts = {.flush = slow_flush,
					   .arg = &go,
					   .interval_ms = 1,
					   .unapplied = 8};
	struct shale_db_stats stats;
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &opts);

	db_put(db, "a",
	       "so much that a second batch would wait for the applier");
	cleanup_batch struct shale_batch batch = {.urgent = true};
	CHECK_INT(shale_batch_put(&batch, "b", 1, "2", 1), 0);
	CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
	shale_db_stats(db, &stats);
	CHECK(stats.position - stats.applied > 4 * opts.unapplied);
	atomic_store(&go, true);
	db_put(db, "c", "3"); /* this one waits, and is let through */
	CHECK_STR(db_get(db, "b"), "2");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

static const char *snapshot_dump(struct shale_snapshot *snapshot)
{
	static char text[1000];
	cleanup_buf struct shale_buf key = {0}, value = {0};
	char *at = text;

	*text = 0;
	while (shale_snapshot_next(snapshot, key.data, key.len, 0, &key, &value,
				   &err) == 0) {
		at += snprintf(at, 100, "%s%.*s=%.*s", at == text ? "" : " ",
			       (int)key.len, (char *)key.data, (int)value.len,
			       (char *)value.data);
		CHECK(shale_buf_add(&key, 1));
	}
	return text;
}

static uint64_t put_barrier(struct shale_db *db, const char *key)
{
	struct shale_batch batch = {.barrier = true};
	uint64_t pos;
	CHECK_INT(shale_batch_put(&batch, key, strlen(key), "", 0), 0);
	CHECK_OK(shale_db_commit(db, &batch, NULL, &pos, &err));
	shale_batch_release(&batch);
	return pos;
}

TEST(a_pause_gives_exactly_the_state_of_its_position)
{
	struct shale_db_opts opts = {.interval_ms = 1, .unapplied = 64};
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &opts);
	struct shale_snapshot *snapshot, *later;

	db_put(db, "a", "1");
	uint64_t pos = put_barrier(db, "f");
	db_put(db, "b", "2");
	db_put(db, "a", "3");
	usleep(20000); /* the applier would have passed it */
	CHECK_OK(shale_db_pause_at(db, pos, &err));
	db_put(db, "c", "4");
	CHECK_OK(shale_db_snapshot(db, &snapshot, &err));
	CHECK_STR(snapshot_dump(snapshot), "a=1 f=");
	shale_db_resume(db);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(snapshot_dump(snapshot), "a=1 f=");
	CHECK_OK(shale_db_snapshot(db, &later, &err));
	CHECK_STR(snapshot_dump(later), "a=3 b=2 c=4 f=");
	cleanup_buf struct shale_buf value = {0};
	CHECK_OK(shale_snapshot_get(snapshot, "a", 1, &value, &err));
	CHECK_MEM(value.data, "1", 1);
	CHECK_INT(shale_snapshot_get(snapshot, "b", 1, &value, &err), -ENOENT);
	shale_snapshot_close(later);
	shale_snapshot_close(snapshot);
	CHECK_INT(shale_db_pause_at(db, pos, &err), -ERANGE);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(only_one_commit_holds_the_database)
{
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);

	uint64_t pos = put_barrier(db, "f");
	struct shale_batch batch = {.barrier = true};
	CHECK_INT(shale_db_commit(db, &batch, NULL, NULL, &err), -EBUSY);
	db_put(db, "x", "1");
	CHECK_INT(shale_db_pause_at(db, shale_db_position(db), &err), -EBUSY);
	CHECK_OK(shale_db_pause_at(db, pos, &err));
	shale_db_resume(db);
	pos = put_barrier(db, "g");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

static void look_at_snapshot(int dir)
{
	struct shale_snapshot *snapshot;
	if (shale_snapshot_open(&snapshot, dir, &err) < 0)
		_exit(1);
	if (strcmp(snapshot_dump(snapshot), "a=1 f=") != 0)
		_exit(2);
	_exit(0); /* as one that died: without closing */
}

TEST(another_process_reads_the_snapshot_and_may_die)
{
	int dir = db_dir(), go[2], status;
	char c;

	/* Forked before the environment is open here. */
	CHECK(pipe(go) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (read(go[0], &c, 1) == 1)
			look_at_snapshot(dir);
		_exit(3);
	}
	struct shale_db *db = db_open(dir, &db_lazy);
	db_put(db, "a", "1");
	uint64_t pos = put_barrier(db, "f");
	db_put(db, "b", "2");
	CHECK_OK(shale_db_pause_at(db, pos, &err));
	CHECK(write(go[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	shale_db_resume(db);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(db_dump(db, ""), "a=1 b=2 f=");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}
