/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/rw.h"

#include "fs/mount/raw.h"
#include "fs/mount/standing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

struct shale_live *shale_rw_live(fuse_req_t req)
{
	return shale_req_session(req)->opts.live;
}

static bool keeps_setgid(void *arg, uint32_t gid)
{
	return shale_standing_keeps_setgid(fuse_req_ctx(arg)->pid, gid);
}

struct shale_caller shale_rw_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	return (struct shale_caller){
		.uid = ctx->uid,
		.gid = ctx->gid,
		.umask = ctx->umask,
		.request = {shale_req_session(req)->opts.greeting->connection,
			    shale_raw_unique(shale_req_receiver(req))},
		.keeps_setgid = keeps_setgid,
		.arg = req,
	};
}

struct shale_caller shale_rw_changer(fuse_req_t req, struct shale_stale *stale)
{
	struct shale_caller who = shale_rw_caller(req);

	stale->n = 0;
	who.stale = stale;
	who.thread = (uint32_t)fuse_req_ctx(req)->pid;
	return who;
}

bool shale_rw_done(fuse_req_t req, const struct shale_caller *who)
{
	const struct shale_receiver *r = shale_req_receiver(req);

	if (!shale_raw_resent(r) ||
	    !shale_live_answered(shale_rw_live(req), who))
		return false;
	if (who->stale)
		who->stale->ino[who->stale->n++] = shale_raw_node(r);
	return true;
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

void shale_rw_entry(const struct shale_node *node, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = node->ino;
	e->generation = node->generation;
	e->entry_timeout = SHALE_TIMEOUT;
	e->attr_timeout = SHALE_TIMEOUT;
	fill_stat(node, &e->attr);
}

void shale_rw_reply_node(fuse_req_t req, int r, const struct shale_node *node,
			 fuse_ino_t where)
{
	struct fuse_entry_param e;

	if (r < 0)
		return shale_reply_error(req, r, where, NULL);
	shale_rw_entry(node, &e);
	fuse_reply_entry(req, &e);
}

void shale_rw_reply(fuse_req_t req, int r, fuse_ino_t where)
{
	shale_reply_error(req, r, where, NULL);
}

static void reply_attr(fuse_req_t req, int r, const struct shale_node *node,
		       fuse_ino_t ino, const struct shale_err *err)
{
	struct stat st;

	if (r < 0)
		return shale_reply_error(req, r, ino, err);
	fill_stat(node, &st);
	fuse_reply_attr(req, &st, SHALE_TIMEOUT);
}

static void rw_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct shale_node node;

	(void)fi;
	int r = shale_live_getattr_for(shale_rw_live(req),
				       (uint32_t)fuse_req_ctx(req)->pid, ino,
				       &node);
	reply_attr(req, r, &node, ino, NULL);
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
	{FUSE_SET_ATTR_ATIME_NOW, SHALE_SET_ATIME_NOW},
	{FUSE_SET_ATTR_MTIME_NOW, SHALE_SET_MTIME_NOW},
};

/*
 * The times of a file that has gone, which the kernel kept and writes down when
 * it lets go of the inode.  Nobody sees them; an error would be told to who
 * calls syncfs.
 */
static bool is_last_word(const struct shale_session *s, int r, int to_set)
{
	const int times = FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME;

	return s->opts.writeback && r == -ESTALE && !(to_set & ~times);
}

/*
 * Before the kernel writes to a file that is lent it has us take setuid and
 * setgid away from it: it asks to set nothing.
 */
static bool before_lent_write(fuse_req_t req, int to_set)
{
	return shale_req_session(req)->opts.passthrough && !to_set &&
	       !shale_req_is_root(req);
}

static void rw_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	struct shale_caller who = shale_rw_caller(req);
	struct shale_err err = {0};
	struct shale_node node;
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
	if (shale_raw_kills(shale_req_receiver(req)) ||
	    before_lent_write(req, to_set))
		set.what |= SHALE_SET_KILL_SUIDGID;
	who.err = &err;
	/* A size that is set again changes no time that the kernel keeps. */
	who.keeps_times = shale_req_session(req)->opts.writeback;
	struct shale_live *live = shale_rw_live(req);
	int r = shale_rw_done(req, &who)
			? shale_live_getattr(live, ino, &node)
			: shale_live_setattr(live, &who, ino, &set, &node);
	if (is_last_word(shale_req_session(req), r, to_set)) {
		node = (struct shale_node){.ino = ino, .mode = S_IFREG};
		r = 0;
	}
	reply_attr(req, r, &node, ino, &err);
}

static void rw_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	cleanup_buf struct shale_buf value = {0};

	int r = shale_live_getxattr(shale_rw_live(req), ino, name, &value);
	if (r < 0)
		return shale_rw_reply(req, r, ino);
	shale_reply_xattr(req, &value, size);
}

static void rw_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_buf struct shale_buf names = {0};

	int r = shale_live_listxattr(shale_rw_live(req), ino, &names);
	if (r < 0)
		return shale_rw_reply(req, r, ino);
	shale_reply_names(req, &names, size);
}

static void rw_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	int r = 0;

	if (!shale_rw_done(req, &who))
		r = shale_live_setxattr(shale_rw_live(req), &who, ino, name,
					value, size, flags,
					shale_req_receiver(req)->kill_sgid);
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply(req, r, ino);
}

static void rw_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	int r = 0;

	if (!shale_rw_done(req, &who))
		r = shale_live_removexattr(shale_rw_live(req), &who, ino, name);
	shale_recall(shale_req_session(req), &stale);
	shale_rw_reply(req, r, ino);
}

static uint64_t left_of(uint64_t quota, uint64_t used)
{
	return quota > used ? quota - used : 0;
}

/*
 * With a quota that is what there is, and what counts against it is what is
 * used; what is available is no more than the disk has.
 */
static void show_quota(const struct shale_live_counts *c, struct statvfs *st)
{
	uint64_t bytes = left_of(c->quota_bytes, c->used_bytes);

	if (c->quota_bytes) {
		st->f_blocks = c->quota_bytes / 4096;
		st->f_bfree = bytes / 4096;
		if (st->f_bavail > st->f_bfree)
			st->f_bavail = st->f_bfree;
	}
	if (c->quota_inodes) {
		st->f_files = c->quota_inodes;
		st->f_ffree = left_of(c->quota_inodes, c->used_inodes);
		st->f_favail = st->f_ffree;
	}
}

static void rw_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct shale_live_counts counts;
	struct statvfs host,
		st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};

	int r = shale_live_counts(shale_rw_live(req), &counts);
	if (r == 0 && fstatvfs(shale_req_session(req)->opts.space, &host) < 0)
		r = -errno;
	if (r < 0)
		return shale_rw_reply(req, r, ino);
	uint64_t unit = host.f_frsize ? host.f_frsize : 4096;
	st.f_bfree = (fsblkcnt_t)(host.f_bfree * unit / 4096);
	st.f_bavail = (fsblkcnt_t)(host.f_bavail * unit / 4096);
	st.f_blocks = (counts.bytes + 4095) / 4096 + st.f_bfree;
	st.f_ffree = st.f_favail = UINT32_MAX;
	st.f_files = counts.inodes + st.f_ffree;
	show_quota(&counts, &st);
	fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops shale_rw_ops = {
	.init = shale_op_init,
	.lookup = shale_rw_lookup,
	.forget = shale_rw_forget,
	.forget_multi = shale_rw_forget_multi,
	.getattr = rw_getattr,
	.setattr = rw_setattr,
	.readlink = shale_rw_readlink,
	.mknod = shale_rw_mknod,
	.mkdir = shale_rw_mkdir,
	.unlink = shale_rw_unlink,
	.rmdir = shale_rw_rmdir,
	.symlink = shale_rw_symlink,
	.rename = shale_rw_rename,
	.link = shale_rw_link,
	.open = shale_rw_open,
	.create = shale_rw_create,
	.read = shale_rw_read,
	.write = shale_rw_write,
	.flush = shale_op_flush,
	.release = shale_rw_release,
	.fsync = shale_rw_fsync,
	.fsyncdir = shale_rw_fsync,
	.opendir = shale_op_opendir,
	.readdir = shale_rw_readdir,
	.readdirplus = shale_rw_readdirplus,
	.getxattr = rw_getxattr,
	.setxattr = rw_setxattr,
	.listxattr = rw_listxattr,
	.removexattr = rw_removexattr,
	.statfs = rw_statfs,
	.fallocate = shale_rw_fallocate,
	.copy_file_range = shale_rw_copy_file_range,
	.lseek = shale_rw_lseek,
	.ioctl = shale_op_ioctl,
};
