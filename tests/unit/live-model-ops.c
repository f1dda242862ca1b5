/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/unit/live-model.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t pick(uint64_t n)
{
	return shale_test_random() % n;
}

const char *name_of(int i)
{
	static char name[NAMES][8];
	snprintf(name[i], sizeof(name[i]), "n%d", i);
	return name[i];
}

static int any_node(struct model *m, bool (*fits)(const struct node *n))
{
	int start = (int)pick(NODES);
	for (int i = 0; i < NODES; i++) {
		int at = (start + i) % NODES;
		if (m->node[at].ino && fits(&m->node[at]))
			return at;
	}
	return 0;
}

static bool is_dir(const struct node *n)
{
	return S_ISDIR(n->mode);
}

static bool is_file(const struct node *n)
{
	return S_ISREG(n->mode);
}

static bool is_named_file(const struct node *n)
{
	return S_ISREG(n->mode) && n->nlink;
}

int free_node(struct model *m)
{
	for (int i = 2; i < NODES; i++)
		if (!m->node[i].ino)
			return i;
	return 0;
}

static bool empty(const struct node *n)
{
	for (int i = 0; i < NAMES; i++)
		if (n->child[i])
			return false;
	return true;
}

void drop(struct node *n)
{
	free(n->data);
	*n = (struct node){0};
}

/* A name of the node went. */
static void unlinked(struct model *m, struct node *n)
{
	/* As the kernel does, with whatever it cannot have open. */
	if (!S_ISREG(n->mode))
		shale_live_forgotten(m->rig->live, n->ino);
	n->nlink = S_ISDIR(n->mode) ? 0 : n->nlink - 1;
	if (!n->nlink && !n->handle)
		drop(n);
}

/* ------------------------------------------------------------- operations */

void do_make(struct model *m)
{
	static const uint32_t modes[] = {S_IFREG | 0644, S_IFREG | 0600,
					 S_IFDIR | 0755, S_IFLNK | 0777,
					 S_IFIFO | 0600};
	int dir = any_node(m, is_dir), at = (int)pick(NAMES);
	struct node *d = &m->node[dir];
	uint32_t mode = modes[pick(5)];
	struct shale_make what = {
		.mode = mode,
		.target = "t",
		.target_len = 1,
	};
	struct shale_node out;
	int i = free_node(m);

	if (!i)
		return;
	int r = shale_live_make(m->rig->live, &rig_caller, d->ino, name_of(at),
				strlen(name_of(at)), &what, &out);
	CHECK_INT(r, d->child[at] ? -EEXIST : 0);
	if (r < 0)
		return;
	m->node[i] = (struct node){.ino = out.ino,
				   .mode = mode,
				   .nlink = S_ISDIR(mode) ? 2 : 1,
				   .parent = dir};
	d->child[at] = i;
	d->nlink += S_ISDIR(mode);
}

void do_remove(struct model *m)
{
	int dir = any_node(m, is_dir), at = (int)pick(NAMES);
	struct node *d = &m->node[dir];
	struct node *n = &m->node[d->child[at]];
	bool as_dir = d->child[at] ? S_ISDIR(n->mode) : pick(2);
	const char *name = name_of(at);
	int want = 0;

	int r = as_dir ? shale_live_rmdir(m->rig->live, &rig_caller, d->ino,
					  name, strlen(name))
		       : shale_live_unlink(m->rig->live, &rig_caller, d->ino,
					   name, strlen(name));
	if (!d->child[at])
		want = -ENOENT;
	else if (as_dir && !empty(n))
		want = -ENOTEMPTY;
	CHECK_INT(r, want);
	if (r < 0)
		return;
	d->child[at] = 0;
	d->nlink -= as_dir;
	unlinked(m, n);
}

void do_link(struct model *m)
{
	int dir = any_node(m, is_dir), at = (int)pick(NAMES);
	int file = any_node(m, is_file);
	struct node *d = &m->node[dir];
	struct shale_node out;

	if (!file)
		return;
	struct node *n = &m->node[file];
	int r = shale_live_link(m->rig->live, &rig_caller, n->ino, d->ino,
				name_of(at), strlen(name_of(at)), &out);
	CHECK_INT(r, d->child[at]               ? -EEXIST
		     : !n->nlink && !n->unnamed ? -ENOENT
						: 0);
	if (r < 0)
		return;
	d->child[at] = file;
	n->nlink++;
	n->unnamed = false;
}

static bool below(struct model *m, int dir, int top)
{
	for (; dir != top; dir = m->node[dir].parent)
		if (dir == 1)
			return false;
	return true;
}

/* The error that a rename must give, or 0. */
static int rename_fault(struct model *m, int from, int to, int src, int dst,
			unsigned flags)
{
	bool src_dir = S_ISDIR(m->node[src].mode);
	bool dst_dir = dst && S_ISDIR(m->node[dst].mode);

	if (!src)
		return -ENOENT;
	if (dst && flags == RENAME_NOREPLACE)
		return -EEXIST;
	if (!dst && flags == RENAME_EXCHANGE)
		return -ENOENT;
	if (src_dir && from != to && below(m, to, src))
		return -EINVAL;
	if (dst_dir && from != to && below(m, from, dst))
		return flags == RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (src == dst || !dst || flags == RENAME_EXCHANGE)
		return 0;
	if (src_dir != dst_dir)
		return src_dir ? -ENOTDIR : -EISDIR;
	return dst_dir && !empty(&m->node[dst]) ? -ENOTEMPTY : 0;
}

static void place(struct model *m, int dir, int at, int child)
{
	struct node *n = &m->node[child];
	m->node[dir].child[at] = child;
	if (S_ISDIR(n->mode)) {
		m->node[n->parent].nlink--;
		m->node[dir].nlink++;
		n->parent = dir;
	}
}

void do_rename(struct model *m)
{
	static const unsigned all[] = {0, 0, 0, RENAME_NOREPLACE,
				       RENAME_EXCHANGE};
	int from = any_node(m, is_dir), to = any_node(m, is_dir);
	int a = (int)pick(NAMES), b = (int)pick(NAMES);
	int src = m->node[from].child[a], dst = m->node[to].child[b];
	unsigned flags = all[pick(5)];

	int r = shale_live_rename(m->rig->live, &rig_caller, m->node[from].ino,
				  name_of(a), strlen(name_of(a)),
				  m->node[to].ino, name_of(b),
				  strlen(name_of(b)), flags);
	CHECK_INT(r, rename_fault(m, from, to, src, dst, flags));
	if (r < 0 || src == dst)
		return;
	m->node[from].child[a] = 0;
	place(m, to, b, src);
	if (flags == RENAME_EXCHANGE) {
		place(m, from, a, dst);
	} else if (dst) {
		if (S_ISDIR(m->node[dst].mode))
			m->node[to].nlink--;
		unlinked(m, &m->node[dst]);
	}
}

static void open_node(struct model *m, struct node *n)
{
	static uint64_t unique;
	struct shale_caller who = {.request.unique = ++unique};

	CHECK_INT(shale_live_opened(m->rig->live, &who, n->ino, &n->handle), 0);
	n->handle++;
}

void do_open(struct model *m)
{
	int i = any_node(m, is_named_file);

	if (i && !m->node[i].handle)
		open_node(m, &m->node[i]);
}

void do_tmpfile(struct model *m)
{
	int dir = any_node(m, is_dir), i = free_node(m);
	struct shale_node out;

	if (!i)
		return;
	CHECK_INT(shale_live_tmpfile(m->rig->live, &rig_caller,
				     m->node[dir].ino, 0600, &out),
		  0);
	m->node[i] = (struct node){
		.ino = out.ino, .mode = S_IFREG | 0600, .unnamed = true};
	open_node(m, &m->node[i]);
}

static bool is_open(const struct node *n)
{
	return n->handle;
}

void do_release(struct model *m)
{
	int i = any_node(m, is_open);
	struct node *n = &m->node[i];

	if (!i)
		return;
	shale_live_released(m->rig->live, n->handle - 1);
	n->handle = 0;
	if (!n->nlink)
		drop(n);
}

/* ---------------------------------------------------------------- content */

static void grow(struct node *n, uint64_t size)
{
	if (size <= n->size)
		return;
	n->data = realloc(n->data, size);
	memset(n->data + n->size, 0, size - n->size);
	n->size = size;
}

static uint64_t offset(void)
{
	switch (pick(4)) {
	case 0:
		return pick(MAX_SIZE / 4096) * 4096;
	case 1:
		return pick(9000);
	default:
		return pick(MAX_SIZE);
	}
}

void do_write(struct model *m)
{
	int i = any_node(m, is_file);
	struct node *n = &m->node[i];
	uint8_t data[20000];
	uint64_t off = pick(3) ? offset() : n->size;
	size_t len = pick(2) ? 1 + pick(300) : 1 + pick(sizeof(data));

	if (!i)
		return;
	if (off > MAX_SIZE)
		off = 0;
	memset(data, (int)(1 + pick(255)), len);
	data[pick(len)] = 7;
	CHECK_INT(shale_live_write(m->rig->live, &rig_caller, n->ino, off, data,
				   len, false),
		  0);
	grow(n, off + len);
	memcpy(n->data + off, data, len);
}

void do_truncate(struct model *m)
{
	int i = any_node(m, is_file);
	struct node *n = &m->node[i];
	struct shale_set set = {.what = SHALE_SET_SIZE, .size = offset()};
	struct shale_node out;

	if (!i)
		return;
	if (pick(4) == 0)
		set.size = n->size ? n->size - 1 : 1;
	CHECK_INT(shale_live_setattr(m->rig->live, &rig_caller, n->ino, &set,
				     &out),
		  0);
	CHECK_INT(out.size, set.size);
	if (set.size < n->size)
		n->size = set.size;
	else
		grow(n, set.size);
}

void do_fallocate(struct model *m)
{
	static const int modes[] = {
		0,
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	int i = any_node(m, is_file), mode = modes[pick(6)];
	struct node *n = &m->node[i];
	uint64_t off = offset(), len = 1 + pick(20000);

	if (!i)
		return;
	CHECK_INT(shale_live_fallocate(m->rig->live, &rig_caller, n->ino, mode,
				       off, len, false),
		  0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		for (uint64_t at = off; at < off + len && at < n->size; at++)
			n->data[at] = 0;
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(n, off + len);
}

void do_copy(struct model *m)
{
	int a = any_node(m, is_file), b = any_node(m, is_file);
	struct node *src = &m->node[a], *dst = &m->node[b];
	uint64_t from = offset(), to = pick(3) ? from : offset();
	uint64_t len = pick(2) ? MAX_SIZE : 1 + pick(30000), done;

	if (!a || !b || a == b)
		return;
	if (pick(3) == 0)
		from = to = 0;
	if (to > MAX_SIZE)
		to = 0;
	int r = shale_live_copy(m->rig->live, &rig_caller, src->ino, from,
				dst->ino, to, len, false, &done);
	CHECK_INT(r, 0);
	uint64_t want = from >= src->size        ? 0
			: len < src->size - from ? len
						 : src->size - from;
	CHECK_INT(done, want);
	if (!done)
		return;
	grow(dst, to + done);
	memcpy(dst->data + to, src->data + from, done);
}

/* ------------------------------------------------------ commits and mounts */

void do_commit(struct model *m)
{
	if (m->rig->images > RIG_IMAGES - 2)
		return;
	if (!m->frozen) {
		m->pending = rig_freeze(m->rig);
		copy_nodes(m->taken, m->node);
	} else if (pick(8) == 0) {
		; /* it failed */
	} else {
		rig_committed(m->rig, &m->pending);
		copy_nodes(m->last, m->taken);
	}
	m->frozen = !m->frozen;
}

void do_remount(struct model *m)
{
	for (int i = 0; i < NODES; i++) {
		struct node *n = &m->node[i];
		if (n->handle) {
			n->handle = 0;
			if (!n->nlink)
				drop(n);
		}
	}
	m->frozen = false; /* the committer dies with it */
	rig_remount(m->rig);
}

void do_xattr(struct model *m)
{
	int i = any_node(m, is_file);
	struct node *n = &m->node[i];
	char value = (char)('a' + pick(26));

	if (!i)
		return;
	CHECK_INT(shale_live_setxattr(m->rig->live, &rig_caller, n->ino,
				      "user.x", &value, 1, 0, false),
		  0);
	n->xattr = value;
}
