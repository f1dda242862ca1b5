/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/resting.h"

static int open_content(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	return shale_store_open_manifests(arg, which->manifest, which->n, false,
					  out, err);
}

static int open_indexed(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	return shale_store_open_manifests(arg, which->manifest, which->n, true,
					  out, err);
}

int shale_resting_open(struct shale_resting *rest, struct shale_store *store,
		       const char *name, struct shale_err *err)
{
	struct shale_rec_image which;
	struct shale_live_opts opts = {.open_image = open_content,
				       .open_indexed = open_indexed,
				       .arg = store};

	*rest = (struct shale_resting){0};
	int r = shale_workspace_open(&rest->ws, shale_store_dirfd(store), name,
				     err);
	if (r == 0)
		r = shale_live_base_of(rest->ws, &which, err);
	if (r == 0)
		r = shale_store_open_manifests(store, which.manifest, which.n,
					       true, &rest->base, err);
	if (r == 0)
		r = shale_handles_open(&rest->handles, rest->ws->dirfd, true,
				       err);
	if (r == 0)
		r = shale_live_open(&rest->live, rest->ws, rest->handles,
				    rest->base, &which, &opts, err);
	return r;
}

int shale_resting_close(struct shale_resting *rest, int r,
			struct shale_err *err)
{
	shale_live_close(rest->live);
	shale_handles_close(rest->handles);
	shale_image_close(rest->base);
	if (!rest->ws)
		return r;
	int closed = shale_workspace_close(rest->ws, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}
