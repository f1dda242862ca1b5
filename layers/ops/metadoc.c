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

int shale_metadoc_file(struct shale_metadoc *doc, const char *path, size_t len,
		       const struct shale_attr *attr, struct shale_err *err)
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
		r = shale_buf_printf(&doc->buf, ",\"mode\":\"%04o\"}",
				     attr->mode & 07777);
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
	shale_sha256_final(doc->sha, digest);
	*size = doc->size;
	return 0;
}
