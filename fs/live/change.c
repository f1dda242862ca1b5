/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/change.h"

#include "fs/live/quota.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void shale_change_init(struct shale_change *ch, struct shale_live *live)
{
	*ch = (struct shale_change){
		.live = live,
		.now = shale_node_now(),
	};
}

/* What was reserved for a change that did not happen is given back. */
void shale_change_release(struct shale_change *ch)
{
	if (ch->reserved)
		atomic_fetch_sub(&ch->live->blocks, ch->reserved);
	shale_batch_release(&ch->batch);
	shale_buf_release(&ch->drops);
}

static void keep(struct shale_change *ch, int r)
{
	if (r < 0 && ch->r == 0)
		ch->r = r;
}

int shale_change_load(struct shale_change *ch, uint64_t ino,
		      struct shale_live_node **out)
{
	for (unsigned i = 0; i < ch->n; i++) {
		if (ch->nodes[i].node.ino == ino) {
			*out = &ch->nodes[i].node;
			return 0;
		}
	}
	assert(ch->n < CHANGE_NODES);
	struct shale_live_node *node = &ch->nodes[ch->n].node;
	int r = shale_node_load(ch->live, ino, node);
	if (r < 0)
		return r;
	ch->n++;
	*out = node;
	return 0;
}

struct shale_live_node *shale_change_new(struct shale_change *ch, uint64_t ino)
{
	assert(ch->n < CHANGE_NODES);
	struct shale_live_node *node = &ch->nodes[ch->n++].node;

	*node = (struct shale_live_node){
		.ino = ino,
		.attr =
			{
				.born = ch->live->state.epoch,
				.nlink = 1,
				.mtime = ch->now,
				.atime = ch->now,
			},
	};
	ch->inodes++;
	shale_change_touch(ch, node);
	return node;
}

void shale_change_keep(struct shale_change *ch, struct shale_live_node *node)
{
	for (unsigned i = 0; i < ch->n; i++)
		if (node == &ch->nodes[i].node)
			ch->nodes[i].dirty = true;
}

void shale_change_touch(struct shale_change *ch, struct shale_live_node *node)
{
	shale_change_keep(ch, node);
	node->attr.ctime = ch->now;
}

void shale_change_unsaid(struct shale_change *ch,
			 const struct shale_live_node *node)
{
	for (unsigned i = 0; i < ch->n; i++)
		if (node == &ch->nodes[i].node)
			ch->nodes[i].unsaid = true;
}

void shale_change_modify(struct shale_change *ch, struct shale_live_node *node,
			 const struct shale_caller *who)
{
	shale_change_keep(ch, node);
	if (!who->keeps_times)
		node->attr.ctime = node->attr.mtime = ch->now;
}

void shale_change_put(struct shale_change *ch, const struct shale_key *key,
		      const void *value, size_t len)
{
	keep(ch, shale_batch_put(&ch->batch, key->b, key->len, value, len));
}

void shale_change_del(struct shale_change *ch, const struct shale_key *key)
{
	keep(ch, shale_batch_del(&ch->batch, key->b, key->len));
}

void shale_change_put_name(struct shale_change *ch, uint64_t dir,
			   const char *name, size_t len,
			   const struct shale_rec_name *rec)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_name(dir, name, len);

	keep(ch, shale_rec_name_encode(rec, &value));
	if (ch->r == 0)
		shale_change_put(ch, &key, value.data, value.len);
}

/* ---------------------------------------------------------------- freeing */

/* Delete a record if it is there: blind deletions cost more. */
static void del_if_there(struct shale_change *ch, const struct shale_key *key)
{
	cleanup_buf struct shale_buf value = {0};

	int r = shale_live_get(ch->live, key, &value);
	if (r == 0)
		shale_change_del(ch, key);
	else if (r != -ENOENT)
		keep(ch, r);
}

static void free_maps(struct shale_change *ch, uint64_t ino)
{
	cleanup_buf struct shale_buf found = {0};
	struct shale_key from = shale_key_map(ino, 0, 0);
	size_t len = from.len;

	for (;;) {
		int r = shale_db_next(ch->live->db, from.b, len, 9, &found,
				      NULL, NULL);
		if (r == -ENOENT)
			return;
		if (r == 0 && found.len >= sizeof(from.b))
			r = -EUCLEAN;
		if (r == 0)
			r = shale_batch_del(&ch->batch, found.data, found.len);
		if (r < 0) {
			keep(ch, r);
			return;
		}
		memcpy(from.b, found.data, found.len);
		from.b[found.len] = 0;
		len = found.len + 1;
	}
}

void shale_change_free_content(struct shale_change *ch,
			       const struct shale_live_node *node)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_content(node->ino);
	struct shale_rec_content c;

	int r = node->stored ? shale_live_get(ch->live, &key, &value) : -ENOENT;
	if (r == -ENOENT) {
		ch->bytes -= (int64_t)node->base_size;
		return;
	}
	if (r == 0)
		r = shale_rec_content_decode(&value, &c, NULL);
	if (r < 0) {
		keep(ch, r);
		return;
	}
	ch->bytes -= (int64_t)c.size;
	ch->blocks -= (int64_t)c.present;
	for (uint32_t i = 0; i < c.n_files; i++) {
		struct shale_drop drop = {node->ino, c.file[i].epoch};
		keep(ch, shale_buf_append(&ch->drops, &drop, sizeof(drop)));
	}
	if (c.n_files)
		free_maps(ch, node->ino);
	shale_change_del(ch, &key);
	shale_rec_content_release(&c);
}

void shale_change_free(struct shale_change *ch, struct shale_live_node *node)
{
	struct shale_rec_attr gone = {
		.epoch = node->attr.epoch,
		.born = node->attr.born,
		.ctime = ch->now,
	};
	struct shale_key xattrs = shale_key_xattrs(node->ino);
	struct shale_key target = shale_key_target(node->ino);

	ch->batch.frees = true;
	if (S_ISREG(node->attr.mode))
		shale_change_free_content(ch, node);
	if (node->stored)
		del_if_there(ch, &xattrs);
	if (S_ISLNK(node->attr.mode) && !node->base)
		shale_change_del(ch, &target);
	ch->inodes--;
	node->attr = gone;
	shale_change_touch(ch, node);
}

/*
 * Of a regular file the handles tell; the kernel opens all else but symlinks
 * without asking, and says when it is done by FORGET.
 */
bool shale_change_in_use(const struct shale_change *ch,
			 const struct shale_live_node *node)
{
	if (S_ISREG(node->attr.mode))
		return shale_handles_held(ch->live->handles, node->ino);
	return !S_ISLNK(node->attr.mode);
}

void shale_change_unlink(struct shale_change *ch, struct shale_live_node *node)
{
	struct shale_key orphan = shale_key_orphan(node->ino);

	shale_change_touch(ch, node);
	ch->batch.frees = true;
	if (!S_ISDIR(node->attr.mode) && node->attr.nlink > 1) {
		node->attr.nlink--;
		return;
	}
	node->attr.nlink = 0;
	if (!shale_change_in_use(ch, node)) {
		shale_change_free(ch, node);
		return;
	}
	shale_change_put(ch, &orphan, NULL, 0);
	ch->orphans++;
}

/* ----------------------------------------------------------------- commit */

/* An I record of that epoch is there, or is not any more. */
static void count_record(struct shale_change *ch, uint32_t epoch, int n)
{
	const struct shale_rec_state *state = &ch->live->state;

	ch->records += n;
	if (epoch == state->epoch)
		ch->fresh += n;
	else if (epoch > state->committed)
		ch->sealed += n;
}

void shale_change_put_attr(struct shale_change *ch, uint64_t ino,
			   uint32_t before, const struct shale_rec_attr *now)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_attr(ino);

	if (before)
		count_record(ch, before, -1);
	if (!now) {
		shale_change_del(ch, &key);
		return;
	}
	keep(ch, shale_rec_attr_encode(now, &value));
	if (ch->r == 0)
		shale_change_put(ch, &key, value.data, value.len);
	shale_live_touch(ch->live, ino);
	count_record(ch, now->epoch, 1);
}

/* The I records, as they have become. */
static void put_nodes(struct shale_change *ch)
{
	uint32_t epoch = ch->live->state.epoch;

	for (unsigned i = 0; i < ch->n; i++) {
		struct shale_live_node *node = &ch->nodes[i].node;
		uint32_t before = node->stored ? node->attr.epoch : 0;

		if (!ch->nodes[i].dirty)
			continue;
		node->attr.epoch = epoch;
		/* No image can have it: nothing needs a tombstone. */
		bool erase =
			!node->attr.mode && (node->attr.born == epoch ||
					     node->attr.born == SHALE_UNBORN);
		shale_change_put_attr(ch, node->ino, before,
				      erase ? NULL : &node->attr);
	}
}

/*
 * Data files that nothing names any more go once the batch is applied; those
 * that a running commit may be reading wait for its end.
 */
static void drop_files(struct shale_change *ch, uint64_t pos)
{
	struct shale_live *live = ch->live;
	const struct shale_drop *drops = (const void *)ch->drops.data;
	size_t n = ch->drops.len / sizeof(*drops);

	if (!n)
		return;
	pthread_mutex_lock(&live->held_lock);
	for (size_t i = 0; i < n; i++) {
		/* What cannot be remembered is found by the next open. */
		if (drops[i].epoch > live->committed &&
		    drops[i].epoch < live->state.epoch)
			(void)shale_buf_append(&live->held, &drops[i],
					       sizeof(drops[i]));
		else
			(void)shale_files_remove(live->files, drops[i].ino,
						 drops[i].epoch, pos);
	}
	pthread_mutex_unlock(&live->held_lock);
}

static void raise_to(_Atomic uint64_t *slot, uint64_t pos)
{
	uint64_t old = atomic_load(slot);

	while (old < pos && !atomic_compare_exchange_weak(slot, &old, pos))
		;
}

/* Records of inodes count against the quota, unless they help to free space. */
static int take_quota(struct shale_change *ch, bool ours)
{
	int64_t more = ch->fresh + ch->sealed;

	if (more > 0 && !ours && !ch->batch.frees) {
		int r = shale_quota_take_inodes(ch->live, more);
		if (r < 0)
			return r;
	} else {
		atomic_fetch_add(&ch->live->fresh, more);
	}
	/* Both together are what counts: where each is, is told apart here. */
	atomic_fetch_add(&ch->live->fresh, -ch->sealed);
	atomic_fetch_add(&ch->live->sealed, ch->sealed);
	return 0;
}

/* Whose answers of before may be on their way? */
static void note_stale(const struct shale_change *ch,
		       const struct shale_caller *who)
{
	struct shale_stale *stale = who->stale;

	for (unsigned i = 0; i < ch->n && stale->n < SHALE_STALE_MAX; i++) {
		uint64_t ino = ch->nodes[i].node.ino;

		if (ch->nodes[i].unsaid &&
		    shale_told_take(&ch->live->told, ino, who->thread))
			stale->ino[stale->n++] = ino;
	}
}

int shale_change_commit(struct shale_change *ch, const struct shale_caller *who)
{
	struct shale_live *live = ch->live;
	uint64_t pos;

	put_nodes(ch);
	if (ch->r < 0)
		return ch->r;
	int r = take_quota(ch, !who);
	if (r < 0)
		return r;
	r = shale_db_commit(live->db, &ch->batch, who ? &who->request : NULL,
			    &pos, NULL);
	if (r < 0) {
		atomic_fetch_sub(&live->fresh, ch->fresh);
		atomic_fetch_sub(&live->sealed, ch->sealed);
		return r;
	}

	ch->pos = pos;
	ch->reserved = 0;
	atomic_fetch_add(&live->dirty, ch->records);
	if (ch->inodes)
		atomic_fetch_add(&live->inodes, ch->inodes);
	if (ch->bytes)
		atomic_fetch_add(&live->bytes, ch->bytes);
	if (ch->blocks)
		atomic_fetch_add(&live->blocks, ch->blocks);
	if (ch->orphans)
		atomic_fetch_add(&live->orphans, ch->orphans);
	for (unsigned i = 0; !ch->lazy && i < ch->n; i++)
		if (ch->nodes[i].dirty)
			raise_to(&live->sync[ch->nodes[i].node.ino %
					     LIVE_SYNC_SLOTS],
				 pos);
	drop_files(ch, pos);
	if (who && who->stale)
		note_stale(ch, who);
	return 0;
}
