/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/content.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/index/image.h"
#include "layers/index/merge.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * One file, inode 2, of up to MAX bytes, patched by layer after layer, beside a
 * model that is plain bytes: what it reads as, and which of them are hole.
 */
enum { FILE_INO = 2, MAX = 60000 };

struct file {
	struct layers layers;
	struct shale_blobs *blobs;
	struct shale_chunks *chunks;
	uint64_t size;
	uint8_t bytes[MAX];
	bool data[MAX];
	/* of the layer being written */
	struct shale_buf stored; /* its data blob */
	uint32_t blob;
};

static uint64_t pick(uint64_t n)
{
	return shale_test_random() % n;
}

static void file_begin(struct file *f)
{
	struct shale_err err;
	cleanup_fd int dir = shale_test_blobs();

	memset(f, 0, sizeof(*f));
	CHECK_OK(shale_blobs_open(&f->blobs, dir, &err));
	CHECK_OK(shale_chunks_new(&f->chunks, f->blobs, 1 << 16, &err));
	f->layers = layers_begin(100);
}

static void file_end(struct file *f)
{
	shale_chunks_free(f->chunks);
	shale_blobs_close(f->blobs);
	layers_end(&f->layers);
}

static void layer_begin(struct file *f, enum shale_content_kind kind,
			uint64_t size, uint64_t limit)
{
	struct shale_err err;

	layers_content(&f->layers, FILE_INO, kind, size, limit);
	CHECK_OK(shale_tree_build_blob(f->layers.top, NULL, 0, &f->blob, &err));
	for (uint64_t i = 0; i < MAX; i++)
		if (kind == SHALE_CONTENT_REPLACED ||
		    (kind == SHALE_CONTENT_PATCHED && i >= limit) ||
		    i >= size) {
			f->bytes[i] = 0;
			f->data[i] = false;
		}
	f->size = size;
}

static void layer_end(struct file *f)
{
	struct shale_err err;
	struct shale_digest digest;

	if (f->layers.n == 0) {
		layers_inode(&f->layers, 1, S_IFDIR | 0755);
		layers_name(&f->layers, 1, "file", FILE_INO, S_IFREG);
	}
	CHECK_OK(shale_blobs_put(f->blobs, f->stored.data, f->stored.len,
				 &digest, &err));
	shale_tree_build_own_blob(f->layers.top, &digest, f->stored.len);
	layers_push(&f->layers);
	shale_buf_release(&f->stored);
}

/* A chunk of random bytes, stored raw. */
static uint32_t add_chunk(struct file *f, uint32_t len, const uint8_t **bytes)
{
	struct shale_err err;
	uint32_t number;
	uint8_t *to = shale_buf_add(&f->stored, len);

	CHECK(to);
	for (uint32_t i = 0; i < len; i++)
		to[i] = (uint8_t)(shale_test_random() | 1);
	struct shale_chunk chunk = {
		.len = len,
		.stored = len,
		.codec = SHALE_CODEC_NONE,
		.off = (uint64_t)(to - f->stored.data),
		.hash = shale_xxh128(to, len),
	};
	shale_sha256(to, len, &chunk.sha256);
	CHECK_OK(shale_tree_build_chunk(f->layers.top, &chunk, f->blob, &number,
					&err));
	*bytes = to;
	return number;
}

static void add_extent(struct file *f, uint64_t off, uint32_t len,
		       uint32_t chunk, uint32_t chunk_off)
{
	struct shale_err err;
	struct shale_extent e = {.ino = FILE_INO,
				 .off = off,
				 .len = len,
				 .chunk = chunk,
				 .chunk_off = chunk_off};
	CHECK_OK(shale_tree_build_extent(f->layers.top, &e, NULL, &err));
}

/* Data over [off, end), in chunks that follow one another. */
static void add_data(struct file *f, uint64_t off, uint64_t end)
{
	uint32_t skip = pick(2) ? (uint32_t)pick(50) : 0;

	for (; off < end; skip = 0) {
		const uint8_t *bytes;
		uint32_t size = skip + 1 + (uint32_t)pick(3000);
		uint32_t chunk = add_chunk(f, size, &bytes);
		uint32_t len = size - skip;
		if (len > end - off)
			len = (uint32_t)(end - off);
		add_extent(f, off, len, chunk, skip);
		memcpy(f->bytes + off, bytes + skip, len);
		memset(f->data + off, true, len);
		off += len;
	}
}

static void add_hole(struct file *f, uint64_t off, uint64_t end)
{
	layers_hole(&f->layers, FILE_INO, off, end - off);
	memset(f->bytes + off, 0, end - off);
	memset(f->data + off, false, end - off);
}

static void add_random_extents(struct file *f)
{
	uint64_t off = pick(f->size + 1);

	for (unsigned i = 0; i < 6 && off < f->size; i++) {
		uint64_t end = off + 1 + pick(pick(2) ? 9000 : 40);
		if (end > f->size)
			end = f->size;
		if (pick(3))
			add_data(f, off, end);
		else
			add_hole(f, off, end);
		off = end + (pick(2) ? 0 : 1 + pick(5000));
	}
}

static void add_random_layer(struct file *f)
{
	uint64_t size = pick(4) ? 1 + pick(MAX) : f->size;
	uint64_t limit = size < f->size ? size : f->size;

	if (f->layers.n > 0 && pick(8) == 0) {
		layer_begin(f, SHALE_CONTENT_SAME, f->size, 0);
	} else if (f->layers.n > 0 && pick(6)) {
		limit = pick(2) ? limit : pick(limit + 1);
		layer_begin(f, SHALE_CONTENT_PATCHED, size, limit);
		add_random_extents(f);
	} else {
		layer_begin(f, SHALE_CONTENT_REPLACED, size, 0);
		add_random_extents(f);
	}
	layer_end(f);
}

/* ------------------------------------------------------------- checks */

/* Shown without copying, it is the same. */
static void check_view(struct file *f, const struct shale_content *c,
		       uint64_t off, size_t len, size_t want)
{
	static uint8_t room[MAX + 100];
	struct shale_view view;
	struct shale_err err;
	size_t done = 0;

	shale_view_init(&view);
	CHECK_OK(shale_content_view(c, f->chunks, off, room, len, &view, &err));
	for (int i = 0; i < view.n; i++) {
		CHECK(view.part[i].iov_len <= want - done);
		CHECK_MEM(view.part[i].iov_base, f->bytes + off + done,
			  view.part[i].iov_len);
		done += view.part[i].iov_len;
	}
	CHECK_INT(done, want);
	shale_view_release(&view);
}

static void check_read(struct file *f, const struct shale_content *c,
		       uint64_t off, size_t len)
{
	static uint8_t out[MAX + 100];
	struct shale_err err;
	size_t got, want = len;

	if (off >= f->size)
		want = 0;
	else if (len > f->size - off)
		want = f->size - off;
	memset(out, 0xee, sizeof(out));
	CHECK_OK(shale_content_read(c, f->chunks, off, out, len, &got, &err));
	CHECK_INT(got, want);
	CHECK_MEM(out, f->bytes + off, want);
	for (size_t i = want; i < sizeof(out); i++)
		CHECK(out[i] == 0xee);
	check_view(f, c, off, len, want);
}

static void check_seek(struct file *f, const struct shale_content *c,
		       uint64_t off, bool data)
{
	struct shale_err err;
	uint64_t want = off, got;

	while (want < f->size && f->data[want] != data)
		want++;
	int r = shale_content_seek(c, off, data, &got, &err);
	if (off >= f->size || (data && want == f->size)) {
		CHECK_INT(r, -ENXIO);
		return;
	}
	CHECK_OK(r);
	CHECK_INT(got, want);
}

/* What is no hole: exactly, or at least after few steps. */
static void check_sum(struct file *f, const struct shale_content *c)
{
	uint64_t off = pick(MAX), len = pick(4) ? pick(MAX) : UINT64_MAX - off;
	uint64_t want = 0, most = 0;

	for (uint64_t i = off; i < f->size && i - off < len; i++, most++)
		want += f->data[i];
	CHECK_INT(shale_content_data(c, off, len, MAX), want);
	for (unsigned steps = 0; steps < 4; steps++) {
		uint64_t got = shale_content_data(c, off, len, steps);
		CHECK(got >= want && got <= most);
	}
}

static void check_pieces(struct file *f, const struct shale_content *c)
{
	struct shale_err err;
	struct shale_piece p;
	uint64_t off = 0;

	for (; off < f->size; off += p.len) {
		uint64_t max = pick(2) ? UINT64_MAX : 1 + pick(2000);
		CHECK_OK(shale_content_piece(c, off, max, &p, &err));
		CHECK_INT(p.off, off);
		CHECK(p.len > 0 && p.len <= max && p.len <= f->size - off);
		for (uint64_t i = off; i < off + p.len; i++)
			CHECK(f->data[i] == (p.tree != NULL));
		if (p.tree) {
			struct shale_extent e;
			CHECK_OK(shale_tree_extent(p.tree, p.extent, &e, &err));
			CHECK(e.off <= off && off - e.off < e.len);
		}
	}
	CHECK_INT(shale_content_piece(c, off, 1, &p, &err), -EINVAL);
}

static void check_file(struct file *f, const struct shale_content *c)
{
	CHECK_INT(c->size, f->size);
	check_read(f, c, 0, MAX);
	check_read(f, c, f->size, 10);
	check_read(f, c, UINT64_MAX, 10);
	for (int i = 0; i < 10; i++) {
		check_read(f, c, pick(MAX), pick(5000));
		check_seek(f, c, pick(MAX), pick(2));
	}
	check_seek(f, c, f->size, false);
	check_seek(f, c, f->size, true);
	check_pieces(f, c);
	check_sum(f, c);
}

static void check_both_ways(struct file *f)
{
	struct shale_content c;
	struct shale_err err;

	CHECK_OK(shale_content_resolve(&c, f->layers.tree, f->layers.n,
				       FILE_INO, &err));
	check_file(f, &c);
	struct shale_index *ix = layers_index(&f->layers);
	CHECK_OK(shale_content_of(&c, ix, f->layers.tree, FILE_INO, &err));
	check_file(f, &c);
	shale_index_close(ix);
}

static struct file file; /* too large for a stack */

TEST(patched_content_reads_as_the_plain_bytes_would)
{
	for (int i = 0; i < 8; i++) {
		file_begin(&file);
		for (int layer = 0; layer < 12; layer++) {
			add_random_layer(&file);
			check_both_ways(&file);
		}
		file_end(&file);
	}
}

TEST(bytes_cut_off_never_come_back)
{
	file_begin(&file);
	layer_begin(&file, SHALE_CONTENT_REPLACED, 50000, 0);
	add_data(&file, 0, 50000);
	layer_end(&file);
	layer_begin(&file, SHALE_CONTENT_PATCHED, 1000, 1000); /* shrink */
	layer_end(&file);
	layer_begin(&file, SHALE_CONTENT_PATCHED, 50000, 1000); /* extend */
	add_data(&file, 49000, 50000);
	layer_end(&file);
	check_both_ways(&file);
	CHECK(!file.data[1000] && !file.data[48999]);
	file_end(&file);
}

TEST(an_empty_file_and_one_without_extents_read_as_what_they_are)
{
	file_begin(&file);
	layer_begin(&file, SHALE_CONTENT_REPLACED, 0, 0);
	layer_end(&file);
	check_both_ways(&file);
	layer_begin(&file, SHALE_CONTENT_PATCHED, 12345, 0);
	layer_end(&file);
	check_both_ways(&file);
	layer_begin(&file, SHALE_CONTENT_PATCHED, 20000, 12345);
	add_data(&file, 15000, 15001);
	layer_end(&file);
	check_both_ways(&file);
	file_end(&file);
}

TEST(more_than_64_levels_are_an_error_and_not_a_crash)
{
	struct shale_content c;
	struct shale_err err;

	file_begin(&file);
	layer_begin(&file, SHALE_CONTENT_REPLACED, 100, 0);
	add_data(&file, 0, 100);
	layer_end(&file);
	for (int i = 1; i < SHALE_CONTENT_LEVELS; i++) {
		layer_begin(&file, SHALE_CONTENT_PATCHED, 100, 100);
		add_data(&file, (uint64_t)i, (uint64_t)i + 1);
		layer_end(&file);
	}
	check_both_ways(&file);
	layer_begin(&file, SHALE_CONTENT_PATCHED, 100, 100);
	layer_end(&file);
	CHECK_INT(shale_content_resolve(&c, file.layers.tree, file.layers.n,
					FILE_INO, &err),
		  -EOVERFLOW);
	file_end(&file);
}

TEST(what_is_no_regular_file_has_no_content)
{
	struct shale_content c;
	struct shale_err err;
	struct layers l = layers_begin(100);

	layers_push_root(&l);
	layers_content(&l, 5, SHALE_CONTENT_REPLACED, 10, 0);
	layers_push(&l);
	layers_gone(&l, 5);
	layers_push(&l);
	CHECK_INT(shale_content_resolve(&c, l.tree, 3, 1, &err), -EINVAL);
	CHECK_INT(shale_content_resolve(&c, l.tree, 3, 9, &err), -ENOENT);
	CHECK_INT(shale_content_resolve(&c, l.tree, 3, 5, &err), -ENOENT);
	CHECK_OK(shale_content_resolve(&c, l.tree, 2, 5, &err));
	struct shale_index *ix = layers_index(&l);
	CHECK_INT(shale_content_of(&c, ix, l.tree, 1, &err), -EINVAL);
	CHECK_INT(shale_content_of(&c, ix, l.tree, 5, &err), -ENOENT);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(an_index_of_other_trees_is_found_out)
{
	struct shale_content c;
	struct shale_err err;

	file_begin(&file);
	layer_begin(&file, SHALE_CONTENT_REPLACED, 9, 0);
	add_data(&file, 0, 9);
	layer_end(&file);
	struct shale_index *ix = layers_index(&file.layers);

	struct layers other = layers_begin(100);
	layers_push_root(&other);
	CHECK_INT(shale_content_of(&c, ix, other.tree, FILE_INO, &err),
		  -EUCLEAN);
	layers_hole(&other, 3, 0, 4);
	layers_content(&other, 3, SHALE_CONTENT_REPLACED, 4, 0);
	layers_push(&other);
	CHECK_INT(shale_content_of(&c, ix, other.tree + 1, FILE_INO, &err),
		  -EUCLEAN);
	layers_end(&other);
	shale_index_close(ix);
	file_end(&file);
}

TEST(an_image_reads_with_and_without_its_index)
{
	struct shale_err err;
	uint8_t out[3000];
	size_t got;

	file_begin(&file);
	add_random_layer(&file);
	layer_begin(&file, SHALE_CONTENT_PATCHED, 2000, 1000);
	add_data(&file, 500, 1500);
	layer_end(&file);
	struct shale_image image = {.trees = file.layers.tree,
				    .n_trees = file.layers.n,
				    .chunks = file.chunks};
	CHECK_OK(shale_image_read(&image, FILE_INO, 0, out, 3000, &got, &err));
	CHECK_INT(got, 2000);
	CHECK_MEM(out, file.bytes, 2000);
	image.index = layers_index(&file.layers);
	CHECK_OK(shale_image_read(&image, FILE_INO, 7, out, 999, &got, &err));
	CHECK_INT(got, 999);
	CHECK_MEM(out, file.bytes + 7, 999);
	image.n_trees--;
	CHECK_INT(shale_image_read(&image, FILE_INO, 7, out, 9, &got, &err),
		  -EUCLEAN);
	shale_index_close(image.index);
	file_end(&file);
}
