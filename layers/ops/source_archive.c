/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import.h"

#include "layers/base/cleanup.h"
#include "layers/ops/archive_read.h"
#include "layers/ops/import_layer.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Takes what an archive holds as it arrives.  Its order is anybody's: contents
 * are packed in it, and a file has its inode number before its content.
 */
struct taking {
	struct shale_import *imp;
	struct shale_batch *batch;
	struct shale_buf full, link, kept;
	uint32_t inode; /* whose content is coming */
	bool skip;      /* … and is not wanted */
};

/* The inode that a link's target names. */
static int find_linked(struct taking *t, const struct shale_arrival *a,
		       uint32_t *inode, struct shale_err *err)
{
	const struct shale_plan *plan = &t->imp->plan;
	t->link.len = 0;
	if (shale_buf_printf(&t->link, "%s%s%s", t->imp->prefix,
			     t->imp->prefix_len ? "/" : "", a->link) < 0)
		return shale_err_set(err, ENOMEM, "a path");
	const char *path = shale_buf_str(&t->link);
	if (!path)
		return shale_err_set(err, ENOMEM, "a path");
	uint32_t name = shale_plan_find(plan, path, t->link.len);
	int r = 0;
	if (name != SHALE_PLAN_NONE)
		*inode = shale_plan_name(plan, name)->inode;
	else if (t->imp->opts.layer)
		r = shale_import_lower(t->imp, path, inode, err);
	if (r < 0)
		return r;
	if (*inode == SHALE_PLAN_NONE)
		return shale_err_say(err, EBADMSG,
				     "'%s' is a link to '%s', which is not "
				     "there",
				     a->path, a->link);
	if (S_ISDIR(shale_plan_inode(plan, *inode)->attr.mode))
		return shale_err_say(err, EBADMSG,
				     "'%s' is a hard link to the directory "
				     "'%s'",
				     a->path, a->link);
	return 0;
}

/* A file's number and whether its content is worth looking at. */
static int begin_file(struct taking *t, const char *path,
		      const struct shale_archive_item *item,
		      struct shale_err *err)
{
	struct shale_import *imp = t->imp;
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, t->inode);
	struct shale_content content;
	const struct shale_content *base = NULL;
	bool same = false;

	int r = shale_onto_claim_path(&imp->onto, in, path, err);
	if (r == 0 && !in->attr.ino)
		r = shale_import_unplaced(imp, &in->attr.ino, err);
	if (r == 0 && in->base && !item->no_size && !imp->opts.checksum)
		r = shale_onto_trusts(&imp->onto, &imp->plan, in, &same, err);
	t->skip = same;
	if (same)
		in->content = SHALE_PLAN_SAME;
	if (r < 0 || same)
		return r;
	if (!item->no_size)
		r = shale_import_base(imp, in, &content, &base, err);
	if (r == 0)
		r = shale_feed_begin(&imp->feed, in->attr.ino, base, err);
	return r;
}

/* cpio gives the content of a file with its last name. */
static int begin_link(struct taking *t, const struct shale_archive_item *item,
		      struct shale_err *err)
{
	struct shale_plan_inode *in = shale_plan_inode(&t->imp->plan, t->inode);
	t->skip =
		!S_ISREG(in->attr.mode) || in->attr.size != 0 || !in->attr.ino;
	if (t->skip)
		return 0;
	in->attr.size = item->attr.size;
	return shale_feed_begin(&t->imp->feed, in->attr.ino, NULL, err);
}

static int take_entry(struct taking *t, const struct shale_archive_item *item,
		      struct shale_err *err)
{
	struct shale_import *imp = t->imp;
	struct shale_arrival a;
	struct shale_whiteout mark;
	uint32_t linked = SHALE_PLAN_NONE, name;

	shale_archive_arrival(t->batch, item, &a);
	int r = shale_import_mark(imp, &a, &t->full, &t->kept, &mark, err);
	t->skip = mark.what != SHALE_WHITEOUT_ENTRY;
	if (r < 0 || t->skip)
		return r;
	if (a.link)
		r = find_linked(t, &a, &linked, err);
	if (r == 0)
		r = shale_import_arrive(imp, &a, &t->full, linked, &name, err);
	if (r < 0)
		return r;
	t->inode = shale_plan_name(&imp->plan, name)->inode;
	if (++imp->files % 64 == 1)
		shale_import_show(imp, a.path);
	if (!item->has_content)
		return 0;
	return a.link ? begin_link(t, item, err)
		      : begin_file(t, a.path, item, err);
}

static int end_content(struct taking *t, struct shale_err *err)
{
	struct shale_plan_inode *in = shale_plan_inode(&t->imp->plan, t->inode);
	enum shale_plan_content content;
	if (t->skip)
		return 0;
	int r = shale_feed_end(&t->imp->feed, &content, err);
	in->content = (uint8_t)content;
	in->attr.size = t->imp->feed.at;
	return r;
}

static int take_item(struct taking *t, const struct shale_archive_item *item,
		     struct shale_err *err)
{
	struct shale_feed *feed = &t->imp->feed;
	switch (item->kind) {
	case SHALE_ARCHIVE_ENTRY:
		return take_entry(t, item, err);
	case SHALE_ARCHIVE_DATA:
		t->imp->done += item->len;
		return t->skip ? 0
			       : shale_feed_data(feed,
						 t->batch->data + item->at,
						 item->len, err);
	case SHALE_ARCHIVE_HOLE:
		return t->skip ? 0 : shale_feed_hole(feed, item->len, err);
	case SHALE_ARCHIVE_END:
		return end_content(t, err);
	case SHALE_ARCHIVE_FAIL:
		return shale_err_say(err, item->error, "%s",
				     (char *)t->batch->heap.data + item->at);
	}
	return 0;
}

static int take_batch(struct taking *t, struct shale_err *err)
{
	const struct shale_archive_item *item = (void *)t->batch->items.data;
	size_t n = t->batch->items.len / sizeof(*item);
	int r = shale_import_check(t->imp, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = take_item(t, &item[i], err);
	return r;
}

/* SHA-256 of an archive that can be read twice, while it is being packed. */
struct hashing {
	int fd;
	pthread_t thread;
	bool started;
	atomic_bool stop; /* nobody wants it any more */
	struct shale_sha256 *sha;
	uint64_t size;
	bool whole;
};

static void *hash(void *arg)
{
	enum { STEP = 1 << 20 };
	struct hashing *h = arg;
	cleanup_free uint8_t *data = malloc(STEP);
	ssize_t n = -1;
	while (data && !h->stop &&
	       (n = pread(h->fd, data, STEP, (off_t)h->size)) > 0) {
		shale_sha256_update(h->sha, data, (size_t)n);
		h->size += (uint64_t)n;
	}
	h->whole = n == 0;
	return NULL;
}

static void start_hash(struct hashing *h, const struct shale_archive_reader *r)
{
	if (r->sequential)
		return;
	h->sha = shale_sha256_new();
	h->started = h->sha && pthread_create(&h->thread, NULL, hash, h) == 0;
}

static void finish_hash(struct hashing *h, struct shale_archive_reader *reader,
			struct shale_source *source)
{
	if (h->started) {
		pthread_join(h->thread, NULL);
		if (h->whole) {
			shale_sha256_final(h->sha, &source->digest);
			source->has_digest = true;
			source->size = h->size;
		}
	} else if (reader->sha) {
		shale_sha256_final(reader->sha, &source->digest);
		source->has_digest = true;
		source->size = reader->piped;
	}
	shale_sha256_free(h->sha);
}

static int take_archive(struct shale_import *imp, int fd, const char *name,
			bool sequential, struct shale_err *err)
{
	struct taking t = {.imp = imp};
	struct hashing h = {.fd = fd};
	struct shale_archive_reader reader = {
		.fd = fd,
		.name = name,
		.sequential = sequential,
		.xattrs = imp->opts.xattrs,
		.exclude = &imp->opts.exclude,
		.no_trailer = imp->opts.layer != SHALE_LAYER_NONE,
	};
	int r = shale_archive_reader_start(&reader, err);
	if (r == 0)
		start_hash(&h, &reader);
	bool ended = false;
	while (r == 0 && !ended) {
		t.batch = shale_ring_take(reader.ring, &ended);
		r = t.batch ? take_batch(&t, err)
			    : shale_import_check(imp, err);
		if (t.batch)
			shale_ring_return(reader.ring, t.batch);
	}
	if (reader.ring)
		shale_ring_stop(reader.ring);
	h.stop = r < 0;
	shale_archive_reader_join(&reader);
	finish_hash(&h, &reader, shale_import_last_source(imp));
	shale_archive_reader_release(&reader);
	shale_buf_release(&t.full);
	shale_buf_release(&t.link);
	shale_buf_release(&t.kept);
	return r;
}

/* The same file with the same content, as far as its inode can say? */
static int held_still(int fd, const struct stat *before, struct shale_err *err)
{
	struct stat after;
	if (!S_ISREG(before->st_mode))
		return 0;
	if (fstat(fd, &after) < 0)
		return shale_err_set(err, errno, "look at it");
	if (shale_stat_same(before, &after))
		return 0;
	return shale_err_say(err, EBADMSG,
			     "it changed while it was read; import it again "
			     "when it is complete");
}

int shale_import_archive(struct shale_import *import, const char *path,
			 struct shale_err *err)
{
	if (import->opts.layer == SHALE_LAYER_OVERLAY)
		return shale_err_say(err, EINVAL,
				     "'%s' is not a directory: an overlay "
				     "layer is an overlayfs upper directory; "
				     "an archive with .wh. entries is an oci "
				     "layer",
				     path);
	int r = shale_import_parent(import, err);
	if (r < 0)
		return r;
	bool piped = strcmp(path, "-") == 0;
	const char *name = piped ? "standard input" : path;
	cleanup_fd int fd = piped ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				  : open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "open '%s'", name);

	/* Of a device there may be no end, and of a directory no bytes. */
	bool sequential = !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) ||
			  lseek(fd, 0, SEEK_CUR) < 0;
	r = shale_import_source(import, name, "archive", &st, -1, err);
	if (r == 0)
		r = take_archive(import, fd, name, sequential, err);
	if (r == 0)
		r = held_still(fd, &st, err);
	return r < 0 && r != -EINTR
		       ? shale_err_wrap(err, r, "import '%s'", name)
		       : r;
}
