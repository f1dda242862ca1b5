/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"

#include "fs/live/sync.h"

#include <errno.h>

/* The content of a lent file: its data file, as it is. */

static uint32_t epoch_of(const struct shale_body *body)
{
	return body->c.file[0].epoch;
}

int shale_lend_look(struct shale_body *body)
{
	int r = shale_files_stat(body->live->files, body->ino, epoch_of(body),
				 &body->host);

	if (r < 0)
		return r;
	body->lent = true;
	body->c.size = (uint64_t)body->host.st_size;
	return 0;
}

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/*
 * The data file was given the file's time when it was lent, and whenever
 * somebody set it; a host that keeps whole seconds has cut that off.  What is
 * other than that is the kernel's: of the last write.
 */
void shale_lend_times(const struct stat *st, struct timespec *mtime,
		      struct timespec *ctime)
{
	const struct timespec *host = &st->st_mtim;

	if (host->tv_sec == mtime->tv_sec &&
	    (host->tv_nsec == mtime->tv_nsec || !host->tv_nsec))
		return;
	*mtime = *host;
	if (before(ctime, host))
		*ctime = *host;
}

int shale_lend_stamp(struct shale_live *live, uint64_t ino,
		     const struct timespec *mtime)
{
	struct shale_loan loan;

	if (!shale_loans_get(live, ino, &loan))
		return 0;
	/* It is lent in this epoch: E1. */
	return shale_files_stamp(live->files, ino, live->state.epoch, mtime);
}

/* --------------------------------------------------------------- changing */

int shale_lend_write(struct shale_body *body, uint64_t off, const void *data,
		     size_t len)
{
	int r = shale_files_write(body->live->files, body->ino, epoch_of(body),
				  data, len, off, body->err);
	if (r == 0 && off + len > body->c.size)
		body->c.size = off + len;
	return r;
}

/* E4: may bytes go that are there now? */
static int may_cut(struct shale_body *body)
{
	struct shale_db_stats stats;
	struct shale_loan loan;

	if (!shale_loans_get(body->live, body->ino, &loan) || !loan.since)
		return 0;
	shale_db_stats(body->live->db, &stats);
	return loan.since <= stats.applied ? 0 : -EAGAIN;
}

int shale_lend_settle(struct shale_live *live, uint64_t ino)
{
	struct shale_loan loan;

	if (!shale_loans_get(live, ino, &loan) || !loan.since)
		return 0;
	int r = shale_live_fsync(live, ino, false, NULL);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(shale_live_stripe(live, ino));
	struct shale_loan now;
	/* Unless it is another loan by now. */
	if (shale_loans_get(live, ino, &now) && now.since == loan.since) {
		now.since = 0;
		(void)shale_loans_set(live, ino, &now);
	}
	pthread_rwlock_unlock(shale_live_stripe(live, ino));
	return 0;
}

int shale_lend_resize(struct shale_body *body, uint64_t size)
{
	int r = size < body->c.size ? may_cut(body) : 0;
	if (r == 0)
		r = shale_files_resize(body->live->files, body->ino,
				       epoch_of(body), size);
	if (r == 0)
		body->c.size = size;
	return r;
}

int shale_lend_punch(struct shale_body *body, uint64_t off, uint64_t end)
{
	int r = may_cut(body);

	return r < 0 || off >= end
		       ? r
		       : shale_files_punch(body->live->files, body->ino,
					   epoch_of(body), off, end);
}

int shale_lend_seek(struct shale_body *body, uint64_t off, bool data,
		    uint64_t *out)
{
	return shale_files_seek(body->live->files, body->ino, epoch_of(body),
				off, data, out);
}
