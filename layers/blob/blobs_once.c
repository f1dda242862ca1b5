/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/blobs_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 }; /* what O_DIRECT wants is this, or less */

/* Linux 6.5, newer than the headers. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct range {
	uint64_t off, len;
};
struct cached {
	uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

/*
 * Does the page cache have all of it?  A read that does not wait would tell,
 * too, but has the kernel read what is not there.
 */
static bool is_cached(int fd, size_t len, uint64_t off)
{
	struct range range = {.off = off, .len = len};
	struct cached found;

	if (syscall(SYS_cachestat, fd, &range, &found, 0) < 0)
		return false;
	return found.cache >= (off + len - 1) / PAGE - off / PAGE + 1;
}

/*
 * Whole pages.  False: it could not be done in this way, or had better not be,
 * which says nothing of the blob.
 */
static bool read_direct(struct shale_blobs *blobs,
			const struct shale_digest *digest, uint8_t *room,
			size_t len, uint64_t off)
{
	size_t lead = (size_t)(off % PAGE), want = lead + len;
	size_t whole = (want + PAGE - 1) / PAGE * PAGE;
	struct shale_blobs_fd blob;

	int r = shale_blobs_take(blobs, blobs->direct, O_DIRECT, digest, &blob,
				 NULL);
	ssize_t n = -1;
	if (r == 0) {
		if (!is_cached(blob.fd, len, off)) {
			n = pread(blob.fd, room, whole, (off_t)(off - lead));
			r = n < 0 ? -errno : 0;
		}
		shale_blobs_give(&blob);
	}
	if (r == -EINVAL)
		atomic_store(&blobs->no_direct, true);
	return n >= 0 && (size_t)n >= want;
}

int shale_blobs_pread_once(struct shale_blobs *blobs,
			   const struct shale_digest *digest, uint8_t *room,
			   size_t len, uint64_t off, const uint8_t **data,
			   struct shale_err *err)
{
	if (!atomic_load(&blobs->no_direct) && off <= INT64_MAX - len - PAGE) {
		*data = room + off % PAGE;
		if (read_direct(blobs, digest, room, len, off))
			return 0;
	}
	*data = room;
	return shale_blobs_pread(blobs, digest, room, len, off, err);
}
