/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_RW_H
#define SHALE_MOUNT_RW_H

/*
 * Private to the callbacks of a writable mount: rw.c (attributes, and the table
 * of all), rw_names.c, rw_data.c.
 */

#include "fs/mount/ops.h"
#include "fs/mount/recall.h"

struct shale_live *shale_rw_live(fuse_req_t req);
/* Who asks, and the request's key. */
struct shale_caller shale_rw_caller(fuse_req_t req);
/*
 * The same for what the kernel is to be told of in another way than by the
 * answer: `stale` is filled in, and is for shale_recall() before it is given.
 */
struct shale_caller shale_rw_changer(fuse_req_t req, struct shale_stale *stale);
void shale_rw_entry(const struct shale_node *node, struct fuse_entry_param *e);

/* Take a handle for an open with these flags of open(2). */
struct shale_rw_handle {
	uint64_t fh;
	uint32_t lent_as; /* the kernel reads and writes the data file; or 0 */
	bool keeps;       /* pages that the kernel has are good */
};
int shale_rw_opened(struct shale_session *s, const struct shale_caller *who,
		    fuse_ino_t ino, uint32_t flags,
		    struct shale_rw_handle *handle);

/* Has a daemon that died done this already?  Then only its answer is missing,
 * and what is stale of the node that the request names first. */
bool shale_rw_done(fuse_req_t req, const struct shale_caller *who);

/* Reply with a node, or with an error: `where` is what it happened to. */
void shale_rw_reply_node(fuse_req_t req, int r, const struct shale_node *node,
			 fuse_ino_t where);
/* Reply with 0 or an error. */
void shale_rw_reply(fuse_req_t req, int r, fuse_ino_t where);

void shale_rw_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void shale_rw_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		    mode_t mode, dev_t rdev);
void shale_rw_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		    mode_t mode);
void shale_rw_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		      const char *name);
void shale_rw_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void shale_rw_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void shale_rw_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		     fuse_ino_t new_parent, const char *new_name,
		     unsigned flags);
void shale_rw_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		   const char *name);
void shale_rw_readlink(fuse_req_t req, fuse_ino_t ino);
void shale_rw_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi);
void shale_rw_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			  off_t off, struct fuse_file_info *fi);
void shale_rw_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void shale_rw_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, struct fuse_file_info *fi);
void shale_rw_release(fuse_req_t req, fuse_ino_t ino,
		      struct fuse_file_info *fi);
void shale_rw_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void shale_rw_forget_multi(fuse_req_t req, size_t count,
			   struct fuse_forget_data *forgets);
void shale_rw_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		   struct fuse_file_info *fi);
void shale_rw_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		    size_t size, off_t off, struct fuse_file_info *fi);
void shale_rw_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
			off_t len, struct fuse_file_info *fi);
void shale_rw_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off,
			      struct fuse_file_info *src_fi, fuse_ino_t dst,
			      off_t dst_off, struct fuse_file_info *dst_fi,
			      size_t len, int flags);
void shale_rw_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		    struct fuse_file_info *fi);
void shale_rw_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		    struct fuse_file_info *fi);

#endif
