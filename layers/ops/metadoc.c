/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/metadoc.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/ops/json_bytes.h"
#include "layers/store/ref.h"

#include <string.h>
#include <sys/stat.h>

enum { FLUSH_AT = 64 << 10 };

const char *shale_type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	}
	return "unknown";
}

int shale_metadoc_begin(struct shale_metadoc *doc, int fd,
			struct shale_err *err)
{
	*doc = (struct shale_metadoc){.fd = fd, .sha = shale_sha256_new()};
	if (!doc->sha ||
	    shale_buf_printf(&doc->buf, "{\"schema\":1,\n\"sources\":[") < 0)
		return shale_err_set(err, ENOMEM, "metadata.json");
	return 0;
}

int shale_metadoc_begin_image(struct shale_metadoc *doc, int fd,
			      const struct shale_digest *manifest,
			      struct shale_err *err)
{
	char hex[SHALE_DIGEST_STR];
	*doc = (struct shale_metadoc){.fd = fd, .in_files = true};
	if (shale_buf_printf(&doc->buf,
			     "{\"schema\":1,\n\"image\":\"%s\",\n\"files\":[",
			     shale_digest_str(manifest, hex)) < 0)
		return shale_err_set(err, ENOMEM, "metadata");
	return 0;
}

void shale_metadoc_release(struct shale_metadoc *doc)
{
	shale_buf_release(&doc->buf);
	shale_sha256_free(doc->sha);
	doc->sha = NULL;
}

static int flush(struct shale_metadoc *doc, size_t at_least,
		 struct shale_err *err)
{
	if (doc->buf.len < at_least)
		return 0;
	int r = shale_write_full(doc->fd, doc->buf.data, doc->buf.len,
				 "metadata.json", err);
	if (doc->sha)
		shale_sha256_update(doc->sha, doc->buf.data, doc->buf.len);
	doc->size += doc->buf.len;
	doc->buf.len = 0;
	return r;
}

static int put_time(struct shale_buf *buf, const struct timespec *t)
{
	char text[40];
	shale_time_format(t, text);
	return shale_buf_printf(buf, ",\"mtime\":\"%s\"", text);
}

/* Begin the next object of a list. */
static int put_next(struct shale_metadoc *doc)
{
	const char *comma = doc->any ? ",\n{" : "\n{";
	doc->any = true;
	return shale_buf_printf(&doc->buf, "%s", comma);
}

int shale_metadoc_source(struct shale_metadoc *doc, const char *name,
			 const char *kind, uint64_t size,
			 const struct timespec *mtime,
			 const struct shale_digest *digest,
			 struct shale_err *err)
{
	char hex[SHALE_DIGEST_STR];
	struct shale_buf *buf = &doc->buf;
	int r = put_next(doc);
	if (r == 0)
		r = shale_json_put_bytes(buf, "name", name, strlen(name));
	if (r == 0)
		r = shale_buf_printf(buf, ",\"kind\":\"%s\",\"size\":%llu",
				     kind, (unsigned long long)size);
	if (r == 0)
		r = put_time(buf, mtime);
	if (r == 0 && digest)
		r = shale_buf_printf(buf, ",\"digest\":\"%s\"",
				     shale_digest_str(digest, hex));
	if (r == 0)
		r = shale_buf_printf(buf, "}");
	return r < 0 ? shale_err_set(err, ENOMEM, "metadata.json") : 0;
}

/* The list of files follows that of the sources. */
static int begin_file(struct shale_metadoc *doc, const char *path, size_t len)
{
	int r = 0;
	if (!doc->in_files) {
		doc->in_files = true;
		doc->any = false;
		r = shale_buf_printf(&doc->buf, "],\n\"files\":[");
	}
	if (r == 0)
		r = put_next(doc);
	if (r == 0)
		r = shale_json_put_bytes(&doc->buf, "path", path, len);
	return r;
}

static int put_file(struct shale_metadoc *doc, const char *path, size_t len,
		    const struct shale_attr *attr)
{
	int r = begin_file(doc, path, len);
	if (r == 0)
		r = shale_buf_printf(&doc->buf,
				     ",\"type\":\"%s\",\"size\":%llu",
				     shale_type_name(attr->mode),
				     (unsigned long long)attr->size);
	if (r == 0)
		r = put_time(&doc->buf, &attr->mtime);
	if (r == 0)
		r = shale_buf_printf(&doc->buf, ",\"mode\":\"%04o\"",
				     attr->mode & 07777);
	return r;
}

static int put_more(struct shale_buf *buf, const struct shale_attr *attr,
		    const struct shale_metadoc_more *more)
{
	char hex[SHALE_DIGEST_STR];
	int r = shale_buf_printf(buf, ",\"inode\":%llu,\"uid\":%u,\"gid\":%u",
				 (unsigned long long)attr->ino, attr->uid,
				 attr->gid);
	if (r == 0 && (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)))
		r = shale_buf_printf(buf, ",\"major\":%u,\"minor\":%u",
				     attr->rdev_major, attr->rdev_minor);
	if (r == 0 && more->target)
		r = shale_buf_printf(buf, ",");
	if (r == 0 && more->target)
		r = shale_json_put_bytes(buf, "target", more->target,
					 more->target_len);
	if (r == 0 && more->digest)
		r = shale_buf_printf(buf, ",\"digest\":\"%s\"",
				     shale_digest_str(more->digest, hex));
	if (r == 0 && more->damage)
		r = shale_buf_printf(buf, ",");
	if (r == 0 && more->damage)
		r = shale_json_put_bytes(buf, "damage", more->damage,
					 strlen(more->damage));
	return r;
}

int shale_metadoc_entry(struct shale_metadoc *doc, const char *path, size_t len,
			const struct shale_attr *attr,
			const struct shale_metadoc_more *more,
			struct shale_err *err)
{
	int r = put_file(doc, path, len, attr);
	if (r == 0)
		r = put_more(&doc->buf, attr, more);
	if (r == 0)
		r = shale_buf_printf(&doc->buf, "}");
	if (r < 0)
		return shale_err_set(err, ENOMEM, "metadata");
	return flush(doc, FLUSH_AT, err);
}

int shale_metadoc_file(struct shale_metadoc *doc, const char *path, size_t len,
		       const struct shale_attr *attr, struct shale_err *err)
{
	int r = put_file(doc, path, len, attr);
	if (r == 0)
		r = shale_buf_printf(&doc->buf, "}");
	if (r < 0)
		return shale_err_set(err, ENOMEM, "metadata.json");
	return flush(doc, FLUSH_AT, err);
}

int shale_metadoc_deleted(struct shale_metadoc *doc, const char *path,
			  size_t len, struct shale_err *err)
{
	int r = begin_file(doc, path, len);
	if (r == 0)
		r = shale_buf_printf(&doc->buf, ",\"type\":\"deleted\"}");
	if (r < 0)
		return shale_err_set(err, ENOMEM, "metadata.json");
	return flush(doc, FLUSH_AT, err);
}

int shale_metadoc_finish(struct shale_metadoc *doc, struct shale_digest *digest,
			 uint64_t *size, struct shale_err *err)
{
	const char *end = doc->in_files ? "]}\n" : "],\n\"files\":[]}\n";
	if (shale_buf_printf(&doc->buf, "%s", end) < 0)
		return shale_err_set(err, ENOMEM, "metadata.json");
	int r = flush(doc, 0, err);
	if (r < 0)
		return r;
	if (digest)
		shale_sha256_final(doc->sha, digest);
	if (size)
		*size = doc->size;
	return 0;
}
