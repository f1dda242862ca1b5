/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/opt.h"

#include <errno.h>
#include <string.h>

/* Where their values go, shale_opt_global_*() decide. */
const struct shale_opt shale_opt_globals[] = {
	{"store", 0, "DIR", "the store", SHALE_OPT_STRING, NULL},
	{"json", 0, NULL, "results and errors as JSON", SHALE_OPT_FLAG, NULL},
	{"quiet", 'q', NULL, "say only what is asked for, and errors",
	 SHALE_OPT_FLAG, NULL},
	{"verbose", 'v', NULL, "say more", SHALE_OPT_FLAG, NULL},
	{"progress", 0, "auto|plain|none", "how long work shows how far it is",
	 SHALE_OPT_STRING, NULL},
	{0},
};

static int set_progress(struct shale_ctx *ctx, const char *value)
{
	static const char *const mode[] = {"auto", "plain", "none"};

	for (int i = 0; i < 3; i++)
		if (!strcmp(value, mode[i])) {
			ctx->progress = (enum shale_progress_mode)i;
			return 0;
		}
	shale_usage(ctx, "--progress is auto, plain or none, not '%s'", value);
	return -EINVAL;
}

static int set_store(struct shale_ctx *ctx, const char *value)
{
	if (!*value) {
		shale_usage(ctx, "--store needs a directory");
		return -EINVAL;
	}
	ctx->store_path = value;
	return 0;
}

/* The option that argv[*at] names, and its value behind '=' or as the next
 * word.  NULL: wrong usage, said. */
static const struct shale_opt *find(struct shale_ctx *ctx, int argc,
				    char **argv, int *at, const char **value)
{
	const char *name = argv[*at] + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct shale_opt *opt = shale_opt_globals;

	while (opt->name &&
	       (strlen(opt->name) != len || memcmp(opt->name, name, len) != 0))
		opt++;
	if (!opt->name) {
		shale_usage(ctx, "unknown option '--%s'", name);
		return NULL;
	}
	if (!opt->arg && eq) {
		shale_usage(ctx, "--%s takes no value", opt->name);
		return NULL;
	}
	if (opt->arg && !eq && *at + 1 >= argc) {
		shale_usage(ctx, "--%s needs a value", opt->name);
		return NULL;
	}
	*value = eq ? eq + 1 : opt->arg ? argv[++*at] : NULL;
	return opt;
}

int shale_opt_global_long(struct shale_ctx *ctx, int argc, char **argv, int *at)
{
	const char *value;
	const struct shale_opt *opt = find(ctx, argc, argv, at, &value);

	if (!opt)
		return -EINVAL;
	if (opt->letter)
		return shale_opt_global_letter(ctx, opt->letter);
	if (!strcmp(opt->name, "progress"))
		return set_progress(ctx, value);
	if (!strcmp(opt->name, "store"))
		return set_store(ctx, value);
	ctx->json = true;
	return 0;
}

int shale_opt_global_letter(struct shale_ctx *ctx, char letter)
{
	switch (letter) {
	case 'q':
		ctx->quiet = true;
		return 0;
	case 'v':
		ctx->verbose++;
		return 0;
	default:
		shale_usage(ctx, "unknown option '-%c'", letter);
		return -EINVAL;
	}
}
