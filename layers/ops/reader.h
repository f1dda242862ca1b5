/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_READER_H
#define SHALE_OPS_READER_H

/*
 * A thread that reads the contents of files of directories, in the order in
 * which they were listed, ahead of the one that packs them.
 *
 * A file is never taken half old and half new without a word: size, mtime and
 * ctime are looked at before and after, and one that changed is read again.
 */

#include "layers/index/image.h"
#include "layers/ops/alike.h"
#include "layers/ops/plan.h"
#include "layers/ops/ring.h"

#include <pthread.h>
#include <sys/stat.h>

enum shale_read_kind {
	SHALE_READ_BEGIN, /* attr: as it is now */
	SHALE_READ_DATA,  /* len bytes at `at` of the batch */
	SHALE_READ_HOLE,  /* len */
	SHALE_READ_ALIKE, /* alike: what the parent has here */
	SHALE_READ_AGAIN, /* it changed: begins anew with what follows */
	SHALE_READ_END,   /* error EAGAIN: it changed each time; taken as read
			   */
	SHALE_READ_GONE,  /* error: it could not be read */
};

struct shale_read_item {
	enum shale_read_kind kind;
	int error;
	uint32_t inode;
	size_t at;
	uint64_t len;
	struct shale_attr attr;
	struct shale_alike_chunk alike;
};

struct shale_read_root {
	int fd;        /* of the directory; -1: not one */
	size_t prefix; /* bytes of a plan's path that lie above it */
};

/* A file that is being held against its parent already. */
struct shale_read_early {
	struct shale_alike *alike; /* NULL: none is */
	uint32_t inode;
	uint64_t base; /* the parent's inode */
};

struct shale_reader {
	const struct shale_plan *plan; /* its names stay as they are while the
					* thread runs */
	const struct shale_read_root *roots; /* by inode's source */
	const uint32_t *inodes;              /* what to read */
	size_t n;
	const struct shale_image *parent; /* large files are held against what
					   * it has of them; NULL: there is
					   * none */
	struct shale_chunks *chunks;      /* its reader */
	unsigned threads;                 /* to compare with */
	struct shale_read_early early;
	struct shale_ring *ring;

	struct shale_batch *batch; /* private */
	uint64_t turn;
	pthread_t thread;
};

/* A file to read below a directory.  Returns a descriptor or -errno. */
int shale_reader_open(int root, const char *path);

/* The fields above the line are set; start reading.  reader->early.alike is
 * taken over, also after an error. */
int shale_reader_start(struct shale_reader *reader, struct shale_err *err);
/* Stop, whatever was read, and wait for the thread. */
void shale_reader_stop(struct shale_reader *reader);

/* Has a file's content held still, as far as its inode can say? */
bool shale_stat_same(const struct stat *before, const struct stat *after);

/* A file's attributes, as an image keeps them. */
struct shale_attr shale_attr_of_stat(const struct stat *st);

#endif
