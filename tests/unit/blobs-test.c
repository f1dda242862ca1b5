/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/blobs.h"

#include "layers/base/buf.h"
#include "tests/lib/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned entries(int dirfd, const char *name)
{
	unsigned n = 0;
	DIR *dir = fdopendir(openat(dirfd, name, O_RDONLY | O_DIRECTORY));
	CHECK(dir != NULL);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static unsigned open_fds(void)
{
	return entries(AT_FDCWD, "/proc/self/fd");
}

TEST(a_blob_that_was_put_is_found_and_read_back)
{
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	struct shale_digest digest, twice, other = {{1}};
	struct shale_buf text = {0};
	char part[4];
	int dir = shale_test_blobs(), fd;

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	CHECK_OK(shale_blobs_put(blobs, "content", 7, &digest, &err));
	CHECK_OK(shale_blobs_put(blobs, "content", 7, &twice, &err));
	CHECK(shale_digest_equal(&digest, &twice));
	CHECK(shale_blobs_has(blobs, &digest));
	CHECK(!shale_blobs_has(blobs, &other));

	CHECK_OK(shale_blobs_read(blobs, &digest, 7, &text, &err));
	CHECK_STR(shale_buf_str(&text), "content");
	CHECK_INT(shale_blobs_read(blobs, &digest, 6, &text, &err), -EFBIG);
	CHECK_INT(text.len, 7);
	CHECK_OK(shale_blobs_pread(blobs, &digest, part, 4, 3, &err));
	CHECK_MEM(part, "tent", 4);
	CHECK_OK(shale_blobs_get(blobs, &digest, &fd, &err));
	CHECK_INT(read(fd, part, 4), 4);

	CHECK_INT(entries(dir, "tmp"), 0);
	CHECK_INT(entries(dir, "blobs/sha256"), 1);
	close(fd);
	shale_buf_release(&text);
	shale_blobs_close(blobs);
	close(dir);
}

TEST(what_is_not_there_or_too_short_is_told_apart)
{
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	struct shale_digest digest, none = {{1}};
	char part[8];
	int dir = shale_test_blobs(), fd;

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	CHECK_OK(shale_blobs_put(blobs, "content", 7, &digest, &err));
	CHECK_INT(shale_blobs_pread(blobs, &none, part, 1, 0, &err), -ENOENT);
	CHECK(strstr(err.msg, "sha256:0100000000"));
	CHECK_INT(shale_blobs_get(blobs, &none, &fd, &err), -ENOENT);
	CHECK_INT(shale_blobs_pread(blobs, &digest, part, 8, 0, &err),
		  -EUCLEAN);
	CHECK_INT(shale_blobs_pread(blobs, &digest, part, 1, 1ull << 62, &err),
		  -EUCLEAN);
	shale_blobs_close(blobs);
	close(dir);
}

TEST(a_damaged_small_blob_is_never_returned)
{
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	struct shale_digest digest;
	struct shale_buf out = {0};
	int dir = shale_test_blobs();
	char path[14 + SHALE_DIGEST_HEX] = "blobs/sha256/";

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	CHECK_OK(shale_blobs_put(blobs, "content", 7, &digest, &err));
	shale_hex(path + 13, digest.b, 32);
	int fd = openat(dir, path, O_WRONLY);
	CHECK(pwrite(fd, "C", 1, 0) == 1);
	close(fd);
	CHECK_INT(shale_blobs_read(blobs, &digest, 100, &out, &err), -EUCLEAN);
	CHECK_INT(out.len, 0);
	shale_buf_release(&out);
	shale_blobs_close(blobs);
	close(dir);
}

static void make_files(struct shale_blobs *blobs, struct shale_blob_tmp *files,
		       unsigned n)
{
	struct shale_err err = {0};
	for (unsigned i = 0; i < n; i++) {
		char text[16];
		int len = snprintf(text, sizeof(text), "file %u", i);
		CHECK_OK(shale_blobs_create(blobs, &files[i].fd, files[i].name,
					    &err));
		CHECK(write(files[i].fd, text, (size_t)len) == len);
		shale_sha256(text, (size_t)len, &files[i].digest);
	}
}

TEST(many_files_are_published_together_and_again)
{
	enum { N = 100 };
	static struct shale_blob_tmp files[N];
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	int dir = shale_test_blobs();

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	for (unsigned round = 0; round < 2; round++) {
		make_files(blobs, files, N);
		CHECK_INT(entries(dir, "tmp"), N);
		CHECK_OK(shale_blobs_publish(blobs, files, N / 20, &err));
		CHECK_OK(shale_blobs_publish(blobs, files + N / 20, N - N / 20,
					     &err));
		CHECK_INT(entries(dir, "tmp"), 0);
		CHECK_INT(entries(dir, "blobs/sha256"), N);
		for (unsigned i = 0; i < N; i++) {
			CHECK(shale_blobs_has(blobs, &files[i].digest));
			close(files[i].fd);
		}
	}
	shale_blobs_close(blobs);
	close(dir);
}

TEST(an_abandoned_file_leaves_nothing)
{
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	struct shale_blob_tmp tmp;
	int dir = shale_test_blobs();

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	make_files(blobs, &tmp, 1);
	shale_blobs_abandon(blobs, tmp.name);
	CHECK_INT(entries(dir, "tmp"), 0);
	close(tmp.fd);
	shale_blobs_close(blobs);
	close(dir);
}

TEST(open_descriptors_stay_bounded_and_go_at_close)
{
	enum { N = 150 };
	static struct shale_blob_tmp files[N];
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	int dir = shale_test_blobs();
	unsigned before = open_fds();

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	make_files(blobs, files, N);
	CHECK_OK(shale_blobs_publish(blobs, files, N, &err));
	for (unsigned i = 0; i < N; i++)
		close(files[i].fd);
	for (unsigned k = 0; k < 3 * N; k++) {
		char text[5];
		CHECK_OK(shale_blobs_pread(
			blobs, &files[shale_test_random() % N].digest, text, 5,
			0, &err));
		CHECK_MEM(text, "file ", 5);
	}
	CHECK(open_fds() <= before + 2 + 64);
	shale_blobs_close(blobs);
	CHECK_INT(open_fds(), before);
	close(dir);
}

TEST(a_blob_that_was_repaired_is_read_anew)
{
	struct shale_err err = {0};
	struct shale_blobs *blobs;
	struct shale_digest digest;
	char path[14 + SHALE_DIGEST_HEX] = "blobs/sha256/", part[7];
	int dir = shale_test_blobs();

	CHECK_OK(shale_blobs_open(&blobs, dir, &err));
	CHECK_OK(shale_blobs_put(blobs, "content", 7, &digest, &err));
	shale_hex(path + 13, digest.b, 32);
	close(openat(dir, path, O_WRONLY | O_TRUNC));
	CHECK_INT(shale_blobs_pread(blobs, &digest, part, 7, 0, &err),
		  -EUCLEAN);
	CHECK(unlinkat(dir, path, 0) == 0);
	CHECK_OK(shale_blobs_put(blobs, "content", 7, &digest, &err));
	CHECK_OK(shale_blobs_pread(blobs, &digest, part, 7, 0, &err));
	CHECK_MEM(part, "content", 7);
	shale_blobs_close(blobs);
	close(dir);
}
