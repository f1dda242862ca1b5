/* SPDX-License-Identifier: Apache-2.0 */
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
