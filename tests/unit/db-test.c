/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/unit/db-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

TEST(what_is_committed_can_be_read_before_and_after_it_is_applied)
{
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);

	db_put(db, "b", "1");
	db_put(db, "a", "2");
	db_put(db, "c", "3");
	db_put(db, "b", "4");
	for (int i = 0; i < 2; i++) {
		CHECK_STR(db_get(db, "a"), "2");
		CHECK_STR(db_get(db, "b"), "4");
		CHECK_STR(db_get(db, "d"), "-");
		CHECK_STR(db_dump(db, ""), "a=2 b=4 c=3");
		CHECK_OK(shale_db_advance(db, &err));
	}
	db_put(db, "b", NULL);
	db_put(db, "bb", "5");
	CHECK_STR(db_get(db, "b"), "-");
	CHECK_STR(db_dump(db, ""), "a=2 bb=5 c=3");
	CHECK_STR(db_dump(db, "b"), "bb=5");
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_STR(db_dump(db, ""), "a=2 bb=5 c=3");
	CHECK_OK(shale_db_close(db, &err));
	db = db_open(dir, &db_lazy);
	CHECK_STR(db_dump(db, ""), "a=2 bb=5 c=3");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(a_prefix_and_a_start_select_keys)
{
	cleanup_buf struct shale_buf key = {0}, value = {0};
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);

	db_put(db, "N1a", "x");
	db_put(db, "N1b", "y");
	CHECK_OK(shale_db_advance(db, &err));
	db_put(db, "N1ab", "z");
	db_put(db, "N2a", "w");
	db_put(db, "N1b", NULL);
	CHECK_STR(db_dump(db, "N1"), "N1a=x N1ab=z");
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

	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);
	CHECK_OK(shale_db_commit(db, &batch, NULL, NULL, &err));
	char *large = calloc(1, 9 << 20);
	CHECK_INT(shale_batch_put(&batch, "a", 1, large, 9 << 20), -E2BIG);
	for (int i = 0; i < 9; i++)
		CHECK_INT(shale_batch_put(&batch, "a", 1, large, 1 << 20), 0);
	uint64_t before = shale_db_position(db);
	CHECK_INT(shale_db_commit(db, &batch, NULL, NULL, &err), -E2BIG);
	CHECK_INT(shale_db_position(db), before);
	CHECK_STR(db_get(db, "a"), "-");
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
		CHECK_STR(db_get(db, key), model[i] ? want : "-");
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
	int model[MODEL] = {0}, dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);

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
			db = db_open(dir, &db_lazy);
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
		struct shale_batch batch = {.follows = n % 3};
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
	int dir = db_dir();
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
		struct shale_db *db = db_open(dir, &db_lazy);
		int last = atoi(db_get(db, "last"));
		CHECK(last == n || last == n + 1);
		for (int i = last; i > 0 && i > last - 997; i--) {
			char key[16], value[16];
			snprintf(key, sizeof(key), "k%d", i % 997);
			snprintf(value, sizeof(value), "%d", i);
			CHECK_STR(db_get(db, key), value);
		}
		CHECK_OK(shale_db_close(db, &err));
		atomic_store(&shared->acknowledged, last);
	}
	munmap(shared, 4096);
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
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);

	put_request(db, 2);
	put_request(db, 4);
	CHECK(!answered(db, 2));
	CHECK(answered(db, 4));
	CHECK_OK(shale_db_close(db, &err)); /* applied: the journal is empty */
	for (int i = 0; i < 3; i++) {
		db = db_open(dir, &db_lazy);
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

/* ---------------------------------------------------------------- damage */

static void write_one(struct shale_db *db)
{
	db_put(db, "a", "1");
}

TEST(a_database_without_its_journal_is_damage_not_an_empty_one)
{
	int dir = db_dir();
	struct shale_db *db;

	db_die_after(dir, write_one);
	CHECK(renameat(dir, "journal.0000000000000000", dir, "away") == 0);
	CHECK_INT(shale_db_open(&db, dir, &db_lazy, &err), -EUCLEAN);
	CHECK(renameat(dir, "away", dir, "journal.0000000000000000") == 0);
	CHECK(unlinkat(dir, "db/data.mdb", 0) == 0);
	CHECK(unlinkat(dir, "db/lock.mdb", 0) == 0);
	CHECK_INT(shale_db_open(&db, dir, &db_lazy, &err), -EUCLEAN);
	CHECK_STR(err.msg, "there is a journal, but its database is missing");
	close(dir);
}

TEST(a_flipped_bit_in_a_value_of_the_database_is_found)
{
	int dir = db_dir(), found = 0;
	struct shale_db *db = db_open(dir, &db_lazy);
	db_put(db, "key", "some value to find again");
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
	db = db_open(dir, &db_lazy);
	cleanup_buf struct shale_buf value = {0};
	CHECK_INT(shale_db_get(db, "key", 3, &value, &err), -EUCLEAN);
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(a_database_file_that_is_cut_gives_errors_not_a_crash)
{
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);
	char key[16];

	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		db_put(db, key, "a value that takes some room in its page");
	}
	CHECK_OK(shale_db_advance(db, &err));
	int fd = openat(dir, "db/data.mdb", O_RDWR);
	CHECK(ftruncate(fd, 8192) == 0);
	close(fd);
	cleanup_buf struct shale_buf value = {0};
	CHECK_INT(shale_db_get(db, "key77", 5, &value, &err), -EIO);
	db_put(db, "later", "is in the journal");
	CHECK_STR(db_get(db, "later"), "is in the journal");
	CHECK_INT(shale_db_close(db, &err), -EIO);
	close(dir);
}

TEST(segments_that_are_applied_go_away)
{
	int dir = db_dir();
	struct shale_db *db = db_open(dir, &db_lazy);
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
	db = db_open(dir, &db_lazy);
	cleanup_buf struct shale_buf got = {0};
	CHECK_OK(shale_db_get(db, "k17", 3, &got, &err));
	CHECK_INT(got.len, 1 << 20);
	CHECK_OK(shale_db_close(db, &err));
	free(value);
	close(dir);
}
