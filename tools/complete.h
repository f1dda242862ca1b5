/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_COMPLETE_H
#define SHALE_TOOLS_COMPLETE_H

/*
 * What could stand at the cursor: the program's side of shell completion.
 *
 *     shale __complete WORD… CURRENT
 *
 * prints what may stand in place of CURRENT, the last word, which may be empty
 * or begun: lines of a value and, behind a tab, what it is.  A last line
 * ":files" or ":dirs" asks the shell for its own files or directories, too.
 * Never fails, asks nothing, changes nothing.
 *
 * There is no list of options or arguments here: verbs run as far as their
 * shale_opt_parse(), which hands over the verb's own table.  What kind of value
 * an option or an argument takes is read off its name in the help (REF, DIR,
 * lz4|zstd, …; complete_noun.c).
 */

#include "tools/cmd.h"

/* The entry: `argv` behind "__complete".  Returns an exit code. */
int shale_complete(struct shale_ctx *ctx, int argc, char **argv,
		   char **whole_argv);

/* What is being completed. */
struct shale_completing {
	struct shale_ctx *ctx;
	const char *current; /* only what begins with it is printed */
	const char *before;  /* printed before each value: "--name=", or "" */
	unsigned left;       /* so many more values are printed */
	bool files, dirs;    /* ask the shell for its own */
};

/* Print `value` if it fits; `what` may be NULL. */
void shale_complete_value(struct shale_completing *c, const char *value,
			  const char *what);

/* Print values of the kinds that `noun` stands for, as help texts write it:
 * "REF[:/path]...", "DIR|NAME", "never|always". */
void shale_complete_noun(struct shale_completing *c, const char *noun,
			 size_t len);

/* References of the store, and paths in images (complete_ref.c). */
enum shale_complete_path { SHALE_PATH_NO, SHALE_PATH_MAY, SHALE_PATH_MUST };
void shale_complete_refs(struct shale_completing *c,
			 enum shale_complete_path path);
void shale_complete_repositories(struct shale_completing *c);

/*
 * Workspaces of the store, and where it is mounted (complete_mount.c).  Only
 * `shale` itself has verbs that take them, and links what knows them; in other
 * programs these are NULL.
 */
void shale_complete_workspaces(struct shale_completing *c)
	__attribute__((weak));
void shale_complete_mountpoints(struct shale_completing *c)
	__attribute__((weak));

#endif
