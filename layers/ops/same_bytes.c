/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/same_bytes.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECE = 256 << 10 };

/* Two buffers of one piece each. */
struct pieces {
	uint8_t *here, *there;
};

static size_t piece_of(uint64_t off, uint64_t end)
{
	return end - off < PIECE ? (size_t)(end - off) : PIECE;
}

/* 1: where the image has a hole the file has nothing but zeros. */
static int same_hole(int fd, uint64_t off, uint64_t end, const struct pieces *p)
{
	memset(p->there, 0, PIECE);
	while (off < end) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 1;
		if (data > 0)
			off = (uint64_t)data;
		if (off >= end)
			return 1;
		size_t n = piece_of(off, end);
		if (shale_pread_full(fd, p->here, n, off, "it", NULL) < 0 ||
		    memcmp(p->here, p->there, n) != 0)
			return 0;
		off += n;
	}
	return 1;
}

/* 1: the file has these bytes. */
static int same_data(const struct shale_content *content,
		     struct shale_chunks *chunks, int fd, uint64_t off,
		     uint64_t end, const struct pieces *p,
		     struct shale_err *err)
{
	while (off < end) {
		size_t n = piece_of(off, end), got;
		int r = shale_content_read(content, chunks, off, p->there, n,
					   &got, err);
		if (r == 0 && got != n)
			r = shale_err_say(err, EUCLEAN, "content is missing");
		if (r < 0)
			return r;
		if (shale_pread_full(fd, p->here, n, off, "it", NULL) < 0 ||
		    memcmp(p->here, p->there, n) != 0)
			return 0;
		off += n;
	}
	return 1;
}

int shale_same_bytes(const struct shale_image *image, uint64_t ino, int dirfd,
		     const char *name, struct shale_err *err)
{
	struct shale_content content;
	struct stat st;
	cleanup_fd int fd = openat(
		dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	int r = shale_image_content(image, ino, &content, err);
	if (r < 0 || (uint64_t)st.st_size != content.size)
		return r;
	cleanup_free uint8_t *here = malloc(PIECE), *there = malloc(PIECE);
	const struct pieces p = {here, there};
	if (!here || !there)
		return shale_err_set(err, ENOMEM, "compare");
	r = 1;
	for (uint64_t off = 0, hole; r == 1 && off < content.size; off = hole) {
		uint64_t data;
		r = shale_content_seek(&content, off, true, &data, err);
		if (r == -ENXIO)
			return same_hole(fd, off, content.size, &p);
		if (r == 0)
			r = shale_content_seek(&content, data, false, &hole,
					       err);
		if (r == 0)
			r = same_hole(fd, off, data, &p);
		if (r == 1)
			r = same_data(&content, image->chunks, fd, data, hole,
				      &p, err);
	}
	return r;
}
