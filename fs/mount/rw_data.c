/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/rw.h"

#include "fs/mount/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int shale_rw_opened(struct shale_session *s, const struct shale_caller *who,
		    fuse_ino_t ino, uint32_t flags,
		    struct shale_rw_handle *handle)
{
	struct shale_live *live = s->opts.live;
	bool writes = (flags & O_ACCMODE) != O_RDONLY;

	*handle = (struct shale_rw_handle){.keeps = true};
	if (s->opts.passthrough) {
		/* fadvise may have read pages of a file while it was lent. */
		handle->keeps = !shale_live_is_changed(live, ino);
		return shale_live_opened_lent(live, who, ino, writes,
					      &handle->fh, &handle->lent_as);
	}
	int r = shale_live_opened(live, who, ino, &handle->fh);
	if (r == 0 && s->opts.writeback && writes)
		shale_live_writes(live, handle->fh);
	return r;
}

/*
 * The kernel that leaves it to us to take privileges away goes on with the mode
 * that it knows, whatever it sent, and would run a file as its owner for who
 * has just written it.  An earlier daemon may not have come to say so.
 */
static void tell_lost(fuse_req_t req, fuse_ino_t ino, bool lost)
{
	if (lost || shale_raw_resent(shale_req_receiver(req)))
		shale_session_forget_attr(shale_req_session(req), ino);
}

void shale_rw_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct shale_live *live = shale_rw_live(req);
	struct shale_caller who = shale_rw_caller(req);
	struct shale_rw_handle handle;
	struct shale_node node;
	bool lost = false;
	int r = 0;

	who.lost_privileges = &lost;
	if (fi->flags & O_TRUNC && !shale_rw_done(req, &who)) {
		struct shale_set set = {.what = SHALE_SET_SIZE};
		if (shale_raw_kills(shale_req_receiver(req)))
			set.what |= SHALE_SET_KILL_SUIDGID;
		r = shale_live_setattr(live, &who, ino, &set, &node);
	}
	if (r == 0)
		r = shale_rw_opened(shale_req_session(req), &who, ino,
				    (uint32_t)fi->flags, &handle);
	tell_lost(req, ino, lost);
	if (r < 0)
		return shale_rw_reply(req, r, ino);
	if (shale_raw_reply_open(req, &handle) < 0)
		shale_live_released(live, handle.fh); /* nobody will */
}

void shale_rw_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, struct fuse_file_info *fi)
{
	struct shale_live *live = shale_rw_live(req);
	struct shale_stale stale;
	struct shale_caller who = shale_rw_changer(req, &stale);
	struct shale_make what = {.mode = S_IFREG | (mode & 07777)};
	struct shale_rw_handle handle;
	struct shale_node node;

	size_t len = strlen(name);
	int r = shale_rw_done(req, &who)
			? shale_live_lookup(live, parent, name, len, &node)
			: shale_live_make(live, &who, parent, name, len, &what,
					  &node);
	shale_recall(shale_req_session(req), &stale);
	if (r == 0)
		r = shale_rw_opened(shale_req_session(req), &who, node.ino,
				    (uint32_t)fi->flags, &handle);
	if (r < 0)
		return shale_rw_reply(req, r, parent);
	if (shale_raw_reply_create(req, &node, &handle) < 0)
		shale_live_released(live, handle.fh);
}

void shale_rw_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct shale_session *s = shale_req_session(req);
	uint64_t handle = fi->fh;

	(void)ino;
	/* A file that was lent may not be let go of yet. */
	if (s->opts.passthrough)
		shale_receivers_let_go(&s->receivers);
	shale_live_released(s->opts.live, handle);
	fuse_reply_err(req, 0);
}

void shale_rw_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)nlookup;
	shale_live_forgotten(shale_rw_live(req), ino);
	fuse_reply_none(req);
}

void shale_rw_forget_multi(fuse_req_t req, size_t count,
			   struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		shale_live_forgotten(shale_rw_live(req), forgets[i].ino);
	fuse_reply_none(req);
}

void shale_rw_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		   struct fuse_file_info *fi)
{
	struct shale_session *s = shale_req_session(req);
	char *buf = (char *)shale_req_receiver(req)->out;
	struct shale_err err = {0};
	size_t got;

	(void)fi;
	if (size > SHALE_FUSE_MAX_IO)
		size = SHALE_FUSE_MAX_IO;
	int r = shale_live_read(s->opts.live, ino, (uint64_t)off, buf, size,
				&got, &err);
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	fuse_reply_buf(req, buf, got);
}

/* With write-back the kernel sets the times, and tells them. */
static struct shale_caller content_caller(fuse_req_t req,
					  struct shale_stale *stale)
{
	struct shale_caller who = shale_rw_changer(req, stale);

	who.keeps_times = shale_req_session(req)->opts.writeback;
	return who;
}

void shale_rw_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		    size_t size, off_t off, struct fuse_file_info *fi)
{
	struct shale_session *s = shale_req_session(req);
	struct shale_stale stale;
	struct shale_caller who = content_caller(req, &stale);
	struct shale_err err = {0};
	bool lost = false;

	who.err = &err;
	who.lost_privileges = &lost;
	/* After a write(2) the kernel believes nothing of before; its pages
	 * are written back by any thread. */
	who.thread = 0;
	if (!fi->writepage)
		who.stale = NULL;
	int r = shale_live_write(s->opts.live, &who, ino, (uint64_t)off, buf,
				 size,
				 shale_raw_kills(shale_req_receiver(req)));
	tell_lost(req, ino, lost);
	shale_recall(s, &stale);
	if (r < 0)
		return shale_reply_error(req, r, ino, &err);
	fuse_reply_write(req, size);
}

static bool has_privileges(fuse_req_t req, fuse_ino_t ino)
{
	struct shale_live *live = shale_rw_live(req);
	cleanup_buf struct shale_buf caps = {0};
	struct shale_node node;

	return (shale_live_getattr_for(live, (uint32_t)fuse_req_ctx(req)->pid,
				       ino, &node) == 0 &&
		node.mode & (S_ISUID | S_ISGID)) ||
	       shale_live_getxattr(live, ino, "security.capability", &caps) ==
		       0;
}

/*
 * The kernel leaves it to us to clear setuid and setgid, but has no flag in
 * these requests: whoever is not root has no CAP_FSETID.
 */
static bool kills(fuse_req_t req, fuse_ino_t ino)
{
	return has_privileges(req, ino) && !shale_req_is_root(req);
}

void shale_rw_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
			off_t len, struct fuse_file_info *fi)
{
	struct shale_stale stale;
	struct shale_caller who = content_caller(req, &stale);
	struct shale_err err = {0};
	bool lost = false;

	(void)fi;
	who.err = &err;
	who.lost_privileges = &lost;
	int r = shale_live_fallocate(shale_rw_live(req), &who, ino, mode,
				     (uint64_t)off, (uint64_t)len,
				     kills(req, ino));
	tell_lost(req, ino, lost);
	shale_recall(shale_req_session(req), &stale);
	shale_reply_error(req, r, ino, &err);
}

void shale_rw_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off,
			      struct fuse_file_info *src_fi, fuse_ino_t dst,
			      off_t dst_off, struct fuse_file_info *dst_fi,
			      size_t len, int flags)
{
	struct shale_stale stale; /* the kernel knows itself */
	struct shale_caller who = content_caller(req, &stale);
	struct shale_err err = {0};
	bool lost = false;
	uint64_t done;

	(void)src_fi;
	(void)dst_fi;
	if (flags)
		return (void)fuse_reply_err(req, EINVAL);
	who.err = &err;
	who.lost_privileges = &lost;
	/* The reply's count has 32 bits. */
	if (len > 1u << 30)
		len = 1u << 30;
	int r = shale_live_copy(shale_rw_live(req), &who, src,
				(uint64_t)src_off, dst, (uint64_t)dst_off, len,
				kills(req, dst), &done);
	tell_lost(req, dst, lost);
	if (r < 0)
		return shale_reply_error(req, r, dst, &err);
	fuse_reply_write(req, (size_t)done);
}

void shale_rw_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		    struct fuse_file_info *fi)
{
	uint64_t found;

	(void)fi;
	/* The kernel has data that we know nothing of, and does not write it
	 * before it asks: no file has holes, then. */
	if (shale_req_session(req)->opts.writeback)
		return (void)fuse_reply_err(req, ENOSYS);
	int r = shale_live_seek(shale_rw_live(req), ino, (uint64_t)off, whence,
				&found);
	if (r < 0)
		return shale_rw_reply(req, r, ino);
	fuse_reply_lseek(req, (off_t)found);
}

/* Other requests are read while this waits for the disk. */
void shale_rw_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		    struct fuse_file_info *fi)
{
	struct shale_err err = {0};

	(void)fi;
	shale_receivers_let_go(&shale_req_session(req)->receivers);
	int r = shale_live_fsync(shale_rw_live(req), ino, datasync != 0, &err);
	shale_reply_error(req, r, ino, &err);
}
