/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { ID_MAX = (1 << (32 - SHALE_HANDLE_LENT_AS)) - 1 };

int shale_live_lend(struct shale_live *live,
		    const struct shale_live_lender *lender,
		    struct shale_err *err)
{
	uint32_t id;

	live->loans.lender = *lender;
	/* Any file of the workspace that nobody writes tells. */
	cleanup_fd int fd =
		openat(live->ws->dirfd, "boot", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open 'boot'");
	int r = shale_lease_probe(fd, true);
	if (r < 0)
		return shale_err_set(err, -r,
				     "the store's file system knows no leases");
	r = lender->open(lender->arg, fd, &id);
	if (r == -EPERM)
		return shale_err_say(err, EPERM,
				     "it needs CAP_SYS_ADMIN in the first user "
				     "namespace");
	if (r == -ELOOP)
		return shale_err_say(err, ELOOP,
				     "the store lies on a stacked file system");
	if (r < 0)
		return shale_err_set(err, -r, "the kernel refuses a file");
	lender->close(lender->arg, id);
	live->loans.on = true;
	return 0;
}

/* ---------------------------------------------------------- may it be lent */

bool shale_lend_fits(const struct shale_rec_attr *attr,
		     const struct shale_rec_content *c, uint32_t epoch)
{
	if (!S_ISREG(attr->mode) || attr->epoch != epoch || c->n_ranges)
		return false;
	return c->n_files == 0 ||
	       (c->n_files == 1 && c->file[0].epoch == epoch);
}

/* Has LMDB all that was changed of it?  Then no power cut brings back what was
 * before. */
static bool is_applied(struct shale_live *live, uint64_t ino)
{
	struct shale_db_stats stats;

	shale_db_stats(live->db, &stats);
	return atomic_load(&live->sync[ino % LIVE_SYNC_SLOTS]) <= stats.applied;
}

/*
 * In blocks that do not count, and behind the end, a data file may hold
 * anything: make that zeros.  -EAGAIN: it may still be needed (E4).
 */
static int clean(struct shale_body *body, uint32_t epoch, uint64_t host_size)
{
	struct shale_files *files = body->live->files;
	uint64_t size = body->c.size > host_size ? body->c.size : host_size;
	uint64_t n, end = (size + SHALE_BLOCK - 1) / SHALE_BLOCK;
	bool may = is_applied(body->live, body->ino);

	if (host_size > body->c.size && !may)
		return -EAGAIN;
	for (uint64_t block = 0; block < end; block += n) {
		uint64_t from = block * SHALE_BLOCK, found;
		bool present;
		int r = shale_blockmap_run(&body->map, epoch, block,
					   end - block, &present, &n);
		if (r == 0 && present)
			continue;
		if (r == 0)
			r = shale_files_seek(files, body->ino, epoch, from,
					     true, &found);
		if (r == -ENXIO) /* no data from here on */
			return 0;
		if (r == 0 && found >= from + n * SHALE_BLOCK)
			continue;
		if (r == 0)
			r = may ? shale_files_punch(files, body->ino, epoch,
						    from,
						    from + n * SHALE_BLOCK)
				: -EAGAIN;
		if (r < 0)
			return r;
	}
	return 0;
}

/* The data file shows what the file does. */
static int prepare(struct shale_body *body, uint32_t epoch,
		   const struct timespec *mtime)
{
	struct shale_files *files = body->live->files;
	const struct shale_rec_content *c = &body->c;
	struct stat st;

	/* It is made by that, or not removed after all. */
	int r = shale_files_write(files, body->ino, epoch, "", 0, 0, NULL);
	if (r == 0)
		r = shale_files_stat(files, body->ino, epoch, &st);
	if (r < 0)
		return r;
	uint64_t size = (uint64_t)st.st_size;
	/* What the journal has of it a power cut would put over what the kernel
	 * may be told to have on disk by then. */
	if (shale_files_kept(files, body->ino, epoch))
		return -EAGAIN;
	bool dense = c->present * SHALE_BLOCK >= c->size;
	if (size > c->size || (size && !dense))
		r = clean(body, epoch, size);
	if (r == 0 && size != c->size)
		r = shale_files_resize(files, body->ino, epoch, c->size);
	return r < 0 ? r : shale_files_stamp(files, body->ino, epoch, mtime);
}

/* ------------------------------------------------------------------ lending
 */

/* Give it to the kernel, which calls it by `*id` from then on. */
static int hand_over(struct shale_live *live, uint64_t ino, uint32_t epoch,
		     uint32_t *id)
{
	const struct shale_live_lender *lender = &live->loans.lender;
	cleanup_fd int fd = -1;

	/* For reading: who else may write it is to be known. */
	int r = shale_files_get(live->files, ino, epoch, &fd, NULL);
	if (r == 0)
		r = lender->open(lender->arg, fd, id);
	if (r == 0 && *id > ID_MAX) { /* no room in a handle's note */
		lender->close(lender->arg, *id);
		r = -ENOSPC;
	}
	return r;
}

/* It is lent: E2. */
static int record(struct shale_change *ch, struct shale_body *body,
		  struct shale_live_node *node, const struct shale_caller *who)
{
	struct shale_rec_content *c = &body->c;

	if (!c->n_files)
		c->file[c->n_files++].epoch = ch->live->state.epoch;
	c->lent = true;
	body->dirty = true;
	shale_body_store(body, ch);
	shale_change_keep(ch, node); /* fsync has something to do */
	return shale_change_commit(ch, who);
}

/* *id stays 0 where it cannot be lent: it is served as ever, then. */
static void lend(struct shale_live *live, const struct shale_caller *who,
		 uint64_t ino, uint32_t *id)
{
	cleanup_change struct shale_change ch;
	cleanup_body struct shale_body body = {.live = live};
	uint32_t epoch = live->state.epoch, given = 0;
	struct shale_loan loan = {0};
	struct shale_live_node *node;

	shale_change_init(&ch, live);
	int r = shale_change_load(&ch, ino, &node);
	if (r == 0)
		r = shale_body_of(&body, live, node);
	if (r < 0 || body.lent || !shale_lend_fits(&node->attr, &body.c, epoch))
		return;
	bool counts = body.c.present > 0;
	r = prepare(&body, epoch, &node->attr.mtime);
	if (r == 0)
		r = shale_loans_set(live, ino, &loan);
	if (r == 0)
		r = hand_over(live, ino, epoch, &given);
	if (r == 0)
		r = record(&ch, &body, node, who);
	if (r < 0) {
		shale_loans_forget(live, ino);
		if (given)
			live->loans.lender.close(live->loans.lender.arg, given);
		return;
	}
	loan = (struct shale_loan){.id = given, .since = counts ? ch.pos : 0};
	(void)shale_loans_set(live, ino, &loan); /* it is there already */
	*id = given;
}

/* One that is lent: as the kernel knows it, or under a new number. */
static int lent_already(struct shale_live *live, uint64_t ino, bool writes,
			struct shale_loan *loan, bool *back)
{
	if (loan->id)
		return 0;
	/* Closed, and mapped perhaps. */
	*back = !writes &&
		shale_lend_take_back(live, ino, SHALE_LEND_CLOSED) == 0;
	if (*back)
		return 0;
	int r = hand_over(live, ino, live->state.epoch, &loan->id);
	return r < 0 ? r : shale_loans_set(live, ino, loan);
}

static int open_locked(struct shale_live *live, const struct shale_caller *who,
		       uint64_t ino, bool writes, uint64_t *handle,
		       uint32_t *lent_as, bool *back)
{
	struct shale_live_node node;
	struct shale_loan loan;
	uint32_t id = 0;

	int r = shale_node_load(live, ino, &node);
	if (r < 0)
		return r;
	if (shale_loans_get(live, ino, &loan)) {
		r = lent_already(live, ino, writes, &loan, back);
		id = loan.id;
	} else if (writes && live->loans.on && S_ISREG(node.attr.mode) &&
		   !shale_handles_held(live->handles, ino)) {
		lend(live, who, ino, &id);
	}
	if (r == 0)
		r = shale_handles_take(live->handles, ino, who->request.unique,
				       handle);
	if (r < 0)
		return r; /* one that is lent is taken back some time */
	if (id)
		shale_handles_note(live->handles, *handle,
				   SHALE_HANDLE_LENT |
					   id << SHALE_HANDLE_LENT_AS);
	*lent_as = id;
	return 0;
}

int shale_live_opened_lent(struct shale_live *live,
			   const struct shale_caller *who, uint64_t ino,
			   bool writes, uint64_t *handle, uint32_t *lent_as)
{
	struct shale_locks locks;
	bool back = false;

	shale_locks_enter(live, &locks, &ino, 1);
	int r = open_locked(live, who, ino, writes, handle, lent_as, &back);
	shale_locks_leave(live, &locks);
	if (back)
		shale_lend_tell(live, ino);
	return r;
}
