/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff against a walk of both whole trees: random chains of layers, two
 * branches from one of them.  Contents are single chunks that are told apart
 * by their hashes, so that nothing is ever read.
 */
#include "layers/ops/diff.h"

#include "layers/base/buf.h"
#include "tests/lib/check.h"
#include "tests/unit/diff-line.h"
#include "tests/unit/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INODES = 400, NAMES = 10, BASE = 3, ABOVE = 3, STEPS = 8 };

/* Some of them before '/' in the order of bytes, with one in front of them. */
static const char *const names[NAMES] = {
	"B", "a", "a-b", "a.", "aa", "b", "b!", "b!!", "z", "\xc3\xa9",
};

/* ------------------------------------------------------------------ model */

struct model_inode {
	uint32_t mode;  /* 0: none */
	uint32_t value; /* content of a file, target of a symlink */
	uint32_t uid;
	uint64_t mtime;
	bool touched, rewritten;
};

struct model {
	struct layers layers;
	size_t borrowed; /* trees that are another model's */
	struct model_inode in[INODES];
	uint64_t name[INODES][NAMES];
	bool said[INODES][NAMES];
	uint64_t next;
};

static uint64_t pick(uint64_t n)
{
	return shale_test_random() % n;
}

static unsigned count_names(const struct model *m, uint64_t ino)
{
	unsigned n = 0;
	for (uint64_t dir = 1; dir < m->next; dir++)
		for (int k = 0; k < NAMES; k++)
			n += m->name[dir][k] == ino;
	return n;
}

static bool is_below(const struct model *m, uint64_t top, uint64_t ino)
{
	if (top == ino)
		return true;
	for (int k = 0; S_ISDIR(m->in[top].mode) && k < NAMES; k++)
		if (m->name[top][k] && is_below(m, m->name[top][k], ino))
			return true;
	return false;
}

static void remove_name(struct model *m, uint64_t dir, int k)
{
	uint64_t ino = m->name[dir][k];

	m->name[dir][k] = 0;
	m->said[dir][k] = true;
	if (S_ISDIR(m->in[ino].mode)) {
		for (int i = 0; i < NAMES; i++)
			if (m->name[ino][i])
				remove_name(m, ino, i);
	}
	m->in[ino].touched = true;
	if (S_ISDIR(m->in[ino].mode) || count_names(m, ino) == 0)
		m->in[ino].mode = 0;
}

static uint64_t make_inode(struct model *m)
{
	static const uint32_t modes[] = {
		S_IFDIR | 0755, S_IFDIR | 0755, S_IFREG | 0644,
		S_IFREG | 0644, S_IFLNK | 0777, S_IFIFO | 0600,
	};
	uint64_t ino = m->next++;
	m->in[ino] = (struct model_inode){
		.mode = modes[pick(6)],
		.value = 1 + (uint32_t)pick(3),
		.mtime = pick(3),
		.touched = true,
		.rewritten = true,
	};
	return ino;
}

/* Give a name to something new, to something that has one, or move one. */
static void set_name(struct model *m, uint64_t dir, int k)
{
	uint64_t from = 1 + pick(m->next - 1), other = 1 + pick(m->next - 1);
	int j = (int)pick(NAMES);
	uint64_t moved = m->name[from][j];

	if (pick(4) == 0 && m->in[other].mode && !S_ISDIR(m->in[other].mode)) {
		m->name[dir][k] = other;
		m->in[other].touched = true;
	} else if (pick(2) && moved && !is_below(m, moved, dir)) {
		m->name[dir][k] = moved;
		m->name[from][j] = 0;
		m->said[from][j] = true;
	} else if (m->next < INODES) {
		m->name[dir][k] = make_inode(m);
	}
	m->said[dir][k] |= m->name[dir][k] != 0;
}

static void change_inode(struct model *m, uint64_t ino)
{
	struct model_inode *in = &m->in[ino];

	in->touched = true;
	switch (pick(4)) {
	case 0:
		in->mode ^= 0100;
		break;
	case 1:
		in->uid = (uint32_t)pick(2);
		break;
	case 2:
		in->mtime = pick(3);
		break;
	default:
		if (S_ISREG(in->mode)) {
			in->value = 1 + (uint32_t)pick(3);
			in->rewritten = true;
		}
	}
}

static void random_step(struct model *m)
{
	uint64_t ino = 1 + pick(m->next - 1);
	int k = (int)pick(NAMES);

	if (!m->in[ino].mode)
		return;
	if (!S_ISDIR(m->in[ino].mode) || pick(4) == 0)
		change_inode(m, ino);
	else if (!m->name[ino][k])
		set_name(m, ino, k);
	else if (pick(3) == 0)
		remove_name(m, ino, k);
}

/* ----------------------------------------------------------------- layers */

static struct shale_hash128 hash_of(uint32_t value)
{
	return shale_xxh128(&value, sizeof(value));
}

/* All contents have one size, so that only hashes tell them apart. */
static void say_content(struct model *m, uint64_t ino, uint32_t value)
{
	struct shale_err *err = &m->layers.err;
	struct shale_digest blob = {{7}};
	struct shale_chunk c = {.len = 1000,
				.stored = 1000,
				.codec = SHALE_CODEC_NONE,
				.off = value * UINT64_C(1000),
				.hash = hash_of(value)};
	struct shale_extent e = {.ino = ino, .len = c.len};
	uint32_t number;

	memcpy(c.sha256.b, &value, sizeof(value));
	CHECK_INT(shale_tree_build_blob(m->layers.top, &blob, 1 << 20, &number,
					err),
		  0);
	CHECK_INT(shale_tree_build_chunk(m->layers.top, &c, number, &e.chunk,
					 err),
		  0);
	CHECK_INT(shale_tree_build_extent(m->layers.top, &e, NULL, err), 0);
}

static void say_inode(struct model *m, uint64_t ino)
{
	const struct model_inode *in = &m->in[ino];
	char target[16];
	struct shale_inode out = {
		.attr = {.ino = ino,
			 .mode = in->mode,
			 .uid = in->uid,
			 .nlink = 1,
			 .mtime = {.tv_sec = (time_t)in->mtime}}};

	if (!in->mode) {
		layers_gone(&m->layers, ino);
		return;
	}
	if (S_ISLNK(in->mode)) {
		snprintf(target, sizeof(target), "to%u", in->value);
		out.target = target;
		out.attr.size = strlen(target);
	}
	if (S_ISREG(in->mode)) {
		out.attr.size = 1000;
		out.content = in->rewritten ? SHALE_CONTENT_REPLACED
					    : SHALE_CONTENT_SAME;
	}
	layers_full(&m->layers, &out);
	if (S_ISREG(in->mode) && in->rewritten)
		say_content(m, ino, in->value);
}

static void push_layer(struct model *m)
{
	for (uint64_t ino = 1; ino < m->next; ino++) {
		if (m->in[ino].touched)
			say_inode(m, ino);
		m->in[ino].touched = m->in[ino].rewritten = false;
		for (int k = 0; k < NAMES; k++) {
			uint64_t child = m->name[ino][k];
			if (m->said[ino][k])
				layers_name(&m->layers, ino, names[k], child,
					    m->in[child].mode & S_IFMT);
			m->said[ino][k] = false;
		}
	}
	if (m->layers.top)
		layers_push(&m->layers);
}

static void grow(struct model *m, int layers)
{
	for (int i = 0; i < layers; i++) {
		for (int s = 0; s < STEPS; s++)
			random_step(m);
		push_layer(m);
	}
}

static struct model *new_model(void)
{
	struct model *m = calloc(1, sizeof(*m));
	CHECK(m);
	m->layers = layers_begin(INODES);
	m->next = 2;
	m->in[1] =
		(struct model_inode){.mode = S_IFDIR | 0755, .touched = true};
	for (int i = 0; i < 60; i++)
		random_step(m);
	push_layer(m);
	return m;
}

/* Go on from the same layers. */
static struct model *branch(const struct model *from)
{
	struct model *m = malloc(sizeof(*m));
	CHECK(m);
	*m = *from;
	m->borrowed = m->layers.n;
	return m;
}

static void free_model(struct model *m)
{
	for (size_t i = m->borrowed; i < m->layers.n; i++)
		shale_tree_close(m->layers.tree[i]);
	shale_tree_build_free(m->layers.top);
	free(m);
}

static struct shale_image image_of(struct model *m)
{
	return (struct shale_image){.index = layers_index(&m->layers),
				    .trees = m->layers.tree,
				    .n_trees = m->layers.n};
}

/* ------------------------------------------------------------ brute force */

struct line {
	char path[512];
	uint64_t ino;
};

struct lines {
	struct line *v;
	size_t n;
};

static void list(const struct model *m, uint64_t ino, const char *path,
		 struct lines *out)
{
	out->v = realloc(out->v, (out->n + 1) * sizeof(*out->v));
	CHECK(out->v && strlen(path) < sizeof(out->v->path));
	strcpy(out->v[out->n].path, *path ? path : "/");
	out->v[out->n++].ino = ino;
	for (int k = 0; S_ISDIR(m->in[ino].mode) && k < NAMES; k++) {
		char below[512];
		if (!m->name[ino][k])
			continue;
		CHECK(snprintf(below, sizeof(below), "%s/%s", path, names[k]) <
		      (int)sizeof(below));
		list(m, m->name[ino][k], below, out);
	}
}

static int by_path(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static struct lines list_all(const struct model *m)
{
	struct lines out = {0};
	list(m, 1, "", &out);
	qsort(out.v, out.n, sizeof(*out.v), by_path);
	return out;
}

static char letter(const struct model_inode *a, const struct model_inode *b)
{
	if ((a->mode ^ b->mode) & S_IFMT)
		return 'T';
	if ((S_ISREG(a->mode) || S_ISLNK(a->mode)) && a->value != b->value)
		return 'M';
	if (a->mode != b->mode || a->uid != b->uid ||
	    (!S_ISDIR(a->mode) && a->mtime != b->mtime))
		return 'm';
	return 0;
}

static void expect(const struct model *a, const struct model *b,
		   struct shale_buf *out)
{
	struct lines x = list_all(a), y = list_all(b);

	for (size_t i = 0, j = 0; i < x.n || j < y.n;) {
		int c = i == x.n   ? 1
			: j == y.n ? -1
				   : strcmp(x.v[i].path, y.v[j].path);
		char l = c > 0   ? 'A'
			 : c < 0 ? 'D'
				 : letter(&a->in[x.v[i].ino],
					  &b->in[y.v[j].ino]);
		if (l)
			CHECK(shale_buf_printf(out, "%c %s\n", l,
					       c > 0 ? y.v[j].path
						     : x.v[i].path) == 0);
		i += c <= 0;
		j += c >= 0;
	}
	free(x.v);
	free(y.v);
}

/* ----------------------------------------------------------------- the test */

static void check_diff(struct model *a, struct model *b, size_t in_a,
		       size_t in_b)
{
	struct shale_image old = image_of(a), fresh = image_of(b);
	struct shale_diff_opts opts = {.old_shared = in_a, .new_shared = in_b};
	struct shale_buf got = {0}, want = {0};
	struct shale_err err = {0};

	expect(a, b, &want);
	CHECK_OK(shale_diff(&old, &fresh, &opts, diff_line, &got, &err));
	CHECK_STR(shale_buf_str(&got), shale_buf_str(&want));
	shale_buf_release(&got);
	shale_buf_release(&want);
	shale_index_close(old.index);
	shale_index_close(fresh.index);
}

TEST(two_branches_differ_as_a_walk_of_both_trees_says)
{
	for (int round = 0; round < 60; round++) {
		struct model *base = new_model();
		grow(base, (int)pick(BASE));
		struct model *a = branch(base), *b = branch(base);
		size_t shared = base->layers.n;
		grow(a, (int)pick(ABOVE));
		grow(b, (int)pick(ABOVE));
		check_diff(a, b, shared, shared);
		check_diff(b, a, shared, shared);
		check_diff(a, b, 0, 0); /* and without knowing that */
		check_diff(base, b, shared, shared);
		free_model(a);
		free_model(b);
		free_model(base);
	}
}

TEST(images_that_share_nothing_are_compared_by_path)
{
	for (int round = 0; round < 20; round++) {
		struct model *a = new_model(), *b = new_model();
		grow(a, 2);
		check_diff(a, b, 0, 0);
		free_model(a);
		free_model(b);
	}
}

/* The bottom trees of `m` as one; the number of those that it has then. */
static void compact(struct model *m, size_t n)
{
	struct layers *l = &m->layers;
	struct shale_err err = {0};
	struct shale_tree *merged;
	struct shale_digest digest;
	uint64_t size;
	int fd = layers_memfd();

	CHECK_OK(
		shale_tree_compose(l->tree, n, true, fd, &digest, &size, &err));
	CHECK_OK(shale_tree_open(&merged, fd, "merged", &err));
	close(fd);
	l->tree[0] = merged;
	l->digest[0] = digest;
	memmove(&l->tree[1], &l->tree[n], (l->n - n) * sizeof(l->tree[0]));
	memmove(&l->digest[1], &l->digest[n],
		(l->n - n) * sizeof(l->digest[0]));
	l->n -= n - 1;
}

TEST(a_version_whose_lower_layers_were_merged_is_compared_by_those_above)
{
	for (int round = 0; round < 30; round++) {
		struct model *a = new_model();
		grow(a, 3);
		size_t shared = a->layers.n;
		struct model *b = branch(a);
		grow(b, 2);
		compact(b, shared);
		check_diff(a, b, shared, 1);
		check_diff(b, a, 1, shared);
		shale_tree_close(b->layers.tree[0]);
		for (size_t i = 1; i < b->layers.n; i++)
			shale_tree_close(b->layers.tree[i]);
		shale_tree_build_free(b->layers.top);
		free(b);
		free_model(a);
	}
}
