/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/stored.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct shale_store *stored_new(void)
{
	static int number;
	struct shale_store *store;
	struct shale_err err;
	char path[300];

	snprintf(path, sizeof(path), "%s/store%d.%d", shale_test_dir(),
		 (int)getpid(), number++);
	CHECK_OK(shale_store_open(&store, path, true, &err));
	return store;
}

struct shale_tree_build *stored_begin(void)
{
	struct shale_tree_build *b;
	struct shale_err err;
	CHECK_OK(shale_tree_build_new(&b, &err));
	return b;
}

struct shale_layer_desc stored_end(struct shale_store *store,
				   struct shale_tree_build *b,
				   uint64_t next_ino)
{
	struct shale_blob_tmp tmp;
	struct shale_layer_desc d = {0};
	struct shale_err err;

	CHECK_OK(shale_blobs_create(shale_store_blobs(store), &tmp.fd, tmp.name,
				    &err));
	CHECK_OK(shale_tree_build_finish(b, tmp.fd, next_ino, &tmp.digest,
					 &d.size, &err));
	CHECK_OK(shale_blobs_publish(shale_store_blobs(store), &tmp, 1, &err));
	d.digest = tmp.digest;
	close(tmp.fd);
	shale_tree_build_free(b);
	return d;
}

void stored_root(struct shale_tree_build *b)
{
	struct shale_err err;
	struct shale_inode in = {
		.attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
	CHECK_OK(shale_tree_build_inode(b, &in, &err));
}

static void name_it(struct shale_tree_build *b, uint64_t ino, const char *name)
{
	struct shale_err err;
	struct shale_dirent d = {.dir = 1,
				 .ino = ino,
				 .name = name,
				 .name_len = (uint16_t)strlen(name),
				 .type = ino ? S_IFREG >> 12 : 0};
	CHECK_OK(shale_tree_build_dirent(b, &d, &err));
}

void stored_file(struct shale_tree_build *b, uint64_t ino, const char *name,
		 uint32_t mode)
{
	struct shale_err err;
	struct shale_inode in = {
		.attr = {.ino = ino, .mode = S_IFREG | mode, .nlink = 1}};
	CHECK_OK(shale_tree_build_inode(b, &in, &err));
	if (name)
		name_it(b, ino, name);
}

void stored_gone(struct shale_tree_build *b, uint64_t ino, const char *name)
{
	struct shale_err err;
	struct shale_inode in = {.attr = {.ino = ino}};
	CHECK_OK(shale_tree_build_inode(b, &in, &err));
	name_it(b, 0, name);
}

struct shale_version *stored_publish(struct shale_store *store,
				     const struct shale_version *parent,
				     const char *file, const char *repo,
				     const char *tag, bool latest)
{
	struct shale_err err;
	struct shale_version *v = calloc(1, sizeof(*v)), *read;
	size_t below = parent ? parent->n_trees : 0;
	uint64_t ino = parent ? parent->description.next_ino : 2;

	CHECK(v);
	v->trees = calloc(below + 1, sizeof(*v->trees));
	CHECK(v->trees);
	for (size_t i = 0; i < below; i++)
		v->trees[i] = parent->trees[i];
	struct shale_tree_build *b = stored_begin();
	if (!parent)
		stored_root(b);
	stored_file(b, ino, file, 0644);
	v->trees[below] = stored_end(store, b, ino + 1);
	v->n_trees = below + 1;
	v->description.message = strdup(file);
	v->description.next_ino = ino + 1;
	if (parent) {
		v->description.parent = parent->digest;
		v->description.has_parent = true;
	}
	CHECK_OK(shale_store_publish(store, v, repo, tag, latest, &err));
	CHECK_OK(shale_store_version(store, &v->digest, &read, &err));
	shale_version_free(v);
	return read;
}

void stored_is(struct shale_store *store, const char *ref,
	       const struct shale_version *v)
{
	struct shale_err err;
	struct shale_version *found;
	CHECK_OK(shale_store_resolve(store, ref, NULL, &found, &err));
	if (!shale_digest_equal(&found->digest, &v->digest))
		shale_test_fail(__FILE__, __LINE__, "'%s' is '%s', not '%s'",
				ref, found->description.message,
				v->description.message);
	shale_version_free(found);
}
