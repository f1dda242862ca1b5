/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/compose-model.h"

#include "layers/base/buf.h"
#include "layers/base/err.h"
#include "layers/blob/tree_check.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shale_err err;

/* What a clone of byte `off` of an inode is: zeros past its size. */
static cell cloned(const struct world *before, uint64_t ino, uint64_t off)
{
	const struct node *node = &before->node[ino];

	return off < node->attr.size && off < SIZE ? node->content[off] : 0;
}

unsigned below(unsigned n)
{
	return (unsigned)(shale_test_random() % n);
}

/* An inode's type never changes. */
static uint32_t type_of(uint64_t ino)
{
	if (ino == 1 || ino % 5 == 0)
		return S_IFDIR;
	return ino % 5 == 1 ? S_IFLNK : ino % 7 == 2 ? S_IFBLK : S_IFREG;
}

/* ------------------------------------------------------------ making layers */

static cell cell_at(const struct maker *m, unsigned chunk, uint32_t off)
{
	return (cell)(m->layer + 1) << 16 | (m->off[chunk] + off);
}

void make_chunks(struct maker *m)
{
	struct shale_digest own = {{0}};
	uint32_t blob, off = 1;

	own.b[0] = m->layer;
	CHECK_OK(shale_tree_build_blob(m->build, &own, 65536, &blob, &err));
	for (unsigned i = 0; i < CHUNKS; i++) {
		m->len[i] = 2 + below(60);
		m->off[i] = off;
		struct shale_chunk c = {
			.len = m->len[i], .stored = m->len[i], .off = off};
		c.hash = shale_xxh128(&off, sizeof(off));
		CHECK_OK(shale_tree_build_chunk(m->build, &c, blob,
						&m->chunk[i], &err));
		off += m->len[i];
	}
}

void put_extent(struct maker *m, uint64_t ino, uint64_t off, uint32_t len,
		unsigned chunk, uint32_t chunk_off, bool packed)
{
	struct shale_extent e = {
		.ino = ino,
		.off = off,
		.len = len,
		.chunk = chunk < CHUNKS ? m->chunk[chunk] : SHALE_HOLE,
		.chunk_off = chunk_off,
	};
	cell *at = m->world->node[ino].content + off;

	for (uint32_t i = 0; i < len; i++)
		at[i] = chunk < CHUNKS ? cell_at(m, chunk, chunk_off + i) : 0;
	struct shale_hash128 hash = shale_xxh128(at, len * sizeof(*at));
	CHECK_OK(shale_tree_build_extent(m->build, &e, packed ? &hash : NULL,
					 &err));
}

/* Some regular file of the world below this layer; 0: none was found. */
static uint64_t find_source(const struct maker *m)
{
	for (int tries = 0; tries < 8; tries++) {
		uint64_t ino = 1 + below(INOS - 1);
		if (m->before->node[ino].alive && type_of(ino) == S_IFREG)
			return ino;
	}
	return 0;
}

static uint32_t put_clone(struct maker *m, uint64_t ino, uint64_t off,
			  uint32_t left)
{
	uint64_t from = find_source(m), from_off = below(SIZE);
	uint32_t len = 1 + below(left > 90 ? 90 : left);
	struct shale_extent e = {.ino = ino,
				 .off = off,
				 .len = len,
				 .chunk = SHALE_CLONE,
				 .clone_ino = from,
				 .clone_off = from_off};

	if (!from)
		return 0;
	for (uint32_t i = 0; i < len; i++)
		m->world->node[ino].content[off + i] =
			cloned(m->before, from, from_off + i);
	CHECK_OK(shale_tree_build_extent(m->build, &e, NULL, &err));
	return len;
}

/* Random extents within [0, size). */
static void put_content(struct maker *m, uint64_t ino, uint64_t size,
			bool holes)
{
	uint64_t off = below(40);
	unsigned chunk = below(CHUNKS);

	while (off < size && below(8)) {
		uint32_t left = (uint32_t)(size - off);
		if (holes && below(3) == 0) {
			uint32_t len = 1 + below(left > 50 ? 50 : left);
			put_extent(m, ino, off, len, CHUNKS, 0, false);
			off += len;
			continue;
		}
		if (below(4) == 0) {
			off += put_clone(m, ino, off, left);
			continue;
		}
		uint32_t from = below(3) ? 0 : below(m->len[chunk]);
		uint32_t len = m->len[chunk] - from;
		if (len > left)
			len = left;
		put_extent(m, ino, off, len, chunk, from, below(4) == 0);
		off += len + (below(3) ? 0 : below(30));
		chunk = below(3) ? (chunk + 1) % CHUNKS : below(CHUNKS);
	}
}

static void make_file(struct maker *m, struct shale_inode *in, bool fresh)
{
	struct node *node = &m->world->node[in->attr.ino];
	cell *c = node->content;
	unsigned say = fresh ? 1 + below(2) : below(3);

	in->attr.size = below(4) ? below(SIZE + 1) : node->attr.size;
	if (say == SHALE_CONTENT_SAME)
		in->attr.size = node->attr.size;
	in->content = say;
	if (say == SHALE_CONTENT_REPLACED) {
		memset(c, 0, sizeof(node->content));
	} else if (say == SHALE_CONTENT_PATCHED) {
		uint64_t most = node->attr.size < in->attr.size
					? node->attr.size
					: in->attr.size;
		in->limit = below(2) ? most : below((unsigned)most + 1);
		memset(c + in->limit, 0, (SIZE - in->limit) * sizeof(*c));
	}
	if (say != SHALE_CONTENT_SAME)
		put_content(m, in->attr.ino, in->attr.size,
			    say == SHALE_CONTENT_PATCHED);
}

static void make_inode(struct maker *m, uint64_t ino)
{
	struct node *node = &m->world->node[ino];
	bool fresh = !node->alive;
	struct shale_buf xattrs = {0};
	struct shale_inode in = {
		.attr = {.ino = ino,
			 .mode = type_of(ino) | below(01000),
			 .uid = below(100),
			 .nlink = 1,
			 .mtime.tv_sec = below(1000)},
	};

	if (below(2))
		snprintf(node->xattr, sizeof(node->xattr), "%u", below(5));
	if (node->xattr[0]) {
		CHECK_OK(shale_xattr_append(&xattrs, "user.x", node->xattr,
					    strlen(node->xattr), &err));
		in.xattrs = xattrs.data;
		in.xattr_len = (uint32_t)xattrs.len;
	}
	if (S_ISLNK(in.attr.mode)) {
		snprintf(node->target, sizeof(node->target), "t%u", below(999));
		in.target = node->target;
		in.attr.size = strlen(node->target);
	} else if (S_ISBLK(in.attr.mode)) {
		in.attr.rdev_minor = below(9);
	} else if (S_ISREG(in.attr.mode)) {
		make_file(m, &in, fresh);
	}
	CHECK_OK(shale_tree_build_inode(m->build, &in, &err));
	shale_buf_release(&xattrs);
	node->alive = true;
	node->attr = in.attr;
}

static void kill_inode(struct maker *m, uint64_t ino)
{
	struct shale_inode in = {.attr.ino = ino};

	m->world->node[ino] = (struct node){.dead = true};
	CHECK_OK(shale_tree_build_inode(m->build, &in, &err));
}

/* Give each name of a living directory to somebody, or to nobody. */
static void make_names(struct maker *m, uint64_t dir)
{
	for (unsigned i = 0; i < NAMES; i++) {
		uint64_t ino = below(INOS), *now = &m->world->name[dir][i];
		char name[2] = {(char)('a' + i), 0};
		bool stale = *now && !m->world->node[*now].alive;
		if (below(3) && !stale)
			continue;
		if (ino && !m->world->node[ino].alive)
			ino = 0;
		if (ino == 0 && *now == 0 && below(2))
			continue; /* else: a deletion of nothing */
		struct shale_dirent d = {
			dir, ino, name, 1,
			(uint8_t)(ino ? type_of(ino) >> 12 : 0)};
		CHECK_OK(shale_tree_build_dirent(m->build, &d, &err));
		*now = ino;
	}
}

struct shale_tree *make_layer(struct world *world, uint8_t layer)
{
	static struct world before;
	struct maker m = {.world = world, .before = &before, .layer = layer};
	struct shale_tree *tree;
	int fd = memfd_create("layer", MFD_CLOEXEC);

	before = *world;
	CHECK_OK(shale_tree_build_new(&m.build, &err));
	make_chunks(&m);
	for (uint64_t ino = 1; ino < INOS; ino++) {
		struct node *node = &world->node[ino];
		if (ino > 1 && node->alive && below(8) == 0)
			kill_inode(&m, ino);
		else if (!node->dead && (below(2) || (ino == 1 && !layer)))
			make_inode(&m, ino);
	}
	for (uint64_t dir = 1; dir < INOS; dir++) {
		if (world->node[dir].alive && type_of(dir) == S_IFDIR)
			make_names(&m, dir);
		else
			memset(world->name[dir], 0, sizeof(world->name[dir]));
	}
	CHECK_OK(shale_tree_build_finish(m.build, fd, INOS, NULL, NULL, &err));
	shale_tree_build_free(m.build);
	CHECK_OK(shale_tree_open(&tree, fd, "layer", &err));
	CHECK_OK(shale_tree_check(tree, &err));
	close(fd);
	return tree;
}

/* ------------------------------------------------------- the simple reader */

void read_extent(const struct shale_tree *t, const struct world *before,
		 const struct shale_extent *e, cell *out)
{
	struct shale_chunk c;
	uint32_t at, off;

	for (uint64_t i = 0; i < e->len; i++) {
		if (e->chunk == SHALE_HOLE) {
			out[i] = 0;
			continue;
		}
		if (e->chunk == SHALE_CLONE) {
			CHECK(before->node[e->clone_ino].alive);
			out[i] = cloned(before, e->clone_ino, e->clone_off + i);
			continue;
		}
		CHECK_OK(shale_tree_chunk_seek(t, e->chunk, e->chunk_off + i,
					       &at, &off, &err));
		CHECK_OK(shale_tree_chunk(t, at, &c, &err));
		out[i] =
			(cell)(c.blob.b[0] + 1) << 16 | (uint32_t)(c.off + off);
	}
}

static void read_content(const struct shale_tree *t, const struct world *before,
			 const struct shale_inode *in, cell *out)
{
	uint64_t first, n, keep = SIZE;
	struct shale_extent e;

	if (in->content == SHALE_CONTENT_SAME)
		return;
	keep = in->content == SHALE_CONTENT_PATCHED ? in->limit : 0;
	for (uint64_t i = keep; i < SIZE; i++)
		out[i] = 0;
	CHECK_OK(shale_tree_extents_of(t, in->attr.ino, &first, &n, &err));
	for (uint64_t i = first; i < first + n; i++) {
		CHECK_OK(shale_tree_extent(t, i, &e, &err));
		read_extent(t, before, &e, out + e.off);
	}
}

static void read_inode(const struct shale_tree *t, const struct world *before,
		       const struct shale_inode *in, struct node *node)
{
	struct shale_xattr x;

	if (in->attr.mode == 0) {
		*node = (struct node){.dead = true};
		return;
	}
	node->alive = true;
	node->attr = in->attr;
	memset(node->xattr, 0, sizeof(node->xattr));
	if (shale_xattr_find(in->xattrs, in->xattr_len, "user.x", &x, &err) ==
	    0)
		memcpy(node->xattr, x.value, x.value_len);
	memset(node->target, 0, sizeof(node->target));
	if (S_ISLNK(in->attr.mode))
		memcpy(node->target, in->target, in->attr.size);
	if (S_ISREG(in->attr.mode))
		read_content(t, before, in, node->content);
}

void read_world(struct shale_tree *const *trees, size_t n, struct world *out)
{
	static struct world before;
	struct shale_inode in;
	struct shale_dirent d;

	memset(out, 0, sizeof(*out));
	for (size_t t = 0; t < n; t++) {
		uint64_t inodes = shale_tree_count(trees[t], SHALE_TREE_INODES);
		uint64_t names = shale_tree_count(trees[t], SHALE_TREE_DIRENTS);
		before = *out;
		for (uint64_t i = 0; i < inodes; i++) {
			CHECK_OK(shale_tree_inode(trees[t], i, &in, &err));
			read_inode(trees[t], &before, &in,
				   &out->node[in.attr.ino]);
		}
		for (uint64_t i = 0; i < names; i++) {
			CHECK_OK(shale_tree_dirent(trees[t], i, &d, &err));
			out->name[d.dir][d.name[0] - 'a'] = d.ino;
		}
	}
	for (uint64_t dir = 0; dir < INOS; dir++)
		if (!out->node[dir].alive)
			memset(out->name[dir], 0, sizeof(out->name[dir]));
}

void same_world(const struct world *got, const struct world *want)
{
	for (uint64_t ino = 1; ino < INOS; ino++) {
		const struct node *a = &got->node[ino], *b = &want->node[ino];
		CHECK_INT(a->alive, b->alive);
		if (!a->alive)
			continue;
		CHECK_INT(a->attr.mode, b->attr.mode);
		CHECK_INT(a->attr.uid, b->attr.uid);
		CHECK_INT(a->attr.size, b->attr.size);
		CHECK_INT(a->attr.mtime.tv_sec, b->attr.mtime.tv_sec);
		CHECK_INT(a->attr.rdev_minor, b->attr.rdev_minor);
		CHECK_STR(a->target, b->target);
		CHECK_STR(a->xattr, b->xattr);
		if (S_ISREG(a->attr.mode))
			CHECK_MEM(a->content, b->content,
				  a->attr.size * sizeof(cell));
	}
	CHECK_MEM(got->name, want->name, sizeof(got->name));
}
