/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/files_impl.h"

#include "layers/base/io.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	ZEROS = 4096,
	AHEAD = 65536,        /* bytes, a multiple of that */
	AHEAD_FROM = 1 << 20, /* in files of at least so many bytes */
};

/* ------------------------------------------------------------ zeros ahead */

/*
 * Does this write go on where the data file ends, so that what comes next goes
 * on behind it?  Nothing but its end tells where no byte has ever counted: a
 * power cut may bring records back that count what lies before it.
 */
static bool appends(struct shale_file *file, uint64_t off, size_t len)
{
	struct stat st;
	uint64_t end = off + len;

	if (len >= AHEAD || off < AHEAD_FROM ||
	    end <= atomic_load_explicit(&file->end, memory_order_relaxed) ||
	    fstat(file->fd, &st) < 0)
		return false;
	uint64_t size = (uint64_t)st.st_size;
	atomic_store_explicit(&file->end, size, memory_order_relaxed);
	return off <= size && size < end;
}

/*
 * Write the data, and zeros behind it.  A file system makes one piece of what
 * comes in one write, and writing over that costs half of making a page for
 * each small write; and who flushes them one by one flushes no new size.
 * Returns whether all of the data is there; if not, nothing is lost.
 */
static bool write_ahead(struct shale_file *file, const void *data, size_t len,
			uint64_t off)
{
	static const uint8_t zeros[ZEROS];
	struct iovec iov[1 + AHEAD / ZEROS] = {
		{(void *)(uintptr_t)data, len},
	};
	size_t more = AHEAD - (off + len) % AHEAD;
	int n = 1;

	for (; more; n++) {
		size_t some = more % ZEROS ? more % ZEROS : ZEROS;
		iov[n] = (struct iovec){(void *)(uintptr_t)zeros, some};
		more -= some;
	}
	ssize_t done = pwritev(file->fd, iov, n, (off_t)off);
	if (done < (ssize_t)len)
		return false;
	atomic_store_explicit(&file->end, off + (uint64_t)done,
			      memory_order_relaxed);
	return true;
}

static int write_file(struct shale_file *file, const void *data, size_t len,
		      uint64_t off, struct shale_err *err)
{
	if (appends(file, off, len) && write_ahead(file, data, len, off))
		return 0;
	return shale_pwrite_full(file->fd, data, len, off, "data file", err);
}

/* ---------------------------------------------------------------- writing */

int shale_files_write(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      const void *data, size_t len, uint64_t off,
		      struct shale_err *err)
{
	struct shale_file *file;
	int r = shale_file_acquire(&files->table, ino, epoch, true, &file);
	if (r < 0)
		return shale_err_set(err, -r, "data of inode %llu",
				     (unsigned long long)ino);

	r = write_file(file, data, len, off, err);
	/* What was removed may still take the space. */
	if ((r == -ENOSPC || r == -EDQUOT) && shale_trash_wait(files->trash))
		r = shale_pwrite_full(file->fd, data, len, off, "data file",
				      err);
	/* Counted when it is done, also if only a part was. */
	pthread_mutex_lock(&files->table.lock);
	file->written++;
	/* Zeros ahead are not missed: they do not count. */
	shale_dirty_add(&file->dirty, off, len, file->written);
	if (file->remove) {
		files->table.n_remove--;
		/* A killed process may have made it, and not flushed that. */
		file->made = true;
	}
	file->remove = false;
	pthread_mutex_unlock(&files->table.lock);
	shale_file_release(&files->table, file);
	return r;
}
