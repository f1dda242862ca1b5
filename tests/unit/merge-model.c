/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random layers against a model that keeps the image as plain arrays: after
 * every layer the index says what the model says, building on an earlier index
 * gives the same bytes, and a patch over an earlier index says the same.
 */
#include "layers/base/buf.h"
#include "layers/index/merge.h"
#include "layers/index/patch.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INODES = 300, NAMES = 8, LAYERS = 14 };

/* In the order of names in a directory. */
static const char *const names[NAMES] = {
	"B", "a", "a.", "aa", "b", "b0", "z", "\xc3\xa9",
};

struct model_inode {
	uint32_t mode;      /* 0: none */
	bool touched, born; /* in the layer being written */
	uint64_t mtime, size;
	enum shale_content_kind content; /* said by the layer being written */
	bool extent;                     /* and it has one */
	uint32_t tree, levels;
	char xattr; /* value of user.x; 0: none */
};

struct model {
	struct layers layers;
	struct model_inode in[INODES];
	uint64_t name[INODES][NAMES]; /* inode; 0: none */
	bool touched[INODES][NAMES];
	uint64_t next;
};

static uint64_t pick(uint64_t n)
{
	return shale_test_random() % n;
}

static bool lives(const struct model *m, uint64_t ino)
{
	return m->in[ino].mode != 0;
}

static bool is_dir(const struct model *m, uint64_t ino)
{
	return S_ISDIR(m->in[ino].mode);
}

static unsigned count_names(const struct model *m, uint64_t ino)
{
	unsigned n = 0;
	for (uint64_t dir = 1; dir < INODES; dir++)
		for (int k = 0; k < NAMES; k++)
			n += m->name[dir][k] == ino;
	return n;
}

static bool is_below(const struct model *m, uint64_t top, uint64_t ino)
{
	if (top == ino)
		return true;
	if (!is_dir(m, top))
		return false;
	for (int k = 0; k < NAMES; k++)
		if (m->name[top][k] && is_below(m, m->name[top][k], ino))
			return true;
	return false;
}

static void touch(struct model *m, uint64_t ino)
{
	m->in[ino].touched = true;
	m->in[ino].mtime++;
}

/* What is below a deleted directory dies; its names need not be said. */
static void delete_name(struct model *m, uint64_t dir, int k, bool say)
{
	uint64_t ino = m->name[dir][k];

	m->name[dir][k] = 0;
	m->touched[dir][k] |= say;
	if (is_dir(m, ino)) {
		bool inside = pick(2);
		for (int i = 0; i < NAMES; i++)
			if (m->name[ino][i])
				delete_name(m, ino, i, inside);
	}
	if (is_dir(m, ino) || count_names(m, ino) == 0) {
		m->in[ino].mode = 0;
		m->in[ino].touched = true;
	}
}

static uint64_t make_inode(struct model *m)
{
	static const uint32_t modes[] = {
		S_IFDIR | 0755, S_IFDIR | 0700, S_IFREG | 0644, S_IFREG | 0644,
		S_IFLNK | 0777, S_IFCHR | 0600, S_IFIFO | 0600, S_IFSOCK | 0600,
	};
	uint64_t ino = m->next++;
	m->in[ino] = (struct model_inode){
		.mode = modes[pick(8)], .born = true, .tree = SHALE_NO_TREE};
	touch(m, ino);
	return ino;
}

static void random_name(struct model *m, uint64_t dir, int k)
{
	uint64_t other = pick(m->next), from = pick(m->next);
	int j = (int)pick(NAMES);

	if (pick(3) == 0 && other > 0 && lives(m, other) && !is_dir(m, other)) {
		m->name[dir][k] = other; /* hard link */
	} else if (pick(2) && from > 0 && m->name[from][j] &&
		   !is_below(m, m->name[from][j], dir)) {
		m->name[dir][k] = m->name[from][j]; /* rename */
		m->name[from][j] = 0;
		m->touched[from][j] = true;
	} else if (m->next < INODES) {
		m->name[dir][k] = make_inode(m);
	} else {
		return;
	}
	m->touched[dir][k] = true;
}

static void random_content(struct model *m, uint64_t ino)
{
	struct model_inode *in = &m->in[ino];

	if (pick(3) == 0) {
		in->content = SHALE_CONTENT_REPLACED;
		in->extent = pick(3) > 0;
	} else if (in->content == SHALE_CONTENT_SAME) {
		in->content = SHALE_CONTENT_PATCHED;
		in->extent = pick(3) > 0;
	}
	in->size = 10 + pick(90);
	touch(m, ino);
}

static void random_step(struct model *m)
{
	uint64_t dir = pick(m->next), ino = pick(m->next);
	int k = (int)pick(NAMES);

	if (ino > 0 && lives(m, ino) && pick(2)) {
		m->in[ino].xattr = pick(2) ? (char)('a' + pick(3)) : 0;
		touch(m, ino);
		if (S_ISREG(m->in[ino].mode) && pick(3))
			random_content(m, ino);
	}
	if (dir == 0 || !is_dir(m, dir))
		return;
	if (m->name[dir][k] && pick(3) == 0)
		delete_name(m, dir, k, true);
	else if (!m->name[dir][k])
		random_name(m, dir, k);
}

/* --------------------------------------------------------- write a layer */

static void write_inode(struct model *m, uint64_t ino)
{
	struct model_inode *in = &m->in[ino];
	struct shale_buf xattrs = {0};
	struct shale_err err;
	struct shale_inode out = {
		.attr = {.ino = ino,
			 .mode = in->mode,
			 .nlink = 99, /* nobody believes it */
			 .size = S_ISREG(in->mode)   ? in->size
				 : S_ISLNK(in->mode) ? 6
						     : 0,
			 .mtime.tv_sec = (time_t)in->mtime,
			 .rdev_major = S_ISCHR(in->mode) ? 7 : 0,
			 .rdev_minor = S_ISCHR(in->mode) ? (uint32_t)ino : 0},
		.content = in->content,
		.limit = in->content == SHALE_CONTENT_PATCHED ? 50 : 0,
		.target = S_ISLNK(in->mode) ? "target" : NULL,
	};
	if (in->xattr)
		CHECK_OK(shale_xattr_append(&xattrs, "user.x", &in->xattr, 1,
					    &err));
	out.xattrs = xattrs.data;
	out.xattr_len = (uint32_t)xattrs.len;
	layers_full(&m->layers, &out);
	shale_buf_release(&xattrs);
	if (in->content == SHALE_CONTENT_SAME)
		return;

	if (in->extent)
		layers_hole(&m->layers, ino, 1, 5);
	if (in->content == SHALE_CONTENT_REPLACED)
		in->levels = 0;
	in->levels += in->extent || in->levels > 0;
	in->tree = in->levels ? (uint32_t)m->layers.n : SHALE_NO_TREE;
	in->content = SHALE_CONTENT_SAME;
}

static void write_layer(struct model *m)
{
	for (uint64_t ino = 1; ino < INODES; ino++) {
		struct model_inode *in = &m->in[ino];
		if (in->touched && in->mode)
			write_inode(m, ino);
		else if (in->touched && (!in->born || pick(2)))
			layers_gone(&m->layers, ino);
		in->touched = in->born = false;
		for (int k = 0; k < NAMES; k++) {
			uint64_t child = m->name[ino][k];
			if (m->touched[ino][k] && child)
				layers_name(&m->layers, ino, names[k], child,
					    m->in[child].mode & S_IFMT);
			else if (m->touched[ino][k])
				layers_no_name(&m->layers, ino, names[k]);
			m->touched[ino][k] = false;
		}
	}
	layers_push(&m->layers);
}

/* ------------------------------------------------------------- compare */

static void compare_names(const struct model *m, const struct shale_index *ix,
			  uint64_t ino)
{
	struct shale_err err;
	struct shale_index_dir dir;
	struct shale_entry entry, found;
	uint64_t pos;

	CHECK_OK(shale_index_dir(ix, ino, &dir, &err));
	uint64_t at = dir.first;
	for (int k = 0; k < NAMES; k++) {
		int r = shale_index_lookup(ix, ino, names[k], strlen(names[k]),
					   &found, &pos, &err);
		if (!m->name[ino][k]) {
			CHECK_INT(r, -ENOENT);
			continue;
		}
		CHECK_OK(r);
		CHECK_INT(found.ino, m->name[ino][k]);
		CHECK_INT(pos, at);
		CHECK_OK(shale_index_entry(ix, at++, &entry, &err));
		CHECK_INT(entry.ino, found.ino);
		CHECK(entry.name_len == strlen(names[k]));
		CHECK_MEM(entry.name, names[k], entry.name_len);
		CHECK_INT(entry.type, m->in[found.ino].mode >> 12);
	}
	CHECK_INT(at, dir.first + dir.count);
}

static void compare_links(const struct shale_index *ix, uint64_t ino,
			  uint32_t nlink)
{
	struct shale_buf path = {0};
	struct shale_err err;
	uint64_t found, dir, pos, last = 0, last_dir = 0;
	bool patch = shale_index_base(ix);

	for (uint32_t i = 0; i < nlink; i++) {
		path.len = 0;
		CHECK_OK(shale_index_link(ix, ino, i, &dir, &pos, &err));
		CHECK(i == 0 || (patch ? dir >= last_dir : pos > last));
		last = pos;
		last_dir = dir;
		CHECK_OK(shale_index_path(ix, ino, i, &path, &err));
		CHECK_OK(shale_index_find(ix, shale_buf_str(&path), &found,
					  &err));
		CHECK_INT(found, ino);
	}
	CHECK_INT(shale_index_link(ix, ino, nlink, &dir, &pos, &err), -ENOENT);
	shale_buf_release(&path);
}

static void compare_inode(const struct model *m, const struct shale_index *ix,
			  uint64_t ino)
{
	const struct model_inode *in = &m->in[ino];
	struct shale_err err;
	struct shale_attr attr;
	struct shale_xattr x;
	const void *list;
	const char *target;
	uint32_t len, subdirs = 0;

	int r = shale_index_attr(ix, ino, &attr, &err);
	if (!in->mode) {
		CHECK_INT(r, -ENOENT);
		return;
	}
	CHECK_OK(r);
	CHECK_INT(attr.mode, in->mode);
	CHECK_INT(attr.mtime.tv_sec, in->mtime);
	CHECK_INT(attr.rdev_minor, S_ISCHR(in->mode) ? ino : 0);
	CHECK_OK(shale_index_xattrs(ix, ino, &list, &len, &err));
	r = shale_xattr_find(list, len, "user.x", &x, &err);
	CHECK_INT(r, in->xattr ? 0 : -ENODATA);
	if (in->xattr)
		CHECK_INT(*(const char *)x.value, in->xattr);
	r = shale_index_target(ix, ino, &target, &len, &err);
	CHECK_INT(r, S_ISLNK(in->mode) ? 0 : -EINVAL);
	if (S_ISREG(in->mode)) {
		struct shale_index_content c;
		CHECK_OK(shale_index_content(ix, ino, &c, &err));
		CHECK_INT(c.tree, in->tree);
		CHECK_INT(c.levels, in->levels);
		CHECK_INT(attr.size, in->size);
	}
	if (!is_dir(m, ino)) {
		CHECK_INT(attr.nlink, count_names(m, ino));
		compare_links(ix, ino, attr.nlink);
		return;
	}
	for (int k = 0; k < NAMES; k++)
		subdirs += m->name[ino][k] && is_dir(m, m->name[ino][k]);
	CHECK_INT(attr.nlink, 2 + subdirs);
	compare_names(m, ix, ino);
	compare_links(ix, ino, ino == SHALE_ROOT_INO ? 0 : 1);
}

static void compare(const struct model *m, const struct shale_index *ix)
{
	uint64_t n = 0;

	for (uint64_t ino = 1; ino < INODES; ino++) {
		compare_inode(m, ix, ino);
		n += lives(m, ino);
	}
	CHECK_INT(shale_index_inodes(ix), n);
	CHECK_INT(shale_index_trees(ix), m->layers.n);
}

/* The index of all layers, built on that of the first `prefix` ones. */
static void check_prefix(struct model *m, int whole, size_t prefix)
{
	struct shale_err err = {0};
	size_t all = m->layers.n, len, len2;
	int fd;

	m->layers.n = prefix;
	struct shale_index *ix = layers_index(&m->layers);
	m->layers.n = all;
	int r = layers_try_index(&m->layers, ix, &fd);
	err = m->layers.err;
	CHECK_OK(r);
	void *a = layers_bytes(whole, &len), *b = layers_bytes(fd, &len2);
	CHECK_INT(len2, len);
	CHECK_MEM(b, a, len);
	free(a);
	free(b);
	close(fd);
	shale_index_close(ix);
}

static void check_same_bytes(int fd, int fd2)
{
	size_t len, len2;
	void *a = layers_bytes(fd, &len), *b = layers_bytes(fd2, &len2);

	CHECK_INT(len2, len);
	CHECK_MEM(b, a, len);
	free(a);
	free(b);
}

/* What is built on a patch is what is built on the whole index. */
static void check_on_patch(struct model *m, struct shale_index *patch, int fd)
{
	struct shale_index *whole = layers_open_index(fd);
	struct shale_index *one[] = {whole, whole}, *two[] = {patch, patch};
	struct shale_err err = {0};
	int again, u1 = layers_memfd(), u2 = layers_memfd();

	int r = layers_try_index(&m->layers, patch, &again);
	err = m->layers.err;
	CHECK_OK(r);
	check_same_bytes(fd, again);
	CHECK_OK(shale_index_union(u1, one, 2, &err));
	CHECK_OK(shale_index_union(u2, two, 2, &err));
	check_same_bytes(u1, u2);
	close(again);
	close(u1);
	close(u2);
	shale_index_close(whole);
}

/* A patch over the index of the first `prefix` layers. */
static void check_patch(struct model *m, int whole, size_t prefix)
{
	struct shale_err err = {0};
	struct layers *l = &m->layers;
	struct shale_index *base, *patch;
	size_t all = l->n;
	int fd = layers_memfd();

	l->n = prefix;
	base = layers_index(l);
	l->n = all;
	CHECK_OK(shale_patch_write(fd, base, l->tree, l->digest, all, &err));
	CHECK_OK(shale_patch_open(&patch, fd, &base, "patch", &err));
	CHECK(!base);
	CHECK_OK(shale_index_verify(patch, &err));
	compare(m, patch);
	check_on_patch(m, patch, whole);
	shale_index_close(patch);
	close(fd);
}

static void run_model(void)
{
	struct model *m = calloc(1, sizeof(*m));
	struct shale_err err = {0};
	int fd;

	CHECK(m);
	m->layers = layers_begin(INODES);
	m->next = 2;
	m->in[1] = (struct model_inode){.mode = S_IFDIR | 0755,
					.tree = SHALE_NO_TREE};
	touch(m, 1);
	for (int layer = 0; layer < LAYERS; layer++) {
		for (uint64_t i = pick(120); i > 0; i--)
			random_step(m);
		m->layers.top = NULL;
		touch(m, 1); /* no layer is empty */
		write_layer(m);
		int r = layers_try_index(&m->layers, NULL, &fd);
		err = m->layers.err;
		CHECK_OK(r);
		struct shale_index *ix = layers_open_index(fd);
		compare(m, ix);
		check_prefix(m, fd, 1 + pick(m->layers.n));
		check_patch(m, fd, 1 + pick(m->layers.n));
		shale_index_close(ix);
		close(fd);
	}
	layers_end(&m->layers);
	free(m);
}

TEST(random_layers_merge_to_what_a_plain_model_says)
{
	for (int i = 0; i < 20; i++)
		run_model();
}
