/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/roots.h"

#include "fs/control/control.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

struct visit {
	int (*fn)(void *arg, const struct shale_digest *manifest,
		  const char *who, struct shale_err *err);
	void *arg;
	struct shale_store *store;
};

/* ----------------------------------------------------------------- mounts */

/*
 * A mount that is being made may name an image that went just before: it will
 * be told (shale_store_settle()), and needs nothing.
 */
static int visit_texts(const struct visit *v, char *const *texts, size_t n,
		       const char *who, struct shale_err *err)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		struct shale_digest digest;
		if (shale_digest_parse(texts[i], &digest) < 0)
			return shale_err_say(err, EUCLEAN,
					     "%s: '%s' is no digest", who,
					     texts[i]);
		if (shale_blobs_has(shale_store_blobs(v->store), &digest))
			r = v->fn(v->arg, &digest, who, err);
	}
	return r;
}

static int visit_mount(void *arg, const struct shale_mount_info *info,
		       struct shale_err *err)
{
	const struct visit *v = arg;
	cleanup_free char *who = NULL;
	if (asprintf(&who, "the mount at '%s'", info->mountpoint) < 0)
		return shale_err_set(err, ENOMEM, "list mounts");
	int r = visit_texts(v, info->manifests, info->n, who, err);
	return r != 0 ? r
		      : visit_texts(v, info->leased, info->n_leased, who, err);
}

/* ------------------------------------------------------------- workspaces */

static int visit_workspace(const struct visit *v, int dirfd, const char *name,
			   struct shale_err *err)
{
	struct shale_workspace_info info = {0};
	struct shale_digest *images = NULL;
	cleanup_free char *who = NULL;
	size_t n = 0;

	if (asprintf(&who, "workspace '%s'", name) < 0)
		return shale_err_set(err, ENOMEM, "list workspaces");
	int r = shale_workspace_read(dirfd, name, &info, err);
	if (r == -ENOKEY)
		return 0; /* removed meanwhile */
	for (size_t i = 0; r == 0 && i < info.n_base; i++)
		r = v->fn(v->arg, &info.base[i], who, err);
	shale_workspace_info_release(&info);
	if (r == 0)
		r = shale_workspace_images(dirfd, name, &images, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = v->fn(v->arg, &images[i], who, err);
	free(images);
	return r;
}

static int visit_workspaces(const struct visit *v, int dirfd,
			    struct shale_err *err)
{
	char **names;
	size_t n;
	int r = shale_workspace_list(dirfd, &names, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = visit_workspace(v, dirfd, names[i], err);
		free(names[i]);
	}
	free(names);
	return r;
}

int shale_roots_each(struct shale_store *store,
		     int (*fn)(void *arg, const struct shale_digest *manifest,
			       const char *who, struct shale_err *err),
		     void *arg, struct shale_err *err)
{
	struct visit v = {fn, arg, store};
	int dirfd = shale_store_dirfd(store);
	/*
	 * Workspaces last: a mount notes what it committed before its
	 * workspace does, and a mount that ends has it in the workspace.
	 */
	int r = shale_mount_each(dirfd, visit_mount, &v, err);
	return r != 0 ? r : visit_workspaces(&v, dirfd, err);
}
