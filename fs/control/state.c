/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum { INFO_MAX = 1 << 20, MAKING_SECONDS = 600 };

/* "mounts/<id>" and a file in it */
struct state_path {
	char s[64];
};

static struct state_path path_of(const char *id, const char *file)
{
	struct state_path p;
	snprintf(p.s, sizeof(p.s), "mounts/%.20s%s%.20s", id, *file ? "/" : "",
		 file);
	return p;
}

/*
 * Take the lock of a state directory.  -EWOULDBLOCK: somebody has it.  The file
 * may have been removed between open and flock: then it is a lock of nothing.
 */
static int take_lock(int store_dirfd, const char *id, int how, int *out)
{
	struct stat st;
	cleanup_fd int fd =
		openat(store_dirfd, path_of(id, "lock").s, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -ENOENT;
	*out = steal_fd(&fd);
	return 0;
}

static int make_parts(int store_dirfd, const struct shale_mount_info *info,
		      const char *temporary, int *lock, struct shale_err *err)
{
	cleanup_fd int fd = openat(store_dirfd, path_of(temporary, "lock").s,
				   O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return shale_err_set(err, errno, "lock the mount's state");

	struct shale_mount_info named = *info;
	snprintf(named.id, sizeof(named.id), "%.16s", temporary);
	int r = shale_mount_write(store_dirfd, &named, err);
	if (r < 0)
		return r;
	if (renameat(store_dirfd, path_of(temporary, "").s, store_dirfd,
		     path_of(info->id, "").s) < 0)
		return shale_err_set(err, errno, "name the mount's state");
	*lock = steal_fd(&fd);
	return 0;
}

int shale_mount_make(int store_dirfd, struct shale_mount_info *info, int *lock,
		     struct shale_err *err)
{
	uint8_t random[8];
	char temporary[17];

	int r = shale_mkdir(store_dirfd, "mounts", 0700, err);
	if (r < 0)
		return r;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return shale_err_set(err, errno, "random number");
	shale_hex(info->id, random, sizeof(random));

	/* Under a name that a sweep leaves alone until it is locked. */
	snprintf(temporary, sizeof(temporary), ".%.15s", info->id);
	if (mkdirat(store_dirfd, path_of(temporary, "").s, 0700) < 0)
		return shale_err_set(err, errno, "make a mount's state");
	r = make_parts(store_dirfd, info, temporary, lock, err);
	if (r < 0)
		shale_mount_remove(store_dirfd, temporary);
	return r;
}

/* What the lock file says, if somebody holds it. */
static int running_pid(int store_dirfd, const char *id)
{
	int lock;
	cleanup_buf struct shale_buf text = {0};
	int r = take_lock(store_dirfd, id, LOCK_SH | LOCK_NB, &lock);
	if (r == 0) {
		close(lock);
		return 0;
	}
	if (r != -EWOULDBLOCK ||
	    shale_read_file(store_dirfd, path_of(id, "lock").s, 32, &text,
			    NULL) < 0)
		return 0;
	const char *s = shale_buf_str(&text);
	long pid = s ? strtol(s, NULL, 10) : 0;
	/* locked, but not said by whom: still being started */
	return pid > 0 && pid < 1 << 30 ? (int)pid : 1;
}

static bool id_is_good(const char *id)
{
	return strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16;
}

int shale_mount_read(int store_dirfd, const char *id,
		     struct shale_mount_info *out, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	if (!id_is_good(id))
		return shale_err_say(err, EINVAL, "'%s' is no mount's id", id);
	int r = shale_read_file(store_dirfd, path_of(id, "info.json").s,
				INFO_MAX, &text, err);
	if (r == 0)
		r = shale_mount_parse(text.data, text.len, out, err);
	if (r < 0)
		return shale_err_wrap(err, r, "mount %s", id);
	snprintf(out->id, sizeof(out->id), "%s", id);
	out->pid = running_pid(store_dirfd, id);
	struct stat st;
	if (fstatat(store_dirfd, path_of(id, "lock").s, &st, 0) == 0)
		out->since = st.st_mtim.tv_sec;
	return 0;
}

void shale_mount_remove(int store_dirfd, const char *id)
{
	cleanup_fd int fd = openat(store_dirfd, path_of(id, "").s,
				   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int copy = fd < 0 ? -1 : dup(fd);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			unlinkat(fd, d->d_name, 0);
	if (dir)
		closedir(dir);
	unlinkat(store_dirfd, path_of(id, "").s, AT_REMOVEDIR);
}

int shale_mount_wait(int store_dirfd, const char *id, struct shale_err *err)
{
	int lock;
	int r = take_lock(store_dirfd, id, LOCK_SH, &lock);
	if (r == -ENOENT)
		return 0; /* it has cleaned up already */
	if (r < 0)
		return shale_err_set(err, -r, "wait for mount %s", id);
	close(lock);
	return 0;
}

static bool is_old(int store_dirfd, const char *id)
{
	struct stat st;
	return fstatat(store_dirfd, path_of(id, "").s, &st, 0) == 0 &&
	       st.st_mtime + MAKING_SECONDS < time(NULL);
}

static void sweep_one(int store_dirfd, const char *id,
		      void (*gone)(void *, const struct shale_mount_info *),
		      void *arg)
{
	struct shale_mount_info info = {0};
	int lock;

	if (id[0] == '.') {
		if (strlen(id) == 16 && is_old(store_dirfd, id))
			shale_mount_remove(store_dirfd, id);
		return;
	}
	if (!id_is_good(id) ||
	    take_lock(store_dirfd, id, LOCK_EX | LOCK_NB, &lock) < 0)
		return;
	if (gone && shale_mount_read(store_dirfd, id, &info, NULL) == 0)
		gone(arg, &info);
	shale_mount_info_release(&info);
	shale_mount_remove(store_dirfd, id);
	close(lock);
}

/* Call `fn` for each name in mounts/ until it returns true. */
static void each_mount(int store_dirfd,
		       bool (*fn)(void *arg, int dirfd, const char *id),
		       void *arg)
{
	int fd = openat(store_dirfd, "mounts",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..") &&
		    fn(arg, store_dirfd, d->d_name))
			break;
	closedir(dir);
}

struct sweep {
	void (*gone)(void *arg, const struct shale_mount_info *info);
	void *arg;
};

static bool sweep_entry(void *arg, int store_dirfd, const char *id)
{
	const struct sweep *s = arg;
	sweep_one(store_dirfd, id, s->gone, s->arg);
	return false;
}

void shale_mount_sweep(int store_dirfd,
		       void (*gone)(void *arg,
				    const struct shale_mount_info *info),
		       void *arg)
{
	struct sweep s = {gone, arg};
	each_mount(store_dirfd, sweep_entry, &s);
}

struct visit {
	int (*fn)(void *arg, const struct shale_mount_info *info,
		  struct shale_err *err);
	void *arg;
	int r;
	struct shale_err *err;
};

static bool visit_entry(void *arg, int store_dirfd, const char *id)
{
	struct visit *v = arg;
	struct shale_mount_info info = {0};

	if (!id_is_good(id) || !running_pid(store_dirfd, id))
		return false;
	v->r = shale_mount_read(store_dirfd, id, &info, v->err);
	if (v->r == 0)
		v->r = v->fn(v->arg, &info, v->err);
	else if (v->r == -ENOENT)
		v->r = 0; /* it ended meanwhile */
	shale_mount_info_release(&info);
	return v->r != 0;
}

int shale_mount_each(int store_dirfd,
		     int (*fn)(void *arg, const struct shale_mount_info *info,
			       struct shale_err *err),
		     void *arg, struct shale_err *err)
{
	struct visit v = {.fn = fn, .arg = arg, .err = err};
	each_mount(store_dirfd, visit_entry, &v);
	return v.r;
}

struct search {
	const char *workspace;
	char *id;
	bool found;
};

static bool match_entry(void *arg, int store_dirfd, const char *id)
{
	struct search *s = arg;
	struct shale_mount_info info = {0};

	if (shale_mount_read(store_dirfd, id, &info, NULL) == 0)
		s->found = info.pid && info.workspace &&
			   !strcmp(info.workspace, s->workspace);
	shale_mount_info_release(&info);
	if (s->found)
		snprintf(s->id, 17, "%s", id);
	return s->found;
}

int shale_mount_of_workspace(int store_dirfd, const char *name, char *id,
			     struct shale_err *err)
{
	struct search s = {name, id, false};

	each_mount(store_dirfd, match_entry, &s);
	if (!s.found)
		return shale_err_say(err, ENOENT,
				     "workspace '%s' is not mounted", name);
	return 0;
}
