/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_IO_H
#define SHALE_BASE_IO_H

/*
 * Whole reads and writes (EINTR and short counts handled), and the one helper
 * that publishes a file.  Names in messages are the caller's `what`.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read exactly `len` bytes at `off`.  -EUCLEAN when the file ends before. */
int shale_pread_full(int fd, void *data, size_t len, uint64_t off,
		     const char *what, struct shale_err *err);

/* Write all of `data` at `off`. */
int shale_pwrite_full(int fd, const void *data, size_t len, uint64_t off,
		      const char *what, struct shale_err *err);

/* Write all of `data` at the file's position. */
int shale_write_full(int fd, const void *data, size_t len, const char *what,
		     struct shale_err *err);

/*
 * The whole of a small file appended to `out`.  -ENOENT as is; -EFBIG when it
 * has more than `limit` bytes.
 */
int shale_read_file(int dirfd, const char *name, size_t limit,
		    struct shale_buf *out, struct shale_err *err);

/*
 * Make `tmp` under `dirfd` (open as `fd`, fully written) appear as `name`:
 * fsync the file, rename, fsync the directory.  A crash leaves the old `name`
 * or the new one.
 */
int shale_file_publish(int dirfd, const char *tmp, int fd, const char *name,
		       struct shale_err *err);

/* Replace `name` under `dirfd` durably with `len` bytes, by way of a file
 * beside it. */
int shale_file_replace(int dirfd, const char *name, const void *data,
		       size_t len, struct shale_err *err);

/* Append to a file opened for that: all of `data`, or after an error nothing.
 */
int shale_file_append(int fd, const void *data, size_t len, const char *what,
		      struct shale_err *err);

/* mkdirat that is content with a directory that is there. */
int shale_mkdir(int dirfd, const char *name, mode_t mode,
		struct shale_err *err);

/* fsync a directory given by descriptor. */
int shale_dir_sync(int dirfd, const char *what, struct shale_err *err);

#endif
