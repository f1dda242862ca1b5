/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/filesums.h"
#include "tests/lib/check.h"
#include "tests/lib/workshop.h"

#include <errno.h>
#include <pthread.h>

enum { BIG = 3 * MIB, SMALL = 5000 };

static struct image made;
static struct shale_image image;
static struct shale_filesums *sums;
static bool stop;

static bool cancelled(void *arg)
{
	return *(const bool *)arg;
}

/* Inodes 2 and 3 have the same content, 4 and 5 others; 6 is empty. */
static void begin(void)
{
	open_store();
	begin_image(NULL, 0, 2);
	add_file(2, noise(BIG, 1), BIG, MIB);
	add_file(3, noise(BIG, 1), BIG, 4001);
	add_file(4, noise(SMALL, 2), SMALL, MIB);
	add_file(5, holey(BIG, 3), BIG, MIB);
	add_file(6, noise(0, 4), 0, MIB);
	end_image(&made);
	image = (struct shale_image){
		.trees = &made.tree, .n_trees = 1, .chunks = chunks};
	stop = false;
	CHECK_INT(shale_filesums_new(&sums, &image, cancelled, &stop, &err), 0);
}

static void end(void)
{
	shale_filesums_free(sums);
	shale_tree_close(made.tree);
	close_store();
}

static void check_sum(uint64_t ino)
{
	struct shale_digest got, want;
	CHECK_INT(shale_filesums_of(sums, ino, &got, &err), 0);
	shale_sha256(fed[ino].data, fed[ino].len, &want);
	CHECK(shale_digest_equal(&got, &want));
}

TEST(the_sum_of_a_file_is_that_of_its_bytes_holes_too)
{
	begin();
	for (uint64_t ino = 2; ino <= 6; ino++)
		check_sum(ino);
	end();
}

TEST(a_content_is_read_once_however_many_files_have_it)
{
	uint64_t told, read;
	begin();
	for (int i = 0; i < 3; i++) {
		check_sum(2);
		check_sum(3);
	}
	shale_filesums_bytes(sums, &told, &read);
	CHECK_INT(told, 6 * BIG);
	CHECK_INT(read, BIG);
	end();
}

static void *ask(void *arg)
{
	struct shale_err why;
	return (void *)(intptr_t)shale_filesums_of(sums, 2, arg, &why);
}

TEST(threads_that_want_one_content_read_it_once)
{
	pthread_t thread[8];
	struct shale_digest got[8];
	uint64_t told, read;
	void *r;

	begin();
	for (int i = 0; i < 8; i++)
		CHECK_INT(pthread_create(&thread[i], NULL, ask, &got[i]), 0);
	for (int i = 0; i < 8; i++) {
		CHECK_INT(pthread_join(thread[i], &r), 0);
		CHECK_INT((intptr_t)r, 0);
		CHECK(shale_digest_equal(&got[i], &got[0]));
	}
	shale_filesums_bytes(sums, &told, &read);
	CHECK_INT(told, 8 * BIG);
	CHECK_INT(read, BIG);
	end();
}

TEST(who_stopped_may_ask_again)
{
	struct shale_digest got;
	begin();
	stop = true;
	CHECK_INT(shale_filesums_of(sums, 2, &got, &err), -EINTR);
	stop = false;
	check_sum(2);
	end();
}

TEST(what_is_no_file_has_no_sum)
{
	struct shale_digest got;
	begin();
	CHECK_INT(shale_filesums_of(sums, 77, &got, &err), -ENOENT);
	end();
}
