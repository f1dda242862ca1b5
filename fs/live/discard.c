/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/discard.h"

#include "fs/live/lend.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a batch, when all is discarded. */
enum { BATCH_BYTES = 1 << 20 };

void shale_discard_release(struct shale_discard *d)
{
	shale_change_release(&d->ch);
	shale_buf_release(&d->dirs);
	shale_buf_release(&d->inodes);
	shale_buf_release(&d->names);
	shale_image_close(d->opened);
}

int shale_discard_begin(struct shale_discard *d, struct shale_live *live,
			struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_image(live->state.last);
	struct shale_rec_image which;

	*d = (struct shale_discard){
		.live = live,
		.last = live->index,
		.pinned = live->state.last == live->state.pinned,
	};
	shale_change_init(&d->ch, live);
	if (d->pinned)
		return 0;
	int r = shale_db_get(live->db, key.b, key.len, &value, err);
	if (r == 0)
		r = shale_rec_image_decode(&value, &which, err);
	if (r == 0)
		r = live->opts.open_indexed(live->opts.arg, &which, &d->opened,
					    err);
	if (r == 0)
		d->last = d->opened->index;
	return r;
}

int shale_discard_flush(struct shale_discard *d)
{
	struct shale_change *ch = &d->ch;
	const uint64_t *inodes = (const void *)d->inodes.data;
	size_t n = d->inodes.len / sizeof(*inodes) - d->first;

	ch->batch.frees = true;
	int r = shale_change_commit(ch, NULL);
	/* Content is believed as far as this after a power cut, too. */
	if (r == 0)
		r = shale_db_flushed(d->live->db, inodes + d->first, n, NULL);
	shale_change_release(ch);
	shale_change_init(ch, d->live);
	d->dirs.len = 0;
	d->first += n;
	return r;
}

int shale_discard_attr(struct shale_discard *d, uint64_t ino,
		       struct shale_rec_attr *out)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_attr(ino);
	const struct shale_discard_dir *dirs = (const void *)d->dirs.data;

	for (size_t i = d->dirs.len / sizeof(*dirs); i-- > 0;) {
		if (dirs[i].ino == ino) {
			*out = dirs[i].attr;
			return 0;
		}
	}
	int r = shale_live_get(d->live, &key, &value);
	return r < 0 ? r : shale_rec_attr_decode(&value, out, NULL);
}

/* ------------------------------------------------------------- everything */

static int reset_name(void *arg, const struct shale_buf *key,
		      const struct shale_buf *value, struct shale_err *err)
{
	struct shale_discard *d = arg;
	struct shale_rec_name rec;
	const char *name;
	uint64_t dir;
	size_t len;

	(void)err;
	int r = shale_rec_name_decode(value, &rec, NULL);
	if (r == 0)
		r = shale_key_name_parts(key, &dir, &name, &len);
	if (r < 0 || rec.epoch <= d->live->state.committed)
		return r;
	r = shale_discard_name(d, dir, name, len, &rec);
	if (r == 0 && d->ch.batch.ops.len > BATCH_BYTES)
		r = shale_discard_flush(d);
	return r;
}

static int reset_inode(void *arg, const struct shale_buf *key,
		       const struct shale_buf *value, struct shale_err *err)
{
	struct shale_discard *d = arg;
	struct shale_rec_attr rec;
	uint32_t links = 0;
	uint64_t ino;

	(void)err;
	int r = shale_key_ino(key, 'I', &ino);
	if (r == 0)
		r = shale_rec_attr_decode(value, &rec, NULL);
	if (r < 0 || rec.epoch <= d->live->state.committed)
		return r;
	r = shale_discard_image_links(d, ino, &links);
	if (r == 0)
		r = shale_discard_inode(d, ino, &rec, links);
	if (r == 0 && d->ch.batch.ops.len > BATCH_BYTES)
		r = shale_discard_flush(d);
	return r;
}

/*
 * More than a batch holds: a record says that it is under way until it is done,
 * and whoever opens the workspace next goes on.  Names first: an inode's I
 * record has the counter that they get new offsets from.
 */
static int discard_all(struct shale_discard *d)
{
	struct shale_key key = shale_key_discard();

	shale_change_put(&d->ch, &key, NULL, 0);
	int r = shale_discard_flush(d);
	if (r == 0)
		r = shale_live_each(d->live, 'N', reset_name, d, NULL);
	if (r == 0)
		r = shale_discard_flush(d);
	if (r == 0)
		r = shale_live_each(d->live, 'I', reset_inode, d, NULL);
	if (r == 0)
		r = shale_discard_flush(d);
	if (r < 0)
		return r;
	shale_change_del(&d->ch, &key);
	return shale_discard_flush(d);
}

int shale_discard_resume(struct shale_live *live, struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_discard();
	struct shale_discard d;

	int r = shale_live_get(live, &key, &value);
	if (r < 0)
		return r == -ENOENT ? 0 : shale_err_set(err, -r, "discard");
	r = shale_discard_begin(&d, live, err);
	if (r == 0) {
		r = discard_all(&d);
		if (r < 0)
			shale_err_set(err, -r, "go on with a discard");
	}
	shale_discard_release(&d);
	return r;
}

/* ------------------------------------------------------- telling the kernel */

static void tell(const struct shale_discard *d,
		 const struct shale_live_forget *forget)
{
	const uint64_t *inodes = (const void *)d->inodes.data;
	struct shale_discard_stale head;

	for (size_t at = 0; at < d->names.len; at += head.len) {
		memcpy(&head, d->names.data + at, sizeof(head));
		at += sizeof(head);
		forget->name(forget->arg, head.dir,
			     (const char *)d->names.data + at, head.len);
	}
	for (size_t i = 0; i < d->inodes.len / sizeof(*inodes); i++)
		forget->inode(forget->arg, inodes[i]);
}

static bool is_root(const char *path)
{
	return path[strspn(path, "/.")] == '\0' && !strstr(path, "..");
}

static int discard_locked(struct shale_discard *d, const char *const *paths,
			  size_t n, struct shale_err *err)
{
	bool all = n == 0;

	for (size_t i = 0; i < n; i++)
		all |= is_root(paths[i]);
	int r = shale_discard_begin(d, d->live, err);
	if (r < 0)
		return r;
	if (!all)
		return shale_discard_paths(d, paths, n, err);
	r = discard_all(d);
	return r < 0 ? shale_err_set(err, -r, "discard") : 0;
}

int shale_live_discard(struct shale_live *live, const char *const *paths,
		       size_t n, const struct shale_live_forget *forget,
		       struct shale_live_discarded *out, struct shale_err *err)
{
	struct shale_discard d = {.live = live};

	shale_lend_end_all(live, SHALE_LEND_CLOSED);
	pthread_rwlock_wrlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	for (unsigned s = 0; s < LIVE_STRIPES; s++)
		pthread_rwlock_wrlock(&live->stripe[s]);
	int r = shale_lend_refuse(live, err);
	if (r == 0)
		r = discard_locked(&d, paths, n, err);
	for (unsigned s = 0; s < LIVE_STRIPES; s++)
		pthread_rwlock_unlock(&live->stripe[s]);
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);

	/* After an error, too: what was done by then is done. */
	if (forget)
		tell(&d, forget);
	*out = (struct shale_live_discarded){.inodes = d.inodes.len /
						       sizeof(uint64_t)};
	shale_discard_release(&d);
	return r < 0 ? r : shale_db_advance(live->db, err);
}
