/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/layers.h"

#include "layers/index/merge.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define err (l->err)

int layers_memfd(void)
{
	int fd = memfd_create("layers", MFD_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

struct layers layers_begin(uint64_t next_ino)
{
	return (struct layers){.next_ino = next_ino};
}

void layers_end(struct layers *l)
{
	for (size_t i = 0; i < l->n; i++)
		shale_tree_close(l->tree[i]);
	shale_tree_build_free(l->top);
	*l = (struct layers){0};
}

static struct shale_tree_build *top(struct layers *l)
{
	if (!l->top)
		CHECK_OK(shale_tree_build_new(&l->top, &err));
	return l->top;
}

void layers_full(struct layers *l, const struct shale_inode *in)
{
	CHECK_OK(shale_tree_build_inode(top(l), in, &err));
}

void layers_inode(struct layers *l, uint64_t ino, uint32_t mode)
{
	struct shale_inode in = {
		.attr = {.ino = ino,
			 .mode = mode,
			 .uid = 1000,
			 .gid = 100,
			 .nlink = 1,
			 .mtime = {.tv_sec = (time_t)ino, .tv_nsec = 5}}};
	layers_full(l, &in);
}

void layers_symlink(struct layers *l, uint64_t ino, const char *target)
{
	struct shale_inode in = {.attr = {.ino = ino,
					  .mode = S_IFLNK | 0777,
					  .nlink = 1,
					  .size = strlen(target)},
				 .target = target};
	layers_full(l, &in);
}

void layers_content(struct layers *l, uint64_t ino,
		    enum shale_content_kind kind, uint64_t size, uint64_t limit)
{
	struct shale_inode in = {.attr = {.ino = ino,
					  .mode = S_IFREG | 0644,
					  .nlink = 1,
					  .size = size},
				 .content = kind,
				 .limit = limit};
	layers_full(l, &in);
}

void layers_hole(struct layers *l, uint64_t ino, uint64_t off, uint64_t len)
{
	struct shale_extent e = {
		.ino = ino, .off = off, .len = len, .chunk = SHALE_HOLE};
	CHECK_OK(shale_tree_build_extent(top(l), &e, NULL, &err));
}

void layers_gone(struct layers *l, uint64_t ino)
{
	struct shale_inode in = {.attr.ino = ino};
	layers_full(l, &in);
}

void layers_name(struct layers *l, uint64_t dir, const char *name, uint64_t ino,
		 uint32_t type)
{
	struct shale_dirent d = {.dir = dir,
				 .ino = ino,
				 .name = name,
				 .name_len = (uint16_t)strlen(name),
				 .type = (uint8_t)(type >> 12)};
	CHECK_OK(shale_tree_build_dirent(top(l), &d, &err));
}

void layers_no_name(struct layers *l, uint64_t dir, const char *name)
{
	layers_name(l, dir, name, 0, 0);
}

void layers_push(struct layers *l)
{
	CHECK(l->n < LAYERS_MAX);
	int fd = layers_memfd();
	uint64_t size;
	CHECK_OK(shale_tree_build_finish(top(l), fd, l->next_ino,
					 &l->digest[l->n], &size, &err));
	CHECK_OK(shale_tree_open(&l->tree[l->n], fd, "layer", &err));
	close(fd);
	l->n++;
	shale_tree_build_free(l->top);
	l->top = NULL;
}

void layers_push_root(struct layers *l)
{
	layers_inode(l, SHALE_ROOT_INO, S_IFDIR | 0755);
	layers_push(l);
}

int layers_try_index(struct layers *l, const struct shale_index *prefix,
		     int *fd)
{
	*fd = layers_memfd();
	int r = shale_index_merge(*fd, l->tree, l->digest, l->n, prefix, &err);
	if (r < 0)
		close(*fd);
	return r;
}

struct shale_index *layers_index(struct layers *l)
{
	int fd;
	CHECK_OK(layers_try_index(l, NULL, &fd));
	struct shale_index *ix = layers_open_index(fd);
	close(fd);
	return ix;
}

#undef err

struct shale_index *layers_open_index(int fd)
{
	struct shale_index *ix;
	struct shale_err err;
	CHECK_OK(shale_index_open(&ix, fd, "test", &err));
	CHECK_OK(shale_index_verify(ix, &err));
	return ix;
}

void *layers_bytes(int fd, size_t *len)
{
	struct stat st;
	CHECK(fstat(fd, &st) == 0);
	void *data = malloc((size_t)st.st_size);
	CHECK(data && pread(fd, data, (size_t)st.st_size, 0) == st.st_size);
	*len = (size_t)st.st_size;
	return data;
}
