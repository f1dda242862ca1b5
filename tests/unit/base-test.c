/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/base/err.h"
#include "layers/base/hash.h"
#include "layers/base/map.h"
#include "layers/base/pool.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(an_error_keeps_its_code_and_gains_context)
{
	struct shale_err err;

	CHECK_INT(shale_err_set(&err, ENOENT, "open '%s'", "x"), -ENOENT);
	CHECK_INT(shale_err_wrap(&err, -ENOENT, "layer %d", 3), -ENOENT);
	CHECK_STR(err.msg, "layer 3: open 'x': No such file or directory");
	CHECK_INT(shale_err_set(NULL, EIO, "nobody listens"), -EIO);
}

TEST(a_digest_survives_its_text_and_rejects_other_text)
{
	struct shale_digest a, b;
	char text[SHALE_DIGEST_STR];

	shale_sha256("abc", 3, &a);
	CHECK_STR(shale_digest_str(&a, text),
		  "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410f"
		  "f61f20015ad");
	CHECK_INT(shale_digest_parse(text, &b), 0);
	CHECK(shale_digest_equal(&a, &b));
	text[10] = 'G';
	CHECK_INT(shale_digest_parse(text, &b), -EINVAL);
	CHECK_INT(shale_digest_parse("sha256:12", &b), -EINVAL);
}

TEST(a_mapped_file_that_is_truncated_poisons_its_map_only)
{
	struct shale_err err;
	char path[300];
	snprintf(path, sizeof(path), "%s/mapped", shale_test_dir());
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(ftruncate(fd, 65536) == 0);

	struct shale_map map, other;
	CHECK_OK(shale_map_open(&map, fd, "a", &err));
	int fd2 = open("/proc/self/exe", O_RDONLY);
	CHECK_OK(shale_map_open(&other, fd2, "b", &err));
	CHECK(ftruncate(fd, 4096) == 0);

	CHECK_INT(((volatile const uint8_t *)map.data)[100], 0);
	CHECK(!shale_map_poisoned(&map));
	CHECK_INT(((volatile const uint8_t *)map.data)[50000], 0);
	CHECK(shale_map_poisoned(&map));
	CHECK(!shale_map_poisoned(&other));
	shale_map_close(&map);
	shale_map_close(&other);
	close(fd);
	close(fd2);
}

static atomic_int done;

static void job(void *arg)
{
	(void)arg;
	usleep(100);
	atomic_fetch_add(&done, 1);
}

TEST(a_pool_runs_every_job_before_wait_returns)
{
	struct shale_err err;
	struct shale_pool *pool;

	atomic_store(&done, 0);
	CHECK_OK(shale_pool_new(&pool, 3, 4, &err));
	for (int i = 0; i < 200; i++)
		shale_pool_add(pool, job, NULL);
	shale_pool_wait(pool);
	CHECK_INT(atomic_load(&done), 200);
	shale_pool_free(pool);
}

TEST(a_thread_waits_until_its_moment_and_no_shorter)
{
	const uint64_t wait = 30000000;
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	int r = 0;

	shale_clock_cond_init(&cond);
	uint64_t start = shale_clock_ns();
	struct timespec until = shale_clock_in(wait);
	pthread_mutex_lock(&lock);
	while (r == 0)
		r = pthread_cond_timedwait(&cond, &lock, &until);
	pthread_mutex_unlock(&lock);
	CHECK_INT(r, ETIMEDOUT);
	CHECK(shale_clock_ns() - start >= wait);
	pthread_cond_destroy(&cond);
}

TEST(a_moment_carries_into_its_seconds)
{
	const uint64_t wait = UINT64_C(5999999999);
	uint64_t before = shale_clock_ns();
	struct timespec until = shale_clock_in(wait);
	uint64_t then =
		(uint64_t)until.tv_sec * 1000000000 + (uint64_t)until.tv_nsec;

	CHECK(until.tv_nsec < 1000000000);
	CHECK(then >= before + wait && then <= shale_clock_ns() + wait);
}

TEST(times_go_by_seconds_then_by_nanoseconds)
{
	const struct timespec old = {-1, 999999999}, a = {5, 1}, b = {5, 2};

	CHECK_INT(shale_time_order(&a, &a), 0);
	CHECK_INT(shale_time_order(&a, &b), -1);
	CHECK_INT(shale_time_order(&b, &a), 1);
	CHECK_INT(shale_time_order(&old, &a), -1);
	CHECK_INT(shale_time_order(&b, &old), 1);
}

TEST(a_directory_is_listed_again_and_again_without_itself)
{
	char path[300];
	const struct dirent *entry;

	snprintf(path, sizeof(path), "%s/listed", shale_test_dir());
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(mkdirat(fd, "a", 0700) == 0);
	CHECK(mkdirat(fd, ".b", 0700) == 0);
	for (int i = 0; i < 2; i++) {
		cleanup_dir DIR *dir = shale_dir_open(fd, ".");
		int n = 0, dots = 0;
		CHECK(dir);
		while ((entry = shale_dir_next(dir))) {
			n++;
			dots += !strcmp(entry->d_name, ".b");
		}
		CHECK_INT(errno, 0);
		CHECK_INT(n, 2);
		CHECK_INT(dots, 1);
	}
	CHECK(!shale_dir_open(fd, "none"));
	CHECK_INT(errno, ENOENT);
	close(fd);
}

TEST(what_is_no_directory_is_closed)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/file", shale_test_dir());
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK(!shale_dir_of(fd));
	CHECK_INT(errno, ENOTDIR);
	CHECK_INT(fcntl(fd, F_GETFD), -1);
}
