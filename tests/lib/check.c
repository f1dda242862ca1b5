/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct shale_test *first, **last = &first;
static jmp_buf leave;
static char message[2048];
static char dir[256];
static uint64_t seed, state;
static int bad;

enum { PASSED, FAILED, SKIPPED };

void shale_test_register(struct shale_test *test)
{
	*last = test;
	last = &test->next;
}

void shale_test_fail(const char *file, int line, const char *fmt, ...)
{
	int n = snprintf(message, sizeof(message), "%s:%d: ", file, line);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message + n, sizeof(message) - (size_t)n, fmt, ap);
	va_end(ap);
	longjmp(leave, FAILED);
}

void shale_test_skip(const char *why)
{
	snprintf(message, sizeof(message), "%s", why);
	longjmp(leave, SKIPPED);
}

void shale_test_int(const char *file, int line, const char *what, long long got,
		    long long want)
{
	if (got != want)
		shale_test_fail(file, line, "%s is %lld, not %lld", what, got,
				want);
}

void shale_test_str(const char *file, int line, const char *what,
		    const char *got, const char *want)
{
	if (!got || strcmp(got, want) != 0)
		shale_test_fail(file, line, "%s is \"%s\", not \"%s\"", what,
				got ? got : "(null)", want);
}

void shale_test_mem(const char *file, int line, const char *what,
		    const void *got, const void *want, size_t len)
{
	const unsigned char *a = got, *b = want;
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			shale_test_fail(file, line,
					"%s differs at byte %zu of %zu: "
					"%02x, not %02x",
					what, i, len, a[i], b[i]);
}

const char *shale_test_dir(void)
{
	if (!dir[0]) {
		const char *tmp = getenv("TMPDIR");
		snprintf(dir, sizeof(dir), "%s/shale-test-XXXXXX",
			 tmp ? tmp : "/tmp");
		if (!mkdtemp(dir))
			shale_test_fail(__FILE__, __LINE__, "mkdtemp %s", dir);
	}
	return dir;
}

int shale_test_blobs(void)
{
	static const char *const below[] = {"blobs", "blobs/sha256", "tmp"};
	static unsigned n;
	char path[sizeof(dir) + 16];

	snprintf(path, sizeof(path), "%s/store%u", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++)
		CHECK(mkdirat(fd, below[i], 0700) == 0);
	return fd;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t shale_test_random(void)
{
	uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool selected(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	const char *given = getenv("SHALE_SEED");
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	int n = 0;
	for (struct shale_test *t = first; t; t = t->next)
		n += selected(t->name, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%d\n", n);

	int number = 0;
	for (struct shale_test *volatile t = first; t; t = t->next) {
		if (!selected(t->name, argc, argv))
			continue;
		number++;
		state = seed;
		int outcome = setjmp(leave);
		if (outcome == PASSED)
			t->fn();
		if (outcome == FAILED) {
			printf("# %s (SHALE_SEED=%llu)\n", message,
			       (unsigned long long)seed);
			bad++;
		}
		printf("%s %d - %s%s%s\n", outcome == FAILED ? "not ok" : "ok",
		       number, t->name, outcome == SKIPPED ? " # SKIP " : "",
		       outcome == SKIPPED ? message : "");
	}
	if (dir[0])
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return bad ? 1 : 0;
}
