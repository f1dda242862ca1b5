/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree_build.h"

#include "layers/base/cleanup.h"
#include "layers/blob/build_impl.h"
#include "layers/blob/record.h"
#include "layers/blob/tree_impl.h"

#include <string.h>
#include <sys/stat.h>

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "build a tree blob");
}

int shale_tree_build_new(struct shale_tree_build **out, struct shale_err *err)
{
	struct shale_tree_build *b = calloc(1, sizeof(*b));
	if (!b)
		return no_memory(err);
	pthread_mutex_init(&b->lock, NULL);
	b->own = SHALE_NO_BLOB;
	b->run_end = UINT64_MAX;
	*out = b;
	return 0;
}

void shale_tree_build_free(struct shale_tree_build *b)
{
	if (!b)
		return;
	struct shale_buf *const bufs[] = {&b->inodes, &b->dirents, &b->text,
					  &b->xattrs, &b->lists,   &b->extents,
					  &b->packed, &b->chunks,  &b->blobs};
	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		shale_buf_release(bufs[i]);
	shale_intern_release(&b->list_ids);
	shale_intern_release(&b->chunk_ids);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* --------------------------------------------------------------- inodes */

struct list_key {
	const void *data;
	uint32_t len;
};

static bool list_equal(const void *array, uint32_t id, const void *key)
{
	const struct shale_tree_build *b = array;
	const struct shale_build_list *list =
		(const struct shale_build_list *)b->lists.data + id;
	const struct list_key *k = key;

	return list->len == k->len &&
	       memcmp(b->xattrs.data + list->off, k->data, k->len) == 0;
}

/* The number of an xattr list that is in order. */
static int intern_list(struct shale_tree_build *b, const void *data,
		       uint32_t len, uint32_t *id, struct shale_err *err)
{
	struct list_key key = {data, len};
	uint64_t hash = shale_xxh64(data, len);
	uint32_t found =
		shale_intern_find(&b->list_ids, hash, list_equal, b, &key);

	if (found == SHALE_INTERN_NONE) {
		struct shale_build_list list = {.off = b->xattrs.len,
						.len = len};
		found = (uint32_t)(b->lists.len / sizeof(list));
		if (shale_buf_append(&b->xattrs, data, len) < 0 ||
		    shale_buf_append(&b->lists, &list, sizeof(list)) < 0 ||
		    shale_intern_add(&b->list_ids, hash, found) < 0)
			return no_memory(err);
	}
	*id = found;
	return 0;
}

static int add_xattrs(struct shale_tree_build *b, const struct shale_inode *in,
		      struct shale_disk_inode *disk, struct shale_err *err)
{
	cleanup_buf struct shale_buf sorted = {0};
	uint32_t id = 0;

	if (shale_buf_append(&sorted, in->xattrs, in->xattr_len) < 0)
		return no_memory(err);
	int r = shale_xattr_sort(&sorted, err);
	if (r == 0)
		r = intern_list(b, sorted.data, (uint32_t)sorted.len, &id, err);
	if (r < 0)
		return r;
	disk->xattr_off = le64_make(id);
	disk->xattr_len = le32_make(in->xattr_len);
	return 0;
}

static int add_ref(struct shale_tree_build *b, const struct shale_inode *in,
		   struct shale_disk_inode *disk, struct shale_err *err)
{
	const struct shale_attr *a = &in->attr;

	if (S_ISLNK(a->mode)) {
		disk->ref = le64_make(b->text.len);
		if (shale_buf_append(&b->text, in->target, a->size) < 0)
			return no_memory(err);
	} else if (S_ISCHR(a->mode) || S_ISBLK(a->mode)) {
		disk->ref = le64_make((uint64_t)a->rdev_major << 32 |
				      a->rdev_minor);
	}
	return 0;
}

int shale_tree_build_inode(struct shale_tree_build *b,
			   const struct shale_inode *in, struct shale_err *err)
{
	const struct shale_attr *a = &in->attr;
	struct shale_disk_inode disk = {.ino = le64_make(a->ino)};
	const char *fault = shale_inode_fault(in);
	if (fault)
		return shale_err_say(err, EINVAL, "inode %llu: %s",
				     (unsigned long long)a->ino, fault);

	if (a->mode) {
		disk.mode = le32_make(a->mode);
		disk.uid = le32_make(a->uid);
		disk.gid = le32_make(a->gid);
		disk.nlink = le32_make(a->nlink);
		disk.size = le64_make(a->size);
		disk.mtime_sec = le64_make((uint64_t)a->mtime.tv_sec);
		disk.mtime_nsec = le32_make((uint32_t)a->mtime.tv_nsec);
		disk.content = le32_make(in->content);
		disk.limit = le64_make(in->limit);
		int r = add_ref(b, in, &disk, err);
		if (r == 0 && in->xattr_len)
			r = add_xattrs(b, in, &disk, err);
		if (r < 0)
			return r;
	}
	if (shale_buf_append(&b->inodes, &disk, sizeof(disk)) < 0)
		return no_memory(err);
	return 0;
}

int shale_tree_build_dirent(struct shale_tree_build *b,
			    const struct shale_dirent *in,
			    struct shale_err *err)
{
	const char *fault = shale_dirent_fault(in);
	if (fault)
		return shale_err_say(err, EINVAL,
				     "name '%.*s' of directory %llu: %s",
				     in->name_len, in->name,
				     (unsigned long long)in->dir, fault);

	struct shale_disk_dirent disk = {
		.dir = le64_make(in->dir),
		.ino = le64_make(in->ino),
		.name_off = le64_make(b->text.len),
		.name_len = le16_make(in->name_len),
		.type = in->type,
	};
	if (shale_buf_append(&b->text, in->name, in->name_len) < 0 ||
	    shale_buf_append(&b->dirents, &disk, sizeof(disk)) < 0)
		return no_memory(err);
	return 0;
}

/* ---------------------------------------------------------------- blobs */

static int find_blob(const struct shale_tree_build *b,
		     const struct shale_digest *digest, uint64_t size,
		     uint32_t *blob, struct shale_err *err)
{
	const struct shale_build_blob *all =
		(const struct shale_build_blob *)b->blobs.data;
	char text[SHALE_DIGEST_STR];

	/* Few, and the last one is asked for again and again. */
	for (size_t i = b->blobs.len / sizeof(*all); i-- > 0;) {
		if (i == b->own && !b->own_known)
			continue;
		if (!shale_digest_equal(&all[i].digest, digest))
			continue;
		if (all[i].size != size)
			return shale_err_say(err, EUCLEAN,
					     "data blob %s has two sizes",
					     shale_digest_str(digest, text));
		*blob = (uint32_t)i;
		return 0;
	}
	*blob = SHALE_NO_BLOB;
	return 0;
}

static int add_blob(struct shale_tree_build *b,
		    const struct shale_digest *digest, uint64_t size,
		    uint32_t *blob, struct shale_err *err)
{
	struct shale_build_blob new = {.size = size};
	int r = 0;

	*blob = b->own;
	if (digest) {
		new.digest = *digest;
		r = find_blob(b, digest, size, blob, err);
	}
	if (r < 0 || *blob != SHALE_NO_BLOB)
		return r;
	if (shale_buf_append(&b->blobs, &new, sizeof(new)) < 0)
		return no_memory(err);
	*blob = (uint32_t)(b->blobs.len / sizeof(new) - 1);
	if (!digest)
		b->own = *blob;
	return 0;
}

int shale_tree_build_blob(struct shale_tree_build *b,
			  const struct shale_digest *digest, uint64_t size,
			  uint32_t *blob, struct shale_err *err)
{
	uint32_t number = 0;

	if (size > INT64_MAX)
		return shale_err_say(err, EINVAL, "a data blob over 2^63 - 1");
	pthread_mutex_lock(&b->lock);
	int r = add_blob(b, digest, size, &number, err);
	pthread_mutex_unlock(&b->lock);
	if (r == 0)
		*blob = number;
	return r;
}

void shale_tree_build_own_blob(struct shale_tree_build *b,
			       const struct shale_digest *digest, uint64_t size)
{
	pthread_mutex_lock(&b->lock);
	if (b->own != SHALE_NO_BLOB) {
		struct shale_build_blob *blobs =
			(struct shale_build_blob *)b->blobs.data;
		blobs[b->own] = (struct shale_build_blob){*digest, size};
		b->own_known = true;
	}
	pthread_mutex_unlock(&b->lock);
}

/* --------------------------------------------------------------- chunks */

struct chunk_key {
	uint64_t off;
	uint64_t blob;
};

static bool chunk_equal(const void *array, uint32_t id, const void *key)
{
	const struct shale_disk_chunk *c =
		(const struct shale_disk_chunk *)array + id;
	const struct chunk_key *k = key;

	return le64_get(c->off) == k->off && le32_get(c->blob) == k->blob;
}

static uint32_t chunk_count(const struct shale_tree_build *b)
{
	return (uint32_t)(b->chunks.len / sizeof(struct shale_disk_chunk));
}

/* Content bytes of the chunks before number `i`. */
static uint64_t chunk_start(const struct shale_tree_build *b, uint32_t i)
{
	const struct shale_disk_chunk *all =
		(const struct shale_disk_chunk *)b->chunks.data;

	return i ? le64_get(all[i - 1].end) : 0;
}

/* One chunk, told twice, must be told alike. */
static int compare_chunk(const struct shale_tree_build *b, uint32_t i,
			 const struct shale_disk_chunk *disk, uint32_t len,
			 struct shale_err *err)
{
	const struct shale_disk_chunk *old =
		(const struct shale_disk_chunk *)b->chunks.data + i;
	size_t from = offsetof(struct shale_disk_chunk, off);

	if (memcmp((const char *)old + from, (const char *)disk + from,
		   sizeof(*disk) - from) != 0 ||
	    chunk_start(b, i + 1) - chunk_start(b, i) != len)
		return shale_err_say(err, EUCLEAN,
				     "two descriptions of the chunk at %llu of "
				     "a data blob differ",
				     (unsigned long long)le64_get(disk->off));
	return 0;
}

static int add_chunk(struct shale_tree_build *b, struct shale_disk_chunk *disk,
		     uint32_t len, uint32_t *chunk, struct shale_err *err)
{
	struct chunk_key key = {le64_get(disk->off), le32_get(disk->blob)};
	uint64_t hash = shale_xxh64(&key, sizeof(key));

	if (key.blob >= b->blobs.len / sizeof(struct shale_build_blob))
		return shale_err_say(err, EINVAL, "chunk of an unknown blob");
	uint32_t found = shale_intern_find(&b->chunk_ids, hash, chunk_equal,
					   b->chunks.data, &key);
	if (found != SHALE_INTERN_NONE) {
		*chunk = found;
		return compare_chunk(b, found, disk, len, err);
	}

	uint32_t n = chunk_count(b);
	if (n >= SHALE_HOLE - 1)
		return shale_err_say(err, EFBIG, "too many chunks");
	disk->end = le64_make(chunk_start(b, n) + len);
	if (shale_buf_append(&b->chunks, disk, sizeof(*disk)) < 0 ||
	    shale_intern_add(&b->chunk_ids, hash, n) < 0)
		return no_memory(err);
	*chunk = n;
	return 0;
}

int shale_tree_build_chunk(struct shale_tree_build *b,
			   const struct shale_chunk *in, uint32_t blob,
			   uint32_t *chunk, struct shale_err *err)
{
	uint32_t number = 0;
	struct shale_disk_chunk disk = {
		.off = le64_make(in->off),
		.stored_codec =
			le32_make(in->stored | (uint32_t)in->codec << 24),
		.blob = le32_make(blob),
	};
	memcpy(disk.hash, in->hash.b, sizeof(disk.hash));
	memcpy(disk.sha256, in->sha256.b, sizeof(disk.sha256));

	if (in->len < 1 || in->len >= SHALE_CHUNK_LIMIT || in->stored < 1 ||
	    in->stored >= SHALE_CHUNK_LIMIT || in->codec > 255 ||
	    in->off > INT64_MAX ||
	    (in->codec == SHALE_CODEC_NONE && in->stored != in->len))
		return shale_err_say(err, EINVAL, "chunk out of range");
	pthread_mutex_lock(&b->lock);
	int r = add_chunk(b, &disk, in->len, &number, err);
	pthread_mutex_unlock(&b->lock);
	if (r == 0)
		*chunk = number;
	return r;
}

/* -------------------------------------------------------------- extents */

/* Make the extent added last longer, if `in` carries it on. */
static bool join(struct shale_tree_build *b, const struct shale_extent *in,
		 uint64_t pos)
{
	if (b->run_end == UINT64_MAX || !b->extents.len)
		return false;

	struct shale_disk_extent *last =
		(struct shale_disk_extent *)(b->extents.data + b->extents.len) -
		1;
	bool hole = le32_get(last->chunk) == SHALE_HOLE;
	uint64_t len = le64_get(last->len);
	if (le64_get(last->ino) != in->ino ||
	    le64_get(last->off) + len != in->off ||
	    hole != (in->chunk == SHALE_HOLE) || (!hole && b->run_end != pos))
		return false;
	last->len = le64_make(len + in->len);
	b->run_end += hole ? 0 : in->len;
	return true;
}

static int add_extent(struct shale_tree_build *b, const struct shale_extent *in,
		      const struct shale_hash128 *packed, struct shale_err *err)
{
	uint64_t pos = 0;

	if (in->chunk != SHALE_HOLE) {
		if (in->chunk >= chunk_count(b))
			return shale_err_say(err, EINVAL,
					     "extent of an unknown chunk");
		uint64_t start = chunk_start(b, in->chunk);
		uint64_t end = chunk_start(b, in->chunk + 1);
		if (in->chunk_off >= end - start ||
		    in->len > end - start - in->chunk_off)
			return shale_err_say(err, EINVAL,
					     "extent outside its chunk");
		pos = start + in->chunk_off;
	}
	if (!packed && join(b, in, pos))
		return 0;

	struct shale_disk_extent disk = {
		.ino = le64_make(in->ino),
		.off = le64_make(in->off),
		.len = le64_make(in->len),
		.chunk = le32_make(in->chunk),
		.chunk_off = le32_make(in->chunk_off),
	};
	uint64_t number = b->extents.len / sizeof(disk);
	if (number >= UINT32_MAX - 1)
		return shale_err_say(err, EFBIG, "too many extents");
	if (packed) {
		struct shale_disk_packed p = {
			.extent = le32_make((uint32_t)number)};
		memcpy(p.hash, packed->b, sizeof(p.hash));
		if (shale_buf_append(&b->packed, &p, sizeof(p)) < 0)
			return no_memory(err);
	}
	if (shale_buf_append(&b->extents, &disk, sizeof(disk)) < 0)
		return no_memory(err);
	b->run_end = packed ? UINT64_MAX
			    : pos + (in->chunk == SHALE_HOLE ? 0 : in->len);
	return 0;
}

int shale_tree_build_extent(struct shale_tree_build *b,
			    const struct shale_extent *in,
			    const struct shale_hash128 *packed,
			    struct shale_err *err)
{
	const char *fault = shale_extent_fault(in);
	if (!fault && packed && in->chunk == SHALE_HOLE)
		fault = "a packed hole";
	if (fault)
		return shale_err_say(err, EINVAL, "inode %llu: %s",
				     (unsigned long long)in->ino, fault);
	pthread_mutex_lock(&b->lock);
	int r = add_extent(b, in, packed, err);
	pthread_mutex_unlock(&b->lock);
	return r;
}

uint64_t shale_tree_build_count(const struct shale_tree_build *b,
				enum shale_tree_section section)
{
	const struct shale_buf *const bufs[SHALE_TREE_NSECTIONS] = {
		&b->inodes, &b->dirents, &b->extents,
		&b->chunks, &b->blobs,   &b->chunks, /* CHUNKSORT */
		&b->packed, &b->text,    &b->xattrs,
	};
	size_t size = shale_tree_kind.record_size[section];

	if (section == SHALE_TREE_CHUNKSORT)
		size = sizeof(struct shale_disk_chunk);
	pthread_mutex_t *lock = (pthread_mutex_t *)&b->lock;
	pthread_mutex_lock(lock);
	uint64_t n = bufs[section]->len / size;
	pthread_mutex_unlock(lock);
	return n;
}
