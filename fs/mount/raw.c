/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "fs/mount/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux 6.9, newer than the header: a resent request's key has a bit set. */
#define RESENT (UINT64_C(1) << 63)
enum {
	PASSTHROUGH = 1 << 5, /* FUSE_PASSTHROUGH, of flags2 */
	HAS_RESEND = 1 << 7,  /* FUSE_HAS_RESEND, of flags2 */
	ALLOW_IDMAP = 1 << 8, /* FUSE_ALLOW_IDMAP, of flags2; Linux 6.12 */
	NOTIFY_RESEND = 7,    /* FUSE_NOTIFY_RESEND */
};

/* INIT's answer as of Linux 6.9: data files lie on no stacked file system, and
 * the mount may be below one. */
struct init_out {
	uint8_t before[offsetof(struct fuse_init_out, flags2)];
	uint32_t flags2;
	uint32_t max_stack_depth;
};
static_assert(sizeof(struct init_out) ==
		      offsetof(struct fuse_init_out, flags2) + 8,
	      "the header calls it unused");

const void *shale_raw_body(const struct shale_receiver *r, size_t size)
{
	size_t head = sizeof(struct fuse_in_header);
	return r->len >= head + size ? r->in + head : NULL;
}

const struct fuse_in_header *shale_raw_header(const struct shale_receiver *r)
{
	return (const void *)r->in;
}

uint64_t shale_raw_node(const struct shale_receiver *r)
{
	return shale_raw_header(r)->nodeid;
}

uint64_t shale_raw_unique(const struct shale_receiver *r)
{
	return shale_raw_header(r)->unique & ~RESENT;
}

bool shale_raw_resent(const struct shale_receiver *r)
{
	return shale_raw_header(r)->unique & RESENT;
}

bool shale_raw_resends(const void *init, size_t len)
{
	const struct fuse_in_header *head = init;
	const struct fuse_init_in *in = (const void *)(head + 1);

	return len >= sizeof(*head) + sizeof(*in) &&
	       in->flags & FUSE_INIT_EXT && in->flags2 & HAS_RESEND;
}

int shale_raw_resend(int fd)
{
	const struct fuse_out_header notify = {
		.len = sizeof(notify),
		.error = NOTIFY_RESEND,
	};
	return write(fd, &notify, sizeof(notify)) < 0 ? -errno : 0;
}

/* INIT has said so: see shale_raw_patch(). */
static bool takes_long(const struct shale_session *s)
{
	return s->opts.live && s->init_flags & FUSE_SETXATTR_EXT;
}

bool shale_raw_kills(const struct shale_receiver *r)
{
	switch (shale_raw_header(r)->opcode) {
	case FUSE_SETATTR: {
		const struct fuse_setattr_in *in =
			shale_raw_body(r, sizeof(*in));
		return in && in->valid & FATTR_KILL_SUIDGID;
	}
	case FUSE_OPEN: {
		const struct fuse_open_in *in = shale_raw_body(r, sizeof(*in));
		return in && in->open_flags & FUSE_OPEN_KILL_SUIDGID;
	}
	case FUSE_CREATE: {
		const struct fuse_create_in *in =
			shale_raw_body(r, sizeof(*in));
		return in && in->open_flags & FUSE_OPEN_KILL_SUIDGID;
	}
	case FUSE_WRITE: {
		const struct fuse_write_in *in = shale_raw_body(r, sizeof(*in));
		return in && in->write_flags & FUSE_WRITE_KILL_SUIDGID;
	}
	default:
		return false;
	}
}

void shale_raw_fold(struct shale_receiver *r)
{
	struct fuse_in_header *head = (void *)r->in;
	const struct fuse_setxattr_in *in = shale_raw_body(r, sizeof(*in));
	size_t cut = sizeof(*in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
	uint8_t *at = r->in + sizeof(*head) + FUSE_COMPAT_SETXATTR_IN_SIZE;

	r->kill_sgid = false;
	if (!in || head->opcode != FUSE_SETXATTR || !takes_long(r->session))
		return;
	r->kill_sgid = in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
	r->len -= cut;
	head->len -= (uint32_t)cut;
	memmove(at, at + cut, r->len - (size_t)(at - r->in));
}

bool shale_raw_see_init(struct shale_session *s, const struct shale_receiver *r)
{
	const struct fuse_init_in *in =
		shale_raw_body(r, 16); /* as of protocol 7.6 */

	if (!in || shale_raw_header(r)->opcode != FUSE_INIT)
		return false;
	s->init_unique = shale_raw_header(r)->unique;
	s->init_flags = in->flags;
	in = shale_raw_body(r, sizeof(*in));
	if (in && in->flags & FUSE_INIT_EXT)
		s->init_flags |= (uint64_t)in->flags2 << 32;
	return true;
}

bool shale_raw_offers_passthrough(const struct shale_session *s)
{
	return s->init_flags >> 32 & PASSTHROUGH;
}

static void ask_for_passthrough(struct fuse_init_out *out)
{
	struct init_out *more = (void *)out;

	out->flags |= FUSE_INIT_EXT;
	more->flags2 |= PASSTHROUGH;
	more->max_stack_depth = 1;
}

bool shale_raw_patch(struct shale_session *s, struct iovec *iov, int n,
		     struct shale_raw_room *room)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	struct fuse_init_out *out = (void *)room->body;
	size_t len = n == 2 ? iov[1].iov_len : 0;

	if (s->greeted || n != 2 || head->unique != s->init_unique ||
	    head->error || len < 24 || len > sizeof(room->body))
		return false;
	memcpy(out, iov[1].iov_base, len);
	iov[1].iov_base = out;
	/* The kernel asks for security.capability once an inode then, not
	 * before every write; see tell_lost() in rw_data.c. */
	if (s->opts.live && s->init_flags & FUSE_HANDLE_KILLPRIV_V2)
		out->flags |= FUSE_HANDLE_KILLPRIV_V2;
	if (takes_long(s))
		out->flags |= FUSE_SETXATTR_EXT;
	/* Binds of the mount may show other owners, as containers with users
	 * of their own want it.  The kernel insists on checking permissions
	 * itself then, as it does on each of our mounts. */
	if (s->init_flags >> 32 & ALLOW_IDMAP && len >= sizeof(*out)) {
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= ALLOW_IDMAP;
	}
	if (s->opts.passthrough && shale_raw_offers_passthrough(s) &&
	    len >= sizeof(struct init_out))
		ask_for_passthrough(out);
	return true;
}
