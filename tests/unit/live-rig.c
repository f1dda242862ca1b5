/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/live-rig.h"

#include "layers/base/io.h"
#include "tests/lib/check.h"
#include "tests/unit/live-rig-image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A discard holds more locks than ThreadSanitizer's detector of deadlocks
 * knows; it is on where there is a mount. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

const struct shale_caller rig_caller;

/* --------------------------------------------------------- mount, unmount */

static void unmount(struct rig *rig)
{
	struct shale_err err;

	shale_live_close(rig->live);
	rig->live = NULL;
	shale_handles_close(rig->handles);
	shale_image_close(rig->base);
	CHECK_OK(shale_workspace_close(rig->ws, &err));
}

int rig_try_return(struct rig *rig, struct shale_err *why)
{
	struct shale_err err;
	struct shale_rec_image which;

	CHECK_OK(shale_workspace_open(&rig->ws, rig->dirfd, "work", &err));
	CHECK_OK(shale_live_base_of(rig->ws, &which, &err));
	rig->mounted = rig_image_find(rig, &which);
	rig->base = rig_image_open(rig, rig->mounted);
	CHECK_OK(shale_handles_open(&rig->handles, rig->ws->dirfd,
				    !rig->opts.takeover, &err));
	int r = shale_live_open(&rig->live, rig->ws, rig->handles, rig->base,
				&which, &rig->opts, why);
	if (r < 0)
		unmount(rig);
	return r;
}

static void mount(struct rig *rig)
{
	struct shale_err err;

	CHECK_OK(rig_try_return(rig, &err));
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
	struct shale_err err;
	struct rig *rig = calloc(1, sizeof(*rig));
	struct shale_tree_build *build;

	rig->dirfd = shale_test_blobs();
	CHECK_OK(shale_blobs_open(&rig->blobs, rig->dirfd, &err));
	CHECK_OK(shale_chunks_new(&rig->chunks, rig->blobs, 4 << 20, &err));
	rig->opts.open_image = rig_open_image;
	rig->opts.open_indexed = rig_open_indexed;
	rig->opts.arg = rig;

	struct shale_inode root = {
		.attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
	CHECK_OK(shale_tree_build_new(&build, &err));
	CHECK_OK(shale_tree_build_inode(build, &root, &err));
	rig_image_add(rig, build, 2);
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
	c.image = rig_image_pack(rig);
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
	struct rig_listed l = {0};
	char *names[1000];

	CHECK_INT(shale_live_readdir(rig->live, rig_ino(rig, path), 0, false,
				     rig_collect, &l),
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

/* ------------------------------------------------------------------- sample */

struct rig *rig_sample(void)
{
	struct rig *rig = rig_new();

	rig_make(rig, "d", S_IFDIR | 0755);
	rig_file(rig, "d/a", "alpha");
	rig_file(rig, "d/b", "beta");
	rig_make(rig, "d/s", S_IFDIR | 0755);
	rig_file(rig, "d/s/x", "deep");
	rig_make(rig, "e", S_IFDIR | 0755);
	rig_file(rig, "f", "file");
	CHECK_INT(rig_link(rig, "f", "g"), 0);
	rig_make(rig, "l", S_IFLNK | 0777);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_INT(rig->mounted, 1);
	struct shale_live_counts counts;
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.dirty_inodes, 0);
	CHECK_INT(counts.inodes, 9);
	CHECK_INT(counts.bytes, 5 + 4 + 4 + 4);
	return rig;
}
