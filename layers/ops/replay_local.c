/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"
#include "layers/ops/same_bytes.h"
#include "layers/ops/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

int shale_replay_parent(const struct shale_replaying *rp, const char *path,
			const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir =
		slash > path ? strndup(path + 1, (size_t)(slash - path) - 1)
			     : strdup("");

	*name = slash[1] ? slash + 1 : "."; /* of the root itself */
	return dir ? shale_beneath_open(rp->root, dir, O_RDONLY | O_DIRECTORY,
					0)
		   : -ENOMEM;
}

/* --------------------------------------------------------------- one version
 */

/* The file, as one of the two versions has it. */
struct side {
	const struct shale_image *image;
	const struct shale_attr *attr;
	bool read; /* size and time do not tell: compare the bytes */
};

static bool owns(const struct shale_replaying *rp)
{
	return rp->restore.same_owner && rp->restore.privileged;
}

static bool same_owner(const struct shale_replaying *rp, const struct side *s,
		       const struct stat *st)
{
	return !owns(rp) ||
	       (st->st_uid == s->attr->uid && st->st_gid == s->attr->gid);
}

static bool same_mode(const struct shale_replaying *rp, const struct side *s,
		      const struct stat *st)
{
	uint32_t mode = st->st_mode & 07777,
		 want = shale_restore_mode(s->attr, st);
	/* A directory that was opened to work in it may not be shut yet. */
	return S_ISLNK(st->st_mode) || mode == want ||
	       (S_ISDIR(st->st_mode) && !rp->restore.privileged &&
		mode == (want | SHALE_REPLAY_OPEN_BITS));
}

/* chown takes set-id bits away, and chmod may not have come any more. */
static bool same_mode_halfway(const struct shale_replaying *rp,
			      const struct side *s, const struct stat *st)
{
	const uint32_t ids = S_ISUID | S_ISGID;
	return same_mode(rp, s, st) ||
	       ((st->st_mode ^ s->attr->mode) & 07777 & ~ids) == 0;
}

static bool same_time(const struct side *s, const struct stat *st)
{
	return S_ISDIR(st->st_mode) ||
	       (st->st_mtim.tv_sec == s->attr->mtime.tv_sec &&
		st->st_mtim.tv_nsec == s->attr->mtime.tv_nsec);
}

/* A file system that keeps seconds only cannot tell. */
static bool unsure_time(const struct side *s, const struct stat *st)
{
	return S_ISREG(st->st_mode) && !same_time(s, st) &&
	       st->st_mtim.tv_sec == s->attr->mtime.tv_sec &&
	       st->st_mtim.tv_nsec == 0;
}

static bool same_target(const struct side *s, int parent, const char *name)
{
	char target[SHALE_TARGET_MAX + 2];
	const char *stored;
	uint32_t len;
	ssize_t n = readlinkat(parent, name, target, sizeof(target));
	return shale_index_target(s->image->index, s->attr->ino, &stored, &len,
				  NULL) == 0 &&
	       n == (ssize_t)len && !memcmp(target, stored, len);
}

/* 1: type and content are this version's; 0: `*what` is not. */
static int same_thing(const struct side *s, int parent, const char *name,
		      const struct stat *st, const char **what,
		      struct shale_err *err)
{
	*what = "is of another type here";
	if ((st->st_mode & S_IFMT) != (s->attr->mode & S_IFMT))
		return 0;
	*what = "has other content here";
	switch (st->st_mode & S_IFMT) {
	case S_IFLNK:
		return same_target(s, parent, name);
	case S_IFCHR:
	case S_IFBLK:
		return st->st_rdev ==
		       makedev(s->attr->rdev_major, s->attr->rdev_minor);
	case S_IFREG:
		if ((uint64_t)st->st_size != s->attr->size)
			return 0;
		if (s->read || unsure_time(s, st))
			return shale_same_bytes(s->image, s->attr->ino, parent,
						name, err);
		return 1;
	default:
		return 1;
	}
}

/* ------------------------------------------------------------------- xattrs */

static int get_list(const struct side *s, const void **list, uint32_t *len,
		    struct shale_err *err)
{
	*list = NULL;
	*len = 0;
	return s->image ? shale_index_xattrs(s->image->index, s->attr->ino,
					     list, len, err)
			: 0;
}

/* Do we set it, and would anybody else not? */
static bool counts(const struct shale_replaying *rp,
		   const struct shale_xattr *x)
{
	static const char user[] = "user.", acl[] = "system.posix_acl_";
	if (x->name_len > sizeof(user) - 1 &&
	    !memcmp(x->name, user, sizeof(user) - 1))
		return true;
	if (x->name_len > sizeof(acl) - 1 &&
	    !memcmp(x->name, acl, sizeof(acl) - 1))
		return true;
	return owns(rp);
}

static bool has(const void *list, uint32_t len, const struct shale_xattr *x)
{
	char name[256];
	struct shale_xattr y;
	memcpy(name, x->name, x->name_len);
	name[x->name_len] = '\0';
	return shale_xattr_find(list, len, name, &y, NULL) == 0 &&
	       y.value_len == x->value_len &&
	       !memcmp(y.value, x->value, x->value_len);
}

/* Is each xattr of `list` that counts in one of these two, as it is? */
static bool all_in(const struct shale_replaying *rp, const void *list,
		   uint32_t len, const void *a, uint32_t a_len, const void *b,
		   uint32_t b_len, bool here)
{
	static const char security[] = "security.";
	struct shale_xattr x;
	uint32_t at = 0;
	while (shale_xattr_next(list, len, &at, &x, NULL) > 0) {
		/* The host labels files as it likes. */
		bool label = here && x.name_len >= sizeof(security) &&
			     !memcmp(x.name, security, sizeof(security) - 1);
		if (!label && counts(rp, &x) && !has(a, a_len, &x) &&
		    !has(b, b_len, &x))
			return false;
	}
	return true;
}

/*
 * 1: each xattr here is one of either version, and none lacks that both have.
 * With two equal sides: they are that version's.
 */
static int same_xattrs(const struct shale_replaying *rp, const struct side *a,
		       const struct side *b, int parent, const char *name,
		       struct shale_err *err)
{
	cleanup_buf struct shale_buf here = {0};
	const void *x, *y;
	uint32_t x_len, y_len;

	if (rp->opts->no_xattrs)
		return 1;
	int r = shale_xattrs_read(parent, name, SHALE_XATTRS_DEFAULT, false,
				  &here, err);
	if (r == 0)
		r = get_list(a, &x, &x_len, err);
	if (r == 0)
		r = get_list(b, &y, &y_len, err);
	if (r < 0)
		return r;
	const void *list = here.data;
	uint32_t len = (uint32_t)here.len;
	if (!all_in(rp, list, len, x, x_len, y, y_len, true))
		return 0;
	/* What `a` has is here, or b has it not. */
	struct shale_xattr one;
	uint32_t at = 0;
	while (shale_xattr_next(x, x_len, &at, &one, NULL) > 0)
		if (counts(rp, &one) && has(y, y_len, &one) &&
		    !has(list, len, &one))
			return 0;
	return 1;
}

/* ----------------------------------------------------------------- judgement
 */

/* Is each attribute one of the two versions'?  They are two times the same to
 * ask for just one. */
static int same_attributes(const struct shale_replaying *rp,
			   const struct side *a, const struct side *b,
			   int parent, const char *name, const struct stat *st,
			   const char **what, struct shale_err *err)
{
	bool mode = a == b ? same_mode(rp, a, st)
			   : same_mode_halfway(rp, a, st) ||
				     same_mode_halfway(rp, b, st);
	*what = "has another time here";
	if (!same_time(a, st) && !same_time(b, st) && !unsure_time(a, st) &&
	    !unsure_time(b, st))
		return 0;
	*what = "has another owner here";
	if (!same_owner(rp, a, st) && !same_owner(rp, b, st))
		return 0;
	*what = "has another mode here";
	if (!mode)
		return 0;
	*what = "has other extended attributes here";
	return same_xattrs(rp, a, b, parent, name, err);
}

static int is_version(const struct shale_replaying *rp, const struct side *s,
		      int parent, const char *name, const struct stat *st,
		      const char **what, struct shale_err *err)
{
	int r = same_thing(s, parent, name, st, what, err);
	return r <= 0 ? r
		      : same_attributes(rp, s, s, parent, name, st, what, err);
}

/* On the way from one to the other, if that was but attributes. */
static int is_between(const struct shale_replaying *rp, const struct side *old,
		      const struct side *new_one, int parent, const char *name,
		      const struct stat *st, const char **what,
		      struct shale_err *err)
{
	int r = same_thing(old, parent, name, st, what, err);
	return r <= 0 ? r
		      : same_attributes(rp, old, new_one, parent, name, st,
					what, err);
}

/* Two contents of one size and time are told apart by looking at them. */
static bool must_read(const struct shale_replaying *rp,
		      const struct shale_difference *d)
{
	return rp->opts->checksum ||
	       (d->what & SHALE_DIFF_CONTENT && d->was.size == d->is.size &&
		!(d->what & SHALE_DIFF_TIME));
}

int shale_replay_look(const struct shale_replaying *rp, int parent,
		      const char *name, const struct shale_difference *d,
		      struct stat *st, enum shale_local *out, const char **what,
		      struct shale_err *err)
{
	const bool read = must_read(rp, d);
	const struct side old = {rp->from, &d->was, read};
	const struct side fresh = {rp->to, &d->is, read};
	const unsigned thing = SHALE_DIFF_TYPE | SHALE_DIFF_CONTENT;
	int r = 0;

	*out = SHALE_LOCAL_NONE;
	if (fstatat(parent, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			       ? 0
			       : shale_err_set(err, errno, "look at it");
	*what = "is there already";
	if (d->new_ino)
		r = is_version(rp, &fresh, parent, name, st, what, err);
	*out = SHALE_LOCAL_NEW;
	if (r == 0 && d->old_ino) {
		r = d->new_ino && !(d->what & thing)
			    ? is_between(rp, &old, &fresh, parent, name, st,
					 what, err)
			    : is_version(rp, &old, parent, name, st, what, err);
		*out = SHALE_LOCAL_OLD;
	}
	if (r == 0) {
		*out = SHALE_LOCAL_OTHER;
		if (!d->old_ino)
			*what = "is there already and is not the version's";
	}
	return r < 0 ? r : 0;
}

/* ------------------------------------------------------------- attributes */

/* Those that only the old version had. */
static int drop_xattrs(const struct shale_replaying *rp, int fd,
		       const struct shale_difference *d, struct shale_err *err)
{
	char path[SHALE_BENEATH_PROC], name[256];
	const void *was, *is;
	uint32_t was_len, is_len, at = 0;
	struct shale_xattr x, y;

	if (rp->opts->no_xattrs || !d->old_ino)
		return 0;
	int r = shale_index_xattrs(rp->from->index, d->old_ino, &was, &was_len,
				   err);
	if (r == 0)
		r = shale_index_xattrs(rp->to->index, d->new_ino, &is, &is_len,
				       err);
	shale_beneath_proc(fd, NULL, path);
	while (r == 0 &&
	       (r = shale_xattr_next(was, was_len, &at, &x, err)) > 0) {
		memcpy(name, x.name, x.name_len);
		name[x.name_len] = '\0';
		r = 0;
		if (shale_xattr_find(is, is_len, name, &y, NULL) < 0 &&
		    counts(rp, &x) && removexattr(path, name) < 0 &&
		    errno != ENODATA && errno != ENOTSUP)
			r = shale_err_set(err, errno, "remove xattr %s", name);
	}
	return r;
}

int shale_replay_attributes(const struct shale_replaying *rp, int parent,
			    const char *name, const struct shale_difference *d,
			    struct shale_err *err)
{
	struct stat st;
	cleanup_fd int fd =
		openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "open it");
	if ((st.st_mode & S_IFMT) != (d->is.mode & S_IFMT))
		return shale_err_say(err, ESTALE, "somebody else changed it");
	int r = drop_xattrs(rp, fd, d, err);
	return r < 0 ? r
		     : shale_restore_attributes(&rp->restore, fd, &d->is, err);
}
