/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/image_arg.h"

#include "layers/base/cleanup.h"
#include "layers/store/ref.h"

#include <string.h>

/* What is missing is where a symlink points to.  False: it is none. */
static bool dangling(struct shale_ctx *ctx, const char *ref,
		     const struct shale_image_arg *arg)
{
	const struct shale_index *ix = arg->image->index;
	const char *target;
	uint64_t ino;
	uint32_t len;

	if (shale_index_resolve(ix, arg->path, false, &ino, NULL) < 0 ||
	    shale_index_target(ix, ino, &target, &len, NULL) < 0)
		return false;
	shale_err_say(&ctx->err, ENOKEY,
		      "'%s' has nothing where its symbolic link '%s' points: "
		      "'%.*s'",
		      ref, arg->path, (int)len, target);
	return true;
}

static int find_path(struct shale_ctx *ctx, const char *ref, bool follow_last,
		     struct shale_image_arg *arg)
{
	struct shale_err why = {0};
	int r = shale_index_resolve(arg->image->index, arg->path, follow_last,
				    &arg->ino, &why);
	if (r == -ENOENT && follow_last && dangling(ctx, ref, arg))
		return -ENOKEY;
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return shale_err_say(
			&ctx->err, ENOKEY, "'%s' has no '%s'%s", ref, arg->path,
			r == -ELOOP ? ": too many symbolic links" : "");
	if (r < 0)
		return shale_err_say(&ctx->err, -r, "'%s': %s", ref, why.msg);
	return 0;
}

int shale_image_arg_open(struct shale_ctx *ctx, const char *text,
			 const char *at, bool follow_last,
			 struct shale_image_arg *out)
{
	char ref[512];
	const char *path;
	struct shale_image_arg arg = {0};

	int r = shale_ref_split(text, ref, sizeof(ref), &path, &ctx->err);
	if (r == -EINVAL)
		ctx->wrong_usage = true;
	if (r == 0 && !(arg.path = strdup(path ? path : "/")))
		r = shale_err_set(&ctx->err, ENOMEM, "open '%s'", text);
	if (r == 0)
		r = shale_ctx_store(ctx, false, &arg.store);
	if (r == 0)
		r = shale_ctx_resolve(ctx, arg.store, ref, at, &arg.version);
	if (r == 0)
		r = shale_ctx_open(ctx, arg.store, arg.version, &arg.image);
	if (r == 0)
		r = find_path(ctx, ref, follow_last, &arg);
	if (r < 0) {
		shale_image_arg_close(&arg);
		return r;
	}
	*out = arg;
	return 0;
}

void shale_image_arg_close(struct shale_image_arg *arg)
{
	shale_image_close(arg->image);
	shale_version_free(arg->version);
	shale_store_close(arg->store);
	free(arg->path);
	*arg = (struct shale_image_arg){0};
}
