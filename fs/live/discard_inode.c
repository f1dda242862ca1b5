/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/discard.h"

#include "fs/live/ranges.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* One inode: what is there now, what the base and the last image have. */
struct item {
	struct shale_discard *d;
	struct shale_live_node node;  /* now; `base`, `base_size` filled in */
	struct shale_attr base, last; /* ino 0: it has none */
	uint32_t links;               /* names afterwards */
};

static int look_up(const struct shale_index *index, uint64_t ino,
		   struct shale_attr *out)
{
	int r = shale_index_attr(index, ino, out, NULL);

	if (r == -ENOENT) {
		*out = (struct shale_attr){0};
		return 0;
	}
	return r;
}

static void del(struct item *it, struct shale_key key)
{
	shale_change_del(&it->d->ch, &key);
}

/* It changes, and the kernel has to forget what it knew. */
static int note(struct item *it)
{
	return shale_buf_append(&it->d->inodes, &it->node.ino,
				sizeof(it->node.ino));
}

static void put_attr(struct item *it, const struct shale_rec_attr *attr)
{
	shale_change_put_attr(&it->d->ch, it->node.ino, it->node.attr.epoch,
			      attr);
}

/* -------------------------------------------------- names, and nothing else */

/* Nobody can ask for it any more; the base may have it all the same. */
static void free_inode(struct item *it)
{
	struct shale_change *ch = &it->d->ch;
	const struct shale_rec_attr *attr = &it->node.attr;
	const struct shale_rec_state *state = &it->d->live->state;
	struct shale_rec_attr gone = {
		.epoch = it->last.ino ? state->epoch : state->committed,
		.ctime = ch->now,
	};

	if (attr->mode) {
		if (S_ISREG(attr->mode))
			shale_change_free_content(ch, &it->node);
		del(it, shale_key_xattrs(it->node.ino));
		if (S_ISLNK(attr->mode) && !it->node.base)
			del(it, shale_key_target(it->node.ino));
		ch->inodes--;
	}
	/* What no image has needs no tombstone. */
	put_attr(it, it->node.base || it->last.ino ? &gone : NULL);
}

/* Names that it has elsewhere keep it as it is. */
static int relink(struct item *it)
{
	struct shale_rec_attr attr = it->node.attr;
	struct shale_change *ch = &it->d->ch;

	if (attr.mode && !attr.nlink)
		return 0; /* an orphan already: it goes with its last user */
	attr.nlink = it->links;
	attr.ctime = ch->now;
	attr.epoch = it->d->live->state.epoch;
	if (attr.mode && !attr.nlink && shale_change_in_use(ch, &it->node)) {
		struct shale_key orphan = shale_key_orphan(it->node.ino);
		shale_change_put(ch, &orphan, NULL, 0);
		ch->orphans++;
	} else if (!attr.mode || !attr.nlink) {
		free_inode(it);
		return note(it);
	}
	put_attr(it, &attr);
	return note(it);
}

/* --------------------------------------------- inodes that the image has */

static int reset_content(struct item *it)
{
	struct shale_change *ch = &it->d->ch;
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_content(it->node.ino);
	struct shale_rec_content c = {
		.epoch = it->d->live->state.committed,
		.size = it->last.size,
	};
	struct shale_rec_range whole = {
		.len = it->last.size,
		.image = it->d->live->state.last,
		.ino = it->node.ino,
	};

	if (it->node.attr.mode)
		shale_change_free_content(ch, &it->node);
	ch->bytes += (int64_t)it->last.size;
	if (it->d->pinned)
		return 0;
	int r = whole.len ? shale_ranges_put(&c, &whole) : 0;
	if (r == 0)
		r = shale_rec_content_encode(&c, &value);
	if (r == 0)
		shale_change_put(ch, &key, value.data, value.len);
	shale_rec_content_release(&c);
	return r;
}

static int reset_xattrs(struct item *it)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_xattrs(it->node.ino);
	struct shale_rec_xattrs rec = {.epoch = it->d->live->state.committed};
	const void *base = NULL;
	uint32_t len = 0;

	int r = shale_index_xattrs(it->d->last, it->node.ino, &rec.list,
				   &rec.len, NULL);
	if (r == 0 && it->node.base)
		r = shale_index_xattrs(it->d->live->index, it->node.ino, &base,
				       &len, NULL);
	if (r < 0)
		return r;
	if (rec.len == len && (!len || !memcmp(rec.list, base, len))) {
		shale_change_del(&it->d->ch, &key);
		return 0;
	}
	r = shale_rec_xattrs_encode(&rec, &value);
	if (r == 0)
		shale_change_put(&it->d->ch, &key, value.data, value.len);
	return r;
}

static int reset_target(struct item *it)
{
	struct shale_key key = shale_key_target(it->node.ino);
	const char *target;
	uint32_t len;

	if (!S_ISLNK(it->last.mode) || it->node.base)
		return 0;
	int r = shale_index_target(it->d->last, it->node.ino, &target, &len,
				   NULL);
	if (r == 0)
		shale_change_put(&it->d->ch, &key, target, len);
	return r;
}

static int reset_attr(struct item *it)
{
	const struct shale_rec_state *state = &it->d->live->state;
	const struct shale_attr *last = &it->last;
	const struct shale_rec_attr *now = &it->node.attr;
	bool same = it->links == last->nlink;
	struct shale_rec_attr attr = {
		.epoch = same ? state->committed : state->epoch,
		.born = now->born < state->committed ? now->born
						     : state->committed,
		.mode = last->mode,
		.uid = last->uid,
		.gid = last->gid,
		.nlink = it->links,
		.rdev_major = last->rdev_major,
		.rdev_minor = last->rdev_minor,
		.mtime = last->mtime,
		.ctime = same ? last->mtime : it->d->ch.now,
		.atime = last->mtime,
	};

	if (it->node.base)
		attr.born = 0;
	if (S_ISDIR(last->mode)) {
		struct shale_index_dir dir;
		int r = shale_index_dir(it->d->last, it->node.ino, &dir, NULL);
		if (r < 0)
			return r;
		attr.parent = dir.parent;
		attr.next_cookie = now->next_cookie;
	}
	/* Offsets of new names begin anew: none has one any more. */
	put_attr(it, it->d->pinned && same ? NULL : &attr);
	return 0;
}

static int reset(struct item *it)
{
	struct shale_change *ch = &it->d->ch;
	int r = note(it);

	if (r == 0 && S_ISREG(it->last.mode))
		r = reset_content(it);
	if (!it->node.attr.mode) {
		ch->inodes++;
	} else if (!it->node.attr.nlink) {
		del(it, shale_key_orphan(it->node.ino));
		ch->orphans--;
	}
	if (r == 0)
		r = reset_xattrs(it);
	if (r == 0)
		r = reset_target(it);
	return r < 0 ? r : reset_attr(it);
}

static int begin(struct item *it, struct shale_discard *d, uint64_t ino,
		 const struct shale_rec_attr *rec, uint32_t links)
{
	*it = (struct item){
		.d = d,
		.node = {.ino = ino, .stored = true, .attr = *rec},
		.links = links,
	};
	int r = look_up(d->last, ino, &it->last);
	if (r == 0)
		r = look_up(d->live->index, ino, &it->base);
	it->node.base = it->base.ino != 0;
	it->node.base_size = it->base.size;
	return r;
}

int shale_discard_inode(struct shale_discard *d, uint64_t ino,
			const struct shale_rec_attr *rec, uint32_t links)
{
	struct item it;

	int r = begin(&it, d, ino, rec, links);
	if (r < 0)
		return r;
	return it.last.ino && links ? reset(&it) : relink(&it);
}

int shale_discard_links(struct shale_discard *d, uint64_t ino,
			const struct shale_rec_attr *rec, uint32_t links)
{
	struct item it;

	int r = begin(&it, d, ino, rec, links);
	return r < 0 ? r : relink(&it);
}

int shale_discard_image_links(struct shale_discard *d, uint64_t ino,
			      uint32_t *links)
{
	struct shale_attr last;

	int r = look_up(d->last, ino, &last);
	if (r == 0)
		*links = last.ino ? last.nlink : 0;
	return r;
}
