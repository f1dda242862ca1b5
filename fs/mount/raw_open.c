/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "fs/mount/raw.h"
#include "fs/mount/rw.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Answers to opens that libfuse cannot give, and what they need. */

/* --------------------------------------------------- files that are lent */

/* Linux 6.9, newer than the header. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)
enum { OPENED_PASSTHROUGH = 1 << 7 }; /* FOPEN_PASSTHROUGH */

int shale_raw_backing_open(int fuse, int fd, uint32_t *id)
{
	struct backing_map map = {.fd = fd};
	int r = ioctl(fuse, BACKING_OPEN, &map);

	if (r < 0)
		return errno == ENOTTY ? -EOPNOTSUPP : -errno;
	*id = (uint32_t)r;
	return r > 0 ? 0 : -EPROTO;
}

void shale_raw_backing_close(int fuse, uint32_t id)
{
	(void)ioctl(fuse, BACKING_CLOSE, &id);
}

/* Where the header has padding stands what the data file is called. */
static struct fuse_open_out lent(const struct shale_rw_handle *handle)
{
	struct fuse_open_out out = {
		.fh = handle->fh,
		.open_flags = OPENED_PASSTHROUGH | FOPEN_NOFLUSH,
	};

	static_assert(sizeof(out.padding) == sizeof(handle->lent_as) &&
			      sizeof(out) == 16,
		      "backing_id, as of Linux 6.9");
	memcpy(&out.padding, &handle->lent_as, sizeof(out.padding));
	return out;
}

static struct fuse_open_out opened(const struct shale_rw_handle *handle)
{
	if (handle->lent_as)
		return lent(handle);
	return (struct fuse_open_out){
		.fh = handle->fh,
		.open_flags = FOPEN_NOFLUSH |
			      (handle->keeps ? FOPEN_KEEP_CACHE : 0),
	};
}

static void fill_attr(struct fuse_attr *a, const struct shale_node *node)
{
	*a = (struct fuse_attr){
		.ino = node->ino,
		.size = node->size,
		.blocks = node->blocks,
		.atime = (uint64_t)node->atime.tv_sec,
		.mtime = (uint64_t)node->mtime.tv_sec,
		.ctime = (uint64_t)node->ctime.tv_sec,
		.atimensec = (uint32_t)node->atime.tv_nsec,
		.mtimensec = (uint32_t)node->mtime.tv_nsec,
		.ctimensec = (uint32_t)node->ctime.tv_nsec,
		.mode = node->mode,
		.nlink = node->nlink,
		.uid = node->uid,
		.gid = node->gid,
		.blksize = 4096,
	};
}

/* What CREATE and TMPFILE are answered. */
struct created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static void fill_created(struct created *out, const struct shale_node *node,
			 const struct shale_rw_handle *handle)
{
	*out = (struct created){
		.entry =
			{
				.nodeid = node->ino,
				.generation = node->generation,
				.entry_valid = (uint64_t)SHALE_TIMEOUT,
				.attr_valid = (uint64_t)SHALE_TIMEOUT,
			},
		.open = opened(handle),
	};
	fill_attr(&out->entry.attr, node);
}

int shale_raw_reply_open(fuse_req_t req, const struct shale_rw_handle *handle)
{
	struct fuse_open_out out = opened(handle);

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

int shale_raw_reply_create(fuse_req_t req, const struct shale_node *node,
			   const struct shale_rw_handle *handle)
{
	struct created out;

	fill_created(&out, node, handle);
	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/* ---------------------------------------------------------- O_TMPFILE */

struct tmpfile_reply {
	struct fuse_out_header head;
	struct created created;
};

static int make_tmpfile(struct shale_receiver *r, struct tmpfile_reply *reply)
{
	struct shale_session *s = r->session;
	const struct fuse_in_header *head = shale_raw_header(r);
	const struct fuse_create_in *in = shale_raw_body(r, sizeof(*in));
	struct shale_rw_handle handle;
	struct shale_node node;

	if (!in)
		return -EIO;
	struct shale_caller who = {
		.uid = head->uid,
		.gid = head->gid,
		.umask = in->umask,
		.request = {s->opts.greeting->connection, shale_raw_unique(r)},
	};
	int ret = shale_live_tmpfile(s->opts.live, &who, head->nodeid,
				     S_IFREG | (in->mode & 07777), &node);
	if (ret == 0)
		ret = shale_rw_opened(s, &who, node.ino, in->flags, &handle);
	if (ret == 0)
		fill_created(&reply->created, &node, &handle);
	return ret;
}

bool shale_raw_handle(struct shale_receiver *r)
{
	struct shale_session *s = r->session;
	struct tmpfile_reply reply = {0};

	if (r->len < sizeof(struct fuse_in_header) ||
	    shale_raw_header(r)->opcode != FUSE_TMPFILE || !s->opts.live)
		return false;
	int ret = make_tmpfile(r, &reply);
	reply.head.unique = shale_raw_header(r)->unique;
	reply.head.error = ret == -EUCLEAN ? -EIO : ret;
	reply.head.len = ret < 0 ? sizeof(reply.head) : sizeof(reply);
	struct iovec iov = {&reply, reply.head.len};
	/* An error here means that the caller has gone. */
	ssize_t n = writev(s->opts.fd, &iov, 1);
	(void)n;
	shale_op_answered(s, &iov, 1);
	return true;
}
