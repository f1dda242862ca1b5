/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/store/ref.h"
#include "tools/image_arg.h"
#include "tools/ls_line.h"
#include "tools/output.h"
#include "tools/verbs.h"

#include <string.h>
#include <sys/stat.h>

struct listing {
	struct shale_ctx *ctx;
	const struct shale_index *ix;
	bool recursive;
	struct shale_ls_style style;
	struct shale_buf todo; /* struct pending: directories, next on top */
	bool first;
};

struct pending {
	uint64_t ino;
	char *path;
};

static int push(struct listing *ls, uint64_t ino, const char *dir,
		const char *name, size_t len)
{
	struct pending p = {.ino = ino};
	bool slash = len && dir[strlen(dir) - 1] != '/';
	if (asprintf(&p.path, "%s%s%.*s", dir, slash ? "/" : "", (int)len,
		     name) < 0 ||
	    shale_buf_append(&ls->todo, &p, sizeof(p)) < 0)
		return shale_err_set(&ls->ctx->err, ENOMEM, "list");
	return 0;
}

static int print_all(struct listing *ls, const char *dir,
		     const struct shale_ls_entry *entry, size_t n)
{
	int r = 0;
	if (ls->ctx->json) {
		for (size_t i = 0; i < n && r == 0; i++)
			r = shale_ls_json(ls->ix, dir, &entry[i],
					  &ls->ctx->err);
		return r;
	}
	return shale_ls_print(ls->ix, &ls->style, entry, n, &ls->ctx->err);
}

static int list_dir(struct listing *ls, const struct pending *p)
{
	cleanup_buf struct shale_buf list = {0};
	struct shale_index_dir dir;
	struct shale_ls_entry e;
	int r = shale_index_dir(ls->ix, p->ino, &dir, &ls->ctx->err);
	for (uint64_t i = 0; r == 0 && i < dir.count; i++) {
		r = shale_index_entry(ls->ix, dir.first + i, &e.entry,
				      &ls->ctx->err);
		if (r == 0)
			r = shale_index_attr(ls->ix, e.entry.ino, &e.attr,
					     &ls->ctx->err);
		if (r == 0 && shale_buf_append(&list, &e, sizeof(e)) < 0)
			r = shale_err_set(&ls->ctx->err, ENOMEM, "list");
	}
	if (r < 0)
		return r;
	const struct shale_ls_entry *entry = (void *)list.data;
	size_t n = list.len / sizeof(e);
	if (ls->recursive && !ls->ctx->json) {
		if (!ls->first)
			putchar('\n');
		shale_ls_name(&ls->style, p->path, strlen(p->path));
		puts(":");
	}
	ls->first = false;
	r = print_all(ls, p->path, entry, n);
	for (size_t i = n; r == 0 && ls->recursive && i-- > 0;) {
		if (S_ISDIR(entry[i].attr.mode))
			r = push(ls, entry[i].entry.ino, p->path,
				 entry[i].entry.name, entry[i].entry.name_len);
	}
	return r;
}

static int list_dirs(struct listing *ls, uint64_t ino, const char *path)
{
	int r = push(ls, ino, *path ? path : "/", "", 0);
	while (r == 0 && ls->todo.len) {
		struct pending p;
		ls->todo.len -= sizeof(p);
		memcpy(&p, ls->todo.data + ls->todo.len, sizeof(p));
		r = shale_interrupted() ? -EINTR : list_dir(ls, &p);
		free(p.path);
	}
	while (ls->todo.len) {
		struct pending p;
		ls->todo.len -= sizeof(p);
		memcpy(&p, ls->todo.data + ls->todo.len, sizeof(p));
		free(p.path);
	}
	shale_buf_release(&ls->todo);
	return r;
}

static int list_one(struct listing *ls, const struct shale_image_arg *arg,
		    bool itself)
{
	struct shale_ls_entry e = {
		.entry = {.ino = arg->ino,
			  .name = arg->path,
			  .name_len = (uint16_t)strlen(arg->path)},
	};
	int r = shale_index_attr(ls->ix, arg->ino, &e.attr, &ls->ctx->err);
	if (r < 0)
		return r;
	if (S_ISDIR(e.attr.mode) && !itself)
		return list_dirs(ls, arg->ino, arg->path);
	return print_all(ls, "", &e, 1);
}

static int list_arg(struct listing *ls, const char *text, const char *at,
		    bool itself)
{
	struct shale_image_arg arg;
	int r = shale_image_arg_open(ls->ctx, text, at, !itself, &arg);
	if (r < 0)
		return r;
	ls->ix = arg.image->index;
	r = list_one(ls, &arg, itself);
	shale_image_arg_close(&arg);
	return r;
}

static int ls_run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct listing ls = {.ctx = ctx, .first = true};
	const char *at = NULL;
	bool itself = false;
	const struct shale_opt opts[] = {
		{"long", 'l', NULL, "mode, links, owner, size and time too",
		 SHALE_OPT_FLAG, &ls.style.full},
		{"recursive", 'R', NULL, "directories below, too",
		 SHALE_OPT_FLAG, &ls.recursive},
		{"directory", 'd', NULL, "a directory or symlink itself",
		 SHALE_OPT_FLAG, &itself},
		{"numeric", 'n', NULL, "-l with numbers for owners",
		 SHALE_OPT_FLAG, &ls.style.numeric},
		{"human", 'h', NULL, "sizes with units", SHALE_OPT_FLAG,
		 &ls.style.human},
		{"at", 0, "TIME", "the newest version at or before TIME",
		 SHALE_OPT_STRING, &at},
		{0},
	};
	int n;
	int r = shale_opt_parse(ctx, &shale_cmd_ls, opts, argc, argv, &n);
	if (r)
		return r < 0 ? SHALE_EXIT_USAGE : SHALE_EXIT_OK;
	if (n == 0)
		return shale_usage(ctx, "which image? REF[:/path]");
	ls.style.full = ls.style.full || ls.style.numeric;
	ls.style.escape = isatty(STDOUT_FILENO);

	/* As ls(1): what is missing is told, the others are listed. */
	int code = SHALE_EXIT_OK;
	for (int i = 0; i < n && r != -EINTR; i++) {
		r = list_arg(&ls, argv[i], at, itself);
		if (r < 0)
			code = shale_fail(ctx, r);
	}
	return code;
}

const struct shale_cmd shale_cmd_ls = {
	.name = "ls",
	.args = "REF[:/path]...",
	.summary = "list what is in an image",
	.detail = "Symbolic links of the path resolve inside the image and "
		  "never leave it.\nWith --json, one object a line.",
	.run = ls_run,
};
