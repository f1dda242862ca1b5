/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verbs.h"

/* The scripts of tools/completion/ as text. */
#include "tools/completion.inc"

#include <stdio.h>
#include <string.h>

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = {
		{"bash", bash_script},
		{"zsh", zsh_script},
		{"fish", fish_script},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_completion, NULL, argc, argv,
				&n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n != 1)
		return shale_usage(ctx, "for which shell? bash, zsh or fish");
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (!strcmp(argv[0], scripts[i].shell)) {
			fputs(scripts[i].script, stdout);
			return SHALE_EXIT_OK;
		}
	return shale_usage(ctx,
			   "no completion for '%s'; there is for bash, "
			   "zsh and fish",
			   argv[0]);
}

const struct shale_cmd shale_cmd_completion = {
	.name = "completion",
	.args = "bash|zsh|fish",
	.summary = "print a script that completes shale's words in a shell",
	.detail = "It is installed where shells look for it.  Without that:\n\n"
		  "    bash: source <(shale completion bash)     in ~/.bashrc\n"
		  "    zsh:  source <(shale completion zsh)      in ~/.zshrc, "
		  "behind compinit\n"
		  "    fish: shale completion fish | source      in "
		  "~/.config/fish/config.fish",
	.run = run,
};
