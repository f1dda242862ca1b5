/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void fill_stat(const struct shale_forest_node *node, struct stat *st)
{
	const struct shale_attr *a = &node->attr;

	memset(st, 0, sizeof(*st));
	st->st_ino = node->id;
	st->st_mode = a->mode;
	st->st_nlink = a->nlink;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = makedev(a->rdev_major, a->rdev_minor);
	st->st_size = (off_t)a->size;
	st->st_blksize = 4096;
	st->st_blocks = (blkcnt_t)node->blocks;
	st->st_atim = st->st_mtim = st->st_ctim = a->mtime;
}

static void fill_entry(const struct shale_forest_node *node,
		       struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = node->id;
	e->entry_timeout = node->changes ? SHALE_TIMEOUT_SHORT : SHALE_TIMEOUT;
	e->attr_timeout = e->entry_timeout;
	fill_stat(node, &e->attr);
}

static struct shale_forest *forest_of(fuse_req_t req)
{
	return shale_req_session(req)->opts.forest;
}

/* Is this directory made up, above the images? */
static bool is_made_up(fuse_req_t req, fuse_ino_t dir)
{
	return shale_req_session(req)->opts.slow_lookups &&
	       shale_node_tree(dir) == 0;
}

/* NULL: all that this directory's listing names has an inode. */
static struct shale_lean *lean_of(fuse_req_t req, fuse_ino_t dir)
{
	return is_made_up(req, dir) ? NULL : shale_req_session(req)->lean;
}

/* A name that is not there is remembered by the kernel, too. */
static void reply_absent(fuse_req_t req, fuse_ino_t parent)
{
	struct fuse_entry_param e = {
		.entry_timeout = is_made_up(req, parent) ? SHALE_TIMEOUT_SHORT
							 : SHALE_TIMEOUT,
	};
	fuse_reply_entry(req, &e);
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_forest_node node;
	struct shale_err err = {0};
	struct fuse_entry_param e;

	int r = shale_forest_lookup(forest_of(req), parent, name, strlen(name),
				    &node, &err);
	if (r == -ENOENT)
		return reply_absent(req, parent);
	if (r < 0)
		return shale_reply_error(req, r, parent, &err);
	if (!S_ISDIR(node.attr.mode))
		shale_lean_looked(lean_of(req, parent), parent, node.id);
	fill_entry(&node, &e);
	fuse_reply_entry(req, &e);
}

/* What may open an image is waited for without the receiver. */
static void slow_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	char own[256];

	if (strlen(name) >= sizeof(own))
		return (void)fuse_reply_err(req, ENAMETOOLONG);
	memcpy(own, name, strlen(name) + 1);
	shale_receivers_let_go(&shale_req_session(req)->receivers);
	do_lookup(req, parent, own);
}

static void ro_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_made_up(req, parent))
		slow_lookup(req, parent, name);
	else
		do_lookup(req, parent, name);
}

static void ro_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct shale_forest_node node;
	struct shale_err err = {0};
	struct stat st;

	(void)fi;
	int r = shale_forest_getattr(forest_of(req), ino, &node, &err);
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	fill_stat(&node, &st);
	fuse_reply_attr(req, &st,
			node.changes ? SHALE_TIMEOUT_SHORT : SHALE_TIMEOUT);
}

static void ro_readlink(fuse_req_t req, fuse_ino_t ino)
{
	cleanup_buf struct shale_buf target = {0};
	struct shale_err err = {0};

	int r = shale_forest_readlink(forest_of(req), ino, &target, &err);
	const char *text = r == 0 ? shale_buf_str(&target) : NULL;
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	if (!text)
		return (void)fuse_reply_err(req, ENOMEM);
	fuse_reply_readlink(req, text);
}

static void ro_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS); /* no more of them; pages are kept */
}

/* A listing under construction in the receiver's reply buffer. */
struct listing {
	fuse_req_t req;
	char *buf;
	size_t len, room;
	bool plus;
	bool probe;     /* the next file is to be one */
	uint64_t files; /* so far */
	uint64_t left_out;
};

/* Does the kernel get an inode with this entry? */
static bool with_inode(struct listing *l, const struct shale_forest_node *node,
		       bool filled)
{
	if (S_ISDIR(node->attr.mode))
		return filled;
	l->files++;
	if (!l->probe)
		return filled;
	l->probe = false;
	l->left_out = node->id;
	return false;
}

static bool add_entry(void *arg, const char *name, size_t len,
		      const struct shale_forest_node *node, bool filled,
		      uint64_t next)
{
	struct listing *l = arg;
	struct fuse_entry_param e;
	char text[256];
	size_t n;

	memcpy(text, name, len);
	text[len] = '\0';
	fill_entry(node, &e);
	if (!with_inode(l, node, filled))
		e.ino = 0; /* the kernel then looks it up when it needs it */
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
	struct shale_lean *lean = plus ? lean_of(req, ino) : NULL;
	uint32_t reader = (uint32_t)fuse_req_ctx(req)->pid;
	struct shale_lean_plan plan =
		shale_lean_begin(lean, reader, ino, (uint64_t)off);
	enum shale_listing what = !plus       ? SHALE_LIST_NAMES
				  : plan.lean ? SHALE_LIST_DIRS
					      : SHALE_LIST_ALL;
	struct shale_err err = {0};
	struct listing l = {
		.req = req,
		.buf = (char *)shale_req_receiver(req)->out,
		.room = size < SHALE_FUSE_MAX_IO ? size : SHALE_FUSE_MAX_IO,
		.plus = plus,
		.probe = plan.probe,
	};

	int r = shale_forest_readdir(forest_of(req), ino, (uint64_t)off, what,
				     add_entry, &l, &err);
	shale_lean_end(lean, reader, l.files, l.left_out);
	/* What came before an error is delivered, the error next time. */
	if (r < 0 && l.len == 0)
		return shale_reply_error(req, r, ino, &err);
	fuse_reply_buf(req, l.buf, l.len);
}

static void ro_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void ro_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

static void ro_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct shale_session *s = shale_req_session(req);
	void *room = shale_req_receiver(req)->out;
	struct shale_err err = {0};
	struct shale_view view;

	(void)fi;
	if (size > SHALE_FUSE_MAX_IO)
		size = SHALE_FUSE_MAX_IO;
	if (off == 0)
		shale_lean_read(s->lean);
	shale_view_init(&view);
	int r = shale_forest_read(s->opts.forest, ino, (uint64_t)off, room,
				  size, &view, &err);
	if (r < 0)
		shale_reply_error(req, r, ino, &err);
	else
		fuse_reply_iov(req, view.part, view.n);
	shale_view_release(&view);
}

static void ro_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct shale_err err = {0};
	uint64_t found;

	(void)fi;
	int r = shale_forest_seek(forest_of(req), ino, (uint64_t)off,
				  whence == SEEK_DATA, &found, &err);
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	fuse_reply_lseek(req, (off_t)found);
}

static void ro_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_err err = {0};

	if (!shale_forest_has_xattrs(forest_of(req)))
		return (void)fuse_reply_err(req, ENOSYS); /* no more of them */
	int r = shale_forest_getxattr(forest_of(req), ino, name, &value, &err);
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	shale_reply_xattr(req, &value, size);
}

static void ro_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_buf struct shale_buf names = {0};
	struct shale_err err = {0};

	int r = shale_forest_listxattr(forest_of(req), ino, &names, &err);
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	shale_reply_names(req, &names, size);
}

static void ro_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
	uint64_t inodes, bytes;

	(void)ino;
	shale_forest_totals(forest_of(req), &inodes, &bytes);
	st.f_files = inodes;
	st.f_blocks = (bytes + 4095) / 4096;
	fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops shale_ro_ops = {
	.init = shale_op_init,
	.lookup = ro_lookup,
	.getattr = ro_getattr,
	.readlink = ro_readlink,
	.open = ro_open,
	.read = ro_read,
	.flush = shale_op_flush,
	.opendir = shale_op_opendir,
	.readdir = ro_readdir,
	.readdirplus = ro_readdirplus,
	.lseek = ro_lseek,
	.getxattr = ro_getxattr,
	.listxattr = ro_listxattr,
	.statfs = ro_statfs,
	.ioctl = shale_op_ioctl,
};
