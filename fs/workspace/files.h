/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_FILES_H
#define SHALE_WORKSPACE_FILES_H

/*
 * Data files: the bytes of dirty files, one sparse file for each inode and
 * epoch in which it was written (`data/<ino % 256>/<ino>.<epoch>`, in hex).
 * Which of its blocks count is not said here but by the block maps in the
 * database.  Descriptors are a bounded cache.  Thread-safe.
 *
 * A data file is never truncated, punched or unlinked before the batch that
 * made that right is covered by a durable flush mark: removals are queued with
 * a journal position and done by shale_files_applied().
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct shale_files;

/* `dirfd`: the workspace's directory, duplicated; `data/` is made. */
int shale_files_open(struct shale_files **out, int dirfd,
		     struct shale_err *err);
void shale_files_close(struct shale_files *files);

/*
 * Write at `off`; the file is made at its first write, if only of 0 bytes.  A
 * removal that is queued for it is called off.  -ENOSPC, -EIO.
 */
int shale_files_write(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      const void *data, size_t len, uint64_t off,
		      struct shale_err *err);
/*
 * Read exactly `len` bytes; what lies past the end of the file is zeros.
 * -EUCLEAN when there is no such file: what was never made holds no data.
 */
int shale_files_read(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     void *data, size_t len, uint64_t off,
		     struct shale_err *err);
/*
 * Hand out a descriptor for reading (the committer's way); the caller's.
 * -ENOENT.
 */
int shale_files_get(struct shale_files *files, uint64_t ino, uint32_t epoch,
		    int *fd, struct shale_err *err);

/* fdatasync one file, if it was written since its last flush. */
int shale_files_sync(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     struct shale_err *err);
/*
 * Make all dirty ones durable but those that are to be removed when batches up
 * to `pos` are applied: fdatasync of few, syncfs for many.  Once a flush of a
 * file failed, this and shale_files_sync() of it fail until it is removed, also
 * in processes that come after (file_failed.h): the kernel may have dropped
 * what it could not write.
 */
int shale_files_flush(struct shale_files *files, uint64_t pos,
		      struct shale_err *err);
/*
 * Flush every data file there is: the host's file system has told of an error,
 * and nobody knows whose.  An error if any has failed.
 */
int shale_files_flush_all(struct shale_files *files, struct shale_err *err);
/* After a power cut no such failure counts any more. */
int shale_files_power_cut(struct shale_files *files, struct shale_err *err);

/* -------------------------------------------------- bytes in the journal */

/*
 * Instead of a flush of a file of which few bytes were written since its last
 * one, these can be kept in the journal (shale_db_data()).  Whoever does that
 * sees to it that nobody writes the file meanwhile.
 */

/* Is a flush better: are they many, or has that been done for a while? */
bool shale_files_much(struct shale_files *files, uint64_t ino, uint32_t epoch);
/*
 * Is all of it on disk, or in the journal up to `*kept` (0: nothing is)?  False:
 * it has bytes that are neither, or an earlier flush failed, or the disk has
 * newer ones than the journal, which says nothing of that.
 */
bool shale_files_covered(struct shale_files *files, uint64_t ino,
			 uint32_t epoch, uint64_t *kept);
/*
 * Add them to the body of a record (pieces.h); `*written` is for
 * shale_files_keep(), 0: there are none.  -E2BIG: flush the file, and have the
 * journal say so (shale_db_flushed()); an error of a flush that failed.
 */
int shale_files_gather(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       struct shale_buf *body, uint64_t *written,
		       struct shale_err *err);
/* They are in a record that ends at `pos`. */
void shale_files_keep(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      uint64_t written, uint64_t pos);
/* Bytes of it are in the journal; on disk it may be any of older and newer. */
int shale_files_kept_before(struct shale_files *files, uint64_t ino,
			    uint32_t epoch, uint64_t pos);
/* The journal says that all of it is on disk. */
void shale_files_told(struct shale_files *files, uint64_t ino, uint32_t epoch);
/* That is durable: bytes in the journal up to `kept` do not count any more. */
void shale_files_void(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      uint64_t kept);
/*
 * Up to which position would a replay after a power cut put bytes from the
 * journal into it?  Then no flush of it is worth anything before the journal
 * says so.  0: none.
 */
uint64_t shale_files_kept(struct shale_files *files, uint64_t ino,
			  uint32_t epoch);

/*
 * Remove when batches up to `pos` are applied.  The space comes back behind
 * that (trash.h): at once when the host's file system is nearly full.
 */
int shale_files_remove(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       uint64_t pos);
void shale_files_applied(struct shale_files *files, uint64_t pos);
/* Free what was removed, and not freed, by a process that died. */
void shale_files_tidy(struct shale_files *files);

/* Call `fn` for every data file there is (start-up: find leftovers). */
int shale_files_each(struct shale_files *files,
		     int (*fn)(void *arg, uint64_t ino, uint32_t epoch),
		     void *arg, struct shale_err *err);

/* Close descriptors that are only kept to be used again. */
void shale_files_spare(struct shale_files *files);

/* The inodes whose data could not be flushed, sorted; `*inos` is allocated.
 * -ENOMEM */
int shale_files_failed(struct shale_files *files, uint64_t **inos, size_t *n);

/*
 * While a data file is lent to the kernel (fs/live/lend.h) its bytes, size and
 * time of change are those of the file itself: as the host's file system has
 * them.  -ENOENT: it was never made.
 */
int shale_files_stat(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     struct stat *out);
/* The next data, or hole, at or after `off`.  -ENXIO: none. */
int shale_files_seek(struct shale_files *files, uint64_t ino, uint32_t epoch,
		     uint64_t off, bool data, uint64_t *out);
/* At once, whatever a power cut would make of it: the caller knows. */
int shale_files_resize(struct shale_files *files, uint64_t ino, uint32_t epoch,
		       uint64_t size);
int shale_files_punch(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      uint64_t off, uint64_t end);
/* NULL: only its time of status change is now; what is written from then on is
 * later. */
int shale_files_stamp(struct shale_files *files, uint64_t ino, uint32_t epoch,
		      const struct timespec *mtime);
/* Somebody else has written it: the next flush is not to be spared. */
int shale_files_dirty(struct shale_files *files, uint64_t ino, uint32_t epoch);
/*
 * Has anybody else it open for writing, or mapped so; or also for reading?
 * True when that is not known for a moment, too: ask again.
 */
bool shale_files_used_elsewhere(struct shale_files *files, uint64_t ino,
				uint32_t epoch, bool reads);
/*
 * The same of a file that is open for reading (by asking for a lease of it):
 * -EBUSY if somebody writes it or, to be `alone`, reads it.  Another error: the
 * file system cannot tell.
 */
int shale_lease_probe(int fd, bool alone);

/* Bytes allocated on the host.  Looks at every file. */
uint64_t shale_files_bytes(struct shale_files *files);

#endif
