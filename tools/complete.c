/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/complete.h"

#include "tools/opt.h"
#include "tools/output.h"
#include "tools/verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 4000 }; /* values; nobody reads more */

void shale_complete_value(struct shale_completing *c, const char *value,
			  const char *what)
{
	if (c->left == 0 || strncmp(value, c->current, strlen(c->current)) != 0)
		return;
	c->left--;
	printf("%s%s%s%s\n", c->before, value, what ? "\t" : "",
	       what ? what : "");
}

static struct shale_completing begin(struct shale_ctx *ctx, const char *current)
{
	return (struct shale_completing){
		.ctx = ctx, .current = current, .before = "", .left = MOST};
}

static void end(const struct shale_completing *c)
{
	if (c->files)
		puts(":files");
	else if (c->dirs)
		puts(":dirs");
}

/* ---------------------------------------------------------------- options */

static const struct shale_opt *find(const struct shale_opt *opts,
				    const char *name, size_t len)
{
	for (; opts && opts->name; opts++)
		if (strlen(opts->name) == len && !memcmp(opts->name, name, len))
			return opts;
	return NULL;
}

/* --name or --name=… */
static const struct shale_opt *find_long(const struct shale_opt *opts,
					 const char *word)
{
	size_t len = strcspn(word + 2, "=");
	const struct shale_opt *opt = find(opts, word + 2, len);
	return opt ? opt : find(shale_opt_globals, word + 2, len);
}

/* The option whose value is the next word, or NULL. */
static const struct shale_opt *wants_value(const struct shale_opt *opts,
					   const char *word)
{
	if (word[0] != '-' || !word[1])
		return NULL;
	if (word[1] == '-') {
		const struct shale_opt *opt = find_long(opts, word);
		return opt && opt->arg && !strchr(word, '=') ? opt : NULL;
	}
	for (const char *letter = word + 1; *letter; letter++)
		for (const struct shale_opt *o = opts; o && o->name; o++)
			if (o->letter == *letter && o->arg)
				return letter[1] ? NULL : o;
	return NULL;
}

static bool given(const struct shale_opt *opt, int argc, char **argv)
{
	for (int i = 1; i < argc - 1; i++)
		if (!strncmp(argv[i], "--", 2) &&
		    find(opt, argv[i] + 2, strcspn(argv[i] + 2, "=")) == opt)
			return opt->kind != SHALE_OPT_LIST;
	return false;
}

/* `hidden` (may be NULL) has options whose names mean something else here. */
static void options(struct shale_completing *c, const struct shale_opt *opts,
		    const struct shale_opt *hidden, int argc, char **argv)
{
	char name[64];
	for (; opts && opts->name; opts++) {
		snprintf(name, sizeof(name), "--%s", opts->name);
		if (!given(opts, argc, argv) &&
		    !find(hidden, opts->name, strlen(opts->name)))
			shale_complete_value(c, name, opts->help);
	}
}

/* The value of an option, of which `before` is already written. */
static void value_of(struct shale_completing *c, const struct shale_opt *opt,
		     const char *before, const char *current)
{
	c->before = before;
	c->current = current;
	shale_complete_noun(c, opt->arg, strlen(opt->arg));
}

/* --name=VALUE */
static void value_in_word(struct shale_completing *c,
			  const struct shale_opt *opts, const char *word)
{
	const struct shale_opt *opt = find_long(opts, word);
	size_t len = strcspn(word, "=") + 1;
	char before[64];

	if (!opt || !opt->arg || len >= sizeof(before))
		return;
	snprintf(before, sizeof(before), "%.*s", (int)len, word);
	value_of(c, opt, before, word + len);
}

/* -------------------------------------------------------------- arguments */

/* A noun of "[REPO] DIR…", and where it can stand among the arguments. */
struct noun {
	const char *text;
	size_t len;
	unsigned first, last;
};

/*
 * The next noun of `*args`, which moves on; options and their values are passed
 * over.  "|" on its own begins another way to write the command: the end.
 */
static bool next_noun(const char **args, const struct shale_opt *opts,
		      struct noun *out)
{
	for (;;) {
		const char *s = *args + strspn(*args, " ");
		size_t len = strcspn(s, " ");
		*args = s + len;
		if (len == 0 || (len == 1 && *s == '|'))
			return false;
		const char *word = s + (*s == '[');
		if (*word != '-') {
			*out = (struct noun){.text = s, .len = len};
			return true;
		}
		char option[64];
		snprintf(option, sizeof(option), "%.*s",
			 (int)strcspn(word, " ]|"), word);
		if (wants_value(opts, option))
			*args += strcspn(*args + strspn(*args, " "), " ") + 1;
	}
}

/* What may be argument number `n`. */
static void argument(struct shale_completing *c, const struct shale_cmd *cmd,
		     const struct shale_opt *opts, unsigned n)
{
	const char *args = cmd->args ? cmd->args : "";
	unsigned first = 0, last = 0; /* where the next noun can stand */
	struct noun noun;

	while (next_noun(&args, opts, &noun)) {
		bool optional = noun.text[0] == '[';
		bool again = memmem(noun.text, noun.len, "...", 3) ||
			     memmem(noun.text, noun.len, "…", strlen("…"));
		if (again)
			last = UINT32_MAX;
		if (first <= n && n <= last)
			shale_complete_noun(c, noun.text + optional,
					    noun.len - optional);
		first += !optional;
		last += last != UINT32_MAX;
	}
}

/* --store DIR, --store=DIR: the store that is looked into. */
static void note_store(struct shale_ctx *ctx, const char *word,
		       const char *next)
{
	const char *option = "--store";
	size_t len = strlen(option);

	if (strncmp(word, option, len) != 0)
		return;
	if (word[len] == '=')
		ctx->store_path = word + len + 1;
	else if (!word[len] && next)
		ctx->store_path = next;
}

/* In place of parsing a verb's words; argv[0] is the verb. */
static void complete_verb(struct shale_ctx *ctx, const struct shale_cmd *cmd,
			  const struct shale_opt *opts, int argc, char **argv)
{
	const char *current = argv[argc - 1];
	struct shale_completing c = begin(ctx, current);
	const struct shale_opt *wanting = NULL;
	bool ended = false;
	unsigned n = 0;

	for (int i = 1; i < argc - 1; i++) {
		const char *word = argv[i];
		if (wanting)
			wanting = NULL;
		else if (ended || word[0] != '-' || !word[1])
			n++;
		else if (!strcmp(word, "--"))
			ended = true;
		else
			wanting = wants_value(opts, word);
		note_store(ctx, word, i + 1 < argc - 1 ? argv[i + 1] : NULL);
	}
	if (wanting) {
		value_of(&c, wanting, "", current);
	} else if (current[0] != '-' || ended) {
		argument(&c, cmd, opts, n);
	} else if (!strncmp(current, "--", 2) && strchr(current, '=')) {
		value_in_word(&c, opts, current);
	} else {
		options(&c, opts, NULL, argc, argv);
		options(&c, shale_opt_globals, opts, argc, argv);
		shale_complete_value(&c, "--help", "show what it does");
	}
	end(&c);
}

/* ------------------------------------------------------------------ verbs */

/* Everything before the verb is done; complete what stands at argv[at]. */
static void before_verb(struct shale_completing *c, int argc, char **argv)
{
	const char *before = argc > 1 ? argv[argc - 2] : "";
	const struct shale_opt *opt = wants_value(NULL, before);

	if (opt)
		value_of(c, opt, "", c->current);
	else if (!strncmp(c->current, "--", 2) && strchr(c->current, '='))
		value_in_word(c, NULL, c->current);
	else if (c->current[0] == '-')
		options(c, shale_opt_globals, NULL, argc, argv);
	else
		shale_complete_noun(c, "COMMAND", strlen("COMMAND"));
	if (c->current[0] == '-' && !opt) {
		shale_complete_value(c, "--help", "show the commands");
		shale_complete_value(c, "--version", "show the version");
	}
	end(c);
}

int shale_complete(struct shale_ctx *ctx, int argc, char **argv,
		   char **whole_argv)
{
	int at = 1;

	if (argc < 2)
		return SHALE_EXIT_USAGE;
	for (; at < argc - 1 && argv[at][0] == '-'; at++) {
		const char *word = argv[at];
		const char *next = at + 1 < argc - 1 ? argv[at + 1] : NULL;
		note_store(ctx, word, next);
		at += next && wants_value(NULL, word);
	}
	if (at >= argc - 1) {
		struct shale_completing c = begin(ctx, argv[argc - 1]);
		before_verb(&c, argc, argv);
		return SHALE_EXIT_OK;
	}
	const struct shale_cmd *cmd = shale_verb_find(argv[at]);
	ctx->complete = complete_verb;
	if (cmd && cmd->program && !cmd->run)
		shale_verb_exec(ctx, cmd, whole_argv);
	else if (cmd)
		cmd->run(ctx, argc - at, argv + at);
	return SHALE_EXIT_OK;
}
