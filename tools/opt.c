/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/opt.h"

#include "layers/base/cleanup.h"
#include "tools/fill.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/*
 * Arrays behind options that may be given several times.  They live as long as
 * the program does; kept here so that they are never lost.
 */
static struct list {
	struct list *next;
	const char *v[];
} * lists;

static int add_to_list(struct shale_strings *to, const char *value, int argc)
{
	if (to->n == 0) {
		struct list *l = malloc(sizeof(*l) +
					(size_t)argc * sizeof(const char *));
		if (!l)
			return -ENOMEM;
		l->next = lists;
		lists = l;
		to->v = l->v;
	}
	to->v[to->n++] = value;
	return 0;
}

static int apply(const struct shale_opt *opt, const char *value, int argc)
{
	switch (opt->kind) {
	case SHALE_OPT_FLAG:
		*(bool *)opt->to = true;
		return 0;
	case SHALE_OPT_STRING:
		*(const char **)opt->to = value;
		return 0;
	case SHALE_OPT_LIST:
		return add_to_list(opt->to, value, argc);
	}
	return -EINVAL;
}

static const struct shale_opt *find_long(const struct shale_opt *opts,
					 const char *name, size_t len)
{
	for (; opts && opts->name; opts++)
		if (strlen(opts->name) == len && !memcmp(opts->name, name, len))
			return opts;
	return NULL;
}

static const struct shale_opt *find_letter(const struct shale_opt *opts,
					   char letter)
{
	for (; opts && opts->name; opts++)
		if (opts->letter == letter)
			return opts;
	return NULL;
}

/* --name, --name=VALUE, --name VALUE.  `*at` moves over a value of its own. */
static int parse_long(struct shale_ctx *ctx, const struct shale_opt *opts,
		      int argc, char **argv, int *at)
{
	const char *name = argv[*at] + 2;
	const char *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct shale_opt *opt = find_long(opts, name, len);

	if (!opt)
		return shale_opt_global_long(ctx, argc, argv, at);
	if (!opt->arg && eq) {
		shale_usage(ctx, "--%s takes no value", opt->name);
		return -EINVAL;
	}
	const char *value = eq ? eq + 1 : NULL;
	if (opt->arg && !value) {
		if (*at + 1 >= argc) {
			shale_usage(ctx, "--%s needs a value: %s", opt->name,
				    opt->arg);
			return -EINVAL;
		}
		value = argv[++*at];
	}
	return apply(opt, value, argc);
}

/* -x, -xyz, -xVALUE, -x VALUE. */
static int parse_letters(struct shale_ctx *ctx, const struct shale_opt *opts,
			 int argc, char **argv, int *at)
{
	for (const char *s = argv[*at] + 1; *s; s++) {
		const struct shale_opt *opt = find_letter(opts, *s);
		int r = 0;
		if (!opt) {
			r = shale_opt_global_letter(ctx, *s);
		} else if (!opt->arg) {
			r = apply(opt, NULL, argc);
		} else if (s[1]) {
			return apply(opt, s + 1, argc);
		} else if (*at + 1 < argc) {
			return apply(opt, argv[++*at], argc);
		} else {
			shale_usage(ctx, "-%c needs a value: %s", *s, opt->arg);
			return -EINVAL;
		}
		if (r != 0)
			return r;
	}
	return 0;
}

int shale_opt_parse(struct shale_ctx *ctx, const struct shale_cmd *cmd,
		    const struct shale_opt *opts, int argc, char **argv, int *n)
{
	int left = 0;
	bool ended = false;

	if (ctx->complete) {
		ctx->complete(ctx, cmd, opts, argc, argv);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		char *arg = argv[i];
		int r = 0;
		if (ended || arg[0] != '-' || !arg[1])
			argv[left++] = arg;
		else if (!strcmp(arg, "--"))
			ended = true;
		else if (!strcmp(arg, "--help") ||
			 (!strcmp(arg, "-h") && !find_letter(opts, 'h')))
			return shale_opt_help(cmd, opts), 1;
		else if (arg[1] == '-')
			r = parse_long(ctx, opts, argc, argv, &i);
		else
			r = parse_letters(ctx, opts, argc, argv, &i);
		if (r < 0)
			return r;
	}
	*n = left;
	return 0;
}

static void print_option(const struct shale_opt *opt)
{
	char left[80];
	int n = 0;

	if (opt->letter)
		n = snprintf(left, sizeof(left), "-%c, ", opt->letter);
	else
		n = snprintf(left, sizeof(left), "    ");
	n += snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", opt->name,
		      opt->arg ? " " : "", opt->arg ? opt->arg : "");
	if (n > 28)
		printf("  %s\n  %-28s  ", left, "");
	else
		printf("  %-28s  ", left);
	shale_fill(opt->help, 2 + 28 + 2);
}

void shale_opt_help(const struct shale_cmd *cmd, const struct shale_opt *opts)
{
	const char *args = cmd->args ? cmd->args : "";
	printf("Usage: shale %s%s%s\n\n%c%s.\n", cmd->name, *args ? " " : "",
	       args, toupper((unsigned char)cmd->summary[0]), cmd->summary + 1);
	if (cmd->detail) {
		putchar('\n');
		shale_fill(cmd->detail, 0);
	}
	if (opts && opts->name)
		printf("\nOptions:\n");
	for (; opts && opts->name; opts++)
		print_option(opts);
}
