/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/file_failed.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = 64 << 20 }; /* bytes that are read at most */

/*
 * One line.  Should that fail, too, this process still knows; there is nobody
 * whom it could tell more.
 */
static void list(struct shale_file_table *table, const char *sign,
		 const struct shale_file *file)
{
	char line[40];
	int len = snprintf(line, sizeof(line), "%s%llx.%x\n", sign,
			   (unsigned long long)file->ino, file->epoch);
	cleanup_fd int fd =
		openat(table->dirfd, "failed",
		       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)shale_file_append(fd, line, (size_t)len, "data/failed",
					NULL);
}

void shale_file_fail(struct shale_file_table *table, struct shale_file *file,
		     int error)
{
	pthread_mutex_lock(&table->lock);
	if (!file->failed)
		list(table, "", file);
	file->failed = error;
	pthread_mutex_unlock(&table->lock);
}

void shale_file_unfail(struct shale_file_table *table, struct shale_file *file)
{
	if (file->failed)
		list(table, "-", file);
	file->failed = 0;
}

/* A line that was torn by a full disk says nothing. */
static int take_line(struct shale_file_table *table, const char *line)
{
	unsigned long long ino;
	unsigned epoch;
	int end = 0;
	bool gone = line[0] == '-';

	if (sscanf(line + gone, "%16llx.%8x%n", &ino, &epoch, &end) != 2 ||
	    line[gone + end] != '\n')
		return 0;
	char name[SHALE_FILE_NAME];
	shale_file_name(name, ino, epoch);
	if (!gone && faccessat(table->dirfd, name, F_OK, 0) < 0)
		return 0; /* removed, and not told */
	struct shale_file *file = shale_file_enter(table, ino, epoch);
	if (!file)
		return -ENOMEM;
	pthread_mutex_lock(&table->lock);
	file->failed = gone ? 0 : EIO;
	pthread_mutex_unlock(&table->lock);
	shale_file_release(table, file);
	return 0;
}

int shale_file_load_failed(struct shale_file_table *table,
			   struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_read_file(table->dirfd, "failed", LIST_MAX, &text, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && !shale_buf_str(&text))
		r = shale_err_set(err, ENOMEM, "read 'data/failed'");
	if (r < 0)
		return r;
	for (const char *at = (const char *)text.data; *at;) {
		r = take_line(table, at);
		if (r < 0)
			return shale_err_set(err, -r, "read 'data/failed'");
		const char *end = strchr(at, '\n');
		at = end ? end + 1 : at + strlen(at);
	}
	return 0;
}

bool shale_file_has_failed(const struct shale_file *file, void *arg)
{
	(void)arg;
	return file->failed;
}

int shale_file_forget_failed(struct shale_file_table *table,
			     struct shale_err *err)
{
	cleanup_free struct shale_file **files = NULL;
	size_t n;

	int r = shale_file_collect(table, shale_file_has_failed, NULL, &files,
				   &n);
	if (r < 0)
		return shale_err_set(err, -r, "look at data files");
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_lock(&table->lock);
		files[i]->failed = 0;
		pthread_mutex_unlock(&table->lock);
		shale_file_release(table, files[i]);
	}
	if (unlinkat(table->dirfd, "failed", 0) < 0 && errno != ENOENT)
		return shale_err_set(err, errno, "remove 'data/failed'");
	return 0;
}
