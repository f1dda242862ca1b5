/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/raw.h"

#include "fs/mount/ops.h"
#include "layers/base/cleanup.h"
#include "layers/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <string.h>

/* What a request has behind its header, as far as a trace shows it. */
enum shape {
	NOTHING,
	NAME,    /* a name in the header's directory */
	NAMES,   /* … and one in another directory */
	LINK,    /* an inode, and the name that it gets */
	SYMLINK, /* a name, and what it stands for */
	ATTR,    /* the name of an attribute */
	BYTES,   /* where, how many */
	PLACE,   /* where */
	COPY,
};

enum { STATX = 52 }; /* Linux 6.6, newer than the header */

static const struct {
	const char *name;
	enum shape shape;
	unsigned skip; /* bytes before the names */
} ops[] = {
	[FUSE_LOOKUP] = {"lookup", NAME, 0},
	[FUSE_FORGET] = {"forget", NOTHING, 0},
	[FUSE_GETATTR] = {"getattr", NOTHING, 0},
	[FUSE_SETATTR] = {"setattr", NOTHING, 0},
	[FUSE_READLINK] = {"readlink", NOTHING, 0},
	[FUSE_SYMLINK] = {"symlink", SYMLINK, 0},
	[FUSE_MKNOD] = {"mknod", NAME, sizeof(struct fuse_mknod_in)},
	[FUSE_MKDIR] = {"mkdir", NAME, sizeof(struct fuse_mkdir_in)},
	[FUSE_UNLINK] = {"unlink", NAME, 0},
	[FUSE_RMDIR] = {"rmdir", NAME, 0},
	[FUSE_RENAME] = {"rename", NAMES, sizeof(struct fuse_rename_in)},
	[FUSE_LINK] = {"link", LINK, sizeof(struct fuse_link_in)},
	[FUSE_OPEN] = {"open", NOTHING, 0},
	[FUSE_READ] = {"read", BYTES, 0},
	[FUSE_WRITE] = {"write", BYTES, 0},
	[FUSE_STATFS] = {"statfs", NOTHING, 0},
	[FUSE_RELEASE] = {"release", NOTHING, 0},
	[FUSE_FSYNC] = {"fsync", NOTHING, 0},
	[FUSE_SETXATTR] = {"setxattr", ATTR, FUSE_COMPAT_SETXATTR_IN_SIZE},
	[FUSE_GETXATTR] = {"getxattr", ATTR, sizeof(struct fuse_getxattr_in)},
	[FUSE_LISTXATTR] = {"listxattr", NOTHING, 0},
	[FUSE_REMOVEXATTR] = {"removexattr", ATTR, 0},
	[FUSE_FLUSH] = {"flush", NOTHING, 0},
	[FUSE_INIT] = {"init", NOTHING, 0},
	[FUSE_OPENDIR] = {"opendir", NOTHING, 0},
	[FUSE_READDIR] = {"readdir", PLACE, 0},
	[FUSE_RELEASEDIR] = {"releasedir", NOTHING, 0},
	[FUSE_FSYNCDIR] = {"fsyncdir", NOTHING, 0},
	[FUSE_GETLK] = {"getlk", NOTHING, 0},
	[FUSE_SETLK] = {"setlk", NOTHING, 0},
	[FUSE_SETLKW] = {"setlkw", NOTHING, 0},
	[FUSE_ACCESS] = {"access", NOTHING, 0},
	[FUSE_CREATE] = {"create", NAME, sizeof(struct fuse_create_in)},
	[FUSE_INTERRUPT] = {"interrupt", NOTHING, 0},
	[FUSE_BMAP] = {"bmap", NOTHING, 0},
	[FUSE_DESTROY] = {"destroy", NOTHING, 0},
	[FUSE_IOCTL] = {"ioctl", NOTHING, 0},
	[FUSE_POLL] = {"poll", NOTHING, 0},
	[FUSE_FALLOCATE] = {"fallocate", BYTES, 0},
	[FUSE_READDIRPLUS] = {"readdirplus", PLACE, 0},
	[FUSE_RENAME2] = {"rename2", NAMES, sizeof(struct fuse_rename2_in)},
	[FUSE_LSEEK] = {"lseek", PLACE, 0},
	[FUSE_COPY_FILE_RANGE] = {"copy_file_range", COPY, 0},
	[FUSE_SYNCFS] = {"syncfs", NOTHING, 0},
	[FUSE_TMPFILE] = {"tmpfile", NOTHING, 0},
	[STATX] = {"statx", NOTHING, 0},
};
enum { N_OPS = sizeof(ops) / sizeof(*ops) };
static_assert(sizeof(ops) / sizeof(*ops) <= SHALE_OPCOUNT_KINDS, "each counts");

const char *shale_raw_name(unsigned kind)
{
	return kind < N_OPS && ops[kind].name ? ops[kind].name : NULL;
}

/* ------------------------------------------------------------- requests */

unsigned shale_raw_kind(const struct shale_receiver *r)
{
	uint32_t op = r->len >= sizeof(struct fuse_in_header)
			      ? shale_raw_header(r)->opcode
			      : 0;
	/* Two spellings of one thing. */
	if (op == FUSE_RENAME2)
		return FUSE_RENAME;
	if (op == FUSE_BATCH_FORGET)
		return FUSE_FORGET;
	return shale_raw_name(op) ? op : 0;
}

uint64_t shale_raw_brings(const struct shale_receiver *r)
{
	const struct fuse_write_in *in = shale_raw_body(r, sizeof(*in));
	return in && shale_raw_header(r)->opcode == FUSE_WRITE ? in->size : 0;
}

/* The `n`-th text behind `skip` bytes of the body, or "". */
static const char *text_of(const struct shale_receiver *r, size_t skip,
			   unsigned n)
{
	const char *at = shale_raw_body(r, skip),
		   *end = (const char *)r->in + r->len;

	if (!at)
		return "";
	for (at += skip;; n--) {
		const char *nul = memchr(at, 0, (size_t)(end - at));
		if (!nul)
			return "";
		if (n == 0)
			return at;
		at = nul + 1;
	}
}

/* The path of a node and, with `name`, of a name in it. */
static void put_path(const struct shale_receiver *r, uint64_t node,
		     const char *name, struct shale_buf *out)
{
	cleanup_buf struct shale_buf path = {0};

	shale_session_path(r->session, node, false, &path);
	if (name && (!path.len || path.data[path.len - 1] != '/'))
		(void)shale_buf_append(&path, "/", 1);
	if (name)
		(void)shale_buf_append(&path, name, strlen(name));
	(void)shale_buf_append(out, " ", 1);
	(void)shale_escape(out, (const char *)path.data, path.len);
}

static void put_text(const char *before, const char *text,
		     struct shale_buf *out)
{
	(void)shale_buf_printf(out, "%s", before);
	(void)shale_escape(out, text, strlen(text));
}

static void put_range(uint64_t len, uint64_t off, struct shale_buf *out)
{
	(void)shale_buf_printf(out, " %" PRIu64 "@%" PRIu64, len, off);
}

/* Where READ, WRITE, FALLOCATE begin, and how long they are. */
static void put_bytes(const struct shale_receiver *r, struct shale_buf *out)
{
	const struct fuse_fallocate_in *space =
		shale_raw_body(r, sizeof(*space));
	const struct fuse_read_in *in = shale_raw_body(r, sizeof(*in));

	static_assert(offsetof(struct fuse_read_in, size) ==
			      offsetof(struct fuse_write_in, size),
		      "a write's is as a read's");
	if (space && shale_raw_header(r)->opcode == FUSE_FALLOCATE)
		put_range(space->length, space->offset, out);
	else if (in && shale_raw_header(r)->opcode != FUSE_FALLOCATE)
		put_range(in->size, in->offset, out);
}

static void put_place(const struct shale_receiver *r, struct shale_buf *out)
{
	const struct fuse_lseek_in *in = shale_raw_body(r, sizeof(*in));

	static_assert(offsetof(struct fuse_read_in, offset) ==
			      offsetof(struct fuse_lseek_in, offset),
		      "a listing's is as a seek's");
	if (in)
		(void)shale_buf_printf(out, " @%" PRIu64, in->offset);
}

static void put_copy(const struct shale_receiver *r, struct shale_buf *out)
{
	const struct fuse_copy_file_range_in *in =
		shale_raw_body(r, sizeof(*in));

	if (!in)
		return;
	put_range(in->len, in->off_in, out);
	(void)shale_buf_printf(out, " ->");
	put_path(r, in->nodeid_out, NULL, out);
	(void)shale_buf_printf(out, " @%" PRIu64, in->off_out);
}

/* The directory or inode that a body begins with. */
static uint64_t first_number(const struct shale_receiver *r)
{
	const uint64_t *at = shale_raw_body(r, sizeof(*at));
	return at ? *at : 0;
}

void shale_raw_describe(const struct shale_receiver *r, struct shale_buf *out)
{
	const struct fuse_in_header *head = shale_raw_header(r);
	const char *name = shale_raw_name(shale_raw_kind(r));
	enum shape shape = name ? ops[head->opcode % N_OPS].shape : NOTHING;
	unsigned skip = name ? ops[head->opcode % N_OPS].skip : 0;
	bool named = shape == NAME || shape == NAMES || shape == SYMLINK;

	if (!name)
		return (void)shale_buf_printf(out, "%u opcode %u", head->pid,
					      head->opcode);
	(void)shale_buf_printf(out, "%u %s", head->pid, name);
	if (shape == LINK)
		put_path(r, first_number(r), NULL, out);
	else if (head->nodeid)
		put_path(r, head->nodeid, named ? text_of(r, skip, 0) : NULL,
			 out);
	if (shape == NAMES || shape == LINK) {
		(void)shale_buf_printf(out, " ->");
		put_path(r, shape == LINK ? head->nodeid : first_number(r),
			 text_of(r, skip, shape == NAMES), out);
	} else if (shape == SYMLINK) {
		put_text(" -> ", text_of(r, skip, 1), out);
	} else if (shape == ATTR) {
		put_text(" ", text_of(r, skip, 0), out);
	} else if (shape == BYTES) {
		put_bytes(r, out);
	} else if (shape == PLACE) {
		put_place(r, out);
	} else if (shape == COPY) {
		put_copy(r, out);
	}
}

/* -------------------------------------------------------------- replies */

static const struct fuse_out_header *answer(const struct iovec *iov, int n)
{
	return n > 0 && iov[0].iov_len >= sizeof(struct fuse_out_header)
		       ? iov[0].iov_base
		       : NULL;
}

bool shale_raw_failed(const struct iovec *iov, int n)
{
	const struct fuse_out_header *out = answer(iov, n);
	return out && out->error;
}

bool shale_raw_unasked(const struct iovec *iov, int n)
{
	const struct fuse_out_header *out = answer(iov, n);
	return out && !out->unique;
}

uint64_t shale_raw_takes(unsigned kind, const struct iovec *iov, int n)
{
	const struct fuse_out_header *out = answer(iov, n);
	return out && kind == FUSE_READ ? out->len - sizeof(*out) : 0;
}

/* What stands behind the header, if it is that long. */
static const void *said(const struct iovec *iov, int n, size_t size)
{
	size_t head = sizeof(struct fuse_out_header);

	if (n > 1)
		return iov[1].iov_len >= size ? iov[1].iov_base : NULL;
	return iov[0].iov_len >= head + size
		       ? (const uint8_t *)iov[0].iov_base + head
		       : NULL;
}

static void put_entry(const struct fuse_entry_out *entry, struct shale_buf *out)
{
	if (entry && entry->nodeid)
		(void)shale_buf_printf(out, "inode %" PRIu64, entry->nodeid);
	else
		(void)shale_buf_printf(out, "none");
}

void shale_raw_outcome(unsigned kind, const struct iovec *iov, int n,
		       struct shale_buf *out)
{
	const struct fuse_out_header *head = answer(iov, n);
	const struct fuse_write_out *wrote;

	if (!head)
		return (void)shale_buf_printf(out, "no answer");
	if (head->error) {
		const char *name = strerrorname_np(-head->error);
		return (void)shale_buf_printf(out, "%s", name ? name : "?");
	}
	switch (kind) {
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		return put_entry(said(iov, n, sizeof(struct fuse_entry_out)),
				 out);
	case FUSE_WRITE:
	case FUSE_COPY_FILE_RANGE:
		wrote = said(iov, n, sizeof(*wrote));
		(void)shale_buf_printf(out, "%u", wrote ? wrote->size : 0);
		return;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		(void)shale_buf_printf(out, "%zu", head->len - sizeof(*head));
		return;
	default:
		(void)shale_buf_printf(out, "0");
	}
}
