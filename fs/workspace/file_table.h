/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_FILE_TABLE_H
#define SHALE_WORKSPACE_FILE_TABLE_H

/*
 * Data files that are open, dirty, or to be removed.  An entry stays while it
 * is any of these or in use; descriptors beyond a bound, or that others may
 * need, are closed, the least recently used first.  Thread-safe; files are
 * opened, read and written without a lock.
 */

#include "fs/workspace/dirty.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shale_file {
	uint64_t ino;
	uint32_t epoch;
	/* Under the table's lock: */
	uint32_t users;   /* threads between acquire and release */
	int fd;           /* -1: closed */
	bool made;        /* its directory was not flushed since it was made */
	int failed;       /* a flush failed: errno, never clean again */
	uint64_t written; /* writes so far */
	uint64_t flushed; /* of those, on disk for sure */
	struct shale_dirty dirty; /* what is neither there nor in the journal */
	uint64_t kept; /* behind its last bytes in the journal; 0: none count */
	uint32_t keeps; /* how often some went there since it was flushed */
	bool untold;    /* the disk may be newer than those in it */
	bool remove;    /* when batches up to `remove_at` are applied */
	uint64_t remove_at;
	/* Of who writes it, one thread at a time: the data file had so many
	 * bytes when that was last asked, or written; see files_write.c. */
	_Atomic uint64_t end;
	struct shale_file *next;          /* in its bucket */
	struct shale_file *older, *newer; /* of the open ones, by last use */
};

enum { SHALE_FILE_BUCKETS = 4096, SHALE_FILE_OPEN_MAX = 512 };

struct shale_file_table {
	int dirfd; /* data/ */
	pthread_mutex_t lock;
	bool named[256]; /* the directory's own name is on disk */
	size_t n_open;
	size_t n_remove, n_kept;
	struct shale_file *oldest, *newest;
	struct shale_file *bucket[SHALE_FILE_BUCKETS];
};

void shale_file_table_init(struct shale_file_table *table, int dirfd);
void shale_file_table_release(struct shale_file_table *table);

enum { SHALE_FILE_NAME = 3 + 16 + 1 + 8 + 1 };
/* "<ino % 256>/<ino>.<epoch>", in hex. */
void shale_file_name(char name[SHALE_FILE_NAME], uint64_t ino, uint32_t epoch);

/*
 * Use the file's entry, with its descriptor open; `make`: make the file if need
 * be.  -ENOENT, -ENOMEM and open()'s.  To shale_file_release().
 */
int shale_file_acquire(struct shale_file_table *table, uint64_t ino,
		       uint32_t epoch, bool make, struct shale_file **out);
/* The entry if there is one, open or not; NULL. */
struct shale_file *shale_file_peek(struct shale_file_table *table, uint64_t ino,
				   uint32_t epoch);
/* The entry, made if need be, without opening the file.  NULL: no memory. */
struct shale_file *shale_file_enter(struct shale_file_table *table,
				    uint64_t ino, uint32_t epoch);
void shale_file_release(struct shale_file_table *table,
			struct shale_file *file);

/* What was written up to write `written` is on disk now; the lock is held. */
void shale_file_flushed(struct shale_file *file, uint64_t written);

/* Close all descriptors that nobody uses: there are no others left. */
void shale_file_table_spare(struct shale_file_table *table);
/* Close its descriptor, if it is open; the table's lock is held. */
void shale_file_shut(struct shale_file_table *table, struct shale_file *file);

/*
 * Use all entries for which `want` says yes (called under the lock); `*list` is
 * the caller's to free, its entries to release.
 */
int shale_file_collect(struct shale_file_table *table,
		       bool (*want)(const struct shale_file *file, void *arg),
		       void *arg, struct shale_file ***list, size_t *n);

/* For it: is the file to be removed when batches up to *(uint64_t *)arg are
 * applied? */
static inline bool shale_file_is_due(const struct shale_file *file, void *arg)
{
	return file->remove && file->remove_at <= *(const uint64_t *)arg;
}

#endif
