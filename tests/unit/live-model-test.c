/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on the live tree and on the simplest file system that there
 * is: arrays in memory.  Commits are frozen at one moment and recorded at a
 * later one, and mounts come and go in between.
 */
#include "tests/lib/check.h"
#include "tests/unit/live-model.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --------------------------------------------------------------- comparing */

struct listing {
	struct model *m;
	int dir;
	unsigned seen;
};

static bool check_entry(void *arg, const char *name, size_t len,
			const struct shale_node *node, uint64_t next)
{
	struct listing *l = arg;
	struct node *d = &l->m->node[l->dir];

	(void)next;
	if (name[0] == '.') {
		CHECK_INT(node->ino,
			  len == 1 ? d->ino : l->m->node[d->parent].ino);
		return true;
	}
	char text[8] = "";
	CHECK(len < sizeof(text));
	memcpy(text, name, len);
	int at = atoi(text + 1);
	CHECK(at < NAMES && d->child[at]);
	CHECK(!(l->seen & 1u << at));
	l->seen |= 1u << at;
	CHECK_INT(node->ino, l->m->node[d->child[at]].ino);
	CHECK_INT(node->mode, l->m->node[d->child[at]].mode);
	CHECK_INT(node->nlink, l->m->node[d->child[at]].nlink);
	return true;
}

static void check_dir(struct model *m, int i)
{
	struct node *d = &m->node[i];
	struct listing l = {.m = m, .dir = i};

	CHECK_INT(shale_live_readdir(m->rig->live, d->ino, 0, true, check_entry,
				     &l),
		  0);
	for (int at = 0; at < NAMES; at++) {
		struct shale_node out;
		int r = shale_live_lookup(m->rig->live, d->ino, name_of(at),
					  strlen(name_of(at)), &out);
		CHECK_INT(r, d->child[at] ? 0 : -ENOENT);
		CHECK_INT(l.seen >> at & 1, d->child[at] != 0);
		if (r == 0)
			CHECK_INT(out.ino, m->node[d->child[at]].ino);
	}
}

static void check_holes(struct model *m, const struct node *n)
{
	uint64_t off = 0, next;
	while (off < n->size) {
		int r = shale_live_seek(m->rig->live, n->ino, off, SEEK_DATA,
					&next);
		if (r == -ENXIO)
			next = n->size;
		else
			CHECK_INT(r, 0);
		for (; off < next; off++)
			CHECK_INT(n->data[off], 0);
		if (off == n->size)
			break;
		CHECK_INT(shale_live_seek(m->rig->live, n->ino, off, SEEK_HOLE,
					  &next),
			  0);
		CHECK(next > off && next <= n->size);
		off = next;
	}
}

static void check_file(struct model *m, const struct node *n)
{
	static uint8_t data[MAX_SIZE * 2];
	struct shale_buf value = {0};
	size_t got;

	CHECK_INT(shale_live_read(m->rig->live, n->ino, 0, data, sizeof(data),
				  &got, NULL),
		  0);
	CHECK_INT(got, n->size);
	for (size_t i = 0; i < got; i++)
		if (data[i] != n->data[i])
			shale_test_fail(__FILE__, __LINE__,
					"inode %d byte %zu of %zu: %d not %d",
					(int)n->ino, i, got, data[i],
					n->data[i]);
	check_holes(m, n);
	int r = shale_live_getxattr(m->rig->live, n->ino, "user.x", &value);
	CHECK_INT(r, n->xattr ? 0 : -ENODATA);
	if (r == 0)
		CHECK_INT(value.data[0], n->xattr);
	shale_buf_release(&value);
}

static void add_inode(const struct shale_buf *value, uint64_t *sum,
		      uint32_t committed)
{
	struct shale_rec_attr attr;
	CHECK_INT(shale_rec_attr_decode(value, &attr, NULL), 0);
	*sum += attr.epoch > committed;
}

static void add_blocks(const struct shale_buf *value, uint64_t *sum,
		       uint32_t committed)
{
	struct shale_rec_content c;
	(void)committed;
	CHECK_INT(shale_rec_content_decode(value, &c, NULL), 0);
	*sum += c.present;
	shale_rec_content_release(&c);
}

/* What was counted on the way is what there is. */
static void check_quota(struct model *m, const struct shale_live_counts *counts)
{
	uint64_t inodes = 0, blocks = 0;

	recount(m, 'I', add_inode, &inodes, counts->committed);
	recount(m, 'C', add_blocks, &blocks, counts->committed);
	CHECK_INT(counts->used_inodes, inodes);
	CHECK_INT(counts->used_bytes, blocks * SHALE_BLOCK + inodes * 512);
}

static void check_all(struct model *m)
{
	struct shale_live_counts counts;
	uint64_t inodes = 0, bytes = 0;

	for (int i = 1; i < NODES; i++) {
		struct node *n = &m->node[i];
		struct shale_node out;
		if (!n->ino)
			continue;
		CHECK_INT(shale_live_getattr(m->rig->live, n->ino, &out), 0);
		CHECK_INT(out.mode, n->mode);
		CHECK_INT(out.nlink, n->nlink);
		inodes++;
		bytes += n->size;
		if (S_ISDIR(n->mode))
			check_dir(m, i);
		if (S_ISREG(n->mode))
			check_file(m, n);
	}
	CHECK_INT(shale_live_counts(m->rig->live, &counts), 0);
	CHECK_INT(counts.inodes, inodes);
	CHECK_INT(counts.bytes, bytes);
	check_quota(m, &counts);
}

static const struct {
	void (*run)(struct model *m);
	unsigned weight;
} ops[] = {
	{do_make, 20},        {do_remove, 12},   {do_link, 6},
	{do_rename, 14},      {do_open, 5},      {do_release, 5},
	{do_write, 40},       {do_truncate, 12}, {do_fallocate, 12},
	{do_copy, 16},        {do_xattr, 4},     {do_commit, 4},
	{do_remount, 1},      {do_tmpfile, 3},   {do_discard, 2},
	{do_discard_path, 4},
};

static void run_one(struct model *m)
{
	unsigned total = 0;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		total += ops[i].weight;
	unsigned at = (unsigned)pick(total);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (at < ops[i].weight) {
			ops[i].run(m);
			return;
		}
		at -= ops[i].weight;
	}
}

static void run_many(unsigned steps, unsigned every)
{
	struct model m = {.rig = rig_new()};

	m.node[1] = (struct node){
		.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2, .parent = 1};
	copy_nodes(m.last, m.node);
	for (unsigned i = 0; i < steps; i++) {
		run_one(&m);
		if (i % every == every - 1)
			check_all(&m);
	}
	do_remount(&m);
	check_all(&m);
	for (int i = 0; i < NODES; i++) {
		drop(&m.node[i]);
		drop(&m.last[i]);
		drop(&m.taken[i]);
	}
	rig_free(m.rig);
}

TEST(random_operations_do_what_the_simplest_file_system_does)
{
	run_many(1500, 10);
}

TEST(long_random_histories_agree_too)
{
	for (int i = 0; i < 2; i++)
		run_many(2500, 50);
}
