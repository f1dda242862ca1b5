/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_impl.h"

#include "layers/base/cleanup.h"

#include <string.h>

/* Regular files whose content differs this little from their parent's in what
 * is known of it are held against it before they are packed. */
enum { COMPARE_BELOW = 1 << 20 };

int shale_import_base(struct shale_import *imp,
		      const struct shale_plan_inode *in,
		      struct shale_content *content,
		      const struct shale_content **base, struct shale_err *err)
{
	struct shale_attr was;
	*base = NULL;
	if (!in->base)
		return 0;
	int r = shale_index_attr(imp->onto.image->index, in->base, &was, err);
	if (r < 0)
		return r;
	bool same_time = was.mtime.tv_sec == in->attr.mtime.tv_sec &&
			 was.mtime.tv_nsec == in->attr.mtime.tv_nsec;
	if (was.size != in->attr.size ||
	    !(same_time || imp->opts.checksum || was.size <= COMPARE_BELOW))
		return 0;
	r = shale_image_content(imp->onto.image, in->base, content, err);
	if (r == 0)
		*base = content;
	return r;
}

int shale_import_drop(struct shale_import *imp, uint32_t inode,
		      struct shale_err *err)
{
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, inode);
	bool spent;
	int r = shale_feed_drop(&imp->feed, &spent, err);
	if (spent) {
		in->attr.ino = shale_onto_new_ino(&imp->onto);
		in->base = 0;
	}
	return r;
}

struct reading {
	struct shale_import *imp;
	struct shale_batch *batch;
	struct shale_buf path;
	uint32_t inode;
	size_t finished; /* files */
	bool begun;
};

static const char *path_of(struct reading *rd)
{
	const struct shale_plan *plan = &rd->imp->plan;
	const struct shale_plan_inode *in = shale_plan_inode(plan, rd->inode);
	if (shale_plan_path(plan, in->name, &rd->path, NULL) < 0)
		return "?";
	return (const char *)rd->path.data;
}

static int begin(struct reading *rd, const struct shale_read_item *item,
		 struct shale_err *err)
{
	struct shale_import *imp = rd->imp;
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, item->inode);
	struct shale_content content;
	const struct shale_content *base;
	uint64_t ino = in->attr.ino;

	rd->inode = item->inode;
	rd->begun = true;
	in->attr = item->attr;
	in->attr.ino = ino;
	int r = shale_import_base(imp, in, &content, &base, err);
	if (r == 0)
		r = shale_feed_begin(&imp->feed, ino, base, err);
	if (imp->opts.progress && ++imp->files % 64 == 1)
		shale_import_show(imp, path_of(rd));
	return r;
}

static int end(struct reading *rd, int error, struct shale_err *err)
{
	struct shale_import *imp = rd->imp;
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, rd->inode);
	enum shale_plan_content content;
	int r = shale_feed_end(&imp->feed, &content, err);
	in->content = (uint8_t)content;
	in->attr.size = imp->feed.at;
	if (error)
		shale_import_problem(imp, path_of(rd),
				     "it kept changing while it was read");
	rd->begun = false;
	rd->finished++;
	return r;
}

/* It cannot be read: the image is without it. */
static int leave_out(struct reading *rd, int error, struct shale_err *err)
{
	struct shale_import *imp = rd->imp;
	struct shale_plan_inode *in = shale_plan_inode(&imp->plan, rd->inode);
	bool spent;
	int r = rd->begun ? shale_feed_drop(&imp->feed, &spent, err) : 0;
	in->content = SHALE_PLAN_EMPTY;
	in->attr.mode = 0; /* its names go once the reader rests */
	shale_import_problem(imp, path_of(rd), "left out: %s",
			     error == ESTALE ? "it is no file any more"
					     : strerrordesc_np(error));
	rd->begun = false;
	rd->finished++;
	return r;
}

static int take_alike(struct reading *rd, const struct shale_alike_chunk *alike,
		      struct shale_err *err)
{
	struct shale_chunk chunk;
	int r = shale_tree_chunk(alike->tree, alike->number, &chunk, err);
	rd->imp->done += alike->len;
	return r < 0 ? r
		     : shale_feed_same(&rd->imp->feed, &chunk, alike->ends,
				       err);
}

static int take_item(struct reading *rd, const struct shale_read_item *item,
		     struct shale_err *err)
{
	struct shale_import *imp = rd->imp;
	switch (item->kind) {
	case SHALE_READ_BEGIN:
		return begin(rd, item, err);
	case SHALE_READ_DATA:
		imp->done += item->len;
		return shale_feed_data(&imp->feed, rd->batch->data + item->at,
				       item->len, err);
	case SHALE_READ_HOLE:
		imp->done += item->len;
		return shale_feed_hole(&imp->feed, item->len, err);
	case SHALE_READ_ALIKE:
		return take_alike(rd, &item->alike, err);
	case SHALE_READ_AGAIN:
		rd->begun = false;
		return shale_import_drop(imp, item->inode, err);
	case SHALE_READ_END:
		return end(rd, item->error, err);
	case SHALE_READ_GONE:
		if (item->error == ENOMEM)
			return shale_err_set(err, ENOMEM, "read files");
		rd->inode = item->inode;
		return leave_out(rd, item->error, err);
	}
	return 0;
}

static int take_batch(struct reading *rd, struct shale_err *err)
{
	const struct shale_read_item *item = (void *)rd->batch->items.data;
	size_t n = rd->batch->items.len / sizeof(*item);
	int r = shale_import_check(rd->imp, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = take_item(rd, &item[i], err);
	return r;
}

/* The inodes to read, in walk order: those that are not known to be same. */
static int list_unread(struct shale_import *imp, const uint32_t *order,
		       size_t n, struct shale_buf *list, struct shale_err *err)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t inode = shale_plan_name(&imp->plan, order[i])->inode;
		struct shale_plan_inode *in =
			shale_plan_inode(&imp->plan, inode);
		bool same = false;
		int r = 0;
		if (in->content != SHALE_PLAN_UNREAD)
			continue;
		if (in->base && !imp->opts.checksum)
			r = shale_onto_trusts(&imp->onto, &imp->plan, in, &same,
					      err);
		if (r < 0)
			return r;
		/* Until it is read, so that no other name lists it too. */
		in->content = SHALE_PLAN_SAME;
		if (same) {
			imp->total -= in->attr.size;
			continue;
		}
		if (shale_buf_append(list, &inode, sizeof(inode)) < 0)
			return shale_err_set(err, ENOMEM, "files to read");
	}
	return 0;
}

static int remove_gone(struct shale_import *imp, const uint32_t *order,
		       size_t n, struct shale_err *err)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		uint32_t inode = shale_plan_name(&imp->plan, order[i])->inode;
		if (inode != SHALE_PLAN_NONE &&
		    shale_plan_inode(&imp->plan, inode)->attr.mode == 0)
			r = shale_plan_remove(&imp->plan, order[i], err);
	}
	return r;
}

int shale_import_read(struct shale_import *imp, const uint32_t *order, size_t n,
		      struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0};
	struct reading rd = {.imp = imp};
	int r = list_unread(imp, order, n, &list, err);
	if (r < 0 || !list.len)
		return r;
	struct shale_reader reader = {
		.plan = &imp->plan,
		.roots = (void *)imp->roots.data,
		.inodes = (void *)list.data,
		.n = list.len / sizeof(uint32_t),
		.parent = imp->onto.image,
		.chunks = imp->feed.chunks,
		.threads = imp->opts.threads,
		.early = imp->early,
	};
	imp->early.alike = NULL;
	r = shale_reader_start(&reader, err);
	bool ended = false;
	while (r == 0 && !ended) {
		rd.batch = shale_ring_take(reader.ring, &ended);
		r = rd.batch ? take_batch(&rd, err)
			     : shale_import_check(imp, err);
		if (rd.batch)
			shale_ring_return(reader.ring, rd.batch);
	}
	shale_reader_stop(&reader);
	shale_buf_release(&rd.path);
	if (r == 0 && rd.finished != reader.n)
		r = shale_err_set(err, ENOMEM, "read files");
	return r < 0 ? r : remove_gone(imp, order, n, err);
}
