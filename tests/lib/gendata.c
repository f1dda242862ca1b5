/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes data that looks like what people keep: the same for the same seed.
 *
 *     gendata csv BYTES SEED             a table of orders, on standard output
 *     gendata edit FILE PLACES BYTES SEED  overwrite BYTES in all, spread over
 *                                        PLACES of FILE, with other rows
 *     gendata pages FILE COUNT SIZE SEED overwrite COUNT random pages of SIZE
 *     gendata tree DIR FILES SEED        small source-like files, 100 a
 * directory gendata touch DIR COUNT SEED       append a line to COUNT of those
 * files
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state;

static uint64_t next(void) /* splitmix64 */
{
	uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static const char *const words[] = {
	"amber",  "basalt",  "cobalt", "delta",   "ember",  "fjord",
	"garnet", "harbour", "indigo", "juniper", "kelp",   "larch",
	"marble", "nickel",  "onyx",   "pebble",  "quartz", "river",
	"slate",  "timber",  "umber",  "velvet",  "willow", "zircon",
};

static const char *word(uint64_t r)
{
	return words[r % (sizeof(words) / sizeof(words[0]))];
}

/* One row at `out` (at least 160 bytes); returns its length. */
static size_t row(char *out)
{
	static uint64_t id;
	uint64_t a = next(), b = next();
	int n = snprintf(out, 160,
			 "%llu,2026-%02u-%02uT%02u:%02u:%02uZ,%s-%s,%llu.%02u,"
			 "%08x,%s %s %s\n",
			 (unsigned long long)id++, (unsigned)(a % 12 + 1),
			 (unsigned)(a >> 8) % 28 + 1, (unsigned)(a >> 16) % 24,
			 (unsigned)(a >> 24) % 60, (unsigned)(a >> 32) % 60,
			 word(a >> 40), word(a >> 48),
			 (unsigned long long)(b % 100000), (unsigned)(b % 100),
			 (unsigned)(b >> 32), word(b >> 8), word(b >> 16),
			 word(b >> 24));
	return (size_t)n;
}

/* `len` bytes of rows. */
static void rows(char *out, size_t len)
{
	char line[160];
	while (len) {
		size_t n = row(line);
		n = n < len ? n : len;
		memcpy(out, line, n);
		out += n;
		len -= n;
	}
}

static void die(const char *what)
{
	fprintf(stderr, "gendata: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void csv(uint64_t bytes)
{
	enum { STEP = 1 << 20 };
	static char data[STEP];
	while (bytes) {
		size_t n = bytes < STEP ? (size_t)bytes : STEP;
		rows(data, n);
		if (fwrite(data, 1, n, stdout) != n)
			die("standard output");
		bytes -= n;
	}
	if (fflush(stdout))
		die("standard output");
}

/* Overwrite `count` places of `size` bytes; `spread`: evenly, else anywhere. */
static void overwrite(const char *path, uint64_t count, size_t size, int spread)
{
	int fd = open(path, O_RDWR);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);

	uint64_t length = (uint64_t)st.st_size;
	char *data = malloc(size);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t off = spread ? length / count * i + 4321
				      : next() % (length / size) * size;
		rows(data, size);
		if (pwrite(fd, data, size, (off_t)off) != (ssize_t)size)
			die(path);
	}
	free(data);
	if (close(fd))
		die(path);
}

static void file_name(char *out, size_t size, const char *dir, uint64_t i)
{
	snprintf(out, size, "%s/d%05llu/f%07llu.txt", dir,
		 (unsigned long long)(i / 100), (unsigned long long)i);
}

static void tree(const char *dir, uint64_t files)
{
	char path[4096], data[8192];
	for (uint64_t i = 0; i < files; i++) {
		if (i % 100 == 0) {
			snprintf(path, sizeof(path), "%s/d%05llu", dir,
				 (unsigned long long)(i / 100));
			if (mkdir(path, 0755) && errno != EEXIST)
				die(path);
		}
		file_name(path, sizeof(path), dir, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		size_t len = 200 + next() % 4000;
		rows(data, len);
		if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd))
			die(path);
	}
}

static void touch(const char *dir, uint64_t count)
{
	char path[4096], line[160];
	uint64_t files = 0;
	struct stat st;
	for (;; files += 100) { /* how many are there? */
		file_name(path, sizeof(path), dir, files);
		if (stat(path, &st))
			break;
	}
	for (uint64_t i = 0; i < count && files; i++) {
		file_name(path, sizeof(path), dir, files / count * i);
		int fd = open(path, O_WRONLY | O_APPEND);
		size_t len = row(line);
		if (fd < 0 || write(fd, line, len) != (ssize_t)len || close(fd))
			die(path);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);
	return *end == 'G'   ? n << 30
	       : *end == 'M' ? n << 20
	       : *end == 'K' ? n << 10
			     : n;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	if (argc > 3)
		state = number(argv[argc - 1]);

	if (!strcmp(verb, "csv") && argc == 4)
		csv(number(argv[2]));
	else if (!strcmp(verb, "edit") && argc == 6)
		overwrite(argv[2], number(argv[3]),
			  (size_t)(number(argv[4]) / number(argv[3])), 1);
	else if (!strcmp(verb, "pages") && argc == 6)
		overwrite(argv[2], number(argv[3]), (size_t)number(argv[4]), 0);
	else if (!strcmp(verb, "tree") && argc == 5)
		tree(argv[2], number(argv[3]));
	else if (!strcmp(verb, "touch") && argc == 5)
		touch(argv[2], number(argv[3]));
	else {
		fprintf(stderr, "gendata: see the comment in gendata.c\n");
		return 2;
	}
	return 0;
}
