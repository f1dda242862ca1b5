/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_CMD_H
#define SHALE_TOOLS_CMD_H

/*
 * A verb is one file, cmd_NAME.c, with one `const struct shale_cmd`.  Verbs
 * that need a heavy library (libarchive) are linked into a program of their own
 * under libexec/shale/ (shale-archive, …), which `shale` executes: the same
 * main(), another table of verbs (tools/verbs_*.c).
 */

#include "layers/base/err.h"
#include "layers/store/version.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Exit codes, as CLI.md has them. */
enum shale_exit {
	SHALE_EXIT_OK = 0,
	SHALE_EXIT_FAILED = 1,
	SHALE_EXIT_USAGE = 2,
	SHALE_EXIT_PARTLY = 3,
	SHALE_EXIT_DIFFERENT = 4,
	SHALE_EXIT_NO_STORE = 10,
	SHALE_EXIT_LOCKED = 11,
	SHALE_EXIT_NOT_AUTHORISED = 12,
	SHALE_EXIT_NO_REF = 13,
	SHALE_EXIT_DAMAGE = 14,
	SHALE_EXIT_NO_SPACE = 15,
	SHALE_EXIT_INTERRUPTED = 130,
};

enum shale_progress_mode {
	SHALE_PROGRESS_AUTO,
	SHALE_PROGRESS_PLAIN,
	SHALE_PROGRESS_NONE
};

struct shale_cmd;
struct shale_opt;

/* What the options before the verb said. */
struct shale_ctx {
	const char *store_path; /* resolved default included */
	bool json, quiet;
	int verbose;
	enum shale_progress_mode progress;
	const char *verb; /* for messages */
	bool wrong_usage; /* -EINVAL is about an argument: exit code 2 */
	struct shale_err err;
	int lease; /* on images that are read; -1: none yet */
	/* The store has what was asked for, which only remains to be told: an
	 * interrupt comes too late to be an error. */
	bool done;

	/* Not NULL: no verb is to run, only to show its options to this
	 * (tools/complete.h); nothing is said. */
	void (*complete)(struct shale_ctx *ctx, const struct shale_cmd *cmd,
			 const struct shale_opt *opts, int argc, char **argv);
};

/* One option of a verb; a table ends with an entry without a name. */
struct shale_opt {
	const char *name; /* "author": --author */
	char letter;      /* 'a': -a; 0: none */
	const char
		*arg; /* "TEXT": takes a value, shown in help; NULL: a flag */
	const char *help; /* one line */
	enum { SHALE_OPT_FLAG, SHALE_OPT_STRING, SHALE_OPT_LIST } kind;
	void *to; /* bool *, const char **, struct shale_strings * */
};

struct shale_strings {
	const char **v;
	size_t n;
};

struct shale_cmd {
	const char *name;
	const char *args;    /* "REF[:/path] -o DEST" */
	const char *summary; /* one line, for `shale help`: lower case, no full
				stop */
	const char *detail;  /* further help text, or NULL */
	/* Parses its own options with shale_opt_parse(); returns an exit code.
	 */
	int (*run)(struct shale_ctx *ctx, int argc, char **argv);
	const char *program; /* libexec program that has it; NULL: this one */
};

/*
 * Parse a verb's argv (argv[0] is the verb) by its table: --name VALUE,
 * --name=VALUE, -x VALUE, -xVALUE, bundled flags, "--" ends options; options
 * and arguments may mix.  On return argv[0..*n) are the arguments left. Handles
 * --help itself.  Returns 0; 1: help was shown, return SHALE_EXIT_OK; -EINVAL:
 * wrong usage, said already: return SHALE_EXIT_USAGE.
 */
int shale_opt_parse(struct shale_ctx *ctx, const struct shale_cmd *cmd,
		    const struct shale_opt *opts, int argc, char **argv,
		    int *n);

/* Wrong usage: prints why and how to get help.  Returns SHALE_EXIT_USAGE. */
int shale_usage(struct shale_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The verb failed with `r` (-errno) and ctx->err: prints "shale: VERB: …" (one
 * JSON line with --json) on standard error; returns the exit code for `r`.
 */
int shale_fail(struct shale_ctx *ctx, int r);

/* A warning on standard error, unless quiet. */
void shale_warn(struct shale_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Open the store of this command.  -ENODATA unless `create`. */
int shale_ctx_store(struct shale_ctx *ctx, bool create,
		    struct shale_store **out);

/*
 * Resolve REF, with --at's value or NULL.  Returns 0 or -errno; a text that is
 * not a reference or a time is -EINVAL that shale_fail() calls wrong usage.
 */
int shale_ctx_resolve(struct shale_ctx *ctx, struct shale_store *store,
		      const char *ref, const char *at,
		      struct shale_version **out);

/*
 * Open a version for reading, and hold it against gc until the program ends.
 * -ENOKEY: it was removed since it was resolved.
 */
int shale_ctx_open(struct shale_ctx *ctx, struct shale_store *store,
		   struct shale_version *version, struct shale_image **out);

/* Print one JSON document on a line of its own; takes over the reference. */
void shale_json_print(json_t *doc);

/*
 * Set KEY to a text; for bytes that are not UTF-8 to their escaped form, and
 * KEY_b64 to the bytes.  A path's key is "path".
 */
void shale_json_bytes(json_t *object, const char *key, const char *bytes,
		      size_t len);
void shale_json_path(json_t *object, const char *path, size_t len);

/* "12.3 MiB", or exact bytes with `exact`. `out`: 32 bytes; returns it. */
char *shale_human_size(uint64_t bytes, bool exact, char *out);

/*
 * Progress of long work on standard error: a bar on a terminal after one second
 * (auto), a line every few seconds (plain), JSON Lines with --json, or nothing.
 * `total` 0: not known.
 */
struct shale_progress;
struct shale_progress *shale_progress_new(struct shale_ctx *ctx,
					  const char *what);
void shale_progress_set(struct shale_progress *p, uint64_t done, uint64_t total,
			uint64_t items, const char *item);
/* Take the bar away, for a line of text; it comes back. */
void shale_progress_clear(struct shale_progress *p);
void shale_progress_free(struct shale_progress *p); /* clears the bar */

/* Has SIGINT or SIGTERM come?  Long work asks and stops cleanly (-EINTR). */
bool shale_interrupted(void);

/*
 * Path of a program of ours: beside this executable (a build tree), in the
 * build tree's other rooms, or where it was installed.  Allocated.
 */
char *shale_program_path(const char *name);

#endif
