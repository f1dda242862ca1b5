/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/journal_impl.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

void shale_journal_note_failed(struct shale_journal *j)
{
	int fd = openat(j->dirfd, "journal.failed",
			O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static int copy(int to, int from, uint64_t off, uint64_t end,
		struct shale_err *err)
{
	cleanup_free uint8_t *piece = malloc(PIECE);
	if (!piece)
		return shale_err_set(err, ENOMEM, "write the journal anew");

	int r = 0;
	while (r == 0 && off < end) {
		size_t len = end - off < PIECE ? (size_t)(end - off) : PIECE;
		r = shale_pread_full(from, piece, len, off, "journal", err);
		if (r == 0)
			r = shale_pwrite_full(to, piece, len, off, "journal",
					      err);
		off += len;
	}
	return r;
}

/*
 * What of the segment counts, from position `from` to `end`, as another file of
 * its name: durable before it takes the place of the one that failed.
 */
static int renew_segment(struct shale_journal *j, struct shale_segment *seg,
			 uint64_t from, uint64_t end, struct shale_err *err)
{
	char name[SHALE_SEGMENT_NAME];
	shale_segment_name(name, seg->start);
	cleanup_fd int fd =
		openat(j->dirfd, "journal.new",
		       O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return shale_err_set(err, errno, "make 'journal.new'");

	uint64_t off = from > seg->start ? from - seg->start : 0;
	int r = copy(fd, seg->fd, off, end - seg->start, err);
	if (r == 0 && ftruncate(fd, (off_t)(end - seg->start)) < 0)
		r = shale_err_set(err, errno, "truncate 'journal.new'");
	if (r == 0 && fsync(fd) < 0)
		r = shale_err_set(err, errno, "flush 'journal.new'");
	if (r == 0 && renameat(j->dirfd, "journal.new", j->dirfd, name) < 0)
		r = shale_err_set(err, errno, "rename 'journal.new'");
	if (r < 0) {
		unlinkat(j->dirfd, "journal.new", 0);
		return r;
	}
	close(seg->fd);
	seg->fd = steal_fd(&fd);
	return 0;
}

int shale_journal_renew(struct shale_journal *j, uint64_t from,
			struct shale_err *err)
{
	if (faccessat(j->dirfd, "journal.failed", F_OK, 0) < 0)
		return errno == ENOENT
			       ? 0
			       : shale_err_set(err, errno, "'journal.failed'");
	for (size_t i = 0; i < j->n; i++) {
		uint64_t end = i + 1 < j->n ? j->seg[i + 1].start : j->end;
		int r = end < from
				? 0
				: renew_segment(j, &j->seg[i], from, end, err);
		if (r < 0)
			return r;
	}
	int r = shale_dir_sync(j->dirfd, "journal", err);
	if (r == 0)
		unlinkat(j->dirfd, "journal.failed", 0);
	return r;
}
