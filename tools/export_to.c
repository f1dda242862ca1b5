/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/export_to.h"

#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/ops/outfile.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* -------------------------------------------------------------- a directory */

static bool is_empty(int fd)
{
	cleanup_dir DIR *dir = shale_dir_open(fd, ".");

	return dir && !shale_dir_next(dir);
}

/* DEST as a directory to fill. */
static int open_dest(struct shale_ctx *ctx, const char *dest,
		     struct shale_export_opts *opts, int *out)
{
	bool made = mkdir(dest, 0700) == 0;
	if (!made && errno != EEXIST)
		return shale_err_set(&ctx->err, errno, "make '%s'", dest);
	int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(&ctx->err, errno, "open '%s'", dest);
	opts->own_root = made || opts->overwrite != SHALE_OVERWRITE_NEVER ||
			 is_empty(fd);
	*out = fd;
	return 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* A single file goes into DEST if that is a directory, else becomes it. */
static int open_parent(struct shale_ctx *ctx, const char *dest,
		       const char *path, int *out, char **name)
{
	*out = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out >= 0) {
		*name = strdup(last_name(path));
	} else {
		const char *slash = strrchr(dest, '/');
		cleanup_free char *dir =
			slash ? strndup(dest, (size_t)(slash - dest) + 1)
			      : strdup(".");
		if (dir)
			*out = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*name = strdup(last_name(dest));
	}
	if (!*name)
		return shale_err_set(&ctx->err, ENOMEM, "export");
	if (*out < 0)
		return shale_err_set(&ctx->err, errno,
				     "open the directory of '%s'", dest);
	return 0;
}

int shale_export_to_dir(struct shale_ctx *ctx,
			const struct shale_image_arg *arg, const char *dest,
			struct shale_export_opts *opts,
			struct shale_export_result *sum)
{
	cleanup_free char *name = NULL;
	cleanup_fd int fd = -1;
	struct shale_attr attr;
	int r = shale_index_attr(arg->image->index, arg->ino, &attr, &ctx->err);
	if (r == 0 && S_ISDIR(attr.mode))
		r = open_dest(ctx, dest, opts, &fd);
	else if (r == 0)
		r = open_parent(ctx, dest, arg->path, &fd, &name);
	if (r < 0)
		return r;
	r = shale_export(arg->image, arg->ino, fd, name, opts, sum, &ctx->err);
	if (r == 0 && syncfs(fd) < 0)
		r = shale_err_set(&ctx->err, errno, "write '%s' to disk", dest);
	return r;
}

/* --------------------------------------------------------------- an archive */

static int write_archive(struct shale_ctx *ctx,
			 const struct shale_image_arg *arg,
			 struct shale_outfile *file,
			 const struct shale_archive_form *form,
			 const struct shale_export_opts *opts,
			 struct shale_export_result *sum)
{
	bool same = false;
	bool compare = opts->overwrite == SHALE_OVERWRITE_IF_CHANGED;
	/* A reader that went away is an error to be told. */
	signal(SIGPIPE, SIG_IGN);
	/* A zip has times of the clock on the wall too: which one is written
	 * must not depend on who writes it. */
	if (form->format == SHALE_FORM_ZIP) {
		setenv("TZ", "UTC0", 1);
		tzset();
	}
	int r = shale_export_archive(arg->image, arg->ino, last_name(arg->path),
				     file->fd, form, opts, sum, &ctx->err);
	if (r == 0)
		r = shale_outfile_commit(file, compare ? &same : NULL,
					 &ctx->err);
	if (same) {
		sum->unchanged = sum->made;
		sum->made = sum->bytes = 0;
	}
	return r;
}

int shale_export_to_archive(struct shale_ctx *ctx,
			    const struct shale_image_arg *arg, const char *dest,
			    const struct shale_archive_form *form,
			    const struct shale_export_opts *opts,
			    struct shale_export_result *sum)
{
	struct shale_outfile file;
	struct stat st;
	if (opts->overwrite == SHALE_OVERWRITE_NEVER &&
	    strcmp(dest, "-") != 0 && stat(dest, &st) == 0 &&
	    S_ISREG(st.st_mode)) {
		sum->exists++;
		opts->problem(opts->arg, dest, "is there already and was left");
		return 0;
	}
	int r = shale_outfile_open(&file, dest, &ctx->err);
	if (r < 0)
		return r;
	r = write_archive(ctx, arg, &file, form, opts, sum);
	shale_outfile_release(&file);
	return r;
}
