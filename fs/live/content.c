/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"
#include "fs/live/xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Operations on the content of one file: load, one call on its body, store,
 * commit.
 */

int shale_live_read(struct shale_live *live, uint64_t ino, uint64_t off,
		    void *data, size_t len, size_t *got, struct shale_err *err)
{
	cleanup_body struct shale_body body;

	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	int r = shale_body_load(&body, live, ino);
	body.err = err;
	if (r == 0) {
		if (off >= body.c.size)
			len = 0;
		else if (len > body.c.size - off)
			len = (size_t)(body.c.size - off);
		r = shale_body_read(&body, off, data, len);
	}
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	if (r == 0)
		*got = len;
	return r;
}

/* What changes one file; returns 0, or 1 if its times stay, or -errno. */
struct edit {
	int (*run)(struct shale_body *body, void *arg);
	void *arg;
	bool kill;
};

static int edit_locked(struct shale_live *live, const struct shale_caller *who,
		       uint64_t ino, const struct edit *edit)
{
	cleanup_change struct shale_change ch;
	cleanup_body struct shale_body body = {.live = live};
	struct shale_live_node *node;

	shale_change_init(&ch, live);
	int r = shale_change_load(&ch, ino, &node);
	if (r == 0)
		r = shale_body_of(&body, live, node);
	body.err = who->err;
	if (r == 0)
		r = edit->run(&body, edit->arg);
	if (r != 0)
		return r < 0 ? r : 0;
	r = edit->kill ? shale_xattr_kill_privileges(&ch, who, node) : 0;
	if (r < 0)
		return r;
	ch.lazy = !shale_body_store(&body, &ch) && r == 0;
	shale_change_modify(&ch, node, who);
	shale_change_unsaid(&ch, node);
	r = shale_lend_stamp(live, ino, &node->attr.mtime);
	if (r < 0)
		return r;
	return shale_change_commit(&ch, who);
}

static int edit_content(struct shale_live *live, const struct shale_caller *who,
			uint64_t ino, const struct edit *edit)
{
	struct shale_locks locks;
	int r;

	do {
		shale_locks_enter(live, &locks, &ino, 1);
		r = edit_locked(live, who, ino, edit);
		shale_locks_leave(live, &locks);
	} while (r == -EAGAIN && (r = shale_lend_settle(live, ino)) == 0);
	return r;
}

/* ------------------------------------------------------------------ write */

struct write {
	uint64_t off;
	const void *data;
	size_t len;
};

static int run_write(struct shale_body *body, void *arg)
{
	const struct write *w = arg;

	return w->len ? shale_body_write(body, w->off, w->data, w->len) : 1;
}

int shale_live_write(struct shale_live *live, const struct shale_caller *who,
		     uint64_t ino, uint64_t off, const void *data, size_t len,
		     bool kill)
{
	struct write w = {off, data, len};
	struct edit edit = {run_write, &w, kill};

	return edit_content(live, who, ino, &edit);
}

/* -------------------------------------------------------------- fallocate */

struct space {
	int mode;
	uint64_t off, end;
};

static int run_fallocate(struct shale_body *body, void *arg)
{
	const struct space *s = arg;
	bool keep = s->mode & FALLOC_FL_KEEP_SIZE;
	uint64_t size = body->c.size;
	uint64_t end = s->end < size ? s->end : size;
	int r = 0;

	if ((s->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) &&
	    s->off < end)
		r = shale_body_punch(body, s->off, end);
	if (r == 0 && !keep && s->end > size)
		r = shale_body_resize(body, s->end);
	return r;
}

/*
 * Space is not set aside: blocks are where they are written, and a sparse file
 * of the host has no other way.  So allocating only grows the file.
 */
int shale_live_fallocate(struct shale_live *live,
			 const struct shale_caller *who, uint64_t ino, int mode,
			 uint64_t off, uint64_t len, bool kill)
{
	struct space s = {mode, off, off + len};
	struct edit edit = {run_fallocate, &s, kill};

	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!len)
		return -EINVAL;
	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	return edit_content(live, who, ino, &edit);
}

/* ------------------------------------------------------------------- seek */

int shale_live_seek(struct shale_live *live, uint64_t ino, uint64_t off,
		    int whence, uint64_t *out)
{
	cleanup_body struct shale_body body;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	pthread_rwlock_rdlock(shale_live_stripe(live, ino));
	int r = shale_body_load(&body, live, ino);
	if (r == 0 && off >= body.c.size)
		r = -ENXIO;
	if (r == 0)
		r = shale_body_seek(&body, off, whence == SEEK_DATA, out);
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	return r;
}
