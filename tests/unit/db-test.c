/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db.h"
#include "layers/base/err.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

/* A fresh directory to keep a database in. */
static int new_dir(void)
{
	static int n;
	char path[400];
	snprintf(path, sizeof(path), "%s/db-%d-%d", shale_test_dir(),
		 (int)getpid(), n++);
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	return fd;
}

/* Nothing is applied unless a test asks. */
static const struct shale_db_opts lazy = {.interval_ms = 3600 * 1000,
					  .unapplied = 1 << 30,
					  .content_letters = "CM"};

static struct shale_db *open_db(int dir, const struct shale_db_opts *opts)
{
	struct shale_db *db;
	CHECK_OK(shale_db_open(&db, dir, opts, &err));
	return db;
}

static uint64_t put(struct shale_db *db, const char *key, const char *value)
{
	cleanup_batch struct shale_batch batch = {0};
	uint64_t pos;
	CHECK_INT(value ? shale_batch_put(&batch, key, strlen(key), value,
					  strlen(value))
			: shale_batch_del(&batch, key, strlen(key)),
		  0);
	CHECK_OK(shale_db_commit(db, &batch, NULL, &pos, &err));
	return pos;
}

/* The value of a key, "-" if there is none. */
static const char *get(struct shale_db *db, const char *key)
{
	static char text[8][100];
	static unsigned n;
	cleanup_buf struct shale_buf value = {0};
	char *out = text[n++ % 8];

	int r = shale_db_get(db, key, strlen(key), &value, &err);
	if (r == -ENOENT)
		return "-";
	CHECK_INT(r, 0);
	snprintf(out, 100, "%.*s", (int)value.len, (char *)value.data);
	return out;
}

/* All keys and values in order: "a=1 b=2". */
static const char *dump(struct shale_db *db, const char *prefix)
{
	static char text[4][1000];
	static unsigned n;
	cleanup_buf struct shale_buf key = {0}, value = {0};
	char *out = text[n++ % 4], *at = out;
	size_t len = strlen(prefix);
	int r = shale_buf_append(&key, prefix, len);

	*out = 0;
	while ((r = shale_db_next(db, key.data, key.len, len, &key, &value,
				  &err)) == 0) {
		at += snprintf(at, 100, "%s%.*s=%.*s", at == out ? "" : " ",
			       (int)key.len, (char *)key.data, (int)value.len,
			       (char *)value.data);
		CHECK(shale_buf_add(&key, 1));
	}
	CHECK_INT(r, -ENOENT);
	return out;
}

TEST(what_is_committed_can_be_read_before_and_after_it_is_applied)
{
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);

	put(db, "b", "1");
	put(db, "a", "2");
	put(db, "c", "3");
	put(db, "b", "4");
	for (int i = 0; i < 2; i++) {
		CHECK_STR(get(db, "a"), "2");
		CHECK_STR(get(db, "b"), "4");
		CHECK_STR(get(db, "d"), "-");
		CHECK_STR(dump(db, ""), "a=2 b=4 c=3");
		CHECK_OK(shale_db_advance(db, &err));
	}
	put(db, "b", NULL);
	put(db, "bb", "5");
	CHECK_STR(get(db, "b"), "-");
	CHECK_STR(dump(db, ""), "a=2 bb=5 c=3");
	CHECK_STR(dump(db, "b"), "bb=5");
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(dump(db, ""), "a=2 bb=5 c=3");
	CHECK_OK(shale_db_close(db, &err));
	db = open_db(dir, &lazy);
	CHECK_STR(dump(db, ""), "a=2 bb=5 c=3");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(a_prefix_and_a_start_select_keys)
{
	cleanup_buf struct shale_buf key = {0}, value = {0};
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);

	put(db, "N1a", "x");
	put(db, "N1b", "y");
	CHECK_OK(shale_db_advance(db, &err));
	put(db, "N1ab", "z");
	put(db, "N2a", "w");
	put(db, "N1b", NULL);
	CHECK_STR(dump(db, "N1"), "N1a=x N1ab=z");
	CHECK_OK(shale_db_next(db, "N1aa", 4, 2, &key, &value, &err));
	CHECK_MEM(key.data, "N1ab", 4);
	CHECK_INT(shale_db_next(db, "N1ac", 4, 2, &key, &value, &err), -ENOENT);
	CHECK_OK(shale_db_next(db, "N1ac", 4, 1, &key, NULL, &err));
	CHECK_MEM(key.data, "N2a", 3);
	CHECK_INT(shale_db_next(db, "O", 1, 1, &key, NULL, &err), -ENOENT);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(keys_that_cannot_be_are_refused)
{
	cleanup_batch struct shale_batch batch = {0};
	char longkey[401];
	memset(longkey, 'k', sizeof(longkey));

	CHECK_INT(shale_batch_put(&batch, "", 0, "v", 1), -EINVAL);
	CHECK_INT(shale_batch_put(&batch, "\0x", 2, "v", 1), -EINVAL);
	CHECK_INT(shale_batch_put(&batch, longkey, 401, "v", 1), -EINVAL);
	CHECK_INT(shale_batch_del(&batch, "", 0), -EINVAL);
	CHECK_INT(shale_batch_put(&batch, longkey, 400, "v", 1), 0);

	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);
	CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
	char *large = calloc(1, 9 << 20);
	CHECK_INT(shale_batch_put(&batch, "a", 1, large, 9 << 20), -E2BIG);
	for (int i = 0; i < 9; i++)
		CHECK_INT(shale_batch_put(&batch, "a", 1, large, 1 << 20), 0);
	uint64_t before = shale_db_position(db);
	CHECK_INT(shale_db_commit(db, &batch, NULL, NULL, &err), -E2BIG);
	CHECK_INT(shale_db_position(db), before);
	CHECK_STR(get(db, "a"), "-");
	CHECK_OK(shale_db_close(db, &err));
	free(large);
	close(dir);
}

/* --------------------------------------------- against a model, reopened */

enum { MODEL = 300 };

static void model_key(int i, char key[16])
{
	snprintf(key, 16, "%c%d", 'A' + i % 5, i);
}

static void check_model(struct shale_db *db, const int *model)
{
	char key[16], want[16];
	int n = 0, found = 0;

	for (int i = 0; i < MODEL; i++) {
		model_key(i, key);
		snprintf(want, sizeof(want), "%d", model[i]);
		CHECK_STR(get(db, key), model[i] ? want : "-");
		n += model[i] != 0;
	}
	cleanup_buf struct shale_buf k = {0}, last = {0};
	while (shale_db_next(db, k.data, k.len, 0, &k, NULL, &err) == 0) {
		found++;
		CHECK(!last.len ||
		      memcmp(last.data, k.data,
			     last.len < k.len ? last.len : k.len) <= 0);
		last.len = 0;
		CHECK_INT(shale_buf_append(&last, k.data, k.len), 0);
		CHECK(shale_buf_add(&k, 1));
	}
	CHECK_INT(found, n);
}

TEST(it_agrees_with_an_array_under_random_changes_and_reopening)
{
	int model[MODEL] = {0}, dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);

	for (int round = 0; round < 400; round++) {
		cleanup_batch struct shale_batch batch = {0};
		for (int n = (int)(shale_test_random() % 8) + 1; n; n--) {
			char key[16], value[16];
			int i = (int)(shale_test_random() % MODEL);
			model_key(i, key);
			model[i] = shale_test_random() % 3 ? round + 1 : 0;
			snprintf(value, sizeof(value), "%d", model[i]);
			CHECK_INT(model[i] ? shale_batch_put(&batch, key,
							     strlen(key), value,
							     strlen(value))
					   : shale_batch_del(&batch, key,
							     strlen(key)),
				  0);
		}
		CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
		if (shale_test_random() % 16 == 0)
			CHECK_OK(shale_db_advance(db, &err));
		if (shale_test_random() % 32 == 0) {
			CHECK_OK(shale_db_close(db, &err));
			db = open_db(dir, &lazy);
		}
		if (round % 20 == 0)
			check_model(db, model);
	}
	check_model(db, model);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

/* ---------------------------------------------------------------- killed */

struct shared {
	_Atomic int acknowledged;
};

/* Commits counters without end; batch n puts n under two keys. */
static void commit_until_killed(int dir, struct shared *shared)
{
	const struct shale_db_opts eager = {.interval_ms = 3,
					    .unapplied = 16384};
	struct shale_db *db;
	if (shale_db_open(&db, dir, &eager, &err) < 0)
		_exit(1);
	for (int n = atomic_load(&shared->acknowledged) + 1;; n++) {
		struct shale_batch batch = {0};
		char key[16], value[16];
		snprintf(key, sizeof(key), "k%d", n % 997);
		snprintf(value, sizeof(value), "%d", n);
		shale_batch_put(&batch, key, strlen(key), value, strlen(value));
		shale_batch_put(&batch, "last", 4, value, strlen(value));
		if (shale_db_commit(db, &batch, NULL, NULL, &err) < 0)
			_exit(2);
		shale_batch_release(&batch);
		atomic_store(&shared->acknowledged, n);
	}
}

TEST(a_process_that_is_killed_loses_no_acknowledged_batch)
{
	int dir = new_dir();
	struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int round = 0; round < 25; round++) {
		pid_t pid = fork();
		if (pid == 0)
			commit_until_killed(dir, shared);
		usleep(2000 + shale_test_random() % 30000);
		kill(pid, SIGKILL);
		int status;
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status));

		int n = atomic_load(&shared->acknowledged);
		if (!n)
			continue;
		struct shale_db *db = open_db(dir, &lazy);
		int last = atoi(get(db, "last"));
		CHECK(last == n || last == n + 1);
		for (int i = last; i > 0 && i > last - 997; i--) {
			char key[16], value[16];
			snprintf(key, sizeof(key), "k%d", i % 997);
			snprintf(value, sizeof(value), "%d", i);
			CHECK_STR(get(db, key), value);
		}
		CHECK_OK(shale_db_close(db, &err));
		atomic_store(&shared->acknowledged, last);
	}
	munmap(shared, 4096);
	close(dir);
}

/* ------------------------------------------------------- marks and pauses */

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
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &opts);

	w.db = db;
	for (int i = 0; i < 5000; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		put(db, key, "value");
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
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &opts);

	put(db, "a", "1");
	CHECK_OK(shale_db_advance(db, &err));
	int before = atomic_load(&w.flushes);
	uint64_t pos = shale_db_position(db);
	usleep(20000);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_OK(shale_db_close(db, &err));
	CHECK_INT(atomic_load(&w.flushes), before);
	db = open_db(dir, &opts);
	CHECK_INT(shale_db_position(db), pos);
	CHECK_OK(shale_db_close(db, &err));
	CHECK_INT(atomic_load(&w.flushes), before);
	close(dir);
}

TEST(a_flush_that_fails_is_told_and_tried_again)
{
	struct watch w = {.fail = 1};
	struct shale_db_opts opts = lazy;
	opts.flush = watch_flush;
	opts.arg = &w;
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &opts);

	put(db, "a", "1");
	CHECK_INT(shale_db_advance(db, &err), -EIO);
	CHECK_STR(err.msg, "flush: disk: Input/output error");
	struct shale_db_stats stats;
	shale_db_stats(db, &stats);
	CHECK_INT(stats.applied, 0);
	CHECK_STR(get(db, "a"), "1");
	put(db, "b", "2");
	atomic_store(&w.fail, 0);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(dump(db, ""), "a=1 b=2");
	put(db, "c", "3");
	atomic_store(&w.fail, 1);
	CHECK_INT(shale_db_close(db, &err), -EIO);
	/* What was not applied is in the journal. */
	db = open_db(dir, &lazy);
	CHECK_STR(dump(db, ""), "a=1 b=2 c=3");
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
	struct shale_db_opts opts = lazy;
	_Atomic int told = 0;
	opts.flush = watch_flush;
	opts.arg = &w;
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &opts);

	shale_db_on_failure(db, count_failure, &told);
	put(db, "a", "1");
	for (int i = 0; i < 3; i++)
		CHECK_INT(shale_db_advance(db, &err), -EIO);
	atomic_store(&w.fail, 0);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_INT(told, 1);
	put(db, "b", "2");
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
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &opts);

	put(db, "a", "so much that a second batch would wait for the applier");
	cleanup_batch struct shale_batch batch = {.urgent = true};
	CHECK_INT(shale_batch_put(&batch, "b", 1, "2", 1), 0);
	CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
	shale_db_stats(db, &stats);
	CHECK(stats.position - stats.applied > 4 * opts.unapplied);
	atomic_store(&go, true);
	put(db, "c", "3"); /* this one waits, and is let through */
	CHECK_STR(get(db, "b"), "2");
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
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &opts);
	struct shale_snapshot *snapshot, *later;

	put(db, "a", "1");
	uint64_t pos = put_barrier(db, "f");
	put(db, "b", "2");
	put(db, "a", "3");
	usleep(20000); /* the applier would have passed it */
	CHECK_OK(shale_db_pause_at(db, pos, &err));
	put(db, "c", "4");
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
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);

	uint64_t pos = put_barrier(db, "f");
	struct shale_batch batch = {.barrier = true};
	CHECK_INT(shale_db_commit(db, &batch, NULL, NULL, &err), -EBUSY);
	put(db, "x", "1");
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
	int dir = new_dir(), go[2], status;
	char c;

	/* Forked before the environment is open here. */
	CHECK(pipe(go) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (read(go[0], &c, 1) == 1)
			look_at_snapshot(dir);
		_exit(3);
	}
	struct shale_db *db = open_db(dir, &lazy);
	put(db, "a", "1");
	uint64_t pos = put_barrier(db, "f");
	put(db, "b", "2");
	CHECK_OK(shale_db_pause_at(db, pos, &err));
	CHECK(write(go[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	shale_db_resume(db);
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(dump(db, ""), "a=1 b=2 f=");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

/* -------------------------------------------------------------- requests */

static void put_request(struct shale_db *db, uint64_t unique)
{
	cleanup_batch struct shale_batch batch = {0};
	struct shale_request request = {77, unique};
	CHECK_INT(shale_batch_put(&batch, "k", 1, "v", 1), 0);
	CHECK_OK(shale_db_commit(db, &batch, &request, NULL, &err));
}

static bool answered(struct shale_db *db, uint64_t unique)
{
	struct shale_request request = {77, unique};
	return shale_db_answered(db, &request);
}

TEST(the_last_request_of_a_thread_is_known_to_the_next_process)
{
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);

	put_request(db, 2);
	put_request(db, 4);
	CHECK(!answered(db, 2));
	CHECK(answered(db, 4));
	CHECK_OK(shale_db_close(db, &err)); /* applied: the journal is empty */
	for (int i = 0; i < 3; i++) {
		db = open_db(dir, &lazy);
		CHECK(answered(db, 4));
		CHECK(!answered(db, 2));
		CHECK(!answered(db, 0));
		struct shale_request other = {78, 4};
		CHECK(!shale_db_answered(db, &other));
		put_request(db, 6 + 2 * (uint64_t)i);
		CHECK_OK(shale_db_close(db, &err));
	}
	close(dir);
}

/* ------------------------------------------------------------- power cut */

/* As if the machine had been started anew. */
static void change_boot_id(int dir)
{
	int fd = openat(dir, "boot", O_WRONLY | O_TRUNC);
	CHECK(write(fd, "other", 5) == 5);
	close(fd);
}

/* A key of letter and inode, and its value after the database is opened. */
static void put_ino(struct shale_db *db, char letter, uint8_t ino,
		    const char *value)
{
	char key[9] = {letter, 0, 0, 0, 0, 0, 0, 0, (char)ino};
	cleanup_batch struct shale_batch batch = {0};
	CHECK_INT(shale_batch_put(&batch, key, 9, value, strlen(value)), 0);
	CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
}

static const char *get_ino(struct shale_db *db, char letter, uint8_t ino)
{
	static char text[8][20];
	static unsigned n;
	char key[9] = {letter, 0, 0, 0, 0, 0, 0, 0, (char)ino};
	cleanup_buf struct shale_buf value = {0};
	char *out = text[n++ % 8];

	if (shale_db_get(db, key, 9, &value, &err) < 0)
		return "-";
	snprintf(out, 20, "%.*s", (int)value.len, (char *)value.data);
	return out;
}

/* Run `fn` on the database in a process that then dies. */
static void die_after(int dir, void (*fn)(struct shale_db *db))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		struct shale_db *db;
		if (shale_db_open(&db, dir, &lazy, &err) < 0)
			_exit(1);
		fn(db);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}

static void write_and_sync(struct shale_db *db)
{
	put_ino(db, 'I', 1, "i1");
	put_ino(db, 'C', 1, "marked");
	CHECK_OK(shale_db_advance(db, &err));
	put_ino(db, 'I', 1, "i2");
	put_ino(db, 'C', 1, "unsynced");
	put_ino(db, 'C', 2, "synced");
	put_ino(db, 'M', 2, "synced");
	put_ino(db, 'C', 3, "flushed");
	uint64_t inos[] = {3, 2};
	CHECK_OK(shale_db_flushed(db, inos, 2, &err));
	put_ino(db, 'M', 2, "later");
	put_ino(db, 'N', 9, "name");
	CHECK_OK(shale_db_sync(db, shale_db_position(db), &err));
	put_ino(db, 'N', 10, "tail");
}

TEST(after_a_power_cut_content_is_trusted_up_to_its_fsync)
{
	int dir = new_dir();

	die_after(dir, write_and_sync);
	change_boot_id(dir);
	for (int i = 0; i < 2; i++) {
		struct shale_db *db = open_db(dir, &lazy);
		CHECK_STR(get_ino(db, 'I', 1), "i2");
		CHECK_STR(get_ino(db, 'C', 1), "marked");
		CHECK_STR(get_ino(db, 'C', 2), "synced");
		CHECK_STR(get_ino(db, 'M', 2), "synced");
		CHECK_STR(get_ino(db, 'C', 3), "flushed");
		CHECK_STR(get_ino(db, 'N', 9), "name");
		CHECK_STR(get_ino(db, 'N', 10), "-");
		CHECK_OK(shale_db_close(db, &err));
	}
	close(dir);
}

/* A name that comes while a sync, or a mark, is under way. */
static void name_meanwhile(struct shale_db *db)
{
	uint64_t inos[] = {1};

	put_ino(db, 'N', 1, "before");
	uint64_t pos = shale_db_position(db);
	put_ino(db, 'N', 2, "meanwhile");
	CHECK_OK(shale_db_flushed(db, inos, 1, &err));
	CHECK_OK(shale_db_sync(db, pos, &err));
}

TEST(after_a_power_cut_names_that_came_during_a_sync_are_not_there)
{
	int dir = new_dir();

	die_after(dir, name_meanwhile);
	change_boot_id(dir);
	struct shale_db *db = open_db(dir, &lazy);
	CHECK_STR(get_ino(db, 'N', 1), "before");
	CHECK_STR(get_ino(db, 'N', 2), "-");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

static int flush_with_name(void *arg, uint64_t at, struct shale_err *e)
{
	(void)at;
	struct shale_db **db = arg;
	cleanup_batch struct shale_batch batch = {0};
	static bool done;

	/* Here by another thread, while data files are being flushed. */
	if (done)
		return 0;
	done = true;
	CHECK_INT(shale_batch_put(&batch, "Nmeanwhile", 10, "x", 1), 0);
	return shale_db_commit(*db, &batch, NULL, NULL, e);
}

TEST(after_a_power_cut_names_that_came_during_a_mark_are_not_there)
{
	struct shale_db *db;
	struct shale_db_opts opts = lazy;
	int dir = new_dir(), status;

	opts.flush = flush_with_name;
	opts.arg = &db;
	pid_t pid = fork();
	if (pid == 0) {
		if (shale_db_open(&db, dir, &opts, &err) < 0)
			_exit(1);
		put_ino(db, 'N', 1, "before");
		/* The mark is durable; nothing is applied. */
		uint64_t to = shale_db_position(db);
		_exit(shale_db_pause_at(db, to, &err) < 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	change_boot_id(dir);
	db = open_db(dir, &lazy);
	cleanup_buf struct shale_buf value = {0};
	CHECK_STR(get_ino(db, 'N', 1), "before");
	CHECK_INT(shale_db_get(db, "Nmeanwhile", 10, &value, &err), -ENOENT);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

/* Killed: the next process is told of no fsync, and takes it over. */
static void put_content(struct shale_db *db)
{
	put_ino(db, 'C', 5, "survivor");
}

static void sync_names(struct shale_db *db)
{
	put_ino(db, 'N', 6, "name");
	CHECK_OK(shale_db_sync(db, shale_db_position(db), &err));
}

TEST(what_a_kill_left_is_flushed_before_a_sync_speaks_for_it)
{
	int dir = new_dir();

	die_after(dir, put_content);
	die_after(dir, sync_names);
	change_boot_id(dir);
	struct shale_db *db = open_db(dir, &lazy);
	CHECK_STR(get_ino(db, 'N', 6), "name");
	CHECK_STR(get_ino(db, 'C', 5), "survivor");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(after_a_kill_the_whole_tail_is_there)
{
	int dir = new_dir();

	die_after(dir, write_and_sync);
	struct shale_db *db = open_db(dir, &lazy);
	CHECK_STR(get_ino(db, 'C', 1), "unsynced");
	CHECK_STR(get_ino(db, 'M', 2), "later");
	CHECK_STR(get_ino(db, 'N', 10), "tail");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

/* ---------------------------------------------------------------- damage */

static void write_one(struct shale_db *db)
{
	put(db, "a", "1");
}

TEST(a_database_without_its_journal_is_damage_not_an_empty_one)
{
	int dir = new_dir();
	struct shale_db *db;

	die_after(dir, write_one);
	CHECK(renameat(dir, "journal.0000000000000000", dir, "away") == 0);
	CHECK_INT(shale_db_open(&db, dir, &lazy, &err), -EUCLEAN);
	CHECK(renameat(dir, "away", dir, "journal.0000000000000000") == 0);
	CHECK(unlinkat(dir, "db/data.mdb", 0) == 0);
	CHECK(unlinkat(dir, "db/lock.mdb", 0) == 0);
	CHECK_INT(shale_db_open(&db, dir, &lazy, &err), -EUCLEAN);
	CHECK_STR(err.msg, "there is a journal, but its database is missing");
	close(dir);
}

TEST(a_flipped_bit_in_a_value_of_the_database_is_found)
{
	int dir = new_dir(), found = 0;
	struct shale_db *db = open_db(dir, &lazy);
	put(db, "key", "some value to find again");
	CHECK_OK(shale_db_close(db, &err));

	int fd = openat(dir, "db/data.mdb", O_RDWR);
	char page[4096], *at;
	for (off_t off = 0; pread(fd, page, 4096, off) == 4096; off += 4096)
		if ((at = memmem(page, 4096, "to find", 7))) {
			*at ^= 1;
			CHECK(pwrite(fd, page, 4096, off) == 4096);
			found++;
		}
	close(fd);
	CHECK(found);
	db = open_db(dir, &lazy);
	cleanup_buf struct shale_buf value = {0};
	CHECK_INT(shale_db_get(db, "key", 3, &value, &err), -EUCLEAN);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(a_database_file_that_is_cut_gives_errors_not_a_crash)
{
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);
	char key[16];

	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		put(db, key, "a value that takes some room in its page");
	}
	CHECK_OK(shale_db_advance(db, &err));
	int fd = openat(dir, "db/data.mdb", O_RDWR);
	CHECK(ftruncate(fd, 8192) == 0);
	close(fd);
	cleanup_buf struct shale_buf value = {0};
	CHECK_INT(shale_db_get(db, "key77", 5, &value, &err), -EIO);
	put(db, "later", "is in the journal");
	CHECK_STR(get(db, "later"), "is in the journal");
	CHECK_INT(shale_db_close(db, &err), -EIO);
	close(dir);
}

TEST(segments_that_are_applied_go_away)
{
	int dir = new_dir();
	struct shale_db *db = open_db(dir, &lazy);
	char *value = malloc(1 << 20);
	memset(value, 'v', 1 << 20);

	for (int i = 0; i < 40; i++) {
		cleanup_batch struct shale_batch batch = {0};
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		CHECK_INT(shale_batch_put(&batch, key, strlen(key), value,
					  1 << 20),
			  0);
		CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
	}
	struct shale_db_stats stats;
	shale_db_stats(db, &stats);
	CHECK(stats.journal_bytes > 40u << 20);
	CHECK_OK(shale_db_advance(db, &err));
	shale_db_stats(db, &stats);
	CHECK(stats.journal_bytes < 17u << 20);
	CHECK_INT(stats.applied, stats.position);
	CHECK_OK(shale_db_close(db, &err));
	db = open_db(dir, &lazy);
	cleanup_buf struct shale_buf got = {0};
	CHECK_OK(shale_db_get(db, "k17", 3, &got, &err));
	CHECK_INT(got.len, 1 << 20);
	CHECK_OK(shale_db_close(db, &err));
	free(value);
	close(dir);
}
