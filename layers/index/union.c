/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/merge.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/index/record.h"
#include "layers/index/runs.h"
#include "layers/index/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TYPE_DIR = S_IFDIR >> 12, MAX_PARTS = 4096 };

/* An inode of the union, and whose attributes and content it has. */
struct standing {
	uint64_t ino;
	uint64_t from; /* shale_part_ino() */
};

/* A directory of the union: refs [first, first + n) merge, bottom first. */
struct united {
	uint64_t ino;
	uint64_t first, n;
};

/* A directory being walked: its runs are the last ones on the stack. */
struct frame {
	uint64_t n; /* runs */
};

struct uniting {
	struct shale_index *const *parts;
	size_t n;
	uint64_t **number;         /* [part][position]: new number; 0: none */
	uint32_t *tree;            /* [part]: number of its first tree */
	uint64_t next;             /* free inode number */
	uint64_t left;             /* entries that the walk may still meet */
	struct shale_buf standing; /* struct standing */
	struct shale_buf dirs;     /* struct united */
	struct shale_buf refs;     /* shale_part_ino() */
	struct shale_buf frames;   /* struct frame */
	struct shale_buf runs;     /* struct shale_run */
	uint64_t *found;           /* [n]: the inodes behind the name that
				    * the walk met, top first */
	size_t n_found;
};

static int no_memory(struct shale_err *err)
{
	return shale_err_set(err, ENOMEM, "unite images");
}

/* Where the new number of an inode stands. */
static int number_of(const struct uniting *u, uint64_t ref, uint64_t **out,
		     struct shale_err *err)
{
	struct shale_index_record rec;
	uint64_t pos;

	int r = shale_index_find_inode(u->parts[shale_part_of(ref)],
				       shale_ino_of(ref), &pos, &rec, err);
	if (r == -ENOENT)
		return shale_err_say(err, EUCLEAN,
				     "an index names inode %" PRIu64
				     ", which is not there",
				     shale_ino_of(ref));
	if (r == 0)
		*out = &u->number[shale_part_of(ref)][pos];
	return r;
}

/* ------------------------------------------------------------- the walk */

/* Put the runs of a directory on the stack. */
static int open_runs(struct uniting *u, const struct united *dir,
		     struct shale_err *err)
{
	const uint64_t *refs = (const void *)u->refs.data;

	return shale_runs_open(u->parts, refs + dir->first, dir->n, &u->runs,
			       err);
}

static int push_dir(struct uniting *u, uint64_t ino, struct shale_err *err)
{
	struct united dir = {.ino = ino,
			     .first = u->refs.len / sizeof(uint64_t),
			     .n = u->n_found};
	struct frame frame = {.n = u->n_found};

	for (size_t i = u->n_found; i-- > 0;)
		if (shale_buf_append(&u->refs, &u->found[i],
				     sizeof(u->found[i])) < 0)
			return no_memory(err);
	if (shale_buf_append(&u->dirs, &dir, sizeof(dir)) < 0 ||
	    shale_buf_append(&u->frames, &frame, sizeof(frame)) < 0)
		return no_memory(err);

	size_t before = u->runs.len;
	int r = open_runs(u, &dir, err);
	if (r < 0)
		return r;
	for (; before < u->runs.len; before += sizeof(struct shale_run)) {
		const struct shale_run *run = (void *)(u->runs.data + before);
		if (run->end - run->at > u->left)
			return shale_err_say(err, EUCLEAN,
					     "directories of an index share "
					     "entries");
		u->left -= run->end - run->at;
	}
	return 0;
}

/* Number the inode behind u->found, which has just been met. */
static int visit(struct uniting *u, uint8_t type, struct shale_err *err)
{
	uint64_t lowest = u->found[u->n_found - 1];
	uint64_t *number = NULL;

	int r = number_of(u, lowest, &number, err);
	if (r < 0)
		return r;
	if (*number != 0 && type != TYPE_DIR)
		return 0; /* a further name */

	uint64_t ino =
		shale_part_of(lowest) == 0 ? shale_ino_of(lowest) : u->next++;
	if (ino > SHALE_INO_MAX)
		return shale_err_say(err, EOVERFLOW,
				     "the images have too many inodes");
	for (size_t i = 0; i < u->n_found; i++) {
		r = number_of(u, u->found[i], &number, err);
		if (r < 0)
			return r;
		if (*number != 0)
			return shale_err_say(err, EUCLEAN,
					     "directory %" PRIu64
					     " of an index has two names",
					     shale_ino_of(u->found[i]));
		*number = ino;
	}
	struct standing s = {.ino = ino, .from = u->found[0]};
	if (shale_buf_append(&u->standing, &s, sizeof(s)) < 0)
		return no_memory(err);
	return type == TYPE_DIR ? push_dir(u, ino, err) : 0;
}

/* Depth first in the order of names, with a stack of our own. */
static int walk(struct uniting *u, struct shale_err *err)
{
	u->n_found = 0;
	for (size_t i = u->n; i-- > 0;)
		u->found[u->n_found++] =
			shale_part_ino((uint32_t)i, SHALE_ROOT_INO);
	int r = visit(u, TYPE_DIR, err);

	while (r == 0 && u->frames.len > 0) {
		struct frame *frame = (void *)(u->frames.data + u->frames.len -
					       sizeof(*frame));
		size_t size = frame->n * sizeof(struct shale_run);
		struct shale_run *runs =
			(void *)(u->runs.data + u->runs.len - size);
		struct shale_entry entry;

		r = shale_runs_next(u->parts, runs, frame->n, &entry, u->found,
				    &u->n_found, err);
		if (r > 0) {
			r = visit(u, entry.type, err);
		} else if (r == 0) {
			u->runs.len -= size;
			u->frames.len -= sizeof(*frame);
		}
	}
	return r;
}

static int by_number(const void *pa, const void *pb)
{
	const uint64_t *a = pa, *b = pb; /* both kinds begin with it */
	return *a < *b ? -1 : *a > *b;
}

static_assert(offsetof(struct standing, ino) == 0, "by_number");
static_assert(offsetof(struct united, ino) == 0, "by_number");

/* ------------------------------------------------------------- the source */

static int tell_inode(const struct uniting *u, const struct standing *s,
		      struct shale_index_inode *in, struct shale_err *err)
{
	const struct shale_index *ix = u->parts[shale_part_of(s->from)];
	uint64_t ino = shale_ino_of(s->from);

	int r = shale_index_read_inode(ix, ino, in, err);
	if (r == 0 && S_ISREG(in->attr.mode) &&
	    in->content.tree != SHALE_NO_TREE)
		in->content.tree += u->tree[shale_part_of(s->from)];
	in->attr.ino = s->ino;
	return r;
}

static int union_inodes(void *ctx, bool contents, shale_index_each_inode *each,
			void *arg, struct shale_err *err)
{
	const struct uniting *u = ctx;
	const struct standing *s = (const void *)u->standing.data;
	size_t n = u->standing.len / sizeof(*s);
	int r = 0;

	(void)contents;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct shale_index_inode in = {0};
		r = tell_inode(u, &s[i], &in, err);
		if (r == 0)
			r = each(arg, &in, err);
	}
	return r;
}

static int tell_names(struct uniting *u, const struct united *dir,
		      shale_index_each_name *each, void *arg,
		      struct shale_err *err)
{
	struct shale_entry entry, before = {.name = ""};

	u->runs.len = 0;
	int r = open_runs(u, dir, err);
	while (r == 0 &&
	       (r = shale_runs_next(u->parts, (void *)u->runs.data, dir->n,
				    &entry, u->found, &u->n_found, err)) > 0) {
		uint64_t *number = NULL;
		r = number_of(u, u->found[u->n_found - 1], &number, err);
		if (r < 0)
			break;
		struct shale_dirent name = {
			.dir = dir->ino,
			.ino = *number,
			.name = entry.name,
			.name_len = entry.name_len,
			.type = entry.type,
		};
		if (shale_name_order(before.name, before.name_len, entry.name,
				     entry.name_len) >= 0)
			return shale_err_say(err, EUCLEAN,
					     "entries of an index are out of "
					     "order");
		before = entry;
		r = each(arg, &name, err);
	}
	return r;
}

static int union_names(void *ctx, shale_index_each_name *each, void *arg,
		       struct shale_err *err)
{
	struct uniting *u = ctx;
	const struct united *dirs = (const void *)u->dirs.data;
	size_t n = u->dirs.len / sizeof(*dirs);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = tell_names(u, &dirs[i], each, arg, err);
	return r;
}

/* Concatenate the parts' lists of trees. */
static int list_trees(struct uniting *u, struct shale_buf *list,
		      struct shale_err *err)
{
	uint32_t tree = 0, image = 0;

	for (size_t i = 0; i < u->n; i++) {
		uint32_t n = shale_index_trees(u->parts[i]), last = 0;
		if (n >= SHALE_NO_TREE - tree)
			return shale_err_say(err, EOVERFLOW,
					     "the images have too many layers");
		u->tree[i] = tree;
		for (uint32_t j = 0; j < n; j++) {
			const void *record;
			int r = shale_table_get(u->parts[i]->table,
						SHALE_INDEX_TREES, j, 1,
						&record, err);
			if (r < 0)
				return r;
			struct shale_disk_index_tree t;
			memcpy(&t, record, sizeof(t));
			last = le32_get(t.image);
			t.image = le32_make(image + last);
			t.bottom = le32_make(tree + le32_get(t.bottom));
			if (shale_buf_append(list, &t, sizeof(t)) < 0)
				return no_memory(err);
		}
		tree += n;
		image += last + 1;
	}
	return 0;
}

static int prepare(struct uniting *u, struct shale_err *err)
{
	u->number = calloc(u->n, sizeof(*u->number));
	u->tree = calloc(u->n, sizeof(*u->tree));
	u->found = calloc(u->n, sizeof(*u->found));
	if (!u->number || !u->tree || !u->found)
		return no_memory(err);
	for (size_t i = 0; i < u->n; i++) {
		u->number[i] = calloc(shale_index_inodes(u->parts[i]),
				      sizeof(uint64_t));
		if (!u->number[i])
			return no_memory(err);
		u->left += shale_index_entries(u->parts[i]);
	}
	u->next = shale_index_next_ino(u->parts[0]);
	return 0;
}

static void release(struct uniting *u)
{
	for (size_t i = 0; u->number && i < u->n; i++)
		free(u->number[i]);
	free(u->number);
	free(u->tree);
	free(u->found);
	shale_buf_release(&u->standing);
	shale_buf_release(&u->dirs);
	shale_buf_release(&u->refs);
	shale_buf_release(&u->frames);
	shale_buf_release(&u->runs);
}

static int unite(int fd, struct uniting *u, struct shale_err *err)
{
	cleanup_buf struct shale_buf trees = {0};

	int r = prepare(u, err);
	if (r == 0)
		r = list_trees(u, &trees, err);
	if (r == 0)
		r = walk(u, err);
	if (r < 0)
		return r;

	qsort(u->standing.data, u->standing.len / sizeof(struct standing),
	      sizeof(struct standing), by_number);
	qsort(u->dirs.data, u->dirs.len / sizeof(struct united),
	      sizeof(struct united), by_number);
	struct shale_index_source source = {
		.ctx = u,
		.inodes = union_inodes,
		.names = union_names,
		.trees = (const void *)trees.data,
		.n_trees = trees.len / sizeof(struct shale_disk_index_tree),
		.next_ino = u->next,
	};
	return shale_index_write(fd, &source, err);
}

int shale_index_union(int fd, struct shale_index *const *parts, size_t n,
		      struct shale_err *err)
{
	struct uniting u = {.parts = parts, .n = n};

	if (n == 0 || n > MAX_PARTS)
		return shale_err_say(err, EINVAL, "a stack of %zu images", n);
	int r = unite(fd, &u, err);
	release(&u);
	return r;
}
