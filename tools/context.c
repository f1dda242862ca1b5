/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/hold.h"
#include "layers/store/lease.h"
#include "layers/store/ref.h"
#include "tools/cmd.h"

#include <errno.h>

int shale_ctx_store(struct shale_ctx *ctx, bool create,
		    struct shale_store **out)
{
	if (!ctx->store_path)
		return shale_err_say(&ctx->err, ENODATA,
				     "no store: neither SHALE_STORE nor HOME "
				     "is set; use --store DIR");
	return shale_store_open(out, ctx->store_path, create, &ctx->err);
}

int shale_ctx_resolve(struct shale_ctx *ctx, struct shale_store *store,
		      const char *ref, const char *at,
		      struct shale_version **out)
{
	struct shale_ref parsed;
	struct timespec when;
	int r = shale_ref_parse(ref, &parsed, &ctx->err);

	if (r == 0 && at)
		r = shale_time_parse(at, &when, &ctx->err);
	if (r == -EINVAL)
		ctx->wrong_usage = true;
	if (r < 0)
		return r;
	return shale_store_resolve(store, ref, at ? &when : NULL, out,
				   &ctx->err);
}

/* One lease a command, on all that it reads. */
static int hold(struct shale_ctx *ctx, struct shale_store *store,
		const struct shale_digest *manifest)
{
	if (ctx->lease < 0)
		return shale_store_hold(store, manifest, 1, &ctx->lease,
					&ctx->err);
	int r = shale_lease_add(ctx->lease, manifest, &ctx->err);
	if (shale_lease_may_lack(r, &ctx->err))
		return 0;
	return r < 0 ? r : shale_store_settle(store, manifest, 1, &ctx->err);
}

int shale_ctx_open(struct shale_ctx *ctx, struct shale_store *store,
		   struct shale_version *version, struct shale_image **out)
{
	int r = hold(ctx, store, &version->digest);
	return r < 0 ? r
		     : shale_store_open_image(store, &version, 1, out,
					      &ctx->err);
}
