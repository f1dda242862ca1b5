/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "fs/mount/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static struct shale_live *live_of(fuse_req_t req)
{
	return shale_req_session(req)->opts.live;
}

static struct shale_caller caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	return (struct shale_caller){
		.uid = ctx->uid,
		.gid = ctx->gid,
		.umask = ctx->umask,
		.request = {shale_req_session(req)->opts.connection,
			    shale_raw_unique(shale_req_receiver(req))},
	};
}

static void fill_stat(const struct shale_node *node, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = node->ino;
	st->st_mode = node->mode;
	st->st_nlink = node->nlink;
	st->st_uid = node->uid;
	st->st_gid = node->gid;
	st->st_rdev = makedev(node->rdev_major, node->rdev_minor);
	st->st_size = (off_t)node->size;
	st->st_blksize = 4096;
	st->st_blocks = (blkcnt_t)node->blocks;
	st->st_atim = node->atime;
	st->st_mtim = node->mtime;
	st->st_ctim = node->ctime;
}

static void fill_entry(const struct shale_node *node,
		       struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = node->ino;
	e->generation = node->generation;
	e->entry_timeout = SHALE_TIMEOUT;
	e->attr_timeout = SHALE_TIMEOUT;
	fill_stat(node, &e->attr);
}

static void reply_node(fuse_req_t req, int r, const struct shale_node *node,
		       fuse_ino_t where)
{
	struct fuse_entry_param e;

	if (r < 0)
		return shale_reply_error(req, r, where, NULL);
	fill_entry(node, &e);
	fuse_reply_entry(req, &e);
}

static void reply_done(fuse_req_t req, int r, fuse_ino_t where)
{
	shale_reply_error(req, r, where, NULL);
}

/* ----------------------------------------------------------------- names */

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

static void rw_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_node node;
	size_t len = strlen(name);
	int r;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		r = lookup_dots(live_of(req), parent, len, &node);
	else
		r = shale_live_lookup(live_of(req), parent, name, len, &node);
	if (r == -ENOENT) {
		/* remembered by the kernel, too */
		struct fuse_entry_param e = {.entry_timeout = SHALE_TIMEOUT};
		fuse_reply_entry(req, &e);
		return;
	}
	reply_node(req, r, &node, parent);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name,
		 const struct shale_make *what)
{
	struct shale_caller who = caller(req);
	struct shale_node node;

	int r = shale_live_make(live_of(req), &who, parent, name, strlen(name),
				what, &node);
	reply_node(req, r, &node, parent);
}

static void rw_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	struct shale_make what = {.mode = mode,
				  .rdev_major = major(rdev),
				  .rdev_minor = minor(rdev)};
	make(req, parent, name, &what);
}

static void rw_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	struct shale_make what = {.mode = S_IFDIR | (mode & 07777)};
	make(req, parent, name, &what);
}

static void rw_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	struct shale_make what = {.mode = S_IFLNK | 0777,
				  .target = target,
				  .target_len = strlen(target)};
	make(req, parent, name, &what);
}

static void rw_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_caller who = caller(req);
	reply_done(req,
		   shale_live_unlink(live_of(req), &who, parent, name,
				     strlen(name)),
		   parent);
}

static void rw_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct shale_caller who = caller(req);
	reply_done(req,
		   shale_live_rmdir(live_of(req), &who, parent, name,
				    strlen(name)),
		   parent);
}

static void rw_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	struct shale_caller who = caller(req);
	reply_done(req,
		   shale_live_rename(live_of(req), &who, parent, name,
				     strlen(name), new_parent, new_name,
				     strlen(new_name), flags),
		   parent);
}

static void rw_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		    const char *name)
{
	struct shale_caller who = caller(req);
	struct shale_node node;

	int r = shale_live_link(live_of(req), &who, ino, parent, name,
				strlen(name), &node);
	reply_node(req, r, &node, parent);
}

static void rw_readlink(fuse_req_t req, fuse_ino_t ino)
{
	cleanup_buf struct shale_buf target = {0};

	int r = shale_live_readlink(live_of(req), ino, &target);
	const char *text = r == 0 ? shale_buf_str(&target) : NULL;
	if (r < 0 || !text)
		return reply_done(req, r < 0 ? r : -ENOMEM, ino);
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
	fill_entry(node, &e);
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

	int r = shale_live_readdir(live_of(req), ino, (uint64_t)off, plus,
				   add_entry, &l);
	/* What came before an error is delivered, the error next time. */
	if (r < 0 && l.len == 0)
		return reply_done(req, r, ino);
	fuse_reply_buf(req, l.buf, l.len);
}

static void rw_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void rw_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

/* ------------------------------------------------------------ attributes */

static void reply_attr(fuse_req_t req, int r, const struct shale_node *node,
		       fuse_ino_t ino)
{
	struct stat st;

	if (r < 0)
		return reply_done(req, r, ino);
	fill_stat(node, &st);
	fuse_reply_attr(req, &st, SHALE_TIMEOUT);
}

static void rw_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct shale_node node;

	(void)fi;
	reply_attr(req, shale_live_getattr(live_of(req), ino, &node), &node,
		   ino);
}

static const struct {
	int from;
	unsigned to;
} set_bits[] = {
	{FUSE_SET_ATTR_MODE, SHALE_SET_MODE},
	{FUSE_SET_ATTR_UID, SHALE_SET_UID},
	{FUSE_SET_ATTR_GID, SHALE_SET_GID},
	{FUSE_SET_ATTR_SIZE, SHALE_SET_SIZE},
	{FUSE_SET_ATTR_ATIME, SHALE_SET_ATIME},
	{FUSE_SET_ATTR_MTIME, SHALE_SET_MTIME},
	{FUSE_SET_ATTR_CTIME, SHALE_SET_CTIME},
};

static void rw_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	struct shale_caller who = caller(req);
	struct shale_node node;
	struct timespec now;
	struct shale_set set = {
		.mode = attr->st_mode & 07777,
		.uid = attr->st_uid,
		.gid = attr->st_gid,
		.size = (uint64_t)attr->st_size,
		.atime = attr->st_atim,
		.mtime = attr->st_mtim,
		.ctime = attr->st_ctim,
	};

	(void)fi;
	for (size_t i = 0; i < sizeof(set_bits) / sizeof(*set_bits); i++)
		if (to_set & set_bits[i].from)
			set.what |= set_bits[i].to;
	clock_gettime(CLOCK_REALTIME, &now);
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		set.atime = now;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		set.mtime = now;
	if (shale_raw_kills(shale_req_receiver(req)))
		set.what |= SHALE_SET_KILL_SUIDGID;
	int r = shale_live_setattr(live_of(req), &who, ino, &set, &node);
	reply_attr(req, r, &node, ino);
}

static void rw_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	cleanup_buf struct shale_buf value = {0};

	int r = shale_live_getxattr(live_of(req), ino, name, &value);
	if (r < 0)
		return reply_done(req, r, ino);
	shale_reply_xattr(req, &value, size);
}

static void rw_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_buf struct shale_buf names = {0};

	int r = shale_live_listxattr(live_of(req), ino, &names);
	if (r < 0)
		return reply_done(req, r, ino);
	shale_reply_xattr(req, &names, size);
}

static void rw_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	struct shale_caller who = caller(req);
	reply_done(req,
		   shale_live_setxattr(live_of(req), &who, ino, name, value,
				       size, flags),
		   ino);
}

static void rw_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct shale_caller who = caller(req);
	reply_done(req, shale_live_removexattr(live_of(req), &who, ino, name),
		   ino);
}

static void rw_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct shale_live_counts counts;
	struct statvfs host,
		st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};

	int r = shale_live_counts(live_of(req), &counts);
	if (r == 0 && fstatvfs(shale_req_session(req)->opts.space, &host) < 0)
		r = -errno;
	if (r < 0)
		return reply_done(req, r, ino);
	uint64_t unit = host.f_frsize ? host.f_frsize : 4096;
	st.f_bfree = (fsblkcnt_t)(host.f_bfree * unit / 4096);
	st.f_bavail = (fsblkcnt_t)(host.f_bavail * unit / 4096);
	st.f_blocks = (counts.bytes + 4095) / 4096 + st.f_bfree;
	st.f_ffree = st.f_favail = UINT32_MAX;
	st.f_files = counts.inodes + st.f_ffree;
	fuse_reply_statfs(req, &st);
}

/* --------------------------------------------------------------- content */

static void set_open(struct fuse_file_info *fi, uint64_t handle)
{
	fi->fh = handle;
	fi->keep_cache = 1;
	fi->noflush = 1;
}

static void rw_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct shale_live *live = live_of(req);
	struct shale_caller who = caller(req);
	struct shale_node node;
	uint64_t handle;
	int r = 0;

	if (fi->flags & O_TRUNC) {
		struct shale_set set = {.what = SHALE_SET_SIZE};
		if (shale_raw_kills(shale_req_receiver(req)))
			set.what |= SHALE_SET_KILL_SUIDGID;
		r = shale_live_setattr(live, &who, ino, &set, &node);
	}
	if (r == 0)
		r = shale_live_opened(live, &who, ino, &handle);
	if (r < 0)
		return reply_done(req, r, ino);
	set_open(fi, handle);
	if (fuse_reply_open(req, fi) < 0)
		shale_live_released(live, handle); /* nobody will */
}

static void rw_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct shale_live *live = live_of(req);
	struct shale_caller who = caller(req);
	struct shale_make what = {.mode = S_IFREG | (mode & 07777)};
	struct fuse_entry_param e;
	struct shale_node node;
	uint64_t handle;

	int r = shale_live_make(live, &who, parent, name, strlen(name), &what,
				&node);
	if (r == 0)
		r = shale_live_opened(live, &who, node.ino, &handle);
	if (r < 0)
		return reply_done(req, r, parent);
	fill_entry(&node, &e);
	set_open(fi, handle);
	if (fuse_reply_create(req, &e, fi) < 0)
		shale_live_released(live, handle);
}

static void rw_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	shale_live_released(live_of(req), fi->fh);
	fuse_reply_err(req, 0);
}

static void rw_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)nlookup;
	shale_live_forgotten(live_of(req), ino);
	fuse_reply_none(req);
}

static void rw_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		shale_live_forgotten(live_of(req), forgets[i].ino);
	fuse_reply_none(req);
}

static void rw_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct shale_session *s = shale_req_session(req);
	char *buf = (char *)shale_req_receiver(req)->out;
	size_t got;

	(void)fi;
	if (size > SHALE_FUSE_MAX_IO)
		size = SHALE_FUSE_MAX_IO;
	int r = shale_live_read(s->opts.live, ino, (uint64_t)off, buf, size,
				&got);
	if (r < 0)
		return reply_done(req, r, ino);
	atomic_fetch_add_explicit(&s->bytes_read, got, memory_order_relaxed);
	fuse_reply_buf(req, buf, got);
}

static void rw_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct shale_session *s = shale_req_session(req);
	struct shale_caller who = caller(req);

	(void)fi;
	int r = shale_live_write(s->opts.live, &who, ino, (uint64_t)off, buf,
				 size,
				 shale_raw_kills(shale_req_receiver(req)));
	if (r < 0)
		return reply_done(req, r, ino);
	atomic_fetch_add_explicit(&s->bytes_written, size,
				  memory_order_relaxed);
	fuse_reply_write(req, size);
}

static void rw_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
			 off_t len, struct fuse_file_info *fi)
{
	struct shale_caller who = caller(req);

	(void)fi;
	reply_done(req,
		   shale_live_fallocate(live_of(req), &who, ino, mode,
					(uint64_t)off, (uint64_t)len),
		   ino);
}

static void rw_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off,
			       struct fuse_file_info *src_fi, fuse_ino_t dst,
			       off_t dst_off, struct fuse_file_info *dst_fi,
			       size_t len, int flags)
{
	struct shale_caller who = caller(req);
	uint64_t done;

	(void)src_fi;
	(void)dst_fi;
	if (flags)
		return (void)fuse_reply_err(req, EINVAL);
	/* The reply's count has 32 bits. */
	if (len > 1u << 30)
		len = 1u << 30;
	int r = shale_live_copy(live_of(req), &who, src, (uint64_t)src_off, dst,
				(uint64_t)dst_off, len, &done);
	if (r < 0)
		return reply_done(req, r, dst);
	fuse_reply_write(req, (size_t)done);
}

static void rw_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	uint64_t found;

	(void)fi;
	int r = shale_live_seek(live_of(req), ino, (uint64_t)off, whence,
				&found);
	if (r < 0)
		return reply_done(req, r, ino);
	fuse_reply_lseek(req, (off_t)found);
}

/*
 * Flushing leaves the receivers: several at once then share one flush, and
 * other requests do not wait for the disk.
 */
struct sync_job {
	fuse_req_t req;
	fuse_ino_t ino;
	bool datasync;
};

static void run_sync(void *arg)
{
	struct sync_job *job = arg;
	int r = shale_live_fsync(live_of(job->req), job->ino, job->datasync);
	reply_done(job->req, r, job->ino);
	free(job);
}

static void rw_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	struct sync_job *job = malloc(sizeof(*job));

	(void)fi;
	if (!job)
		return (void)fuse_reply_err(req, ENOMEM);
	*job = (struct sync_job){req, ino, datasync != 0};
	shale_pool_add(shale_req_session(req)->pool, run_sync, job);
}

const struct fuse_lowlevel_ops shale_rw_ops = {
	.init = shale_op_init,
	.lookup = rw_lookup,
	.forget = rw_forget,
	.forget_multi = rw_forget_multi,
	.getattr = rw_getattr,
	.setattr = rw_setattr,
	.readlink = rw_readlink,
	.mknod = rw_mknod,
	.mkdir = rw_mkdir,
	.unlink = rw_unlink,
	.rmdir = rw_rmdir,
	.symlink = rw_symlink,
	.rename = rw_rename,
	.link = rw_link,
	.open = rw_open,
	.create = rw_create,
	.read = rw_read,
	.write = rw_write,
	.flush = shale_op_flush,
	.release = rw_release,
	.fsync = rw_fsync,
	.fsyncdir = rw_fsync,
	.opendir = shale_op_opendir,
	.readdir = rw_readdir,
	.readdirplus = rw_readdirplus,
	.getxattr = rw_getxattr,
	.setxattr = rw_setxattr,
	.listxattr = rw_listxattr,
	.removexattr = rw_removexattr,
	.statfs = rw_statfs,
	.fallocate = rw_fallocate,
	.copy_file_range = rw_copy_file_range,
	.lseek = rw_lseek,
	.ioctl = shale_op_ioctl,
};
