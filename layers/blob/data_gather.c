/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/data_gather.h"

#include "layers/base/cleanup.h"
#include "layers/blob/data_write.h"

#include <errno.h>
#include <stdlib.h>

struct gather {
	struct shale_data_write data;
	uint8_t *stored; /* one chunk, SHALE_CHUNK_LIMIT of room */
	/* What made the copying end. */
	bool damaged;
	struct shale_digest blob;
};

/* Read and check the stored bytes of a chunk. */
static int read_stored(struct gather *g, const struct shale_chunk *chunk,
		       struct shale_err *err)
{
	struct shale_digest is;
	char name[SHALE_DIGEST_STR];
	int r = shale_blobs_pread(g->data.blobs, &chunk->blob, g->stored,
				  chunk->stored, chunk->off, err);
	if (r == 0) {
		shale_sha256(g->stored, chunk->stored, &is);
		if (!shale_digest_equal(&is, &chunk->sha256))
			r = shale_err_say(err, EUCLEAN,
					  "data blob %s is damaged at %llu",
					  shale_digest_str(&chunk->blob, name),
					  (unsigned long long)chunk->off);
	}
	if (r == -ENOENT || r == -EUCLEAN || r == -EIO) {
		g->damaged = true;
		g->blob = chunk->blob;
	}
	return r;
}

static int copy_chunk(void *arg, const struct shale_chunk *chunk, uint64_t *off,
		      struct shale_err *err)
{
	struct gather *g = arg;
	int r = read_stored(g, chunk, err);
	if (r < 0)
		return r;
	*off = g->data.size;
	return shale_data_write_append(&g->data, g->stored, chunk->stored, err);
}

static bool any_marked(const struct shale_build_use *uses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (uses[i].move)
			return true;
	return false;
}

/* Until it is done without damage: each turn leaves one blob less. */
static int gather(struct gather *g, struct shale_tree_build *b,
		  struct shale_build_use *uses, size_t n, struct shale_err *err)
{
	while (any_marked(uses, n)) {
		g->damaged = false;
		int r = shale_data_write_begin(&g->data, err);
		if (r == 0)
			r = shale_tree_build_move(b, uses, copy_chunk, g, err);
		if (!g->damaged)
			return r;
		for (size_t i = 0; i < n; i++)
			if (shale_digest_equal(&uses[i].digest, &g->blob))
				uses[i].move = false;
	}
	shale_data_write_release(&g->data);
	return 0;
}

int shale_data_gather(struct shale_blobs *blobs, struct shale_tree_build *b,
		      struct shale_build_use *uses, size_t n,
		      struct shale_blob_tmp *out, uint64_t *size,
		      struct shale_err *err)
{
	cleanup_free uint8_t *stored = malloc(SHALE_CHUNK_LIMIT);
	struct gather g = {.stored = stored};
	if (!stored)
		return shale_err_set(err, ENOMEM, "gather chunks");

	shale_data_write_init(&g.data, blobs);
	int r = gather(&g, b, uses, n, err);
	if (r == 0) {
		shale_data_write_finish(&g.data, out, size);
		if (out->fd >= 0)
			shale_tree_build_own_blob(b, &out->digest, *size);
	}
	shale_data_write_release(&g.data);
	return r;
}
