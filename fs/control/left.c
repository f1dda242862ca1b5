/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/left.h"

#include "fs/control/state_impl.h"
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* So often, and with such pauses, is tried what somebody else looks at. */
enum { LOOKS = 20, LOOK_MS = 10 };

int shale_left_boot(char *out, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id",
				128, &text, err);
	if (r < 0)
		return r;
	const char *s = shale_buf_str(&text);
	snprintf(out, 40, "%.*s", s ? (int)strcspn(s, "\n") : 0, s ? s : "");
	return 0;
}

/* ------------------------------------------------------- settled, marked */

static bool has(int store_dirfd, const char *id, const char *file)
{
	struct stat st;
	return fstatat(store_dirfd, shale_state_path(id, file).s, &st, 0) == 0;
}

bool shale_left_is_settled(int store_dirfd, const char *id)
{
	return has(store_dirfd, id, "again.json");
}

static int sync_dir(int store_dirfd, const char *path, struct shale_err *err)
{
	cleanup_fd int fd =
		openat(store_dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return shale_err_set(err, errno, "open '%s'", path);
	return shale_dir_sync(fd, path, err);
}

/* The link keeps this file when info.json is replaced by another. */
int shale_left_settle(int store_dirfd, const char *id, struct shale_err *err)
{
	const struct shale_state_path info = shale_state_path(id, "info.json"),
				      again = shale_state_path(id,
							       "again.json");

	return linkat(store_dirfd, info.s, store_dirfd, again.s, 0) == 0 ||
			       errno == EEXIST
		       ? 0
		       : shale_err_set(err, errno, "make '%s'", again.s);
}

int shale_left_flush(int store_dirfd, const char *id, struct shale_err *err)
{
	const struct shale_state_path again =
		shale_state_path(id, "again.json");

	cleanup_fd int fd = openat(store_dirfd, again.s, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return shale_err_set(err, errno, "keep '%s'", again.s);
	int r = sync_dir(store_dirfd, shale_state_path(id, "").s, err);
	if (r == 0)
		r = sync_dir(store_dirfd, "mounts", err);
	return r == 0 ? shale_dir_sync(store_dirfd, "the store", err) : r;
}

int shale_left_mark(int store_dirfd, const char *id, struct shale_err *err)
{
	const struct shale_state_path mark = shale_state_path(id, "marked");

	cleanup_fd int fd = openat(store_dirfd, mark.s,
				   O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return shale_err_set(err, errno, "make '%s'", mark.s);
	return sync_dir(store_dirfd, shale_state_path(id, "").s, err);
}

void shale_left_unmark(int store_dirfd, const char *id)
{
	(void)unlinkat(store_dirfd, shale_state_path(id, "marked").s, 0);
}

static bool is_needed(const char *file)
{
	static const char *const needed[] = {"again.json", "info.json", "lock",
					     "marked"};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!strcmp(file, needed[i]))
			return true;
	return false;
}

void shale_left_end(int store_dirfd, const char *id)
{
	const struct dirent *d;

	if (!shale_left_is_settled(store_dirfd, id) ||
	    !has(store_dirfd, id, "marked")) {
		shale_mount_remove(store_dirfd, id);
		return;
	}
	cleanup_dir DIR *dir =
		shale_dir_open(store_dirfd, shale_state_path(id, "").s);
	while (dir && (d = shale_dir_next(dir)))
		if (!is_needed(d->d_name))
			(void)unlinkat(dirfd(dir), d->d_name, 0);
}

/* --------------------------------------------------------- what stays */

/* Fills in all but the lock, which the caller has; false: it does not stay. */
static bool look(const struct shale_served *served, int store_dirfd,
		 const char *id, struct shale_left *out)
{
	char boot[40] = "";

	if (shale_state_read(store_dirfd, id, "again.json", &out->info, NULL) <
	    0)
		return false;
	(void)shale_left_boot(boot, NULL);
	bool here = !strcmp(boot, out->info.boot);
	out->mounted = here && shale_mount_stands(&out->info);
	bool stays =
		(!here || out->mounted || has(store_dirfd, id, "marked")) &&
		!shale_served_instead(served, &out->info);
	if (!stays)
		shale_mount_info_release(&out->info);
	return stays;
}

bool shale_left_stays(const struct shale_served *served, int store_dirfd,
		      const char *id)
{
	struct shale_left left = {0};

	bool stays = look(served, store_dirfd, id, &left);
	if (stays)
		shale_mount_info_release(&left.info);
	return stays;
}

/* ----------------------------------------------------------- list, forget */

/* Somebody else may be looking at it; but who serves it keeps it. */
static int lock_left(int store_dirfd, const char *id, int *lock)
{
	for (int tries = LOOKS;; tries--) {
		int r = shale_state_lock(store_dirfd, id, LOCK_EX | LOCK_NB,
					 lock);
		if (r != -EWOULDBLOCK || !tries ||
		    shale_state_pid(store_dirfd, id) > 1)
			return r;
		shale_clock_pause(LOOK_MS);
	}
}

struct listing {
	struct shale_served served;
	struct shale_left *v;
	size_t n;
	bool mark;
	int r;
	struct shale_err *err;
};

/* Fills in `out` for a state that nobody has, and marks it.  1: it stays. */
static int look_alone(const struct listing *l, int store_dirfd, const char *id,
		      struct shale_left *out)
{
	cleanup_fd int lock = -1;

	if (lock_left(store_dirfd, id, &lock) < 0 ||
	    !look(&l->served, store_dirfd, id, out))
		return 0;
	int r = l->mark && out->mounted
			? shale_left_mark(store_dirfd, id, l->err)
			: 0;
	if (r < 0)
		shale_mount_info_release(&out->info);
	return r < 0 ? r : 1;
}

static bool list_one(void *arg, int store_dirfd, const char *id)
{
	struct listing *l = arg;
	struct shale_left left = {0};

	if (!shale_state_id_is_good(id))
		return false;
	int r = look_alone(l, store_dirfd, id, &left);
	if (r <= 0) {
		l->r = r;
		return r < 0;
	}
	struct shale_left *grown = realloc(l->v, (l->n + 1) * sizeof(left));
	if (!grown) {
		l->r = shale_err_set(l->err, ENOMEM, "list mounts");
		shale_mount_info_release(&left.info);
		return true;
	}
	l->v = grown;
	l->v[l->n++] = left;
	return false;
}

static int by_mountpoint(const void *a, const void *b)
{
	const struct shale_left *x = a, *y = b;
	return strcmp(x->info.mountpoint, y->info.mountpoint);
}

int shale_left_list(int store_dirfd, bool mark, struct shale_left **out,
		    size_t *n, struct shale_err *err)
{
	struct listing l = {.mark = mark, .err = err};

	l.r = shale_served_look(&l.served, store_dirfd, err);
	if (l.r == 0)
		shale_state_each(store_dirfd, list_one, &l);
	shale_served_release(&l.served);
	if (l.r < 0) {
		shale_left_free(l.v, l.n);
		return l.r;
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_mountpoint);
	*out = l.v;
	*n = l.n;
	return 0;
}

void shale_left_free(struct shale_left *left, size_t n)
{
	for (size_t i = 0; i < n; i++)
		shale_mount_info_release(&left[i].info);
	free(left);
}

static bool same_text(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

struct forgetting {
	const char *mountpoint, *workspace;
	size_t n;
};

static bool forget_one(void *arg, int store_dirfd, const char *id)
{
	struct forgetting *f = arg;
	struct shale_mount_info info = {0};
	int lock;

	if (!shale_state_id_is_good(id) ||
	    lock_left(store_dirfd, id, &lock) < 0)
		return false;
	if (shale_state_read(store_dirfd, id, "again.json", &info, NULL) == 0 &&
	    (same_text(info.mountpoint, f->mountpoint) ||
	     same_text(info.workspace, f->workspace))) {
		shale_mount_remove(store_dirfd, id);
		f->n++;
	}
	shale_mount_info_release(&info);
	close(lock);
	return false;
}

size_t shale_left_forget(int store_dirfd, const char *mountpoint)
{
	struct forgetting f = {.mountpoint = mountpoint};
	shale_state_each(store_dirfd, forget_one, &f);
	return f.n;
}

size_t shale_left_forget_workspace(int store_dirfd, const char *workspace)
{
	struct forgetting f = {.workspace = workspace};
	shale_state_each(store_dirfd, forget_one, &f);
	return f.n;
}
