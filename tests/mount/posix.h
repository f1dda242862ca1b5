/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_POSIX_H
#define SHALE_TESTS_POSIX_H

/*
 * What Linux applications expect of a file system, one sentence a test.  They
 * run in $POSIX_DIR, as root, and hold on ext4 too.  Each has a directory of
 * its own there, and in it
 *
 *     file    70,000 bytes of POSIX_BYTE, 0644, with the xattr POSIX_ODD
 *     twin    another name of it
 *     holes   300,000 bytes: data in the first block and in that at 131,072
 *     dir/    with `inner`, five bytes
 *     link    a symlink to file
 *
 * which are made if they are not there.  With $POSIX_PREPARE nothing else
 * happens: so a test is tried on what is new, and on what comes from an image.
 */

#include "tests/lib/check.h"

#include <stddef.h>
#include <sys/types.h>

enum { POSIX_SIZE = 70000, POSIX_HOLES = 300000, POSIX_MIDDLE = 131072 };
#define POSIX_BYTE(i) ((uint8_t)((i)*7 + (i) / 251))

#define POSIX_ODD "user. =\n\\\xff"

/* Into the directory of the test. */
void posix_enter(const char *test);

#define POSIX(name)                                                            \
	static void posix_##name(void);                                        \
	TEST(name)                                                             \
	{                                                                      \
		posix_enter(#name);                                            \
		posix_##name();                                                \
	}                                                                      \
	static void posix_##name(void)

/* A call that returns -1 and sets errno: its result, or -errno. */
#define POSIX_R(call) ((call) < 0 ? -errno : 0)
/* It succeeds; it fails so. */
#define POSIX_OK(call)         CHECK_INT(POSIX_R(call), 0)
#define POSIX_NOT(call, error) CHECK_INT(POSIX_R(call), -(error))

enum { POSIX_USER = 12345, POSIX_GROUP = 23456 };

/* What `fn`, which returns 0 or -errno, returns as that user without groups. */
int posix_as(uid_t uid, gid_t gid, int (*fn)(void));

/* A new file with that mode, open for reading and writing. */
int posix_make(const char *name, mode_t mode);
/*
 * Permissions and special bits, those that the kernel would go by: a look at
 * times, too, could bring others.  Link count.
 */
mode_t posix_mode(const char *name);
nlink_t posix_links(const char *name);
/* Whether `file`, as descriptor, has the bytes that it was made with from
 * `from` to `to`; whether there are zeros. */
bool posix_pattern(int fd, off_t from, off_t to);
bool posix_zeros(int fd, off_t from, off_t to);

#endif
