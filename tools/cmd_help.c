/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

static void list_verbs(void)
{
	printf("Usage: shale [--store DIR] [--json] [-q] [-v]\n"
	       "             [--progress auto|plain|none] COMMAND ...\n\n"
	       "Versioned, mountable data.\n\nCommands:\n");
	for (const struct shale_cmd *const *v = shale_verbs; *v; v++)
		printf("  %-11s %s\n", (*v)->name, (*v)->summary);
	printf("\nA reference is [HOST/]REPOSITORY[:TAG][@sha256:DIGEST][~N];\n"
	       "REF:/path is a path inside.\n"
	       "'shale help COMMAND' tells more of one.\n");
}

static int help_run(struct shale_ctx *ctx, int argc, char **argv)
{
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_help, NULL, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n == 0) {
		list_verbs();
		return SHALE_EXIT_OK;
	}
	const struct shale_cmd *cmd = shale_verb_find(argv[0]);
	if (!cmd)
		return shale_usage(ctx, "no command '%s'", argv[0]);

	ctx->verb = cmd->name;
	char *ask[] = {(char *)"shale", (char *)cmd->name, (char *)"--help",
		       NULL};
	if (cmd->program && !cmd->run)
		return shale_fail(ctx, shale_verb_exec(ctx, cmd, ask));
	return cmd->run(ctx, 2, ask + 1);
}

const struct shale_cmd shale_cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "show what commands there are, or what one does",
	.run = help_run,
};

static int version_run(struct shale_ctx *ctx, int argc, char **argv)
{
	int r = shale_opt_parse(ctx, &shale_cmd_version, NULL, argc, argv,
				&argc);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (ctx->json)
		shale_json_print(json_pack("{s:s}", "version", SHALE_VERSION));
	else
		printf("shale %s\n", SHALE_VERSION);
	return SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_version = {
	.name = "version",
	.args = "",
	.summary = "show the version of this program",
	.run = version_run,
};
