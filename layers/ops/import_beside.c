/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_impl.h"

#include "layers/base/cleanup.h"

#include <sys/stat.h>

/*
 * What is done beside the walk of sources: the parent is opened, which may have
 * to build its index, and the first large file that is not known to be as it
 * was is held against it (alike.h).  Neither changes what comes out.
 */

/* -------------------------------------------------------------- the parent */

static void *open_parent(void *arg)
{
	struct shale_import *imp = arg;
	int r = shale_onto_open(&imp->onto, imp->store, imp->opts.onto,
				&imp->opener_err);
	imp->onto.partly = imp->opts.layer != SHALE_LAYER_NONE;
	pthread_mutex_lock(&imp->opener_lock);
	imp->opened = r;
	imp->is_open = true;
	pthread_mutex_unlock(&imp->opener_lock);
	return NULL;
}

void shale_import_open_parent(struct shale_import *imp)
{
	if (!imp->opts.onto ||
	    pthread_create(&imp->opener, NULL, open_parent, imp) != 0)
		open_parent(imp);
	else
		imp->opener_runs = true;
}

int shale_import_parent(struct shale_import *imp, struct shale_err *err)
{
	if (imp->opener_runs)
		pthread_join(imp->opener, NULL);
	imp->opener_runs = false;
	if (imp->opened < 0 && err)
		*err = imp->opener_err;
	return imp->opened;
}

static bool is_open(struct shale_import *imp)
{
	pthread_mutex_lock(&imp->opener_lock);
	bool open = imp->is_open && imp->opened == 0;
	pthread_mutex_unlock(&imp->opener_lock);
	return open && imp->onto.image;
}

/* ------------------------------------------------------------- a large file */

int shale_import_large(struct shale_import *imp, uint32_t inode,
		       struct shale_err *err)
{
	if (imp->opts.onto &&
	    shale_buf_append(&imp->large, &inode, sizeof(inode)) < 0)
		return shale_err_set(err, ENOMEM, "large files");
	return 0;
}

/* The parent's file of the same path, if it is not known to be the same. */
static bool find_changed(struct shale_import *imp,
			 const struct shale_plan_inode *in, const char *path,
			 uint64_t *base)
{
	const struct shale_index *ix = imp->onto.image->index;
	struct shale_plan_inode as = *in;
	bool same = false;
	as.attr.ino = 0;
	if (shale_index_find(ix, path, base, NULL) < 0)
		return false;
	as.base = *base;
	return imp->opts.checksum ||
	       (shale_onto_trusts(&imp->onto, &imp->plan, &as, &same, NULL) ==
			0 &&
		!same);
}

static void compare(struct shale_import *imp, uint32_t inode)
{
	const struct shale_plan_inode *in = shale_plan_inode(&imp->plan, inode);
	const struct shale_read_root *root =
		(struct shale_read_root *)(void *)imp->roots.data + in->source;
	cleanup_buf struct shale_buf path = {0};
	uint64_t base;

	if (!in->names || !S_ISREG(in->attr.mode) ||
	    shale_plan_path(&imp->plan, in->name, &path, NULL) < 0 ||
	    !find_changed(imp, in, (const char *)path.data, &base))
		return;
	cleanup_fd int fd = shale_reader_open(
		root->fd, (const char *)path.data + root->prefix);
	if (fd < 0)
		return;
	imp->early.alike = shale_alike_new(fd, imp->onto.image, base,
					   imp->feed.chunks, imp->opts.threads);
	imp->early.inode = inode;
	imp->early.base = base;
}

void shale_import_compare_early(struct shale_import *imp)
{
	const uint32_t *all = (const void *)imp->large.data;
	size_t n = imp->large.len / sizeof(*all);
	if (imp->early.alike || imp->large_seen == n || !is_open(imp))
		return;
	while (imp->large_seen < n && !imp->early.alike)
		compare(imp, all[imp->large_seen++]);
}
