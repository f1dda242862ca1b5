/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/build_impl.h"
#include "layers/blob/record.h"

#include <errno.h>
#include <string.h>

/* The calls that the packer's threads may make: each takes the lock. */

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "build a tree blob");
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
	if (n >= SHALE_CLONE - 1)
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

/* Does the clone `in` go on where that extent's source ends? */
static bool clone_goes_on(const struct shale_tree_build *b,
			  const struct shale_disk_extent *last,
			  const struct shale_extent *in)
{
	const struct shale_disk_clone *clone =
		(const struct shale_disk_clone *)b->clones.data +
		le32_get(last->chunk_off);

	return le64_get(clone->ino) == in->clone_ino &&
	       le64_get(clone->off) + le64_get(last->len) == in->clone_off;
}

/* Make the extent added last longer, if `in` carries it on. */
static bool join(struct shale_tree_build *b, const struct shale_extent *in,
		 uint64_t pos)
{
	if (b->run_end == UINT64_MAX || !b->extents.len)
		return false;

	struct shale_disk_extent *last =
		(struct shale_disk_extent *)(b->extents.data + b->extents.len) -
		1;
	uint32_t chunk = le32_get(last->chunk);
	uint64_t len = le64_get(last->len);
	if (le64_get(last->ino) != in->ino ||
	    le64_get(last->off) + len != in->off)
		return false;
	if (in->chunk == SHALE_HOLE || chunk == SHALE_HOLE) {
		if (in->chunk != chunk)
			return false;
	} else if (in->chunk == SHALE_CLONE || chunk == SHALE_CLONE) {
		if (in->chunk != chunk || !clone_goes_on(b, last, in))
			return false;
	} else {
		if (b->run_end != pos)
			return false;
		b->run_end += in->len;
	}
	last->len = le64_make(len + in->len);
	return true;
}

static int add_extent(struct shale_tree_build *b, const struct shale_extent *in,
		      const struct shale_hash128 *packed, struct shale_err *err)
{
	uint64_t pos = 0;

	bool chunked = in->chunk != SHALE_HOLE && in->chunk != SHALE_CLONE;

	if (chunked) {
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
	if (in->chunk == SHALE_CLONE) {
		struct shale_disk_clone clone = {
			.ino = le64_make(in->clone_ino),
			.off = le64_make(in->clone_off),
		};
		disk.chunk_off =
			le32_make((uint32_t)(b->clones.len / sizeof(clone)));
		if (shale_buf_append(&b->clones, &clone, sizeof(clone)) < 0)
			return no_memory(err);
	}
	if (shale_buf_append(&b->extents, &disk, sizeof(disk)) < 0)
		return no_memory(err);
	b->run_end = packed ? UINT64_MAX : pos + (chunked ? in->len : 0);
	return 0;
}

int shale_tree_build_extent(struct shale_tree_build *b,
			    const struct shale_extent *in,
			    const struct shale_hash128 *packed,
			    struct shale_err *err)
{
	const char *fault = shale_extent_fault(in);
	if (!fault && packed && in->chunk >= SHALE_CLONE)
		fault = "a packed hole or clone";
	if (fault)
		return shale_err_say(err, EINVAL, "inode %llu: %s",
				     (unsigned long long)in->ino, fault);
	pthread_mutex_lock(&b->lock);
	int r = add_extent(b, in, packed, err);
	pthread_mutex_unlock(&b->lock);
	return r;
}

int shale_tree_build_forget(struct shale_tree_build *b, uint64_t ino,
			    struct shale_err *err)
{
	pthread_mutex_lock(&b->lock);
	int r = shale_buf_append(&b->forgotten, &ino, sizeof(ino));
	pthread_mutex_unlock(&b->lock);
	return r < 0 ? no_memory(err) : 0;
}

int shale_tree_build_renumber(struct shale_tree_build *b, uint64_t first,
			      const uint64_t *to, size_t n,
			      struct shale_err *err)
{
	struct shale_disk_extent *all =
		RECORDS(b->extents, struct shale_disk_extent);
	uint64_t count = N_RECORDS(b->extents, struct shale_disk_extent);
	pthread_mutex_lock(&b->lock);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t ino = le64_get(all[i].ino);
		if (ino >= first && ino - first < n)
			all[i].ino = le64_make(to[ino - first]);
	}
	pthread_mutex_unlock(&b->lock);
	return shale_tree_build_forget(b, 0, err);
}
