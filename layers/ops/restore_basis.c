/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/ops/diff.h"
#include "layers/ops/restore.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

enum { PIECE = 256 << 10 };

struct patching {
	const struct shale_restore *rs;
	uint64_t ino;
	int fd;
	uint8_t *piece;
	struct shale_err *err;
};

static int patch(void *arg, uint64_t off, uint64_t len, bool hole)
{
	const struct patching *p = arg;
	int r = 0;

	if (hole && fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)off, (off_t)len) == 0)
		return 0;
	while (r == 0 && len) {
		size_t n = len < PIECE ? (size_t)len : PIECE, got;
		r = shale_image_read(p->rs->image, p->ino, off, p->piece, n,
				     &got, p->err);
		if (r == 0 && got != n)
			r = shale_err_say(p->err, EUCLEAN,
					  "content is missing");
		if (r == 0)
			r = shale_pwrite_full(p->fd, p->piece, n, off,
					      "the file", p->err);
		p->rs->basis->written += n;
		off += n;
		len -= n;
	}
	return r;
}

int shale_restore_on_basis(const struct shale_restore *rs, int fd,
			   const struct shale_attr *attr, struct shale_err *err)
{
	struct shale_restore_basis *basis = rs->basis;

	basis->used = false;
	basis->written = 0;
	if (ioctl(fd, FICLONE, basis->fd) < 0)
		return 0;
	basis->used = true;
	if (ftruncate(fd, (off_t)attr->size) < 0)
		return shale_err_set(err, errno, "set the size");
	cleanup_free uint8_t *piece = malloc(PIECE);
	if (!piece)
		return shale_err_set(err, ENOMEM, "a buffer");
	struct patching p = {rs, attr->ino, fd, piece, err};
	int r = shale_diff_ranges(basis->image, basis->ino, rs->image,
				  attr->ino, patch, &p, err);
	return r < 0 ? r : 1;
}
