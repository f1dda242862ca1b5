/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "tools/complete.h"
#include "tools/opt.h"
#include "tools/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

/* The first signal asks long work to stop; a second one ends the program. */
static void on_signal(int sig)
{
	interrupted = 1;
	signal(sig, SIG_DFL);
}

bool shale_interrupted(void)
{
	return interrupted;
}

const struct shale_cmd *shale_verb_find(const char *name)
{
	for (const struct shale_cmd *const *v = shale_verbs; *v; v++)
		if (!strcmp((*v)->name, name))
			return *v;
	return NULL;
}

int shale_verb_exec(struct shale_ctx *ctx, const struct shale_cmd *cmd,
		    char **argv)
{
	cleanup_free char *path = shale_program_path(cmd->program);
	if (!path)
		return shale_err_say(&ctx->err, ENOENT, "'%s' is not installed",
				     cmd->program);
	execv(path, argv);
	return shale_err_set(&ctx->err, errno, "run '%s'", path);
}

/*
 * Edit distance: letters changed, left out or put in (Levenshtein).  Words
 * longer than the longest verb that could be meant are far from all.
 */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 24 };
	size_t row[LONGEST + 1], na = strlen(a), nb = strlen(b);

	if (na > LONGEST || nb > LONGEST)
		return SIZE_MAX;
	for (size_t k = 0; k <= nb; k++)
		row[k] = k;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t k = 1; k <= nb; k++) {
			size_t change = diagonal + (a[i - 1] != b[k - 1]);
			diagonal = row[k];
			size_t edit =
				1 + (row[k] < row[k - 1] ? row[k] : row[k - 1]);
			row[k] = change < edit ? change : edit;
		}
	}
	return row[nb];
}

/* The verb that somebody who typed `name` may have meant, or NULL. */
static const char *similar_verb(const char *name)
{
	const char *best = NULL;
	size_t least = 3; /* more wrong letters than that are another word */

	for (const struct shale_cmd *const *v = shale_verbs; *v; v++) {
		size_t d = distance(name, (*v)->name);
		if (d < least && d < strlen((*v)->name)) {
			least = d;
			best = (*v)->name;
		}
	}
	return best;
}

/* Options before the verb.  Returns the verb's position; -1: say usage. */
static int global_options(struct shale_ctx *ctx, int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *arg = argv[i];
		int r = 0;
		if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
			argv[i] = (char *)"help";
			return i;
		}
		if (!strcmp(arg, "--version")) {
			argv[i] = (char *)"version";
			return i;
		}
		if (arg[1] == '-')
			r = shale_opt_global_long(ctx, argc, argv, &i);
		else
			while (*++arg && r == 0)
				r = shale_opt_global_letter(ctx, *arg);
		if (r < 0)
			return -1;
	}
	return i;
}

static int dispatch(struct shale_ctx *ctx, int argc, char **argv, int at)
{
	if (!strcmp(argv[at], "__complete"))
		return shale_complete(ctx, argc - at, argv + at, argv);

	const struct shale_cmd *cmd = shale_verb_find(argv[at]);
	if (!cmd) {
		const char *similar = similar_verb(argv[at]);
		if (similar)
			return shale_usage(
				ctx, "no command '%s'; did you mean '%s'?",
				argv[at], similar);
		return shale_usage(ctx, "no command '%s'", argv[at]);
	}
	ctx->verb = cmd->name;
	if (cmd->program && !cmd->run)
		return shale_fail(ctx, shale_verb_exec(ctx, cmd, argv));
	return cmd->run(ctx, argc - at, argv + at);
}

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

/*
 * Descriptors 0 to 2 stay what everybody takes them for: were one of them
 * closed, the next file to be opened would get its number, and standard input
 * would be the store.  A descriptor that can neither be read nor written makes
 * using it the error that it was, EBADF, for programs started from here too.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) != fd)
			_exit(SHALE_EXIT_FAILED);
}

/* What has been printed must have arrived. */
static int finish(struct shale_ctx *ctx, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (ctx->done && shale_interrupted())
		return code;
	int r = shale_err_set(&ctx->err, errno ? errno : EPIPE,
			      "write to standard output");
	return shale_fail(ctx, r);
}

int main(int argc, char **argv)
{
	struct shale_ctx ctx = {.lease = -1};

	hold_standard_descriptors();
	setlocale(LC_ALL, "");
	catch_signals();
	cleanup_free char *store = shale_store_default_path();
	ctx.store_path = store;

	int at = global_options(&ctx, argc, argv);
	if (at < 0)
		return SHALE_EXIT_USAGE;
	if (at == argc)
		return shale_usage(&ctx, "which command?");

	int code = dispatch(&ctx, argc, argv, at);
	shale_lease_end(&ctx.lease);
	return finish(&ctx, code);
}
