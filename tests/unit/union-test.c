/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/merge.h"

#include "layers/index/content.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 6, INODES = 200, PARTS = 4 };

/* In the order of names in a directory. */
static const char *const names[NAMES] = {"A", "a", "ab", "b", "c", "\xff"};

/* An inode of one image, and what it names. */
struct node {
	uint32_t type; /* 0: not used */
	struct node *child[NAMES];
	uint64_t ino;
	unsigned part;
	uint64_t number; /* in the union; 0: not met */
};

/* An image of two layers: the second says no more than attributes. */
struct part {
	struct layers layers;
	struct node nodes[INODES];
	size_t n;
	struct shale_index *index;
};

static uint64_t pick(uint64_t n)
{
	return shale_test_random() % n;
}

static struct node *new_node(struct part *p, uint32_t type)
{
	if (p->n == INODES)
		return NULL;
	struct node *node = &p->nodes[p->n++];
	node->type = type;
	return node;
}

static struct node *random_child(struct part *p)
{
	static const uint32_t types[] = {S_IFDIR, S_IFDIR, S_IFREG, S_IFREG,
					 S_IFLNK};
	if (pick(6) == 0) {
		struct node *old = &p->nodes[pick(p->n)];
		if (old->type != S_IFDIR)
			return old; /* hard link */
	}
	return new_node(p, types[pick(5)]);
}

static void fill(struct part *p, struct node *dir, int depth)
{
	for (int k = 0; k < NAMES; k++) {
		if (pick(2))
			continue;
		dir->child[k] = random_child(p);
		if (dir->child[k] && dir->child[k]->type == S_IFDIR &&
		    depth < 4)
			fill(p, dir->child[k], depth + 1);
	}
}

/* Numbers in an order that is not that of paths, with gaps. */
static void number_nodes(struct part *p, unsigned part)
{
	for (size_t i = 0; i < p->n; i++) {
		p->nodes[i].ino = 2 * i + 2;
		p->nodes[i].part = part;
	}
	for (size_t i = 1; i < p->n; i++) {
		size_t j = 1 + pick(p->n - 1);
		uint64_t ino = p->nodes[i].ino;
		p->nodes[i].ino = p->nodes[j].ino;
		p->nodes[j].ino = ino;
	}
	p->nodes[0].ino = SHALE_ROOT_INO;
}

static void make_target(const struct node *node, char target[24])
{
	snprintf(target, 24, "to-%d", (int)node->ino);
}

static void write_node(struct part *p, const struct node *node, int layer)
{
	char target[24];
	make_target(node, target);
	struct shale_inode in = {
		.attr = {.ino = node->ino,
			 .mode = node->type | 0700,
			 .uid = node->part,
			 .size = node->type == S_IFREG   ? node->ino
				 : node->type == S_IFLNK ? strlen(target)
							 : 0,
			 .mtime.tv_sec = (time_t)node->ino},
		.target = node->type == S_IFLNK ? target : NULL,
		.content = node->type == S_IFREG && layer == 0
				   ? SHALE_CONTENT_REPLACED
				   : SHALE_CONTENT_SAME,
	};
	layers_full(&p->layers, &in);
	if (layer > 0)
		return;
	if (node->type == S_IFREG)
		layers_hole(&p->layers, node->ino, 0, node->ino);
	for (int k = 0; k < NAMES; k++)
		if (node->child[k])
			layers_name(&p->layers, node->ino, names[k],
				    node->child[k]->ino, node->child[k]->type);
}

static void make_part(struct part *p, unsigned part)
{
	memset(p, 0, sizeof(*p));
	p->layers = layers_begin(2 * INODES + 10 + part);
	fill(p, new_node(p, S_IFDIR), 0);
	number_nodes(p, part);
	for (int layer = 0; layer < 2; layer++) {
		for (size_t i = 0; i < p->n; i++)
			write_node(p, &p->nodes[i], layer);
		layers_push(&p->layers);
	}
	p->index = layers_index(&p->layers);
}

/* ------------------------------------------------------------- compare */

struct check {
	const struct shale_index *ix;
	uint64_t next, inodes, entries;
};

static void check_inode(struct check *c, const struct node *node)
{
	struct shale_err err;
	struct shale_attr attr;

	CHECK_OK(shale_index_attr(c->ix, node->number, &attr, &err));
	CHECK_INT(attr.uid, node->part);
	CHECK_INT(attr.mtime.tv_sec, node->ino);
	CHECK_INT(attr.mode & S_IFMT, node->type);
	if (node->type == S_IFREG) {
		struct shale_index_content where;
		CHECK_OK(
			shale_index_content(c->ix, node->number, &where, &err));
		CHECK_INT(where.ino, node->ino);
		CHECK_INT(where.tree, 2 * node->part);
		CHECK_INT(where.bottom, 2 * node->part);
		CHECK_INT(where.levels, 1);
		CHECK_INT(where.count, 1);
	}
	if (node->type == S_IFLNK) {
		const char *target;
		char want[24];
		uint32_t len;
		CHECK_OK(shale_index_target(c->ix, node->number, &target, &len,
					    &err));
		make_target(node, want);
		CHECK_INT(len, strlen(want));
		CHECK_MEM(target, want, len);
	}
}

static void check_dir(struct check *c, uint64_t number, struct node **dirs,
		      size_t n);

/* What stands for one name, of the nodes that have it, bottom first. */
static void check_name(struct check *c, const struct shale_entry *entry,
		       struct node **nodes, size_t n)
{
	struct node *top = nodes[n - 1], **lowest = &nodes[n - 1];

	if (top->type == S_IFDIR)
		while (lowest > nodes && lowest[-1]->type == S_IFDIR)
			lowest--;
	bool again = top->number != 0;
	if (!again) {
		uint64_t number =
			lowest[0]->part == 0 ? lowest[0]->ino : c->next++;
		for (struct node **d = lowest; d < nodes + n; d++)
			(*d)->number = number;
		c->inodes++;
	}
	CHECK_INT(entry->ino, top->number);
	CHECK_INT(entry->type, top->type >> 12);
	check_inode(c, top);
	if (top->type == S_IFDIR)
		check_dir(c, top->number, lowest, (size_t)(nodes + n - lowest));
}

static void check_dir(struct check *c, uint64_t number, struct node **dirs,
		      size_t n)
{
	struct shale_err err;
	struct shale_index_dir dir;

	CHECK_OK(shale_index_dir(c->ix, number, &dir, &err));
	uint64_t at = dir.first;
	for (int k = 0; k < NAMES; k++) {
		struct node *with[PARTS];
		struct shale_entry entry;
		size_t m = 0;
		for (size_t i = 0; i < n; i++)
			if (dirs[i]->child[k])
				with[m++] = dirs[i]->child[k];
		if (m == 0)
			continue;
		CHECK_OK(shale_index_entry(c->ix, at++, &entry, &err));
		CHECK_INT(entry.name_len, strlen(names[k]));
		CHECK_MEM(entry.name, names[k], entry.name_len);
		c->entries++;
		check_name(c, &entry, with, m);
	}
	CHECK_INT(at, dir.first + dir.count);
}

static void check_union(struct part *parts, size_t n)
{
	struct shale_index *indexes[PARTS];
	struct node *roots[PARTS];
	struct shale_err err;
	int fd = layers_memfd();

	for (size_t i = 0; i < n; i++) {
		indexes[i] = parts[i].index;
		roots[i] = &parts[i].nodes[0];
	}
	CHECK_OK(shale_index_union(fd, indexes, n, &err));
	struct shale_index *ix = layers_open_index(fd);
	close(fd);

	struct check c = {.ix = ix, .next = shale_index_next_ino(indexes[0])};
	struct shale_entry root = {.ino = SHALE_ROOT_INO,
				   .type = S_IFDIR >> 12};
	check_name(&c, &root, roots, n);
	CHECK_INT(shale_index_inodes(ix), c.inodes);
	CHECK_INT(shale_index_entries(ix), c.entries);
	CHECK_INT(shale_index_next_ino(ix), c.next);
	CHECK_INT(shale_index_trees(ix), 2 * n);
	for (uint32_t i = 0; i < 2 * n; i++) {
		struct shale_digest digest;
		uint32_t image;
		CHECK_OK(shale_index_tree(ix, i, &digest, &image, &err));
		CHECK_INT(image, i / 2);
		CHECK(shale_digest_equal(&digest,
					 &parts[i / 2].layers.digest[i % 2]));
	}
	shale_index_close(ix);
}

TEST(a_random_stack_unites_as_a_plain_model_does)
{
	static struct part parts[PARTS];

	for (int round = 0; round < 60; round++) {
		size_t n = 1 + pick(PARTS);
		for (unsigned i = 0; i < n; i++)
			make_part(&parts[i], i);
		check_union(parts, n);
		for (size_t i = 0; i < n; i++) {
			shale_index_close(parts[i].index);
			layers_end(&parts[i].layers);
		}
	}
}

/* ------------------------------------------------------- drawn tables */

/*
 * What each image, bottom first, has under the name "n": d a directory with a
 * file named after the image, f a file, - nothing.  What stands: the image
 * whose attributes it has, and, of a directory, what is in it.
 */
static const struct {
	const char *images, *stands;
} drawn[] = {
	{"d", "d0 0"},  {"dd", "d1 01"}, {"d-d", "d2 02"},   {"df", "f1"},
	{"fd", "d1 1"}, {"dfd", "d2 2"}, {"ddfdd", "d4 34"}, {"fdd", "d2 12"},
	{"ff", "f1"},   {"f-", "f0"},    {"-d", "d1 1"},     {"ddd", "d2 012"},
	{"--f", "f2"},  {"fdf", "f2"},
};

static struct shale_index *drawn_image(char what, size_t i, struct layers *l)
{
	char name[] = {(char)('0' + i), '\0'};

	*l = layers_begin(100);
	layers_inode(l, 1, S_IFDIR | 0755);
	if (what != '-') {
		uint32_t type = what == 'd' ? S_IFDIR : S_IFREG;
		struct shale_inode in = {.attr = {.ino = 2,
						  .mode = type | 0700,
						  .uid = (uint32_t)i}};
		layers_full(l, &in);
		layers_name(l, 1, "n", 2, type);
	}
	if (what == 'd') {
		layers_inode(l, 3, S_IFREG | 0600);
		layers_name(l, 2, name, 3, S_IFREG);
	}
	layers_push(l);
	return layers_index(l);
}

static void describe(const struct shale_index *ix, char *out)
{
	struct shale_err err;
	struct shale_attr attr;
	struct shale_entry entry;

	CHECK_OK(shale_index_lookup(ix, 1, "n", 1, &entry, NULL, &err));
	CHECK_OK(shale_index_attr(ix, entry.ino, &attr, &err));
	*out++ = S_ISDIR(attr.mode) ? 'd' : 'f';
	*out++ = (char)('0' + attr.uid);
	if (S_ISDIR(attr.mode)) {
		struct shale_index_dir dir;
		CHECK_OK(shale_index_dir(ix, entry.ino, &dir, &err));
		*out++ = ' ';
		for (uint64_t i = 0; i < dir.count; i++) {
			CHECK_OK(shale_index_entry(ix, dir.first + i, &entry,
						   &err));
			*out++ = entry.name[0];
		}
	}
	*out = '\0';
}

TEST(directories_merge_and_what_is_none_hides_all_below)
{
	for (size_t row = 0; row < sizeof(drawn) / sizeof(drawn[0]); row++) {
		struct shale_index *parts[8];
		struct layers layers[8];
		struct shale_err err;
		char got[32];
		size_t n = strlen(drawn[row].images);
		int fd = layers_memfd();

		for (size_t i = 0; i < n; i++)
			parts[i] = drawn_image(drawn[row].images[i], i,
					       &layers[i]);
		CHECK_OK(shale_index_union(fd, parts, n, &err));
		struct shale_index *ix = layers_open_index(fd);
		describe(ix, got);
		CHECK_STR(got, drawn[row].stands);
		shale_index_close(ix);
		close(fd);
		for (size_t i = 0; i < n; i++) {
			shale_index_close(parts[i]);
			layers_end(&layers[i]);
		}
	}
}

TEST(an_empty_stack_is_refused)
{
	struct shale_err err;
	CHECK_INT(shale_index_union(-1, NULL, 0, &err), -EINVAL);
}
