/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kind of load, with nothing around it that could be measured instead.
 *
 *     load create DIR COUNT          COUNT files of 100 to 4,000 bytes, 1000 a
 *                                    directory
 *     load write FILE BYTES BLOCK    a new file, BLOCK at a time, fsync
 *     load poke FILE OFFSET          one byte changed, fsync
 *     load random FILE COUNT         COUNT reads of 4 KiB at random places
 *     load stat DIR COUNT MADE       COUNT random ones of MADE files that
 *                                    `create` has made are looked up
 *
 * Prints the seconds that it took; `random` also a sum of what it read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char data[1 << 20];

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t next(uint64_t *state) /* splitmix64 */
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void create(const char *dir, uint64_t count)
{
	uint64_t state = 1;
	char path[4096];
	for (uint64_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/new%03llu", dir,
			 (unsigned long long)(i / 1000));
		if (i % 1000 == 0 && mkdir(path, 0755))
			die(path);
		snprintf(path, sizeof(path), "%s/new%03llu/f%06llu", dir,
			 (unsigned long long)(i / 1000), (unsigned long long)i);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		size_t len = 100 + next(&state) % 3900;
		if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd))
			die(path);
	}
}

static void write_file(const char *path, uint64_t bytes, size_t block)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		die(path);
	for (uint64_t at = 0; at < bytes; at += block)
		if (write(fd, data, block) != (ssize_t)block)
			die(path);
	if (fsync(fd) || close(fd))
		die(path);
}

static void poke(const char *path, uint64_t offset)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || pwrite(fd, "!", 1, (off_t)offset) != 1 || fsync(fd) ||
	    close(fd))
		die(path);
}

static uint64_t random_reads(const char *path, uint64_t count)
{
	uint64_t sum = 0, word;
	int fd = open(path, O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st))
		die(path);
	uint64_t state = 7, blocks = (uint64_t)st.st_size / 4096;
	for (uint64_t i = 0; i < count && blocks; i++)
		if (pread(fd, data, 4096,
			  (off_t)(next(&state) % blocks * 4096)) != 4096)
			die(path);
		else
			for (size_t at = 0; at < 4096; at += sizeof(word)) {
				memcpy(&word, data + at, sizeof(word));
				sum = sum * 31 + word;
			}
	close(fd);
	return sum;
}

static void look_up(const char *dir, uint64_t count, uint64_t made)
{
	uint64_t state = 5;
	char path[4096];
	struct stat st;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t n = next(&state) % made;
		snprintf(path, sizeof(path), "%s/new%03llu/f%06llu", dir,
			 (unsigned long long)(n / 1000), (unsigned long long)n);
		if (lstat(path, &st))
			die(path);
	}
}

int main(int argc, char **argv)
{
	const char *verb = argc > 3 ? argv[1] : "";
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	uint64_t state = 42;
	for (size_t i = 0; i < sizeof(data); i++) /* text-like: compresses */
		data[i] = (char)('a' + next(&state) % 12);

	uint64_t sum = 0;
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (!strcmp(verb, "create"))
		create(argv[2], n);
	else if (!strcmp(verb, "write") && argc == 5 &&
		 strtoull(argv[4], NULL, 0) <= sizeof(data))
		write_file(argv[2], n, strtoull(argv[4], NULL, 0));
	else if (!strcmp(verb, "poke"))
		poke(argv[2], n);
	else if (!strcmp(verb, "random"))
		sum = random_reads(argv[2], n);
	else if (!strcmp(verb, "stat") && argc == 5 &&
		 strtoull(argv[4], NULL, 0) > 0)
		look_up(argv[2], n, strtoull(argv[4], NULL, 0));
	else {
		fprintf(stderr, "load: see the comment in load.c\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.6f %016llx\n",
	       (double)(to.tv_sec - from.tv_sec) +
		       (double)(to.tv_nsec - from.tv_nsec) / 1e9,
	       (unsigned long long)sum);
	return 0;
}
