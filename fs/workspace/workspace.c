/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/workspace.h"

#include "fs/workspace/info.h"
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* ---------------------------------------------------------------- names */

enum { NAME_MAX_LEN = 100, NAME_READABLE = 60, NAMES_SHOWN = 10 };

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

char *shale_workspace_name_of(const char *dir)
{
	size_t len = strlen(dir);
	while (len > 1 && dir[len - 1] == '/')
		len--;
	uint64_t hash = shale_xxh64(dir, len);

	size_t start = len;
	while (start > 0 && dir[start - 1] != '/')
		start--;
	/* A name begins with a letter, digit or underscore. */
	while (start < len && (dir[start] == '.' || dir[start] == '-'))
		start++;
	char readable[NAME_READABLE + 1];
	size_t n = 0;
	for (; start < len && n < NAME_READABLE; start++)
		readable[n++] = name_char(dir[start]) ? dir[start] : '_';
	readable[n] = 0;

	char *name;
	if (asprintf(&name, "%s-%08x", n ? readable : "root",
		     (uint32_t)(hash ^ hash >> 32)) < 0)
		return NULL;
	return name;
}

int shale_workspace_name_check(const char *name, struct shale_err *err)
{
	size_t n = 0;
	while (name[n] && name_char(name[n]))
		n++;
	if (!n || name[n] || name[0] == '.' || name[0] == '-')
		return shale_err_say(err, EINVAL,
				     "'%s' is not a workspace name: letters, "
				     "digits, '.', '_' and '-', the first not "
				     "'.' or '-'",
				     name);
	if (n > NAME_MAX_LEN)
		return shale_err_say(err, EINVAL,
				     "workspace name '%.20s...' is longer than "
				     "%d characters",
				     name, NAME_MAX_LEN);
	return 0;
}

/* ----------------------------------------------------------- directories */

/* Say what there is instead. */
static int there_is_none(int store_dirfd, const char *name,
			 struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0};
	char **names = NULL;
	size_t n = 0;

	if (shale_workspace_list(store_dirfd, &names, &n, NULL) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (i < NAMES_SHOWN)
			(void)shale_buf_printf(&list, " %s", names[i]);
		free(names[i]);
	}
	free(names);
	const char *text = n ? shale_buf_str(&list) : NULL;
	return shale_err_say(err, ENOKEY, "no workspace '%s'%s%s%s", name,
			     text ? "; there are:" : "", text ? text : "",
			     n > NAMES_SHOWN ? " …" : "");
}

static int open_dir(int store_dirfd, const char *name, int *out,
		    struct shale_err *err)
{
	int r = shale_workspace_name_check(name, err);
	if (r < 0)
		return r;
	cleanup_fd int all = openat(store_dirfd, "workspaces",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = all < 0 ? -1
			 : openat(all, name,
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC |
					  O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return there_is_none(store_dirfd, name, err);
	if (fd < 0)
		return shale_err_set(err, errno, "open workspace '%s'", name);
	*out = fd;
	return 0;
}

int shale_workspace_read(int store_dirfd, const char *name,
			 struct shale_workspace_info *out,
			 struct shale_err *err)
{
	cleanup_fd int dirfd = -1;
	int r = open_dir(store_dirfd, name, &dirfd, err);
	if (r < 0)
		return r;
	r = shale_workspace_info_read(dirfd, out, err);
	if (r == -ENOENT)
		r = shale_err_say(err, EUCLEAN, "workspace.json is missing");
	return r < 0 ? shale_err_wrap(err, r, "workspace '%s'", name) : 0;
}

/* --------------------------------------------------------------- locking */

static int in_use(int lock, const char *name, struct shale_err *err)
{
	char text[512];
	ssize_t n = pread(lock, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	return shale_err_say(err, EBUSY, "workspace '%s' is in use%s%s", name,
			     n > 0 ? " by " : "", text);
}

/* Does `name` still lead to this directory?  It may just have been removed. */
static bool still_there(int store_dirfd, const char *name, int dirfd)
{
	char path[NAME_MAX_LEN + 20];
	struct stat a, b;

	snprintf(path, sizeof(path), "workspaces/%s", name);
	return fstatat(store_dirfd, path, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(dirfd, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static int write_owner(int lock, const char *text, struct shale_err *err)
{
	char owner[512];
	int n = snprintf(owner, sizeof(owner), "process %ld%s%s%s",
			 (long)getpid(), text ? " (" : "", text ? text : "",
			 text ? ")" : "");
	if (n >= (int)sizeof(owner))
		n = sizeof(owner) - 1;
	if (ftruncate(lock, 0) < 0)
		return shale_err_set(err, errno, "write lock");
	return shale_pwrite_full(lock, owner, (size_t)n, 0, "lock", err);
}

int shale_workspace_lock(int store_dirfd, const char *name, int *out_dir,
			 int *out_lock, struct shale_err *err)
{
	cleanup_fd int dirfd = -1;
	int r = open_dir(store_dirfd, name, &dirfd, err);
	if (r < 0)
		return r;
	cleanup_fd int lock =
		openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0)
		return shale_err_set(err, errno, "lock workspace '%s'", name);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return in_use(lock, name, err);
		return shale_err_set(err, errno, "lock workspace '%s'", name);
	}
	if (!still_there(store_dirfd, name, dirfd))
		return shale_err_say(err, ENOKEY, "no workspace '%s'", name);
	/* On a full disk the message is poorer, that is all. */
	write_owner(lock, NULL, NULL);
	*out_dir = steal_fd(&dirfd);
	*out_lock = steal_fd(&lock);
	return 0;
}

/* --------------------------------------------------------------- opening */

static int flush(void *arg, uint64_t pos, struct shale_err *err)
{
	struct shale_workspace *ws = arg;
	return shale_files_flush(ws->files, pos, err);
}

static int flush_all(void *arg, struct shale_err *err)
{
	struct shale_workspace *ws = arg;
	return shale_files_flush_all(ws->files, err);
}

static int power_cut(void *arg, struct shale_err *err)
{
	struct shale_workspace *ws = arg;
	return shale_files_power_cut(ws->files, err);
}

static int write_data(void *arg, uint64_t ino, uint32_t epoch, const void *data,
		      size_t len, uint64_t off, struct shale_err *err)
{
	struct shale_workspace *ws = arg;
	return shale_files_write(ws->files, ino, epoch, data, len, off, err);
}

static int kept(void *arg, uint64_t ino, uint32_t epoch, uint64_t pos)
{
	struct shale_workspace *ws = arg;
	return shale_files_kept_before(ws->files, ino, epoch, pos);
}

static void applied(void *arg, uint64_t pos)
{
	struct shale_workspace *ws = arg;
	shale_files_applied(ws->files, pos);
}

static int workspace_free(struct shale_workspace *ws, struct shale_err *err)
{
	int r = shale_db_close(ws->db, err);
	shale_files_close(ws->files);
	shale_workspace_info_release(&ws->info);
	if (ws->dirfd >= 0)
		close(ws->dirfd);
	if (ws->lock >= 0)
		close(ws->lock);
	free(ws);
	return r;
}

static void drop_workspace(struct shale_workspace *ws)
{
	workspace_free(ws, NULL);
}

SHALE_DEFINE_CLEANUP(workspace, struct shale_workspace *, drop_workspace);

int shale_workspace_open(struct shale_workspace **out, int store_dirfd,
			 const char *name, struct shale_err *err)
{
	return shale_workspace_reopen(out, store_dirfd, name, -1, err);
}

int shale_workspace_reopen(struct shale_workspace **out, int store_dirfd,
			   const char *name, int lock, struct shale_err *err)
{
	cleanup_fd int held = lock;
	SHALE_CLEANUP(shale_cleanup_workspace)
	struct shale_workspace *ws = calloc(1, sizeof(*ws));
	if (!ws)
		return shale_err_set(err, ENOMEM, "open workspace '%s'", name);
	ws->dirfd = ws->lock = -1;

	const struct shale_db_opts opts = {
		.flush = flush,
		.flush_all = flush_all,
		.applied = applied,
		.power_cut = power_cut,
		.write = write_data,
		.kept = kept,
		.arg = ws,
		.content_letters = "CM", /* as fs/live/record.h has them */
	};
	int r = shale_workspace_read(store_dirfd, name, &ws->info, err);
	ws->lock = steal_fd(&held);
	if (r == 0)
		r = ws->lock < 0
			    ? shale_workspace_lock(store_dirfd, name,
						   &ws->dirfd, &ws->lock, err)
			    : open_dir(store_dirfd, name, &ws->dirfd, err);
	if (r < 0)
		return r;
	r = shale_files_open(&ws->files, ws->dirfd, err);
	if (r == 0)
		r = shale_db_open(&ws->db, ws->dirfd, &opts, err);
	if (r == 0)
		shale_files_tidy(ws->files);
	if (r < 0)
		return shale_err_wrap(err, r, "workspace '%s'", name);
	*out = steal_ptr(&ws);
	return 0;
}

int shale_workspace_note(struct shale_workspace *ws, const char *text,
			 struct shale_err *err)
{
	return write_owner(ws->lock, text, err);
}

int shale_workspace_set_quota(struct shale_workspace *ws, uint64_t bytes,
			      uint64_t inodes, struct shale_err *err)
{
	struct shale_workspace_info info = ws->info;

	info.quota_bytes = bytes;
	info.quota_inodes = inodes;
	int r = shale_workspace_info_write(ws->dirfd, &info, err);
	if (r == 0)
		ws->info = info;
	return r < 0 ? shale_err_wrap(err, r, "set the quota") : 0;
}

int shale_workspace_close(struct shale_workspace *ws, struct shale_err *err)
{
	return ws ? workspace_free(ws, err) : 0;
}
