/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/reader.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { PSEUDO_MAX = 1 << 30, ATTEMPTS = 4, ITEMS = 2048 };

struct shale_attr shale_attr_of_stat(const struct stat *st)
{
	struct shale_attr attr = {
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim,
	};
	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		attr.size = (uint64_t)st->st_size;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		attr.rdev_major = major(st->st_rdev);
		attr.rdev_minor = minor(st->st_rdev);
	}
	return attr;
}

/* -ECANCELED: the consumer has given up. */
static int next_batch(struct shale_reader *r)
{
	if (r->batch)
		shale_ring_post(r->ring, r->batch);
	r->batch = shale_ring_empty(r->ring);
	r->turn++;
	return r->batch ? 0 : -ECANCELED;
}

static bool is_full(const struct shale_batch *batch)
{
	return batch->items.len >= ITEMS * sizeof(struct shale_read_item);
}

/* An item of data must stand in the batch that has the data: its reader asks
 * is_full() first. */
static int add_item(struct shale_reader *r, const struct shale_read_item *item)
{
	int rc = is_full(r->batch) ? next_batch(r) : 0;
	if (rc == 0)
		rc = shale_buf_append(&r->batch->items, item, sizeof(*item));
	return rc;
}

/* Read [off, end); `*at` is how far it came (less: the file ended). */
static int read_data(struct shale_reader *r, int fd, uint64_t off, uint64_t end,
		     uint64_t *at)
{
	while (off < end) {
		size_t room = SHALE_RING_BATCH - r->batch->len;
		if (!room || is_full(r->batch)) {
			int rc = next_batch(r);
			if (rc < 0)
				return rc;
			continue;
		}
		size_t want = end - off < room ? (size_t)(end - off) : room;
		ssize_t n = pread(fd, r->batch->data + r->batch->len, want,
				  (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		struct shale_read_item item = {
			.kind = SHALE_READ_DATA,
			.at = r->batch->len,
			.len = (uint64_t)n,
		};
		r->batch->len += (size_t)n;
		int rc = add_item(r, &item);
		if (rc < 0)
			return rc;
		off += (uint64_t)n;
	}
	*at = off;
	return 0;
}

static int add_hole(struct shale_reader *r, uint64_t len)
{
	struct shale_read_item item = {.kind = SHALE_READ_HOLE, .len = len};
	return len ? add_item(r, &item) : 0;
}

/* Data and holes as the file system knows them. */
static int read_sparse(struct shale_reader *r, int fd, uint64_t size)
{
	uint64_t off = 0;
	while (off < size) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return -errno;
		uint64_t from = data < 0 || (uint64_t)data > size
					? size
					: (uint64_t)data;
		int rc = add_hole(r, from - off);
		off = from;
		if (rc < 0 || off == size)
			return rc;
		off_t hole = lseek(fd, (off_t)off, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		uint64_t to = (uint64_t)hole < size ? (uint64_t)hole : size;
		rc = read_data(r, fd, off, to, &off);
		if (rc < 0 || off < to)
			return rc;
	}
	return 0;
}

bool shale_stat_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* What is not as the parent has it; of the rest, what that is. */
static int read_unlike(struct shale_reader *r, int fd, uint64_t size,
		       struct shale_alike *alike)
{
	struct shale_read_item item = {.kind = SHALE_READ_ALIKE};
	uint64_t at = 0;
	while (shale_alike_next(alike, &item.alike)) {
		int rc = read_data(r, fd, at, item.alike.off, &at);
		if (rc == 0 && at < item.alike.off)
			return 0; /* it got shorter */
		if (rc == 0)
			rc = add_item(r, &item);
		if (rc < 0)
			return rc;
		at += item.alike.len;
	}
	return read_data(r, fd, at, size, &at);
}

/* Where a file began in a batch. */
struct mark {
	uint64_t turn;
	size_t len, items;
};

/* Read the file once: 1 if it held still, 0 if not.  `alike`: since that was
 * begun. */
static int read_once(struct shale_reader *r, uint32_t inode, int fd,
		     struct shale_alike *alike, struct mark *mark)
{
	struct stat before, after;
	if (alike)
		before = *shale_alike_stat(alike);
	else if (fstat(fd, &before) < 0)
		return -errno;
	if (!S_ISREG(before.st_mode))
		return -ESTALE;

	/* A file that fits goes into one batch, where it is easily undone. */
	uint64_t size = (uint64_t)before.st_size;
	int rc = 0;
	if (size > SHALE_RING_BATCH - r->batch->len && size < SHALE_RING_BATCH)
		rc = next_batch(r);
	struct shale_read_item item = {
		.kind = SHALE_READ_BEGIN,
		.inode = inode,
		.attr = shale_attr_of_stat(&before),
	};
	if (rc < 0)
		return rc;
	*mark = (struct mark){r->turn, r->batch->len, r->batch->items.len};
	rc = add_item(r, &item);
	uint64_t at;
	if (rc == 0 && alike)
		rc = read_unlike(r, fd, size, alike);
	else if (rc == 0 && !size) /* /proc does not say how much there is */
		rc = read_data(r, fd, 0, PSEUDO_MAX, &at);
	else if (rc == 0 && (uint64_t)before.st_blocks * 512 < size)
		rc = read_sparse(r, fd, size);
	else if (rc == 0)
		rc = read_data(r, fd, 0, size, &at);
	if (rc < 0)
		return rc;
	if (fstat(fd, &after) < 0)
		return -errno;
	return shale_stat_same(&before, &after);
}

/* Until it holds still, or is taken as read. */
static int read_patiently(struct shale_reader *r, uint32_t inode, int fd,
			  struct shale_alike *alike)
{
	struct shale_read_item item = {.inode = inode};
	struct mark mark = {0};
	int rc = 0;
	for (int i = 0; rc == 0 && i < ATTEMPTS; i++) {
		rc = read_once(r, inode, fd, i == 0 ? alike : NULL, &mark);
		if (rc != 0 || i + 1 == ATTEMPTS)
			break;
		if (r->turn == mark.turn) { /* nobody has seen it yet */
			r->batch->len = mark.len;
			r->batch->items.len = mark.items;
		} else {
			item.kind = SHALE_READ_AGAIN;
			rc = add_item(r, &item);
		}
	}
	if (rc < 0)
		return rc;
	item.kind = SHALE_READ_END;
	item.error = rc == 1 ? 0 : EAGAIN;
	return add_item(r, &item);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       shale_stat_same(a, b);
}

/* Have it held against the parent's, if there is one.  NULL: it is not. */
static struct shale_alike *compare(struct shale_reader *r, uint32_t inode,
				   uint64_t base, int fd)
{
	struct shale_alike *early = r->early.alike;
	struct stat st;
	if (!r->parent || !base)
		return NULL;
	if (!early || r->early.inode != inode)
		return shale_alike_new(fd, r->parent, base, r->chunks,
				       r->threads);
	r->early.alike = NULL;
	if (r->early.base == base && fstat(fd, &st) == 0 &&
	    is_same_file(&st, shale_alike_stat(early)))
		return early;
	shale_alike_free(early);
	return shale_alike_new(fd, r->parent, base, r->chunks, r->threads);
}

int shale_reader_open(int root, const char *path)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
	/* Only a file's owner may ask not to have its atime moved. */
	int fd = shale_beneath_open(root, path, flags | O_NOATIME, 0);
	return fd == -EPERM ? shale_beneath_open(root, path, flags, 0) : fd;
}

static int read_file(struct shale_reader *r, uint32_t inode,
		     struct shale_buf *path)
{
	const struct shale_plan_inode *in = shale_plan_inode(r->plan, inode);
	const struct shale_read_root *root = &r->roots[in->source];
	if (shale_plan_path(r->plan, in->name, path, NULL) < 0)
		return -ENOMEM;

	/* (its base may change once it is handed on) */
	const uint64_t base = in->base;
	cleanup_fd int fd = shale_reader_open(
		root->fd, (const char *)path->data + root->prefix);
	struct shale_alike *alike = fd < 0 ? NULL : compare(r, inode, base, fd);
	int rc = fd < 0 ? fd : read_patiently(r, inode, fd, alike);
	shale_alike_free(alike);
	if (rc < 0 && rc != -ECANCELED) {
		struct shale_read_item item = {
			.kind = SHALE_READ_GONE,
			.error = -rc,
			.inode = inode,
		};
		rc = add_item(r, &item);
	}
	return rc;
}

static void *run(void *arg)
{
	struct shale_reader *r = arg;
	cleanup_buf struct shale_buf path = {0};
	int rc = next_batch(r);
	for (size_t i = 0; i < r->n && rc == 0; i++)
		rc = read_file(r, r->inodes[i], &path);
	if (r->batch)
		shale_ring_post(r->ring, r->batch);
	r->batch = NULL;
	shale_ring_end(r->ring);
	return NULL;
}

static void let_early_go(struct shale_reader *r)
{
	shale_alike_free(r->early.alike);
	r->early.alike = NULL;
}

int shale_reader_start(struct shale_reader *reader, struct shale_err *err)
{
	int r = shale_ring_new(&reader->ring, 6, err);
	if (r < 0) {
		let_early_go(reader);
		return r;
	}
	r = pthread_create(&reader->thread, NULL, run, reader);
	if (r) {
		shale_ring_free(reader->ring);
		reader->ring = NULL;
		let_early_go(reader);
		return shale_err_set(err, r, "start a thread");
	}
	return 0;
}

void shale_reader_stop(struct shale_reader *reader)
{
	if (!reader->ring)
		return;
	shale_ring_stop(reader->ring);
	pthread_join(reader->thread, NULL);
	shale_ring_free(reader->ring);
	reader->ring = NULL;
	let_early_go(reader);
}
