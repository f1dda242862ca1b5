/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"

#include "fs/control/left.h"
#include "fs/control/state_impl.h"
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/base/hash.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum { INFO_MAX = 1 << 20, MAKING_SECONDS = 600, LOOK_MS = 2 };

struct shale_state_path shale_state_path(const char *id, const char *file)
{
	struct shale_state_path p;
	snprintf(p.s, sizeof(p.s), "mounts/%.20s%s%.20s", id, *file ? "/" : "",
		 file);
	return p;
}

/* The file may go between open and flock: then it is a lock of nothing. */
int shale_state_lock(int store_dirfd, const char *id, int how, int *out)
{
	struct stat st;
	cleanup_fd int fd = openat(store_dirfd, shale_state_path(id, "lock").s,
				   O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return -ENOENT;
	/* Whose number it said has ended. */
	if (how & LOCK_EX)
		(void)!ftruncate(fd, 0);
	*out = steal_fd(&fd);
	return 0;
}

static int make_parts(int store_dirfd, const struct shale_mount_info *info,
		      const char *temporary, int *lock, struct shale_err *err)
{
	cleanup_fd int fd =
		openat(store_dirfd, shale_state_path(temporary, "lock").s,
		       O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return shale_err_set(err, errno, "lock the mount's state");

	struct shale_mount_info named = *info;
	snprintf(named.id, sizeof(named.id), "%.16s", temporary);
	int r = shale_mount_write(store_dirfd, &named, err);
	if (r < 0)
		return r;
	if (renameat(store_dirfd, shale_state_path(temporary, "").s,
		     store_dirfd, shale_state_path(info->id, "").s) < 0)
		return shale_err_set(err, errno, "name the mount's state");
	*lock = steal_fd(&fd);
	return 0;
}

int shale_mount_make(int store_dirfd, struct shale_mount_info *info, int *lock,
		     struct shale_err *err)
{
	uint8_t random[8];
	char temporary[17];

	int r = shale_left_boot(info->boot, err);
	if (r == 0)
		r = shale_mkdir(store_dirfd, "mounts", 0700, err);
	if (r < 0)
		return r;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return shale_err_set(err, errno, "random number");
	shale_hex(info->id, random, sizeof(random));

	/* Under a name that a sweep leaves alone until it is locked. */
	snprintf(temporary, sizeof(temporary), ".%.15s", info->id);
	if (mkdirat(store_dirfd, shale_state_path(temporary, "").s, 0700) < 0)
		return shale_err_set(err, errno, "make a mount's state");
	r = make_parts(store_dirfd, info, temporary, lock, err);
	if (r < 0)
		shale_mount_remove(store_dirfd, temporary);
	return r;
}

int shale_state_pid(int store_dirfd, const char *id)
{
	int lock;
	cleanup_buf struct shale_buf text = {0};
	int r = shale_state_lock(store_dirfd, id, LOCK_SH | LOCK_NB, &lock);
	if (r == 0) {
		close(lock);
		return 0;
	}
	if (r != -EWOULDBLOCK ||
	    shale_read_file(store_dirfd, shale_state_path(id, "lock").s, 32,
			    &text, NULL) < 0)
		return 0;
	const char *s = shale_buf_str(&text);
	long pid = s ? strtol(s, NULL, 10) : 0;
	/* locked, but not said by whom: still being started */
	return pid > 0 && pid < 1 << 30 ? (int)pid : 1;
}

bool shale_state_id_is_good(const char *id)
{
	return strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16;
}

int shale_state_read(int store_dirfd, const char *id, const char *file,
		     struct shale_mount_info *out, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_read_file(store_dirfd, shale_state_path(id, file).s,
				INFO_MAX, &text, err);
	if (r == 0)
		r = shale_mount_parse(text.data, text.len, out, err);
	if (r == 0)
		snprintf(out->id, sizeof(out->id), "%s", id);
	return r;
}

int shale_mount_read(int store_dirfd, const char *id,
		     struct shale_mount_info *out, struct shale_err *err)
{
	if (!shale_state_id_is_good(id))
		return shale_err_say(err, EINVAL, "'%s' is no mount's id", id);
	int r = shale_state_read(store_dirfd, id, "info.json", out, err);
	/* A power cut may have torn what was not flushed. */
	if (r < 0 &&
	    shale_state_read(store_dirfd, id, "again.json", out, NULL) == 0)
		r = 0;
	if (r < 0)
		return shale_err_wrap(err, r, "mount %s", id);
	out->pid = shale_state_pid(store_dirfd, id);
	struct stat st;
	if (fstatat(store_dirfd, shale_state_path(id, "lock").s, &st, 0) == 0)
		out->since = st.st_mtim.tv_sec;
	return 0;
}

/* The lock goes last: who waits for it then finds nothing else either. */
void shale_mount_remove(int store_dirfd, const char *id)
{
	cleanup_dir DIR *dir =
		shale_dir_open(store_dirfd, shale_state_path(id, "").s);
	const struct dirent *d;

	while (dir && (d = shale_dir_next(dir)))
		if (strcmp(d->d_name, "lock") != 0)
			unlinkat(dirfd(dir), d->d_name, 0);
	unlinkat(store_dirfd, shale_state_path(id, "lock").s, 0);
	unlinkat(store_dirfd, shale_state_path(id, "").s, AT_REMOVEDIR);
}

int shale_mount_wait(int store_dirfd, const char *id, unsigned limit_ms,
		     struct shale_err *err)
{
	int lock, r;

	for (unsigned ms = 0;; ms += LOOK_MS) {
		r = shale_state_lock(store_dirfd, id, LOCK_SH | LOCK_NB, &lock);
		if (r != -EWOULDBLOCK || ms >= limit_ms)
			break;
		shale_clock_pause(LOOK_MS);
	}
	if (r == -ENOENT) {
		/* It has cleaned up, all but this at most. */
		(void)unlinkat(store_dirfd, shale_state_path(id, "").s,
			       AT_REMOVEDIR);
		return 0;
	}
	if (r == -EWOULDBLOCK)
		return shale_err_say(err, ETIMEDOUT,
				     "the daemon of mount %s has not ended",
				     id);
	if (r < 0)
		return shale_err_set(err, -r, "wait for mount %s", id);
	close(lock);
	return 0;
}

static bool is_old(int store_dirfd, const char *id)
{
	struct stat st;
	return fstatat(store_dirfd, shale_state_path(id, "").s, &st, 0) == 0 &&
	       st.st_mtime + MAKING_SECONDS < time(NULL);
}

struct sweep {
	struct shale_served served;
	void (*gone)(void *arg, const struct shale_mount_info *info);
	void *arg;
};

static bool sweep_one(void *arg, int store_dirfd, const char *id)
{
	const struct sweep *s = arg;
	struct shale_mount_info info = {0};
	int lock;

	if (id[0] == '.') {
		if (strlen(id) == 16 && is_old(store_dirfd, id))
			shale_mount_remove(store_dirfd, id);
		return false;
	}
	if (!shale_state_id_is_good(id))
		return false;
	int r = shale_state_lock(store_dirfd, id, LOCK_EX | LOCK_NB, &lock);
	if (r == -ENOENT) /* who removed it did not come to the end */
		(void)unlinkat(store_dirfd, shale_state_path(id, "").s,
			       AT_REMOVEDIR);
	if (r < 0)
		return false;
	if (!shale_left_stays(&s->served, store_dirfd, id)) {
		if (s->gone &&
		    shale_mount_read(store_dirfd, id, &info, NULL) == 0)
			s->gone(s->arg, &info);
		shale_mount_info_release(&info);
		shale_mount_remove(store_dirfd, id);
	}
	close(lock);
	return false;
}

void shale_state_each(int store_dirfd,
		      bool (*fn)(void *arg, int dirfd, const char *id),
		      void *arg)
{
	cleanup_dir DIR *dir = shale_dir_open(store_dirfd, "mounts");
	const struct dirent *d;

	while (dir && (d = shale_dir_next(dir)))
		if (fn(arg, store_dirfd, d->d_name))
			break;
}

void shale_mount_sweep(int store_dirfd,
		       void (*gone)(void *arg,
				    const struct shale_mount_info *info),
		       void *arg)
{
	struct sweep s = {.gone = gone, .arg = arg};

	if (shale_served_look(&s.served, store_dirfd, NULL) == 0)
		shale_state_each(store_dirfd, sweep_one, &s);
	shale_served_release(&s.served);
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

	if (!shale_state_id_is_good(id) ||
	    (!shale_state_pid(store_dirfd, id) &&
	     !shale_left_is_settled(store_dirfd, id)))
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
	shale_state_each(store_dirfd, visit_entry, &v);
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

	/* Who is served is told first: that is cheap. */
	if (shale_state_id_is_good(id) && shale_state_pid(store_dirfd, id) &&
	    shale_mount_read(store_dirfd, id, &info, NULL) == 0)
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

	shale_state_each(store_dirfd, match_entry, &s);
	if (!s.found)
		return shale_err_say(err, ENOENT,
				     "workspace '%s' is not mounted", name);
	return 0;
}
