/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files_impl.h"

#include "fs/workspace/pieces.h"
#include "layers/base/cleanup.h"

#include <errno.h>

/*
 * So often the journal takes bytes of a file; then the file is flushed, and is
 * one that is only written over, perhaps: that is one flush, too, and its bytes
 * are written once.
 */
enum { KEEPS_MAX = 16 };

/* The file's entry, with the lock held; NULL, and no lock, without one. */
static struct shale_file *hold(struct shale_files *files, uint64_t ino,
			       uint32_t epoch)
{
	struct shale_file *file = shale_file_peek(&files->table, ino, epoch);

	if (file)
		pthread_mutex_lock(&files->table.lock);
	return file;
}

static void let_go(struct shale_files *files, struct shale_file *file)
{
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
}

/* A copy of the file's entry as it is now; zeros without one. */
static struct shale_file look(struct shale_files *files, uint64_t ino,
			      uint32_t epoch)
{
	struct shale_file *file = hold(files, ino, epoch);
	struct shale_file copy = {0};

	if (!file)
		return copy;
	copy = *file;
	let_go(files, file);
	return copy;
}

static bool is_much(const struct shale_file *file)
{
	return file->dirty.much || file->untold || file->keeps >= KEEPS_MAX;
}

bool shale_files_much(struct shale_files *files, uint64_t ino, uint32_t epoch)
{
	struct shale_file file = look(files, ino, epoch);

	return is_much(&file);
}

bool shale_files_covered(struct shale_files *files, uint64_t ino,
			 uint32_t epoch, uint64_t *kept)
{
	struct shale_file file = look(files, ino, epoch);

	*kept = file.kept;
	return !file.dirty.n && !file.dirty.much && !file.untold &&
	       !file.failed;
}

uint64_t shale_files_kept(struct shale_files *files, uint64_t ino,
			  uint32_t epoch)
{
	return look(files, ino, epoch).kept;
}

int shale_files_gather(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       struct shale_buf *body, uint64_t *written,
		       struct shale_err *err)
{
	struct shale_file file = look(files, ino, epoch);
	int r = 0;

	if (file.failed)
		return shale_err_set(err, file.failed,
				     "an earlier flush of inode %llu failed",
				     (unsigned long long)ino);
	if (is_much(&file) ||
	    body->len + shale_dirty_bytes(&file.dirty) > SHALE_DIRTY_MAX)
		return -E2BIG;
	for (uint32_t i = 0; r == 0 && i < file.dirty.n; i++) {
		const struct shale_dirty_range *it = &file.dirty.range[i];
		size_t len = (size_t)(it->end - it->off);
		uint8_t *to = shale_pieces_add(body, epoch, it->off, len);
		r = to ? shale_files_read(files, ino, epoch, to, len, it->off,
					  err)
		       : shale_err_set(err, ENOMEM, "sync");
	}
	if (r == 0)
		*written = file.dirty.n ? file.written : 0;
	return r;
}

/* The lock is held. */
static void keep(struct shale_files *files, struct shale_file *file,
		 uint64_t pos)
{
	files->table.n_kept += !file->kept;
	if (file->kept < pos)
		file->kept = pos;
}

void shale_files_keep(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      uint64_t written, uint64_t pos)
{
	struct shale_file *file = hold(files, ino, epoch);

	if (!file)
		return;
	shale_dirty_clean(&file->dirty, written);
	file->keeps++;
	keep(files, file, pos);
	let_go(files, file);
}

int shale_files_kept_before(struct shale_files *files, uint64_t ino,
			    uint32_t epoch, uint64_t pos)
{
	struct shale_file *file = shale_file_enter(&files->table, ino, epoch);

	if (!file)
		return -ENOMEM;
	pthread_mutex_lock(&files->table.lock);
	keep(files, file, pos);
	file->untold = true;
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
	return 0;
}

void shale_files_told(struct shale_files *files, uint64_t ino, uint32_t epoch)
{
	struct shale_file *file = hold(files, ino, epoch);

	if (!file)
		return;
	file->untold = false;
	file->keeps = 0;
	let_go(files, file);
}

/* The lock is held. */
static void unkeep(struct shale_files *files, struct shale_file *file)
{
	file->kept = 0;
	file->keeps = 0;
	file->untold = false;
	files->table.n_kept--;
}

static bool is_kept_up_to(const struct shale_file *file, void *arg)
{
	return file->kept && file->kept <= *(const uint64_t *)arg;
}

void shale_files_void(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      uint64_t kept)
{
	struct shale_file *file = hold(files, ino, epoch);

	if (!file)
		return;
	if (is_kept_up_to(file, &kept))
		unkeep(files, file);
	let_go(files, file);
}

void shale_files_unkeep(struct shale_files *files, uint64_t pos)
{
	cleanup_free struct shale_file **list = NULL;
	size_t n;

	pthread_mutex_lock(&files->table.lock);
	bool none = !files->table.n_kept;
	pthread_mutex_unlock(&files->table.lock);
	/* No memory: the next time. */
	if (none || shale_file_collect(&files->table, is_kept_up_to, &pos,
				       &list, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_lock(&files->table.lock);
		if (is_kept_up_to(list[i], &pos))
			unkeep(files, list[i]);
		let_go(files, list[i]);
	}
}
