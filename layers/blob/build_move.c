/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/build_impl.h"

#include "layers/base/cleanup.h"
#include "layers/blob/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Chunks of a finished builder change their data blob: when layers are merged.
 */

static uint32_t stored_of(const struct shale_disk_chunk *c)
{
	return le32_get(c->stored_codec) & (SHALE_CHUNK_LIMIT - 1);
}

int shale_tree_build_uses(const struct shale_tree_build *b,
			  struct shale_build_use **uses, size_t *n,
			  struct shale_err *err)
{
	const struct shale_build_blob *blob =
		RECORDS(b->blobs, struct shale_build_blob);
	const struct shale_disk_chunk *chunk =
		RECORDS(b->chunks, struct shale_disk_chunk);
	size_t blobs = N_RECORDS(b->blobs, struct shale_build_blob);
	size_t chunks = N_RECORDS(b->chunks, struct shale_disk_chunk);

	struct shale_build_use *use = calloc(blobs ? blobs : 1, sizeof(*use));
	if (!use)
		return shale_err_set(err, ENOMEM, "count chunks");
	for (size_t i = 0; i < blobs; i++) {
		use[i].digest = blob[i].digest;
		use[i].size = blob[i].size;
	}
	for (size_t i = 0; i < chunks; i++)
		use[le32_get(chunk[i].blob)].live += stored_of(&chunk[i]);
	*uses = use;
	*n = blobs;
	return 0;
}

/* As a reader would see chunk `i`; its place in the content is left out. */
static struct shale_chunk chunk_at(const struct shale_tree_build *b, size_t i)
{
	const struct shale_disk_chunk *c =
		&RECORD(b->chunks, struct shale_disk_chunk, i);
	const struct shale_build_blob *blob =
		&RECORD(b->blobs, struct shale_build_blob, le32_get(c->blob));
	struct shale_chunk out = {
		.stored = stored_of(c),
		.codec = (enum shale_codec)(le32_get(c->stored_codec) >> 24),
		.off = le64_get(c->off),
		.blob = blob->digest,
		.blob_size = blob->size,
	};
	memcpy(out.hash.b, c->hash, sizeof(out.hash.b));
	memcpy(out.sha256.b, c->sha256, sizeof(out.sha256.b));
	return out;
}

int shale_tree_build_move(struct shale_tree_build *b,
			  const struct shale_build_use *uses,
			  int (*fn)(void *arg, const struct shale_chunk *chunk,
				    uint64_t *off, struct shale_err *err),
			  void *arg, struct shale_err *err)
{
	struct shale_disk_chunk *chunk =
		RECORDS(b->chunks, struct shale_disk_chunk);
	size_t n = N_RECORDS(b->chunks, struct shale_disk_chunk);
	uint32_t own;

	assert(b->own == SHALE_NO_BLOB);
	cleanup_free uint64_t *to = calloc(n ? n : 1, sizeof(*to));
	if (!to)
		return shale_err_set(err, ENOMEM, "move chunks");
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!uses[le32_get(chunk[i].blob)].move)
			continue;
		const struct shale_chunk c = chunk_at(b, i);
		r = fn(arg, &c, &to[i], err);
	}
	if (r == 0)
		r = shale_tree_build_blob(b, NULL, 0, &own, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (!uses[le32_get(chunk[i].blob)].move)
			continue;
		chunk[i].off = le64_make(to[i]);
		chunk[i].blob = le32_make(own);
	}
	return 0;
}
