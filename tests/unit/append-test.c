/* SPDX-License-Identifier: Apache-2.0 */
/* Zeros ahead of who appends to a data file. */
#include "fs/workspace/files.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct shale_err err;

static int new_dir(void)
{
	static int n;
	char path[400];
	snprintf(path, sizeof(path), "%s/append-%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	return open(path, O_RDONLY | O_DIRECTORY);
}

enum { MIB = 1 << 20, PIECE = 4096, AHEAD = 65536 };

static void write_bytes(struct shale_files *f, uint64_t off, size_t len,
			uint8_t byte)
{
	uint8_t *data = malloc(len);

	memset(data, byte, len);
	CHECK_OK(shale_files_write(f, 1, 1, data, len, off, &err));
	free(data);
}

static uint64_t host_size(struct shale_files *f)
{
	struct stat st;

	CHECK_INT(shale_files_stat(f, 1, 1, &st), 0);
	return (uint64_t)st.st_size;
}

/* All of [off, off + len) are that byte. */
static void check_bytes(struct shale_files *f, uint64_t off, size_t len,
			uint8_t byte)
{
	uint8_t *data = malloc(len);

	CHECK_OK(shale_files_read(f, 1, 1, data, len, off, &err));
	for (size_t i = 0; i < len; i++)
		CHECK_INT(data[i], byte);
	free(data);
}

TEST(who_appends_to_a_large_file_writes_over_zeros)
{
	struct shale_files *f;
	int dir = new_dir();
	uint64_t end = MIB;

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_bytes(f, 0, MIB - PIECE, 'a');
	write_bytes(f, MIB - PIECE, PIECE, 'a');
	CHECK_INT(host_size(f), MIB); /* it was not large yet */
	for (int i = 0; i < 40; i++, end += PIECE)
		write_bytes(f, end, PIECE, (uint8_t)i);
	CHECK_INT(host_size(f), (end + AHEAD - 1) / AHEAD * AHEAD);
	check_bytes(f, 0, MIB, 'a');
	for (int i = 0; i < 40; i++)
		check_bytes(f, MIB + (uint64_t)i * PIECE, PIECE, (uint8_t)i);
	check_bytes(f, end, AHEAD, 0);
	/* Who does not go on in whole blocks does no other. */
	for (int i = 0; i < 40; i++, end += 1001)
		write_bytes(f, end, 1001, (uint8_t)i);
	for (int i = 0; i < 40; i++)
		check_bytes(f, end - (uint64_t)(40 - i) * 1001, 1001,
			    (uint8_t)i);
	check_bytes(f, end, AHEAD, 0);
	shale_files_close(f);
	close(dir);
}

/* Records that a power cut brings back may count them. */
TEST(zeros_go_over_nothing_that_a_data_file_has)
{
	struct shale_files *f;
	int dir = new_dir();

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_bytes(f, 0, 2 * MIB, 'a');
	/* In its midst, in a row, and again by another process. */
	for (int i = 0; i < 20; i++) {
		write_bytes(f, MIB + (uint64_t)i * PIECE, PIECE, 'b');
		check_bytes(f, MIB + (uint64_t)(i + 1) * PIECE, AHEAD, 'a');
	}
	shale_files_close(f);
	CHECK_OK(shale_files_open(&f, dir, &err));
	write_bytes(f, MIB, PIECE, 'c');
	check_bytes(f, MIB + PIECE, PIECE, 'b');
	/* Far behind its end, where nobody goes on. */
	write_bytes(f, 3 * MIB, PIECE, 'd');
	CHECK_INT(host_size(f), 3 * MIB + PIECE);
	/* Cut, as who has made sure that nothing counts there may. */
	CHECK_INT(shale_files_resize(f, 1, 1, MIB), 0);
	write_bytes(f, MIB, PIECE, 'e');
	check_bytes(f, MIB, PIECE, 'e');
	check_bytes(f, MIB + PIECE, AHEAD, 0);
	shale_files_close(f);
	close(dir);
}

/* With room for the data, and not for all zeros behind it. */
TEST(where_there_is_no_room_for_zeros_the_data_is_written)
{
	struct rlimit before, limit;
	struct shale_files *f;
	int dir = new_dir();
	uint8_t data[PIECE];

	CHECK_OK(shale_files_open(&f, dir, &err));
	write_bytes(f, 0, MIB, 'a');
	CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
	limit = before;
	limit.rlim_cur = MIB + 2 * PIECE + 100;
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	write_bytes(f, MIB, PIECE, 'b');
	write_bytes(f, MIB + PIECE, PIECE, 'c');
	memset(data, 'd', sizeof(data));
	int r = shale_files_write(f, 1, 1, data, sizeof(data), MIB + 2 * PIECE,
				  &err);
	CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
	CHECK_INT(r, -EFBIG);
	write_bytes(f, MIB + 2 * PIECE, PIECE, 'd');
	check_bytes(f, MIB, PIECE, 'b');
	check_bytes(f, MIB + PIECE, PIECE, 'c');
	check_bytes(f, MIB + 2 * PIECE, PIECE, 'd');
	shale_files_close(f);
	close(dir);
}
