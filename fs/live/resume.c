/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/resume.h"

#include "fs/live/change.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool same_image(const struct shale_rec_image *a,
		       const struct shale_rec_image *b)
{
	return a->n == b->n && memcmp(a->manifest, b->manifest,
				      a->n * sizeof(a->manifest[0])) == 0;
}

/* Is image `number` of the workspace that one? */
static int is_image(struct shale_live *live, uint32_t number,
		    const struct shale_rec_image *which, bool *out)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_image(number);
	struct shale_rec_image image;

	int r = shale_live_get(live, &key, &value);
	if (r == 0)
		r = shale_rec_image_decode(&value, &image, NULL);
	if (r == 0)
		*out = same_image(&image, which);
	return r == -ENOENT ? -EUCLEAN : r;
}

int shale_resume_state(struct shale_live *live,
		       const struct shale_rec_image *which,
		       struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_state();
	struct shale_rec_state state = {
		.next_ino = shale_index_next_ino(live->index),
		.epoch = 1,
	};
	bool last = false, pinned = false;

	int r = shale_live_get(live, &key, &value);
	if (r == -ENOENT) {
		r = shale_live_set_state(live, &state, which, NULL);
		return r < 0 ? shale_err_set(err, -r, "begin the workspace")
			     : 0;
	}
	if (r == 0)
		r = shale_rec_state_decode(&value, &state, err);
	if (r == 0)
		r = is_image(live, state.last, which, &last);
	if (r == 0 && !last)
		r = is_image(live, state.pinned, which, &pinned);
	if (r < 0)
		return shale_err_wrap(err, r, "read the workspace's state");
	if (!last && !pinned)
		return shale_err_say(err, ESTALE,
				     "the workspace is based on other images");
	if (state.next_ino < shale_index_next_ino(live->index))
		state.next_ino = shale_index_next_ino(live->index);
	live->state = state;
	live->rebase =
		last && state.last != state.pinned && !live->opts.takeover;
	return 0;
}

/* -------------------------------------------------------------- counting */

static int count_inode(void *arg, const struct shale_buf *key,
		       const struct shale_buf *value, struct shale_err *err)
{
	struct shale_live *live = arg;
	struct shale_rec_attr attr;
	struct shale_attr base;
	uint64_t ino;

	int r = shale_key_ino(key, 'I', &ino);
	if (r == 0)
		r = shale_rec_attr_decode(value, &attr, err);
	if (r < 0)
		return r;
	shale_live_touch(live, ino);
	live->dirty++;
	if (attr.epoch == live->state.epoch)
		live->fresh++;
	else if (attr.epoch > live->state.committed)
		live->sealed++;
	r = shale_live_maybe_base(live, ino)
		    ? shale_index_attr(live->index, ino, &base, err)
		    : -ENOENT;
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT) {
		live->inodes += attr.mode != 0;
	} else if (!attr.mode) {
		live->inodes--;
		if (S_ISREG(base.mode))
			live->bytes -= (int64_t)base.size;
	}
	return 0;
}

static int count_content(void *arg, const struct shale_buf *key,
			 const struct shale_buf *value, struct shale_err *err)
{
	struct shale_live *live = arg;
	struct shale_rec_content c;
	struct shale_attr base;
	uint64_t ino;

	int r = shale_key_ino(key, 'C', &ino);
	if (r == 0)
		r = shale_rec_content_decode(value, &c, err);
	if (r < 0)
		return r;
	live->bytes += (int64_t)c.size;
	live->blocks += (int64_t)c.present;
	shale_rec_content_release(&c);
	r = shale_live_maybe_base(live, ino)
		    ? shale_index_attr(live->index, ino, &base, err)
		    : -ENOENT;
	if (r == 0)
		live->bytes -= (int64_t)base.size;
	return r == -ENOENT ? 0 : r;
}

static int count_orphan(void *arg, const struct shale_buf *key,
			const struct shale_buf *value, struct shale_err *err)
{
	struct shale_live *live = arg;
	(void)key;
	(void)value;
	(void)err;
	live->orphans++;
	return 0;
}

/*
 * After a power cut the content of an inode may be an older one than what its
 * attributes tell: if they say that it is gone, or as in the base, the content
 * goes too.
 */
static int drop_if_gone(void *arg, const struct shale_buf *key,
			const struct shale_buf *value, struct shale_err *err)
{
	struct shale_live *live = arg;
	cleanup_buf struct shale_buf record = {0};
	cleanup_change struct shale_change ch;
	struct shale_live_node node = {.stored = true};
	struct shale_rec_attr attr = {0};

	(void)err;
	(void)value;
	shale_change_init(&ch, live);
	int r = shale_key_ino(key, 'C', &node.ino);
	struct shale_key at = shale_key_attr(node.ino);
	if (r == 0)
		r = shale_live_get(live, &at, &record);
	if (r == 0)
		r = shale_rec_attr_decode(&record, &attr, NULL);
	if (r == -ENOENT)
		r = 0;
	if (r < 0 || attr.mode)
		return r;
	shale_change_free_content(&ch, &node);
	return shale_change_commit(&ch, NULL);
}

int shale_resume_count(struct shale_live *live, struct shale_err *err)
{
	int r = shale_live_each(live, 'C', drop_if_gone, live, NULL);
	if (r < 0)
		return shale_err_set(err, -r, "read the workspace");
	live->inodes = (int64_t)shale_index_inodes(live->index);
	live->bytes = (int64_t)shale_index_bytes(live->index);
	live->dirty = live->blocks = live->orphans = 0;
	live->fresh = live->sealed = 0;
	r = shale_live_each(live, 'I', count_inode, live, err);
	if (r == 0)
		r = shale_live_each(live, 'C', count_content, live, err);
	if (r == 0)
		r = shale_live_each(live, 'O', count_orphan, live, err);
	return r < 0 ? shale_err_wrap(err, r, "read the workspace") : 0;
}

/* ----------------------------------------------------------------- images */

int shale_resume_images(struct shale_live *live, struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0}; /* struct shale_digest */

	for (uint64_t i = 0; i <= live->state.last; i++) {
		cleanup_buf struct shale_buf value = {0};
		struct shale_key key = shale_key_image((uint32_t)i);
		struct shale_rec_image image;
		int r = shale_live_get(live, &key, &value);
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = shale_rec_image_decode(&value, &image, err);
		if (r == 0 &&
		    shale_buf_append(&list, image.manifest,
				     image.n * sizeof(*image.manifest)))
			r = -ENOMEM;
		if (r < 0)
			return shale_err_set(err, -r, "read the workspace");
	}
	return shale_workspace_keep_images(
		live->ws, (void *)list.data,
		list.len / sizeof(struct shale_digest), err);
}

/* --------------------------------------------------------------- sweeping */

static int sweep_file(void *arg, uint64_t ino, uint32_t epoch)
{
	struct shale_live *live = arg;
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_content(ino);
	struct shale_rec_content c = {0};

	int r = shale_live_get(live, &key, &value);
	if (r == 0)
		r = shale_rec_content_decode(&value, &c, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	bool named = false;
	for (uint32_t i = 0; i < c.n_files; i++)
		named |= c.file[i].epoch == epoch;
	shale_rec_content_release(&c);
	/* A commit that outlived the daemon before us may be reading it. */
	if (!named && live->opts.takeover && epoch > live->committed &&
	    epoch < live->state.epoch) {
		struct shale_drop drop = {ino, epoch};
		return shale_buf_append(&live->held, &drop, sizeof(drop));
	}
	return named ? 0
		     : shale_files_remove(live->files, ino, epoch,
					  shale_db_position(live->db));
}

int shale_resume_sweep(struct shale_live *live, struct shale_err *err)
{
	return shale_files_each(live->files, sweep_file, live, err);
}
