/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

enum {
	STEP = 16 << 20, /* blocks that one batch speaks of at most: 2 MiB */
	TRIES = 8,       /* to find a file closed … */
	PAUSE = 20000    /* … the first of them so many nanoseconds apart */
};

static uint64_t blocks(uint64_t size)
{
	return (size + SHALE_BLOCK - 1) / SHALE_BLOCK;
}

/* ------------------------------------------- which blocks there are by now */

/* Quota or not: they are there. */
static int count(struct shale_body *body, uint32_t epoch, uint64_t first,
		 uint64_t end)
{
	uint64_t changed;

	int r = shale_blockmap_set(&body->map, epoch, first, end, &changed);
	if (r < 0)
		return r;
	atomic_fetch_add(&body->live->blocks, (int64_t)changed);
	body->reserved += changed;
	body->c.present += changed;
	return 0;
}

static int uncount(struct shale_body *body, uint32_t epoch, uint64_t first,
		   uint64_t end)
{
	uint64_t changed;

	int r = shale_blockmap_clear(&body->map, epoch, first, end, &changed);
	if (r == 0)
		body->freed += changed;
	return r;
}

/* Where data and hole begin at or after a block; `end` for behind that. */
static int next_run(struct shale_body *body, uint32_t epoch, uint64_t block,
		    uint64_t end, uint64_t *data, uint64_t *hole)
{
	struct shale_files *files = body->live->files;
	uint64_t at;

	*data = *hole = end;
	int r = shale_files_seek(files, body->ino, epoch, block * SHALE_BLOCK,
				 true, &at);
	if (r < 0 || at / SHALE_BLOCK >= end)
		return r == -ENXIO ? 0 : r;
	*data = at / SHALE_BLOCK;
	r = shale_files_seek(files, body->ino, epoch, at, false, &at);
	if (r == 0 && blocks(at) < end)
		*hole = blocks(at);
	return r;
}

/* Blocks [first, end) count exactly if the host has data there. */
static int map_blocks(struct shale_body *body, uint32_t epoch, uint64_t first,
		      uint64_t end)
{
	while (first < end) {
		uint64_t data, hole;
		int r = next_run(body, epoch, first, end, &data, &hole);
		if (r == 0 && first < data)
			r = uncount(body, epoch, first, data);
		if (r == 0 && data < hole)
			r = count(body, epoch, data, hole);
		if (r < 0)
			return r;
		first = hole;
	}
	return 0;
}

/*
 * The first block that may have changed: where neither the map nor the host had
 * or has holes, that is the old end.
 */
static int first_changed(struct shale_body *body, uint32_t epoch, uint64_t size,
			 uint64_t *out)
{
	uint64_t old = blocks(body->old_size), now = blocks(size), hole;

	*out = 0;
	if (body->c.present != old || !size)
		return 0;
	int r = shale_files_seek(body->live->files, body->ino, epoch, 0, false,
				 &hole);
	if (r == 0 && hole >= size)
		*out = old < now ? old : now;
	return r;
}

/* ------------------------------------------------------------------- a step */

struct back {
	struct shale_live *live;
	uint64_t ino;
	uint64_t next; /* the first block that is not done */
	bool done;
};

/* The last one: it is a file as any other from then on. */
static void finish(struct back *b, struct shale_body *body,
		   struct shale_change *ch, struct shale_live_node *node)
{
	body->c.lent = false;
	b->done = true;
	shale_lend_times(&body->host, &node->attr.mtime, &node->attr.ctime);
	shale_change_keep(ch, node);
}

/* Some blocks, or what is left of them: one batch. */
static int step(struct back *b, struct shale_body *body,
		struct shale_change *ch, struct shale_live_node *node)
{
	uint32_t epoch = body->c.file[0].epoch;
	uint64_t size = body->c.size, end = blocks(size), from = b->next;
	int r = 0;

	if (!from)
		r = first_changed(body, epoch, size, &from);
	if (r == 0 && end > from && end - from > STEP)
		end = from + STEP;
	if (r == 0)
		r = map_blocks(body, epoch, from, end);
	b->next = end;
	if (r == 0 && end == blocks(size)) {
		r = uncount(body, epoch, end, (UINT64_C(1) << 63) / SHALE_BLOCK);
		finish(b, body, ch, node);
	} else {
		body->c.size = body->old_size; /* what it was lent with */
	}
	body->dirty = true;
	return r;
}

static int take_step(struct back *b)
{
	cleanup_change struct shale_change ch;
	cleanup_body struct shale_body body = {.live = b->live};
	struct shale_live_node *node;

	shale_change_init(&ch, b->live);
	int r = shale_change_load(&ch, b->ino, &node);
	if (r == 0)
		r = shale_body_of(&body, b->live, node);
	if (r < 0)
		return r;
	if (!body.c.lent) {
		b->done = true;
		return 0;
	}
	if (body.lent) {
		r = step(b, &body, &ch, node);
	} else { /* its data file is missing: reading will say so */
		body.c.lent = false;
		body.dirty = b->done = true;
	}
	if (r < 0)
		return r;
	body.lent = false; /* it is stored */
	shale_body_store(&body, &ch);
	return shale_change_commit(&ch, NULL);
}

static int look_for_users(struct shale_live *live, uint64_t ino,
			  enum shale_lend_back how)
{
	cleanup_body struct shale_body body = {.live = live};

	int r = shale_body_load(&body, live, ino);
	if (r < 0 || !body.c.lent)
		return r;
	uint32_t epoch = body.c.file[0].epoch;
	bool closed = how == SHALE_LEND_CLOSED;
	/* Who reads on after the end of his connection reads what was. */
	if ((closed && shale_handles_held(live->handles, ino)) ||
	    shale_files_used_elsewhere(live->files, ino, epoch, closed))
		return -EBUSY;
	/* Before any batch speaks of it: D2. */
	return shale_files_dirty(live->files, ino, epoch);
}

int shale_lend_take_back(struct shale_live *live, uint64_t ino,
			 enum shale_lend_back how)
{
	struct back b = {.live = live, .ino = ino};

	int r = look_for_users(live, ino, how);
	while (r == 0 && !b.done)
		r = take_step(&b);
	if (r == -ESTALE || r == -EINVAL) /* it is gone */
		r = 0;
	if (r == 0)
		shale_loans_forget(live, ino);
	return r;
}

/* ------------------------------------------------------------ taking locks */

static int take_back(struct shale_live *live, uint64_t ino,
		     enum shale_lend_back how)
{
	struct shale_locks locks;

	shale_locks_enter(live, &locks, &ino, 1);
	int r = shale_lend_take_back(live, ino, how);
	shale_locks_leave(live, &locks);
	return r;
}

void shale_lend_tell(struct shale_live *live, uint64_t ino)
{
	const struct shale_live_lender *lender = &live->loans.lender;

	if (lender->changed)
		lender->changed(lender->arg, ino);
}

/*
 * Who closes lets go of the data file a moment later than of the file.  What is
 * mapped stays lent: until it is opened again, or a commit asks.
 */
void shale_lend_end(struct shale_live *live, uint64_t ino)
{
	struct timespec pause = {.tv_nsec = PAUSE};

	for (int i = 0; i < TRIES; i++) {
		int r = take_back(live, ino, SHALE_LEND_CLOSED);
		if (r == 0)
			shale_lend_tell(live, ino);
		if (r != -EBUSY || shale_handles_held(live->handles, ino))
			return;
		nanosleep(&pause, NULL);
		pause.tv_nsec *= 2;
	}
}

void shale_lend_end_all(struct shale_live *live, enum shale_lend_back how)
{
	cleanup_buf struct shale_buf list = {0};

	if (!shale_lend_count(live) || shale_loans_list(live, &list) < 0)
		return;
	const uint64_t *inos = (const void *)list.data;
	for (size_t i = 0; i < list.len / sizeof(*inos); i++)
		if (take_back(live, inos[i], how) == 0 &&
		    how == SHALE_LEND_CLOSED)
			shale_lend_tell(live, inos[i]);
}

void shale_lend_release(struct shale_live *live, uint64_t ino, uint64_t handle)
{
	const struct shale_live_lender *lender = &live->loans.lender;
	struct shale_locks locks;
	struct shale_loan loan;

	shale_locks_enter(live, &locks, &ino, 1);
	if (shale_handles_count(live->handles, ino) == 1 &&
	    shale_loans_get(live, ino, &loan) && loan.id) {
		uint32_t id = loan.id;
		/* Who takes over must not use it any more. */
		shale_handles_note(live->handles, handle, SHALE_HANDLE_LENT);
		loan.id = 0;
		(void)shale_loans_set(live, ino, &loan);
		lender->close(lender->arg, id);
	}
	shale_handles_clear(live->handles, handle);
	shale_locks_leave(live, &locks);
}

/* --------------------------------------------------------- at the beginning */

static bool nameless(struct shale_live *live, uint64_t ino)
{
	struct shale_live_node node;

	return shale_node_load(live, ino, &node) == 0 && !node.attr.nlink;
}

static int resume_one(struct shale_live *live, uint64_t ino,
		      struct shale_err *err)
{
	cleanup_buf struct shale_buf path = {0};
	struct shale_loan loan = {.since = shale_db_position(live->db)};

	int r = shale_loans_set(live, ino, &loan);
	if (r == 0 && live->opts.takeover)
		loan.id = shale_handles_find(live->handles, ino,
					     SHALE_HANDLE_LENT) >>
			  SHALE_HANDLE_LENT_AS;
	if (r == 0 && loan.id)
		return shale_loans_set(live, ino, &loan);
	if (r == 0)
		r = take_back(live, ino,
			      live->opts.takeover ? SHALE_LEND_CLOSED
						  : SHALE_LEND_GONE);
	if (r != -EBUSY || live->opts.takeover)
		return r == -EBUSY ? 0 : r;
	if (nameless(live, ino)) { /* it goes, whoever still writes to it */
		shale_loans_forget(live, ino);
		return 0;
	}
	const char *name = shale_live_path(live, ino, true, &path) == 0
				   ? shale_buf_str(&path)
				   : NULL;
	return shale_err_say(err, EBUSY,
			     "'%s' is still open in a process that has it from "
			     "an earlier mount, and writes past this one; end "
			     "that process first (fuser tells of it)",
			     name ? name : "?");
}

static int find_lent(void *arg, const struct shale_buf *key,
		     const struct shale_buf *value, struct shale_err *err)
{
	struct shale_rec_content c;
	uint64_t ino;

	int r = shale_key_ino(key, 'C', &ino);
	if (r == 0)
		r = shale_rec_content_decode(value, &c, err);
	if (r < 0)
		return r;
	bool lent = c.lent;
	shale_rec_content_release(&c);
	return lent ? resume_one(arg, ino, err) : 0;
}

int shale_lend_resume(struct shale_live *live, struct shale_err *err)
{
	int r = shale_live_each(live, 'C', find_lent, live, err);

	return r < 0 && (!err || !err->msg[0])
		       ? shale_err_set(err, -r, "take back what was lent")
		       : r;
}
