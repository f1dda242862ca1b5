/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/pieces.h"
#include "tests/lib/check.h"
#include "tests/unit/db-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

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
	int dir = db_dir();

	db_die_after(dir, write_and_sync);
	change_boot_id(dir);
	for (int i = 0; i < 2; i++) {
		struct shale_db *db = db_open(dir, &db_lazy);
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
	int dir = db_dir();

	db_die_after(dir, name_meanwhile);
	change_boot_id(dir);
	struct shale_db *db = db_open(dir, &db_lazy);
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
	struct shale_db_opts opts = db_lazy;
	int dir = db_dir(), status;

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
	db = db_open(dir, &db_lazy);
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
	int dir = db_dir();

	db_die_after(dir, put_content);
	db_die_after(dir, sync_names);
	change_boot_id(dir);
	struct shale_db *db = db_open(dir, &db_lazy);
	CHECK_STR(get_ino(db, 'N', 6), "name");
	CHECK_STR(get_ino(db, 'C', 5), "survivor");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(after_a_kill_the_whole_tail_is_there)
{
	int dir = db_dir();

	db_die_after(dir, write_and_sync);
	struct shale_db *db = db_open(dir, &db_lazy);
	CHECK_STR(get_ino(db, 'C', 1), "unsynced");
	CHECK_STR(get_ino(db, 'M', 2), "later");
	CHECK_STR(get_ino(db, 'N', 10), "tail");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

/* ---------------------------------------------- bytes kept in the journal */

/* What the open says of them: "inode.epoch@off=bytes " each. */
struct told {
	char text[500];
	bool flushed; /* behind the last of them */
};

static int tell_bytes(void *arg, uint64_t ino, uint32_t epoch, const void *data,
		      size_t len, uint64_t off, struct shale_err *e)
{
	struct told *told = arg;
	size_t at = strlen(told->text);

	(void)e;
	snprintf(told->text + at, sizeof(told->text) - at, "%llu.%u@%llu=%.*s ",
		 (unsigned long long)ino, epoch, (unsigned long long)off,
		 (int)len, (const char *)data);
	told->flushed = false;
	return 0;
}

static int tell_kept(void *arg, uint64_t ino, uint32_t epoch, uint64_t pos)
{
	CHECK(pos > 0);
	return tell_bytes(arg, ino, epoch, "", 0, 0, NULL);
}

static int tell_flushed(void *arg, uint64_t pos, struct shale_err *e)
{
	struct told *told = arg;

	(void)pos;
	(void)e;
	told->flushed = true;
	return 0;
}

static struct shale_db_opts telling(struct told *told)
{
	struct shale_db_opts opts = db_lazy;

	opts.write = tell_bytes;
	opts.kept = tell_kept;
	opts.flush = tell_flushed;
	opts.arg = told;
	return opts;
}

static void keep_bytes(struct shale_db *db, uint64_t ino, const char *text)
{
	cleanup_buf struct shale_buf body = {0};
	uint64_t pos;

	CHECK_INT(shale_pieces_begin(&body, ino), 0);
	for (uint32_t epoch = 1; *text; epoch++, text++)
		memcpy(shale_pieces_add(&body, epoch, 10 * epoch, 1), text, 1);
	CHECK_OK(shale_db_data(db, &body, &pos, &err));
}

static void keep_some_bytes(struct shale_db *db)
{
	uint64_t ino = 2;

	put_ino(db, 'C', 1, "marked");
	keep_bytes(db, 1, "a");
	put_ino(db, 'N', 1, "name");
	CHECK_OK(shale_db_advance(db, &err));
	keep_bytes(db, 2, "b");
	CHECK_OK(shale_db_flushed(db, &ino, 1, &err));
	put_ino(db, 'C', 3, "kept");
	keep_bytes(db, 3, "cd");
	keep_bytes(db, 2, "e");
	put_ino(db, 'C', 3, "later");
	put_ino(db, 'C', 4, "unsynced");
	CHECK_OK(shale_db_sync(db, shale_db_position(db), &err));
}

TEST(after_a_power_cut_bytes_in_the_journal_are_written_unless_flushed_since)
{
	int dir = db_dir();
	struct told told = {0};
	struct shale_db_opts opts = telling(&told);

	db_die_after(dir, keep_some_bytes);
	change_boot_id(dir);
	struct shale_db *db = db_open(dir, &opts);
	CHECK_STR(told.text, "3.1@10=c 3.2@20=d 2.1@10=e ");
	CHECK(told.flushed);
	CHECK_STR(get_ino(db, 'C', 1), "marked");
	CHECK_STR(get_ino(db, 'C', 3), "kept");
	CHECK_STR(get_ino(db, 'C', 4), "-");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(after_a_kill_it_is_known_of_which_files_the_journal_has_bytes)
{
	int dir = db_dir();
	struct told told = {0};
	struct shale_db_opts opts = telling(&told);

	db_die_after(dir, keep_some_bytes);
	struct shale_db *db = db_open(dir, &opts);
	CHECK_STR(told.text, "2.1@0= 3.1@0= 3.2@0= 2.1@0= ");
	CHECK_STR(get_ino(db, 'C', 3), "later");
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}

TEST(the_journal_keeps_bytes_only_as_long_as_it_is_short)
{
	struct shale_db_opts opts = db_lazy;
	cleanup_buf struct shale_buf body = {0};
	uint64_t pos;
	int dir = db_dir(), n = 0, r;

	opts.unapplied = 4096;
	CHECK_INT(shale_pieces_begin(&body, 1), 0);
	CHECK(shale_pieces_add(&body, 1, 0, 1000));
	struct shale_db *db = db_open(dir, &opts);
	while ((r = shale_db_data(db, &body, &pos, &err)) == 0)
		CHECK(n++ < 8);
	CHECK_INT(r, -E2BIG);
	CHECK(n > 4);
	db_put(db, "key", "value");
	CHECK_OK(shale_db_advance(db, &err));
	CHECK_OK(shale_db_data(db, &body, &pos, &err));
	CHECK_OK(shale_db_close(db, &err));
	close(dir);
}
