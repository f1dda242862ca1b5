/* SPDX-License-Identifier: Apache-2.0 */
/* Content: what is written is read, in every way to write and to read. */
#include "tests/mount/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t size_of(int fd)
{
	struct stat st;

	POSIX_OK(fstat(fd, &st));
	return st.st_size;
}

POSIX(appending_goes_to_the_end_wherever_that_is_now)
{
	char text[16] = {0};
	int a = open("file", O_WRONLY | O_APPEND);
	int b = open("twin", O_RDWR | O_APPEND);

	CHECK_INT(write(a, "one", 3), 3);
	CHECK_INT(write(b, "two", 3), 3);
	CHECK_INT(pwrite(a, "three", 5, 0), 5); /* as Linux: at the end too */
	CHECK_INT(size_of(b), POSIX_SIZE + 11);
	CHECK_INT(pread(b, text, sizeof(text), POSIX_SIZE), 11);
	CHECK_STR(text, "onetwothree");
	CHECK(posix_pattern(b, 0, POSIX_SIZE));
	POSIX_OK(ftruncate(b, 10));
	CHECK_INT(write(a, "!", 1), 1);
	CHECK_INT(size_of(b), 11);
	close(a);
	close(b);
}

POSIX(direct_and_cached_io_see_each_other)
{
	int direct = open("file", O_RDWR | O_DIRECT);
	int cached = open("file", O_RDWR);
	uint8_t *block = aligned_alloc(4096, 8192);

	CHECK(block);
	CHECK_INT(pread(direct, block, 8192, 4096), 8192);
	CHECK_INT(block[0], POSIX_BYTE(4096));
	memset(block, 'D', 4096);
	CHECK_INT(pread(cached, block + 4096, 1, 4096), 1); /* now cached */
	CHECK_INT(pwrite(direct, block, 4096, 4096), 4096);
	CHECK_INT(pread(cached, block + 4096, 1, 4096), 1);
	CHECK_INT(block[4096], 'D');
	CHECK_INT(pwrite(cached, "C", 1, 5000), 1);
	CHECK_INT(pread(direct, block, 4096, 4096), 4096);
	CHECK_INT(block[5000 - 4096], 'C');
	CHECK(posix_pattern(cached, 0, 4096));
	CHECK(posix_pattern(cached, 8192, POSIX_SIZE));
	free(block);
	close(direct);
	close(cached);
}

POSIX(synchronous_writes_and_every_kind_of_flush_succeed)
{
	int fd = open("file", O_RDWR | O_SYNC);

	CHECK_INT(pwrite(fd, "sync", 4, 60000), 4);
	CHECK_INT(size_of(fd), POSIX_SIZE);
	close(fd);
	fd = open("file", O_RDWR | O_DSYNC | O_APPEND);
	CHECK_INT(write(fd, "dsync", 5), 5);
	POSIX_OK(fsync(fd));
	POSIX_OK(fdatasync(fd));
	POSIX_OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	POSIX_OK(syncfs(fd));
	close(fd);
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	POSIX_OK(fsync(fd));
	close(fd);
}

POSIX(seeking_finds_holes_and_data)
{
	int fd = open("holes", O_RDWR);

	CHECK_INT(lseek(fd, 0, SEEK_DATA), 0);
	CHECK_INT(lseek(fd, 0, SEEK_HOLE), 4096);
	CHECK_INT(lseek(fd, 4096, SEEK_DATA), POSIX_MIDDLE);
	CHECK_INT(lseek(fd, POSIX_MIDDLE + 10, SEEK_HOLE), POSIX_MIDDLE + 4096);
	POSIX_NOT(lseek(fd, POSIX_MIDDLE + 4096, SEEK_DATA), ENXIO);
	POSIX_NOT(lseek(fd, POSIX_HOLES, SEEK_HOLE), ENXIO);
	CHECK_INT(pwrite(fd, "x", 1, 20000), 1);
	CHECK_INT(lseek(fd, 4096, SEEK_DATA), 16384);
	CHECK_INT(lseek(fd, 16384, SEEK_HOLE), 20480);
	POSIX_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   24000));
	CHECK_INT(lseek(fd, 0, SEEK_DATA), POSIX_MIDDLE);
	CHECK(posix_zeros(fd, 0, POSIX_MIDDLE));
	close(fd);
	fd = open("file", O_RDONLY); /* has none but the one at its end */
	CHECK_INT(lseek(fd, 1, SEEK_HOLE), POSIX_SIZE);
	CHECK_INT(lseek(fd, POSIX_SIZE - 1, SEEK_DATA), POSIX_SIZE - 1);
	close(fd);
}

POSIX(fallocate_extends_keeps_punches_and_zeroes)
{
	int fd = open("file", O_RDWR);

	POSIX_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
	CHECK_INT(size_of(fd), POSIX_SIZE);
	POSIX_OK(fallocate(fd, 0, 90000, 10000));
	CHECK_INT(size_of(fd), 100000);
	CHECK(posix_pattern(fd, 0, POSIX_SIZE));
	CHECK(posix_zeros(fd, POSIX_SIZE, 100000));
	POSIX_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000,
			   10000));
	POSIX_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 30001, 9));
	POSIX_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
			   99999, 50000));
	CHECK_INT(size_of(fd), 100000);
	CHECK(posix_pattern(fd, 0, 5000));
	CHECK(posix_zeros(fd, 5000, 15000));
	CHECK(posix_pattern(fd, 15000, 30001));
	CHECK(posix_zeros(fd, 30001, 30010));
	CHECK(posix_pattern(fd, 30010, POSIX_SIZE));
	POSIX_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 99999, 50001));
	CHECK_INT(size_of(fd), 150000);
	CHECK_INT(posix_fallocate(fd, 150000, 1), 0);
	CHECK_INT(size_of(fd), 150001);
	POSIX_NOT(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	POSIX_NOT(fallocate(fd, 0, 0, 0), EINVAL);
	close(fd);
}

POSIX(copy_file_range_copies_any_bytes)
{
	int in = open("file", O_RDWR), out = posix_make("copy", 0644);
	off_t from = 0, to = 0;

	CHECK_INT(copy_file_range(in, &from, out, &to, 1 << 20, 0), POSIX_SIZE);
	CHECK(posix_pattern(out, 0, POSIX_SIZE));
	CHECK_INT(copy_file_range(in, &from, out, &to, 1 << 20, 0), 0);
	from = 0, to = 100001; /* over a gap, shifted */
	CHECK_INT(copy_file_range(in, &from, out, &to, 9000, 0), 9000);
	CHECK_INT(size_of(out), 109001);
	CHECK(posix_zeros(out, POSIX_SIZE, 100001));
	from = 4096, to = 40960; /* within one file */
	CHECK_INT(copy_file_range(in, &from, in, &to, 8192, 0), 8192);
	CHECK(posix_pattern(in, 0, 40960));
	CHECK(posix_pattern(in, 49152, POSIX_SIZE));
	CHECK(posix_pattern(out, 0, POSIX_SIZE));
	uint8_t byte;
	CHECK_INT(pread(in, &byte, 1, 40960 + 8191), 1);
	CHECK_INT(byte, POSIX_BYTE(4096 + 8191));
	from = 0, to = 100;
	POSIX_NOT(copy_file_range(in, &from, in, &to, 200, 0), EINVAL);
	lseek(in, 0, SEEK_SET);
	lseek(out, 0, SEEK_SET);
	CHECK_INT(sendfile(out, in, NULL, 4096), 4096);
	close(in);
	close(out);
}

POSIX(files_are_larger_than_4_gib)
{
	static const off_t far = (INT64_C(5) << 30) + 123;
	int fd = open("file", O_RDWR);
	char text[4] = {0};

	CHECK_INT(pwrite(fd, "far", 3, far), 3);
	CHECK_INT(size_of(fd), far + 3);
	CHECK_INT(pread(fd, text, 4, far), 3);
	CHECK_STR(text, "far");
	CHECK(posix_zeros(fd, (INT64_C(4) << 30) - 5, (INT64_C(4) << 30) + 5));
	CHECK_INT(lseek(fd, 1 << 20, SEEK_DATA), far & ~INT64_C(4095));
	POSIX_OK(ftruncate(fd, (INT64_C(4) << 30) + 1));
	CHECK_INT(size_of(fd), (INT64_C(4) << 30) + 1);
	CHECK(posix_pattern(fd, 0, POSIX_SIZE));
	uint8_t *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    INT64_C(4) << 30);
	CHECK(map != MAP_FAILED);
	map[0] = 'm';
	POSIX_OK(msync(map, 4096, MS_SYNC));
	munmap(map, 4096);
	CHECK_INT(pread(fd, text, 4, INT64_C(4) << 30), 1);
	CHECK_INT(text[0], 'm');
	close(fd);
}

POSIX(shared_mappings_and_files_are_one)
{
	int old = open("twin", O_RDONLY); /* from before the first write */
	uint8_t *seen = mmap(NULL, POSIX_SIZE, PROT_READ, MAP_SHARED, old, 0);
	int fd = open("file", O_RDWR);
	uint8_t byte;

	CHECK(seen != MAP_FAILED);
	CHECK_INT(seen[5000], POSIX_BYTE(5000));
	uint8_t *map = mmap(NULL, POSIX_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[5000] = 'm';
	CHECK_INT(pread(old, &byte, 1, 5000), 1);
	CHECK_INT(byte, 'm');
	CHECK_INT(seen[5000], 'm');
	CHECK_INT(pwrite(fd, "w", 1, 5001), 1);
	CHECK_INT(map[5001], 'w');
	CHECK_INT(seen[5001], 'w');
	POSIX_OK(ftruncate(fd, 6000));
	POSIX_OK(ftruncate(fd, POSIX_SIZE));
	CHECK_INT(map[6000], 0);
	CHECK_INT(seen[60000], 0);
	CHECK_INT(map[5999], POSIX_BYTE(5999));
	POSIX_OK(msync(map, POSIX_SIZE, MS_SYNC));
	munmap(map, POSIX_SIZE);
	munmap(seen, POSIX_SIZE);
	close(old);
	close(fd);
}

POSIX(shrinking_and_extending_never_brings_bytes_back)
{
	int fd = open("file", O_RDWR);

	POSIX_OK(ftruncate(fd, 10001));
	POSIX_OK(truncate("twin", 20000));
	CHECK(posix_pattern(fd, 0, 10001));
	CHECK(posix_zeros(fd, 10001, 20000));
	CHECK_INT(pwrite(fd, "x", 1, 30000), 1);
	CHECK(posix_zeros(fd, 10001, 30000));
	close(fd);
	fd = open("file", O_RDWR | O_TRUNC);
	CHECK_INT(size_of(fd), 0);
	POSIX_OK(ftruncate(fd, POSIX_SIZE));
	CHECK(posix_zeros(fd, 0, POSIX_SIZE));
	close(fd);
}
