/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/discard_scope.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Resets what is at and below some paths.  Costs what has changed in the
 * workspace, not what lies below them: each newer record is asked where it is,
 * now and in the image.
 */

enum { BATCH_MAX = 6 << 20 }; /* what one batch may take, with room to spare */

/* How many names more an inode has afterwards. */
struct links {
	uint64_t ino;
	int more;
	bool parent; /* of a top … */
	int dirs;    /* … with so many directories more in it … */
	bool others; /* … and with names that stay changed */
};

struct resetting {
	struct shale_discard *d;
	struct shale_scope scope;
	struct shale_buf links; /* struct links */
	struct shale_err *err;
};

/* ------------------------------------------------------------ the records */

static int note(struct resetting *rs, uint64_t ino, int more)
{
	struct links l = {.ino = ino, .more = more};

	return shale_buf_append(&rs->links, &l, sizeof(l));
}

static int note_parent(struct resetting *rs, uint64_t ino, int dirs)
{
	struct links l = {.ino = ino, .parent = true, .dirs = dirs};

	return shale_buf_append(&rs->links, &l, sizeof(l));
}

/* A name that is not meant: does that matter to the parent of a top? */
static int note_other(struct resetting *rs, uint64_t dir)
{
	struct links l = {.ino = dir, .parent = true, .others = true};

	return shale_scope_is_parent(&rs->scope, dir)
		       ? shale_buf_append(&rs->links, &l, sizeof(l))
		       : 0;
}

static bool is_dir(uint8_t type)
{
	return type == S_IFDIR >> 12;
}

static int on_name(void *arg, const struct shale_buf *key,
		   const struct shale_buf *value, struct shale_err *err)
{
	struct resetting *rs = arg;
	struct shale_rec_name rec;
	struct shale_entry e = {0};
	const char *name;
	uint64_t dir;
	size_t len;

	(void)err;
	int r = shale_rec_name_decode(value, &rec, NULL);
	if (r == 0)
		r = shale_key_name_parts(key, &dir, &name, &len);
	if (r < 0 || rec.epoch <= rs->d->live->state.committed)
		return r;
	bool top = !shale_scope_holds(&rs->scope, dir);
	if (top && !shale_scope_is_top(&rs->scope, dir, name, len))
		return note_other(rs, dir);
	r = shale_index_lookup(rs->d->last, dir, name, len, &e, NULL, NULL);
	if (r == -ENOENT || r == -ENOTDIR)
		r = 0;
	if (r == 0 && rec.ino)
		r = note(rs, rec.ino, -1);
	if (r == 0 && e.ino)
		r = note(rs, e.ino, 1);
	if (r == 0 && top)
		r = note_parent(rs, dir, is_dir(e.type) - is_dir(rec.type));
	if (r == 0)
		r = shale_discard_name(rs->d, dir, name, len, &rec);
	return r == 0 && rs->d->ch.batch.ops.len > BATCH_MAX ? -E2BIG : r;
}

static int on_inode(void *arg, const struct shale_buf *key,
		    const struct shale_buf *value, struct shale_err *err)
{
	struct resetting *rs = arg;
	struct shale_rec_attr rec;
	uint64_t ino;

	(void)err;
	int r = shale_key_ino(key, 'I', &ino);
	if (r == 0)
		r = shale_rec_attr_decode(value, &rec, NULL);
	if (r < 0 || rec.epoch <= rs->d->live->state.committed ||
	    !shale_scope_image_has(&rs->scope, ino))
		return r;
	return note(rs, ino, 0);
}

/* ------------------------------------------------------------- the inodes */

struct find {
	uint64_t ino;
	struct shale_buf *name;
};

static bool find_name(void *arg, const char *name, size_t len,
		      const struct shale_node *node, uint64_t next)
{
	const struct find *find = arg;

	(void)next;
	if (node->ino != find->ino || name[0] == '.')
		return true;
	(void)shale_buf_append(find->name, "/", 1);
	(void)shale_buf_append(find->name, name, len);
	return false;
}

/* Two places of a directory, for the message. */
static int moved(struct resetting *rs, uint64_t ino)
{
	cleanup_buf struct shale_buf now = {0}, then = {0};
	struct find find = {ino, &now};
	struct shale_live_node node;

	(void)shale_index_path(rs->d->last, ino, 0, &then, NULL);
	if (shale_node_load(rs->d->live, ino, &node) == 0)
		(void)shale_live_readdir(rs->d->live, node.attr.parent, 0,
					 false, find_name, &find);
	const char *a = shale_buf_str(&then), *b = shale_buf_str(&now);
	return shale_err_say(rs->err, EXDEV,
			     "directory '%s' of the image has moved ('%s' is "
			     "its last name): discard both places at once, or "
			     "all",
			     a ? a : "?", b ? b : "?");
}

static int settle_dir(struct resetting *rs, const struct links *l,
		      const struct shale_rec_attr *rec, bool in)
{
	int names = (rec->mode && rec->nlink) + l->more;
	uint32_t links = 0;

	int r = shale_discard_image_links(rs->d, l->ino, &links);
	if (r < 0)
		return r;
	if (names > 1 || (links && names < 1))
		return moved(rs, l->ino);
	if (in || !names)
		return shale_discard_inode(rs->d, l->ino, rec,
					   names ? links : 0);
	return 0;
}

/* Is all that has changed of the directory its names, and thus its times? */
static bool only_names(const struct resetting *rs, uint64_t ino,
		       const struct shale_rec_attr *rec)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_xattrs(ino);
	struct shale_rec_xattrs xattrs = {.epoch = 0};
	struct shale_attr last;

	int r = shale_live_get(rs->d->live, &key, &value);
	if (r == 0)
		r = shale_rec_xattrs_decode(&value, &xattrs, NULL);
	return (r == 0 || r == -ENOENT) &&
	       xattrs.epoch <= rs->d->live->state.committed &&
	       shale_index_attr(rs->d->last, ino, &last, NULL) == 0 &&
	       last.mode == rec->mode && last.uid == rec->uid &&
	       last.gid == rec->gid;
}

/*
 * The directory above: if nothing is left that has changed in it, it is as in
 * the image.  Else it has changed, as by any that makes and removes names.
 */
static int settle_parent(struct resetting *rs, const struct links *l,
			 struct shale_rec_attr *rec)
{
	uint32_t before = rec->epoch, links;

	if (!l->others && only_names(rs, l->ino, rec)) {
		int r = shale_discard_image_links(rs->d, l->ino, &links);
		return r < 0 ? r
			     : shale_discard_inode(rs->d, l->ino, rec, links);
	}
	rec->epoch = rs->d->live->state.epoch;
	rec->nlink = (uint32_t)((int64_t)rec->nlink + l->dirs);
	rec->mtime = rec->ctime = rs->d->ch.now;
	shale_change_put_attr(&rs->d->ch, l->ino, before, rec);
	return shale_buf_append(&rs->d->inodes, &l->ino, sizeof(l->ino));
}

static int settle(struct resetting *rs, const struct links *l)
{
	struct shale_rec_attr rec;
	struct shale_live_node node;
	bool in = shale_scope_image_has(&rs->scope, l->ino);

	int r = shale_discard_attr(rs->d, l->ino, &rec);
	if (r == -ENOENT) {
		r = shale_node_load(rs->d->live, l->ino, &node);
		rec = node.attr;
	}
	if (r < 0)
		return r;
	if (l->parent && !in)
		return settle_parent(rs, l, &rec);
	struct shale_attr last = {0};
	(void)shale_index_attr(rs->d->last, l->ino, &last, NULL);
	if (S_ISDIR(rec.mode ? rec.mode : last.mode))
		return settle_dir(rs, l, &rec, in);
	uint32_t links = (uint32_t)((int64_t)rec.nlink + l->more);
	return in ? shale_discard_inode(rs->d, l->ino, &rec, links)
		  : shale_discard_links(rs->d, l->ino, &rec, links);
}

static int compare(const void *a, const void *b)
{
	const struct links *x = a, *y = b;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int settle_all(struct resetting *rs)
{
	struct links *l = (void *)rs->links.data;
	size_t n = rs->links.len / sizeof(*l);
	int r = 0;

	if (n)
		qsort(l, n, sizeof(*l), compare);
	for (size_t i = 0, next; r == 0 && i < n; i = next) {
		struct links sum = l[i];
		for (next = i + 1; next < n && l[next].ino == sum.ino; next++) {
			sum.more += l[next].more;
			sum.parent |= l[next].parent;
			sum.dirs += l[next].dirs;
			sum.others |= l[next].others;
		}
		r = settle(rs, &sum);
		if (r == 0 && rs->d->ch.batch.ops.len > BATCH_MAX)
			r = -E2BIG;
	}
	return r;
}

int shale_discard_paths(struct shale_discard *d, const char *const *paths,
			size_t n, struct shale_err *err)
{
	struct shale_err said = {0};
	struct resetting rs = {
		.d = d,
		.scope = {.live = d->live, .last = d->last},
		.err = &said,
	};
	int r = shale_scope_open(&rs.scope, paths, n, &said);
	if (r == 0)
		r = shale_live_each(d->live, 'N', on_name, &rs, NULL);
	if (r == 0)
		r = shale_live_each(d->live, 'I', on_inode, &rs, NULL);
	if (r == 0)
		r = settle_all(&rs);
	if (r == 0)
		r = shale_discard_flush(d);
	shale_scope_release(&rs.scope);
	shale_buf_release(&rs.links);
	if (r == 0)
		return 0;
	/* Nothing has happened: there is nothing to forget. */
	d->names.len = d->inodes.len = 0;
	if (r == -E2BIG)
		return shale_err_say(err, E2BIG,
				     "too much has changed there for one step: "
				     "discard parts of it, or all");
	return said.msg[0] ? shale_err_say(err, -r, "%s", said.msg)
			   : shale_err_set(err, -r, "discard");
}
