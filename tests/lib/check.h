/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_CHECK_H
#define SHALE_TESTS_CHECK_H

/*
 * A unit test program: TEST(sentence_about_behaviour) { … }, in one or more
 * files linked with libcheck, which has main() and prints TAP.  A failed CHECK
 * says where and ends that test; the others run.  Arguments select tests by
 * substring.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_test {
	const char *name;
	void (*fn)(void);
	struct shale_test *next;
};

void shale_test_register(struct shale_test *test);
_Noreturn void shale_test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void shale_test_skip(const char *why);
void shale_test_int(const char *file, int line, const char *what, long long got,
		    long long want);
void shale_test_str(const char *file, int line, const char *what,
		    const char *got, const char *want);
void shale_test_mem(const char *file, int line, const char *what,
		    const void *got, const void *want, size_t len);

/* A fresh directory that is removed when the program ends; do not free. */
const char *shale_test_dir(void);
/* A new directory in it with what shale_blobs_open() wants; close it. Commands
 * that are run have it, too. */
int shale_test_blobs(void);

/* A random number generator whose seed is printed on failure ($SHALE_SEED). */
uint64_t shale_test_random(void);

#define TEST(name)                                                             \
	static void test_##name(void);                                         \
	static struct shale_test entry_##name = {#name, test_##name, NULL};    \
	__attribute__((constructor)) static void register_##name(void)         \
	{                                                                      \
		shale_test_register(&entry_##name);                            \
	}                                                                      \
	static void test_##name(void)

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			shale_test_fail(__FILE__, __LINE__, "%s", #cond);      \
	} while (0)
/* got, want */
#define CHECK_INT(got, want)                                                   \
	shale_test_int(__FILE__, __LINE__, #got, (long long)(got),             \
		       (long long)(want))
#define CHECK_STR(got, want)                                                   \
	shale_test_str(__FILE__, __LINE__, #got, (got), (want))
#define CHECK_MEM(got, want, len)                                              \
	shale_test_mem(__FILE__, __LINE__, #got, (got), (want), (len))
/* A call that returns 0 or -errno and fills `err`. */
#define CHECK_OK(call)                                                         \
	do {                                                                   \
		int check_r = (call);                                          \
		if (check_r < 0)                                               \
			shale_test_fail(__FILE__, __LINE__, "%s: %d (%s)",     \
					#call, check_r, err.msg);              \
	} while (0)

#endif
