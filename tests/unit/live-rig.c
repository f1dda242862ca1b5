/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/live-rig.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/blob/pack.h"
#include "layers/index/merge.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* A discard holds more locks than ThreadSanitizer's detector of deadlocks
 * knows; it is on where there is a mount. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

const struct shale_caller rig_caller;

/* ----------------------------------------------------------------- images */

static int memory_file(void)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static unsigned add_image(struct rig *rig, struct shale_tree_build *build,
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

static unsigned find_image(struct rig *rig, const struct shale_rec_image *which)
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

static int open_image(void *arg, const struct shale_rec_image *which,
		      struct shale_image **out, struct shale_err *err)
{
	struct rig *rig = arg;

	(void)err;
	*out = open_trees(rig, find_image(rig, which));
	return 0;
}

static struct shale_image *open_with_index(struct rig *rig, unsigned i)
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

static int open_indexed(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	struct rig *rig = arg;

	(void)err;
	*out = open_with_index(rig, find_image(rig, which));
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

struct listed {
	struct shale_buf names; /* each with its NUL */
	struct shale_buf nodes;
};

static bool collect(void *arg, const char *name, size_t len,
		    const struct shale_node *node, uint64_t next)
{
	struct listed *l = arg;
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
	struct listed l = {0};

	CHECK_INT(shale_live_getattr(p->rig->live, dir, &self), 0);
	pack_inode(p, &self);
	CHECK_INT(shale_live_readdir(p->rig->live, dir, 0, true, collect, &l),
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

static unsigned pack_all(struct rig *rig)
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
	return add_image(rig, p.build, counts.next_ino);
}

/* --------------------------------------------------------- mount, unmount */

static void mount(struct rig *rig)
{
	struct shale_err err;
	struct shale_rec_image which;

	CHECK_OK(shale_workspace_open(&rig->ws, rig->dirfd, "work", &err));
	CHECK_OK(shale_live_base_of(rig->ws, &which, &err));
	rig->mounted = find_image(rig, &which);
	rig->base = open_with_index(rig, rig->mounted);
	CHECK_OK(shale_handles_open(&rig->handles, rig->ws->dirfd, true, &err));
	CHECK_OK(shale_live_open(&rig->live, rig->ws, rig->handles, rig->base,
				 &which, &rig->opts, &err));
}

static void unmount(struct rig *rig)
{
	struct shale_err err;

	shale_live_close(rig->live);
	shale_handles_close(rig->handles);
	shale_image_close(rig->base);
	CHECK_OK(shale_workspace_close(rig->ws, &err));
}

void rig_leave(struct rig *rig)
{
	unmount(rig);
}

void rig_return(struct rig *rig)
{
	mount(rig);
}

void rig_remount(struct rig *rig)
{
	unmount(rig);
	mount(rig);
}

struct rig *rig_new(void)
{
	static unsigned n;
	struct shale_err err;
	struct rig *rig = calloc(1, sizeof(*rig));
	struct shale_tree_build *build;
	char path[300];

	snprintf(path, sizeof(path), "%s/rig%u", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	rig->dirfd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(mkdirat(rig->dirfd, "blobs", 0700) == 0);
	CHECK(mkdirat(rig->dirfd, "blobs/sha256", 0700) == 0);
	CHECK(mkdirat(rig->dirfd, "tmp", 0700) == 0);
	CHECK_OK(shale_blobs_open(&rig->blobs, rig->dirfd, &err));
	CHECK_OK(shale_chunks_new(&rig->chunks, rig->blobs, 4 << 20, &err));
	rig->opts.open_image = open_image;
	rig->opts.open_indexed = open_indexed;
	rig->opts.arg = rig;

	struct shale_inode root = {
		.attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
	CHECK_OK(shale_tree_build_new(&build, &err));
	CHECK_OK(shale_tree_build_inode(build, &root, &err));
	add_image(rig, build, 2);
	char *refs[] = {"base"};
	struct shale_workspace_info info = {
		.name = "work",
		.refs = refs,
		.base = &rig->image[0].which.manifest[0],
		.n_base = 1,
	};
	CHECK_OK(shale_workspace_make(rig->dirfd, &info, &err));
	mount(rig);
	return rig;
}

void rig_free(struct rig *rig)
{
	unmount(rig);
	for (unsigned i = 0; i < rig->images; i++)
		close(rig->image[i].fd);
	shale_chunks_free(rig->chunks);
	shale_blobs_close(rig->blobs);
	close(rig->dirfd);
	free(rig);
}

/* ----------------------------------------------------------------- commit */

struct rig_commit rig_freeze(struct rig *rig)
{
	struct shale_err err;
	struct rig_commit c;
	uint64_t pos;

	CHECK_OK(shale_live_freeze(rig->live, &c.frozen, &pos, &err));
	CHECK_OK(shale_db_pause_at(rig->ws->db, pos, &err));
	shale_db_resume(rig->ws->db);
	c.image = pack_all(rig);
	return c;
}

void rig_committed(struct rig *rig, const struct rig_commit *c)
{
	struct shale_err err;
	CHECK_OK(shale_live_committed(rig->live, c->frozen,
				      &rig->image[c->image].which, &err));
}

void rig_commit(struct rig *rig)
{
	struct rig_commit c = rig_freeze(rig);
	rig_committed(rig, &c);
}

/* ------------------------------------------------------------- shorthands */

/* The directory that a path's last name is in, and that name. */
static uint64_t parent_of(struct rig *rig, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char dir[300];

	*name = slash ? slash + 1 : path;
	if (!slash)
		return 1;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	uint64_t ino = rig_ino(rig, dir);
	CHECK(ino != 0);
	return ino;
}

uint64_t rig_ino(struct rig *rig, const char *path)
{
	uint64_t ino = 1;

	while (*path) {
		struct shale_node node;
		size_t len = strcspn(path, "/");
		int r = shale_live_lookup(rig->live, ino, path, len, &node);
		if (r == -ENOENT)
			return 0;
		CHECK_INT(r, 0);
		ino = node.ino;
		path += len;
		path += *path == '/';
	}
	return ino;
}

struct shale_node rig_stat(struct rig *rig, const char *path)
{
	struct shale_node node;
	uint64_t ino = rig_ino(rig, path);

	CHECK(ino != 0);
	CHECK_INT(shale_live_getattr(rig->live, ino, &node), 0);
	return node;
}

uint64_t rig_make(struct rig *rig, const char *path, uint32_t mode)
{
	struct shale_make what = {.mode = mode,
				  .target = "target",
				  .target_len = S_ISLNK(mode) ? 6 : 0};
	struct shale_node node;
	const char *name;
	uint64_t dir = parent_of(rig, path, &name);

	CHECK_INT(shale_live_make(rig->live, &rig_caller, dir, name,
				  strlen(name), &what, &node),
		  0);
	return node.ino;
}

uint64_t rig_file(struct rig *rig, const char *path, const char *text)
{
	uint64_t ino = rig_make(rig, path, S_IFREG | 0644);
	rig_write(rig, path, 0, text);
	return ino;
}

void rig_write(struct rig *rig, const char *path, uint64_t off,
	       const char *text)
{
	CHECK_INT(shale_live_write(rig->live, &rig_caller, rig_ino(rig, path),
				   off, text, strlen(text), false),
		  0);
}

void rig_truncate(struct rig *rig, const char *path, uint64_t size)
{
	struct shale_set set = {.what = SHALE_SET_SIZE, .size = size};
	struct shale_node node;

	CHECK_INT(shale_live_setattr(rig->live, &rig_caller, rig_ino(rig, path),
				     &set, &node),
		  0);
	CHECK_INT(node.size, size);
}

int rig_unlink(struct rig *rig, const char *path)
{
	const char *name;
	uint64_t dir = parent_of(rig, path, &name);
	return shale_live_unlink(rig->live, &rig_caller, dir, name,
				 strlen(name));
}

int rig_rmdir(struct rig *rig, const char *path)
{
	const char *name;
	uint64_t dir = parent_of(rig, path, &name);
	return shale_live_rmdir(rig->live, &rig_caller, dir, name,
				strlen(name));
}

int rig_rename(struct rig *rig, const char *from, const char *to,
	       unsigned flags)
{
	const char *name, *new_name;
	uint64_t dir = parent_of(rig, from, &name);
	uint64_t new_dir = parent_of(rig, to, &new_name);
	return shale_live_rename(rig->live, &rig_caller, dir, name,
				 strlen(name), new_dir, new_name,
				 strlen(new_name), flags);
}

int rig_link(struct rig *rig, const char *from, const char *to)
{
	struct shale_node node;
	const char *name;
	uint64_t dir = parent_of(rig, to, &name);
	return shale_live_link(rig->live, &rig_caller, rig_ino(rig, from), dir,
			       name, strlen(name), &node);
}

const char *rig_text(struct rig *rig, const char *path)
{
	static char text[1 << 16];
	size_t got;

	CHECK_INT(shale_live_read(rig->live, rig_ino(rig, path), 0, text,
				  sizeof(text) - 1, &got, NULL),
		  0);
	text[got] = 0;
	return text;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *rig_list(struct rig *rig, const char *path)
{
	static char out[1 << 16];
	struct listed l = {0};
	char *names[1000];

	CHECK_INT(shale_live_readdir(rig->live, rig_ino(rig, path), 0, false,
				     collect, &l),
		  0);
	const struct shale_node *nodes = (const void *)l.nodes.data;
	size_t n = l.nodes.len / sizeof(*nodes);
	char *at = (char *)l.names.data;
	CHECK(n < 1000);
	for (size_t i = 0; i < n; i++) {
		CHECK(asprintf(&names[i], "%s%s", at,
			       S_ISDIR(nodes[i].mode)   ? "/"
			       : S_ISLNK(nodes[i].mode) ? "@"
							: "") > 0);
		at += strlen(at) + 1;
	}
	qsort(names, n, sizeof(*names), by_name);
	out[0] = 0;
	for (size_t i = 0; i < n; i++) {
		if (i)
			strncat(out, " ", sizeof(out) - strlen(out) - 1);
		strncat(out, names[i], sizeof(out) - strlen(out) - 1);
		free(names[i]);
	}
	shale_buf_release(&l.names);
	shale_buf_release(&l.nodes);
	return out;
}
