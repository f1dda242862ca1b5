/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_DIR_H
#define SHALE_BASE_DIR_H

/* What is in a directory. */

#include "layers/base/cleanup.h"

#include <dirent.h>

/* The directory `name` under `dirfd`; ".": `dirfd` itself, from its beginning.
 * The caller's, to closedir().  NULL with errno. */
DIR *shale_dir_open(int dirfd, const char *name);

/* The directory that is open as `fd`, which goes with it, also if it fails.
 * NULL with errno; that of open(2) stays where `fd` is negative. */
DIR *shale_dir_of(int fd);

/* The next name but "." and "..".  NULL: there is no more (errno is 0), or it
 * cannot be read (errno). */
const struct dirent *shale_dir_next(DIR *dir);

SHALE_DEFINE_CLEANUP(dir, DIR *, closedir);
#define cleanup_dir SHALE_CLEANUP(shale_cleanup_dir)

#endif
