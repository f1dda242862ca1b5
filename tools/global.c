/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/opt.h"

#include <errno.h>
#include <string.h>

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

/* The value of --NAME=VALUE or --NAME VALUE; NULL: another option. */
static const char *value_of(const char *name, int argc, char **argv, int *at)
{
	const char *arg = argv[*at] + 2;
	size_t len = strlen(name);

	if (strncmp(arg, name, len) != 0)
		return NULL;
	if (arg[len] == '=')
		return arg + len + 1;
	if (arg[len] == '\0' && *at + 1 < argc)
		return argv[++*at];
	return NULL;
}

int shale_opt_global_long(struct shale_ctx *ctx, int argc, char **argv, int *at)
{
	const char *arg = argv[*at] + 2;
	const char *value;

	if (!strcmp(arg, "json")) {
		ctx->json = true;
		return 0;
	}
	if (!strcmp(arg, "quiet"))
		return shale_opt_global_letter(ctx, 'q');
	if (!strcmp(arg, "verbose"))
		return shale_opt_global_letter(ctx, 'v');
	if ((value = value_of("progress", argc, argv, at)))
		return set_progress(ctx, value);
	if ((value = value_of("store", argc, argv, at))) {
		if (!*value) {
			shale_usage(ctx, "--store needs a directory");
			return -EINVAL;
		}
		ctx->store_path = value;
		return 0;
	}
	if (!strcmp(arg, "store") || !strcmp(arg, "progress"))
		shale_usage(ctx, "--%s needs a value", arg);
	else
		shale_usage(ctx, "unknown option '--%s'", arg);
	return -EINVAL;
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
