/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a discard has to come to, worked out the long way round.
 */
#include "tests/lib/check.h"
#include "tests/unit/live-model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void copy_node(struct node *to, const struct node *from)
{
	uint64_t handle = to->handle;

	drop(to);
	*to = *from;
	to->handle = handle;
	to->data = NULL;
	if (from->size) {
		to->data = malloc(from->size);
		memcpy(to->data, from->data, from->size);
	}
}

/* All that has a name, nothing of it open. */
void copy_nodes(struct node *to, const struct node *from)
{
	for (int i = 1; i < NODES; i++) {
		drop(&to[i]);
		if (from[i].ino && from[i].nlink)
			copy_node(&to[i], &from[i]);
	}
}

static bool has_inode(const struct node *nodes, uint64_t ino)
{
	for (int i = 1; i < NODES; i++)
		if (nodes[i].ino == ino)
			return true;
	return false;
}

/* What is open stays so: under the image's name, or without any. */
static void keep_open(struct model *m, const struct node *n)
{
	int at = 0;

	for (int i = 1; i < NODES; i++)
		if (m->node[i].ino == n->ino)
			at = i;
	if (at) {
		m->node[at].handle = n->handle;
		return;
	}
	at = free_node(m);
	CHECK(at != 0);
	copy_node(&m->node[at], n);
	m->node[at].nlink = 0;
	m->node[at].handle = n->handle;
}

/* Read through the records of that letter. */
void recount(struct model *m, char letter,
	     void (*fn)(const struct shale_buf *value, uint64_t *sum,
			uint32_t committed),
	     uint64_t *sum, uint32_t committed)
{
	struct shale_buf key = {0}, value = {0};
	struct shale_err err;

	CHECK_INT(shale_buf_append(&key, &letter, 1), 0);
	while (shale_db_next(m->rig->ws->db, key.data, key.len, 1, &key, &value,
			     &err) == 0) {
		fn(&value, sum, committed);
		CHECK_INT(shale_buf_append(&key, "", 1), 0);
	}
	shale_buf_release(&key);
	shale_buf_release(&value);
}

static void add_one(const struct shale_buf *value, uint64_t *sum,
		    uint32_t committed)
{
	(void)value;
	(void)committed;
	++*sum;
}

void do_discard(struct model *m)
{
	static struct node before[NODES];
	struct shale_live_discarded done;
	struct shale_live_counts counts;
	struct shale_err err;
	uint64_t orphans = 0;

	m->frozen = false; /* no commit is under way: it has failed */
	CHECK_OK(shale_live_discard(m->rig->live, NULL, 0, NULL, &done, &err));
	/* Nothing is newer than the commit, but for what has no name. */
	CHECK_INT(shale_live_counts(m->rig->live, &counts), 0);
	recount(m, 'O', add_one, &orphans, 0);
	CHECK(counts.used_inodes <= orphans);
	copy_nodes(before, m->node);
	for (int i = 1; i < NODES; i++)
		before[i].handle = m->node[i].handle;
	for (int i = 1; i < NODES; i++) /* nameless ones are not copied */
		if (m->node[i].ino && !m->node[i].nlink)
			copy_node(&before[i], &m->node[i]);
	copy_nodes(m->node, m->last);
	for (int i = 1; i < NODES; i++) {
		const struct node *n = &before[i];
		if (n->handle)
			keep_open(m, n);
		if (n->ino && !S_ISREG(n->mode) && !has_inode(m->last, n->ino))
			shale_live_forgotten(m->rig->live, n->ino);
	}
	for (int i = 1; i < NODES; i++)
		drop(&before[i]);
}

/* --------------------------------------------------- discarding one path */

static int slot_of(const struct node *nodes, uint64_t ino)
{
	for (int i = 1; ino && i < NODES; i++)
		if (nodes[i].ino == ino)
			return i;
	return 0;
}

/* A path, of names that are mostly there, and what it leads to. */
struct path {
	char text[32];
	uint64_t dir; /* of the last name */
	int at;
	uint64_t now, image;
	int r; /* why it cannot be discarded */
};

static uint64_t child_of(const struct node *nodes, uint64_t dir, int at)
{
	int slot = slot_of(nodes, dir);
	return slot ? nodes[nodes[slot].child[at]].ino : 0;
}

static struct path any_path(struct model *m)
{
	struct path p = {.dir = 1};
	unsigned depth = 1 + (unsigned)pick(3);

	for (unsigned i = 0; i < depth; i++) {
		for (int tries = 0; tries < 6; tries++) {
			p.at = (int)pick(NAMES);
			p.now = child_of(m->node, p.dir, p.at);
			p.image = child_of(m->last, p.dir, p.at);
			if (p.now || p.image)
				break;
		}
		snprintf(p.text + strlen(p.text),
			 sizeof(p.text) - strlen(p.text), "/%s", name_of(p.at));
		if (i == depth - 1 || (!p.now && !p.image))
			break;
		if (p.now != p.image) {
			strcat(p.text, "/n0"); /* something below it */
			p.r = -EXDEV;
			return p;
		}
		p.dir = p.now;
	}
	if (!p.now && !p.image)
		p.r = -ENOKEY;
	return p;
}

/* Is the inode at or below the path in the image? */
static bool image_below(struct model *m, const struct path *p, uint64_t ino)
{
	int slot = slot_of(m->last, ino);

	for (; slot; slot = m->last[slot].parent) {
		if (m->last[slot].ino == p->image)
			return true;
		if (slot == 1 || !S_ISDIR(m->last[slot].mode))
			break;
	}
	return false;
}

static bool below_now(struct model *m, const struct path *p, int slot)
{
	for (;; slot = m->node[slot].parent) {
		if (m->node[slot].ino == p->now ||
		    image_below(m, p, m->node[slot].ino))
			return true;
		if (slot == 1)
			return false;
	}
}

/* The slot of an inode of the image, as it is there but for its names. */
static int bring_back(struct model *m, struct node *t, uint64_t ino)
{
	const struct node *from = &m->last[slot_of(m->last, ino)];
	int slot = slot_of(t, ino), parent;

	for (int i = 2; !slot && i < NODES; i++)
		if (!t[i].ino)
			slot = i;
	CHECK(slot != 0);
	struct node names = t[slot];
	parent = t[slot].parent;
	copy_node(&t[slot], from);
	memcpy(t[slot].child, names.child, sizeof(names.child));
	t[slot].parent = parent;
	return slot;
}

/* The tree `t` as it is to be, in three steps: what is there goes … */
static void take_away(struct model *m, const struct path *p, struct node *t)
{
	for (int i = 1; i < NODES; i++)
		if (S_ISDIR(m->node[i].mode) && m->node[i].nlink &&
		    below_now(m, p, i))
			memset(t[i].child, 0, sizeof(t[i].child));
	t[slot_of(t, p->dir)].child[p->at] = 0;
}

/* … what the image has comes … */
static void put_back(struct model *m, const struct path *p, struct node *t)
{
	for (int i = 1; i < NODES; i++) {
		const struct node *dir = &m->last[i];
		if (!S_ISDIR(dir->mode) || !image_below(m, p, dir->ino))
			continue;
		int slot = bring_back(m, t, dir->ino);
		for (int at = 0; at < NAMES; at++) {
			uint64_t child = m->last[dir->child[at]].ino;
			t[slot].child[at] = child ? bring_back(m, t, child) : 0;
		}
	}
	if (p->image)
		t[slot_of(t, p->dir)].child[p->at] = bring_back(m, t, p->image);
}

/* … and links are counted.  -EXDEV: a directory has two names, or none. */
static int count_links(struct model *m, struct node *t)
{
	unsigned names[NODES] = {[1] = 1}, dirs[NODES] = {0};

	for (int i = 1; i < NODES; i++)
		for (int at = 0; S_ISDIR(t[i].mode) && at < NAMES; at++) {
			int child = t[i].child[at];
			if (!child)
				continue;
			names[child]++;
			if (S_ISDIR(t[child].mode)) {
				dirs[i]++;
				t[child].parent = i;
			}
		}
	for (int i = 1; i < NODES; i++) {
		bool dir = S_ISDIR(t[i].mode);
		if (dir && (names[i] > 1 ||
			    (!names[i] && has_inode(m->last, t[i].ino))))
			return -EXDEV;
		t[i].nlink = !names[i] ? 0 : dir ? 2 + dirs[i] : names[i];
	}
	return 0;
}

void do_discard_path(struct model *m)
{
	static struct node t[NODES];
	struct path p = any_path(m);
	const char *text = p.text;
	struct shale_live_discarded done;
	struct shale_err err;

	m->frozen = false;
	int r = shale_live_discard(m->rig->live, &text, 1, NULL, &done, &err);
	for (int i = 1; i < NODES; i++) {
		drop(&t[i]);
		if (m->node[i].ino)
			copy_node(&t[i], &m->node[i]);
		t[i].handle = m->node[i].handle;
	}
	int want = p.r;
	if (want == 0) {
		take_away(m, &p, t);
		put_back(m, &p, t);
		want = count_links(m, t);
	}
	CHECK_INT(r, want);
	if (r < 0)
		return;
	for (int i = 1; i < NODES; i++) {
		bool nameless = t[i].ino && !t[i].nlink;
		if (nameless && !S_ISREG(t[i].mode))
			shale_live_forgotten(m->rig->live, t[i].ino);
		drop(&m->node[i]);
		if (!nameless || t[i].handle) {
			m->node[i] = t[i];
			t[i] = (struct node){0};
		}
	}
}
