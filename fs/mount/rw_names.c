/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/rw.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static bool take_parent(void *arg, const char *name, size_t len,
			const struct shale_node *node, uint64_t next)
{
	(void)name;
	(void)next;
	if (len == 2)
		*(uint64_t *)arg = node->ino;
	return false;
}

/* "." and "..", which only an NFS server asks for. */
static int lookup_dots(struct shale_live *live, fuse_ino_t dir, size_t len,
		       struct shale_node *node)
{
	uint64_t ino = dir;
	int r = 0;
	if (len == 2)
		r = shale_live_readdir(live, dir, 1, false, take_parent, &ino);
	return r < 0 ? r : shale_live_getattr(live, ino, node);
}

void shale_rw_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_node node;
	size_t len = strlen(name);
	int r;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		r = lookup_dots(shale_rw_live(req), parent, len, &node);
	else
		r = shale_live_lookup_for(shale_rw_live(req),
					  (uint32_t)fuse_req_ctx(req)->pid,
					  parent, name, len, &node);
	if (r == -ENOENT) {
		/* remembered by the kernel, too */
		struct fuse_entry_param e = {.entry_timeout = SHALE_TIMEOUT};
		fuse_reply_entry(req, &e);
		return;
	}
	shale_rw_reply_node(req, r, &node, parent);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name,
		 const struct shale_make *what)
{
	struct shale_live *live = shale_rw_live(req);
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	struct shale_node node;
	size_t len = strlen(name);

	int r = shale_rw_done(req, &who)
			? shale_live_lookup(live, parent, name, len, &node)
			: shale_live_make(live, &who, parent, name, len, what,
					  &node);
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply_node(req, r, &node, parent);
}

void shale_rw_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		    mode_t mode, dev_t rdev)
{
	struct shale_make what = {.mode = mode,
				  .rdev_major = major(rdev),
				  .rdev_minor = minor(rdev)};
	make(req, parent, name, &what);
}

void shale_rw_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		    mode_t mode)
{
	struct shale_make what = {.mode = S_IFDIR | (mode & 07777)};
	make(req, parent, name, &what);
}

void shale_rw_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		      const char *name)
{
	struct shale_make what = {.mode = S_IFLNK | 0777,
				  .target = target,
				  .target_len = strlen(target)};
	make(req, parent, name, &what);
}

void shale_rw_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	int r = 0;

	if (!shale_rw_done(req, &who))
		r = shale_live_unlink(shale_rw_live(req), &who, parent, name,
				      strlen(name));
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply(req, r, parent);
}

void shale_rw_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	int r = 0;

	if (!shale_rw_done(req, &who))
		r = shale_live_rmdir(shale_rw_live(req), &who, parent, name,
				     strlen(name));
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply(req, r, parent);
}

void shale_rw_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		     fuse_ino_t new_parent, const char *new_name,
		     unsigned flags)
{
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	int r = 0;

	if (!shale_rw_done(req, &who))
		r = shale_live_rename(shale_rw_live(req), &who, parent, name,
				      strlen(name), new_parent, new_name,
				      strlen(new_name), flags);
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply(req, r, parent);
}

void shale_rw_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		   const char *name)
{
	struct shale_live *live = shale_rw_live(req);
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	struct shale_node node;
	size_t len = strlen(name);

	int r = shale_rw_done(req, &who)
			? shale_live_getattr(live, ino, &node)
			: shale_live_link(live, &who, ino, parent, name, len,
					  &node);
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply_node(req, r, &node, parent);
}

void shale_rw_readlink(fuse_req_t req, fuse_ino_t ino)
{
	cleanup_buf struct shale_buf target = {0};

	int r = shale_live_readlink(shale_rw_live(req), ino, &target);
	const char *text = r == 0 ? shale_buf_str(&target) : NULL;
	if (r < 0 || !text)
		return shale_rw_reply(req, r < 0 ? r : -ENOMEM, ino);
	fuse_reply_readlink(req, text);
}

/* A listing under construction in the receiver's reply buffer. */
struct listing {
	fuse_req_t req;
	char *buf;
	size_t len, room;
	bool plus;
};

static bool add_entry(void *arg, const char *name, size_t len,
		      const struct shale_node *node, uint64_t next)
{
	struct listing *l = arg;
	struct fuse_entry_param e;
	char text[256];
	size_t n;

	memcpy(text, name, len);
	text[len] = '\0';
	shale_rw_entry(node, &e);
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		e.ino = 0; /* no look-up */
	if (l->plus)
		n = fuse_add_direntry_plus(l->req, l->buf + l->len,
					   l->room - l->len, text, &e,
					   (off_t)next);
	else
		n = fuse_add_direntry(l->req, l->buf + l->len, l->room - l->len,
				      text, &e.attr, (off_t)next);
	if (n > l->room - l->len)
		return false;
	l->len += n;
	return true;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 bool plus)
{
	struct listing l = {
		.req = req,
		.buf = (char *)shale_req_receiver(req)->out,
		.room = size < SHALE_FUSE_MAX_IO ? size : SHALE_FUSE_MAX_IO,
		.plus = plus,
	};

	int r = shale_live_readdir(shale_rw_live(req), ino, (uint64_t)off, plus,
				   add_entry, &l);
	/* What came before an error is delivered, the error next time. */
	if (r < 0 && l.len == 0)
		return shale_rw_reply(req, r, ino);
	fuse_reply_buf(req, l.buf, l.len);
}

void shale_rw_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

void shale_rw_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			  off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}
