/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/live-rig-image.h"

#include "layers/base/cleanup.h"
#include "layers/blob/pack.h"
#include "layers/index/merge.h"
#include "tests/lib/check.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------- images */

static int memory_file(void)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

unsigned rig_image_add(struct rig *rig, struct shale_tree_build *build,
		       uint64_t next_ino)
{
	unsigned i = rig->images++;
	uint64_t size;

	CHECK(i < RIG_IMAGES);
	rig->image[i].fd = memory_file();
	rig->image[i].which.n = 1;
	struct shale_err err;
	CHECK_OK(shale_tree_build_finish(build, rig->image[i].fd, next_ino,
					 &rig->image[i].which.manifest[0],
					 &size, &err));
	shale_tree_build_free(build);
	return i;
}

unsigned rig_image_find(struct rig *rig, const struct shale_rec_image *which)
{
	for (unsigned i = rig->images; i-- > 0;)
		if (which->n == 1 &&
		    shale_digest_equal(&which->manifest[0],
				       &rig->image[i].which.manifest[0]))
			return i;
	CHECK(!"known image");
	return 0;
}

static struct shale_image *open_trees(struct rig *rig, unsigned i)
{
	struct shale_err err;
	struct shale_image *image = calloc(1, sizeof(*image));
	image->trees = calloc(1, sizeof(*image->trees));
	CHECK_OK(shale_tree_open(&image->trees[0], rig->image[i].fd, "image",
				 &err));
	image->n_trees = 1;
	image->chunks = rig->chunks;
	return image;
}

int rig_open_image(void *arg, const struct shale_rec_image *which,
		   struct shale_image **out, struct shale_err *err)
{
	struct rig *rig = arg;

	(void)err;
	*out = open_trees(rig, rig_image_find(rig, which));
	return 0;
}

struct shale_image *rig_image_open(struct rig *rig, unsigned i)
{
	struct shale_err err;
	struct shale_image *image = open_trees(rig, i);
	int fd = memory_file();

	CHECK_OK(shale_index_merge(fd, image->trees,
				   &rig->image[i].which.manifest[0], 1, NULL,
				   &err));
	CHECK_OK(shale_index_open(&image->index, fd, "index", &err));
	close(fd);
	return image;
}

int rig_open_indexed(void *arg, const struct shale_rec_image *which,
		     struct shale_image **out, struct shale_err *err)
{
	struct rig *rig = arg;

	(void)err;
	*out = rig_image_open(rig, rig_image_find(rig, which));
	return 0;
}

/* ------------------------------------------------- an image of what is there
 */

struct packing {
	struct rig *rig;
	struct shale_tree_build *build;
	struct shale_pack *pack;
	struct shale_buf seen; /* uint64_t: files with several names */
};

static bool seen(struct packing *p, uint64_t ino)
{
	const uint64_t *list = (const void *)p->seen.data;
	for (size_t i = 0; i < p->seen.len / sizeof(*list); i++)
		if (list[i] == ino)
			return true;
	CHECK_INT(shale_buf_append(&p->seen, &ino, sizeof(ino)), 0);
	return false;
}

static void pack_content(struct packing *p, uint64_t ino, uint64_t size)
{
	struct shale_err err;
	uint8_t *data = malloc(1 << 20);
	size_t got;

	CHECK_OK(shale_pack_begin(p->pack, ino, &err));
	for (uint64_t off = 0; off < size; off += got) {
		int r = shale_live_read(p->rig->live, ino, off, data, 1 << 20,
					&got, NULL);
		CHECK_INT(r, 0);
		CHECK(got > 0);
		CHECK_OK(shale_pack_write(p->pack, data, got, &err));
	}
	CHECK_OK(shale_pack_end(p->pack, &err));
	free(data);
}

static void pack_xattrs(struct packing *p, uint64_t ino, struct shale_buf *list)
{
	cleanup_buf struct shale_buf names = {0};
	CHECK_INT(shale_live_listxattr(p->rig->live, ino, &names), 0);
	for (size_t at = 0; at < names.len;) {
		const char *name = (const char *)names.data + at;
		cleanup_buf struct shale_buf value = {0};
		CHECK_INT(shale_live_getxattr(p->rig->live, ino, name, &value),
			  0);
		CHECK_INT(shale_xattr_append(list, name, value.data, value.len,
					     NULL),
			  0);
		at += strlen(name) + 1;
	}
}

static void pack_inode(struct packing *p, const struct shale_node *n)
{
	struct shale_err err;
	cleanup_buf struct shale_buf list = {0}, target = {0};
	struct shale_inode in = {
		.attr = {.ino = n->ino,
			 .mode = n->mode,
			 .uid = n->uid,
			 .gid = n->gid,
			 .nlink = n->nlink,
			 .size = n->size,
			 .mtime = n->mtime,
			 .rdev_major = n->rdev_major,
			 .rdev_minor = n->rdev_minor},
	};

	if (S_ISREG(n->mode)) {
		in.content = SHALE_CONTENT_REPLACED;
		pack_content(p, n->ino, n->size);
	}
	if (S_ISLNK(n->mode)) {
		CHECK_INT(shale_live_readlink(p->rig->live, n->ino, &target),
			  0);
		in.target = (const char *)target.data;
	}
	pack_xattrs(p, n->ino, &list);
	in.xattrs = list.data;
	in.xattr_len = (uint32_t)list.len;
	CHECK_OK(shale_tree_build_inode(p->build, &in, &err));
}

bool rig_collect(void *arg, const char *name, size_t len,
		 const struct shale_node *node, uint64_t next)
{
	struct rig_listed *l = arg;
	(void)next;
	if (strncmp(name, "..", len) == 0)
		return true;
	CHECK_INT(shale_buf_append(&l->names, name, len), 0);
	CHECK_INT(shale_buf_append(&l->names, "", 1), 0);
	CHECK_INT(shale_buf_append(&l->nodes, node, sizeof(*node)), 0);
	return true;
}

static void pack_dir(struct packing *p, uint64_t dir)
{
	struct shale_err err;
	struct shale_node self;
	struct rig_listed l = {0};

	CHECK_INT(shale_live_getattr(p->rig->live, dir, &self), 0);
	pack_inode(p, &self);
	CHECK_INT(
		shale_live_readdir(p->rig->live, dir, 0, true, rig_collect, &l),
		0);
	const struct shale_node *nodes = (const void *)l.nodes.data;
	const char *name = (const char *)l.names.data;
	for (size_t i = 0; i < l.nodes.len / sizeof(*nodes); i++) {
		struct shale_dirent entry = {
			.dir = dir,
			.ino = nodes[i].ino,
			.name = name,
			.name_len = (uint16_t)strlen(name),
			.type = (uint8_t)(nodes[i].mode >> 12),
		};
		CHECK_OK(shale_tree_build_dirent(p->build, &entry, &err));
		if (S_ISDIR(nodes[i].mode))
			pack_dir(p, nodes[i].ino);
		else if (nodes[i].nlink < 2 || !seen(p, nodes[i].ino))
			pack_inode(p, &nodes[i]);
		name += entry.name_len + 1;
	}
	shale_buf_release(&l.names);
	shale_buf_release(&l.nodes);
}

unsigned rig_image_pack(struct rig *rig)
{
	struct shale_err err;
	struct packing p = {.rig = rig};
	struct shale_pack_opts opts = {.codec = SHALE_CODEC_DEFAULT,
				       .threads = 1};
	struct shale_blob_tmp blob;
	struct shale_pack_stats stats;
	struct shale_live_counts counts;
	uint64_t size;

	CHECK_OK(shale_tree_build_new(&p.build, &err));
	CHECK_OK(shale_pack_new(&p.pack, rig->blobs, rig->chunks, p.build,
				&opts, &err));
	pack_dir(&p, 1);
	CHECK_OK(shale_pack_finish(p.pack, &blob, &size, &stats, &err));
	if (blob.fd >= 0) {
		CHECK_OK(shale_blobs_publish(rig->blobs, &blob, 1, &err));
		close(blob.fd);
	}
	shale_pack_free(p.pack);
	shale_buf_release(&p.seen);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	return rig_image_add(rig, p.build, counts.next_ino);
}
