/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files_impl.h"

#include "fs/workspace/file_failed.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <sys/statvfs.h>

enum { NEARLY_FULL = 256 << 20 }; /* bytes left on the host */

int shale_files_remove(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       uint64_t pos)
{
	struct shale_file *file = shale_file_enter(&files->table, ino, epoch);
	if (!file)
		return -ENOMEM;
	pthread_mutex_lock(&files->table.lock);
	if (!file->remove)
		files->table.n_remove++;
	file->remove = true;
	if (file->remove_at < pos)
		file->remove_at = pos;
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
	return 0;
}

/*
 * With the lock held, so that a write that calls the removal off comes before
 * or after, and then makes the file anew.  It has another name then; what it
 * takes is given back by a thread that nobody waits for.
 */
static void remove_file(struct shale_files *files, struct shale_file *file)
{
	char name[SHALE_FILE_NAME];
	shale_file_name(name, file->ino, file->epoch);

	pthread_mutex_lock(&files->table.lock);
	if (file->remove && file->users == 1) {
		(void)shale_trash_put(files->trash, name);
		shale_file_shut(&files->table, file);
		file->remove = file->made = false;
		file->remove_at = 0;
		shale_file_unfail(&files->table, file);
		shale_file_flushed(file, file->written);
		files->table.n_remove--;
	} /* else it is in use: the next time */
	pthread_mutex_unlock(&files->table.lock);
}

static bool nearly_full(struct shale_files *files)
{
	struct statvfs fs;

	return fstatvfs(files->dirfd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize < NEARLY_FULL;
}

void shale_files_applied(struct shale_files *files, uint64_t pos)
{
	cleanup_free struct shale_file **list = NULL;
	size_t n;

	shale_files_unkeep(files, pos);
	pthread_mutex_lock(&files->table.lock);
	bool none = !files->table.n_remove;
	pthread_mutex_unlock(&files->table.lock);
	/* No memory: the next time. */
	if (none || shale_file_collect(&files->table, shale_file_is_due, &pos,
				       &list, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		remove_file(files, list[i]);
		shale_file_release(&files->table, list[i]);
	}
	/* Somebody may be waiting for the space. */
	if (nearly_full(files))
		(void)shale_trash_wait(files->trash);
}

void shale_files_tidy(struct shale_files *files)
{
	shale_trash_resume(files->trash);
}
