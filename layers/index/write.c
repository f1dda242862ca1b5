/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/write.h"

#include "layers/base/cleanup.h"
#include "layers/index/living.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Lists written lately, so that equal ones are most often stored once. */
enum { RECENT = 4096 };

struct recent {
	const void *list;
	uint64_t off;
	uint32_t len;
};

struct writing {
	struct shale_table_writer *table;
	const struct shale_index_source *source;
	struct shale_living living;
	struct recent *recent; /* RECENT of them */
	uint64_t xattrs;       /* bytes in XATTRS */
	uint64_t strings;      /* bytes in STRINGS: names, then targets */
	uint64_t entries;      /* so far, in the pass that runs */
	uint64_t at;           /* inodes so far, in the pass that runs */
	uint64_t bytes;        /* of regular files */
	uint64_t dir, dir_pos; /* looked up last */
	bool dir_lives;
	bool has_xattrs, has_targets;
};

/*
 * Where an xattr list stands; `*fresh`: it is to be appended there.  Depends
 * on the lists before it alone, so each pass gives the same answers.
 */
static uint64_t place_xattrs(struct writing *w, const void *list, uint32_t len,
			     bool *fresh)
{
	struct recent *r = &w->recent[shale_xxh64(list, len) % RECENT];

	*fresh = !(r->len == len && memcmp(r->list, list, len) == 0);
	if (*fresh) {
		*r = (struct recent){list, w->xattrs, len};
		w->xattrs += len;
	}
	return r->off;
}

/* Pass 1: the inodes that stand. */
static int each_living(void *arg, const struct shale_index_inode *in,
		       struct shale_err *err)
{
	struct writing *w = arg;
	const struct shale_attr *a = &in->attr;

	if (a->ino >= w->source->next_ino)
		return shale_err_say(err, EUCLEAN,
				     "inode %" PRIu64
				     " is above the next free number",
				     a->ino);
	w->has_xattrs |= in->xattr_len > 0;
	w->has_targets |= S_ISLNK(a->mode);
	if (S_ISREG(a->mode))
		w->bytes = w->bytes > UINT64_MAX - a->size ? UINT64_MAX
							   : w->bytes + a->size;
	return shale_living_add(&w->living, a->ino, a->mode, err);
}

static int each_xattrs(void *arg, const struct shale_index_inode *in,
		       struct shale_err *err)
{
	struct writing *w = arg;
	bool fresh = false;

	if (in->xattr_len > 0)
		place_xattrs(w, in->xattrs, in->xattr_len, &fresh);
	if (!fresh)
		return 0;
	return shale_table_writer_add(w->table, in->xattrs, in->xattr_len, err);
}

static bool find_dir(struct writing *w, uint64_t dir, uint64_t *pos)
{
	if (w->dir != dir) {
		w->dir = dir;
		w->dir_lives = shale_living_find(&w->living, dir, &w->dir_pos);
	}
	*pos = w->dir_pos;
	return w->dir_lives;
}

/* Pass 2: the entries.  What the names say of the inodes is gathered here. */
static int each_entry(void *arg, const struct shale_dirent *name,
		      struct shale_err *err)
{
	struct writing *w = arg;
	uint64_t dir, child;

	if (!find_dir(w, name->dir, &dir))
		return 0;
	if (!shale_living_find(&w->living, name->ino, &child))
		return shale_err_say(
			err, EUCLEAN,
			"'%.*s' in directory %" PRIu64 " is inode %" PRIu64
			", which is not there",
			name->name_len, name->name, name->dir, name->ino);
	if (w->living.inodes[child].type != name->type)
		return shale_err_say(err, EUCLEAN,
				     "'%.*s' in directory %" PRIu64
				     " is not of the type of inode %" PRIu64,
				     name->name_len, name->name, name->dir,
				     name->ino);
	int r = shale_living_name(&w->living, dir, child, w->entries, err);
	if (r < 0)
		return shale_err_wrap(err, r, "'%.*s'", name->name_len,
				      name->name);

	struct shale_disk_index_entry disk = {
		.ino = le64_make(name->ino),
		.name_off = le64_make(w->strings),
		.name_len = le16_make(name->name_len),
		.type = name->type,
	};
	w->strings += name->name_len;
	w->entries++;
	return shale_table_writer_add(w->table, &disk, 1, err);
}

/* Pass 3: the names of those entries, then the targets. */
static int each_string(void *arg, const struct shale_dirent *name,
		       struct shale_err *err)
{
	struct writing *w = arg;
	uint64_t dir;

	if (!find_dir(w, name->dir, &dir))
		return 0;
	return shale_table_writer_add(w->table, name->name, name->name_len,
				      err);
}

static int each_target(void *arg, const struct shale_index_inode *in,
		       struct shale_err *err)
{
	struct writing *w = arg;

	if (!S_ISLNK(in->attr.mode))
		return 0;
	return shale_table_writer_add(w->table, in->target, in->attr.size, err);
}

/* What a directory's entries, and a symlink's target, take up. */
static void put_kind(struct writing *w, const struct shale_attr *a,
		     const struct shale_living_inode *living,
		     struct shale_disk_index_inode *disk)
{
	if (S_ISDIR(a->mode)) {
		disk->first = le64_make(w->entries);
		disk->count = le64_make(living->names);
		w->entries += living->names;
	} else if (S_ISLNK(a->mode)) {
		disk->first = le64_make(w->strings);
		w->strings += a->size;
	}
}

/* Pass 4: the inodes themselves. */
static int each_inode(void *arg, const struct shale_index_inode *in,
		      struct shale_err *err)
{
	struct writing *w = arg;
	const struct shale_attr *a = &in->attr;
	bool fresh;
	uint64_t xattrs = 0;

	if (w->at >= w->living.n || w->living.inodes[w->at].ino != a->ino)
		return shale_err_say(
			err, EUCLEAN,
			"inode %" PRIu64 " changed while it was read", a->ino);
	const struct shale_living_inode *l = &w->living.inodes[w->at++];
	if (in->xattr_len > 0)
		xattrs = place_xattrs(w, in->xattrs, in->xattr_len, &fresh);

	struct shale_disk_index_inode disk = shale_index_encode_inode(in);
	disk.parent = le64_make(w->living.inodes[l->parent].ino);
	disk.entry = le64_make(l->entry);
	disk.nlink = le32_make(S_ISDIR(a->mode) ? 2 + l->subdirs : l->names);
	disk.xattr_len = le32_make(in->xattr_len);
	disk.xattr_off = le64_make(xattrs);
	put_kind(w, a, l, &disk);
	return shale_table_writer_add(w->table, &disk, 1, err);
}

static int write_xattrs(struct writing *w, struct shale_err *err)
{
	if (!w->has_xattrs)
		return 0;
	int r = shale_table_writer_begin(w->table, SHALE_INDEX_XATTRS, err);
	if (r < 0)
		return r;
	return w->source->inodes(w->source->ctx, false, each_xattrs, w, err);
}

static int write_names(struct writing *w, struct shale_err *err)
{
	const struct shale_index_source *s = w->source;

	int r = shale_table_writer_begin(w->table, SHALE_INDEX_ENTRIES, err);
	if (r == 0)
		r = s->names(s->ctx, each_entry, w, err);
	if (r == 0)
		r = shale_living_check(&w->living, err);
	if (r == 0)
		r = shale_table_writer_begin(w->table, SHALE_INDEX_STRINGS,
					     err);
	if (r == 0)
		r = s->names(s->ctx, each_string, w, err);
	if (r == 0 && w->has_targets)
		r = s->inodes(s->ctx, false, each_target, w, err);
	return r;
}

static int write_inodes(struct writing *w, struct shale_err *err)
{
	w->entries = 0;
	w->xattrs = 0;
	memset(w->recent, 0, RECENT * sizeof(*w->recent));

	int r = shale_table_writer_begin(w->table, SHALE_INDEX_INODES, err);
	if (r < 0)
		return r;
	return w->source->inodes(w->source->ctx, true, each_inode, w, err);
}

static int write_rest(struct writing *w, struct shale_err *err)
{
	const struct shale_buf *links = &w->living.links;

	int r = shale_table_writer_begin(w->table, SHALE_INDEX_TREES, err);
	if (r == 0)
		r = shale_table_writer_add(w->table, w->source->trees,
					   w->source->n_trees, err);
	if (r == 0)
		r = shale_table_writer_begin(w->table, SHALE_INDEX_LINKS, err);
	if (r == 0 && links->len > 0)
		r = shale_table_writer_add(
			w->table, links->data,
			links->len / sizeof(struct shale_disk_index_link), err);
	shale_table_writer_field(w->table, SHALE_INDEX_NEXT_INO,
				 w->source->next_ino);
	shale_table_writer_field(w->table, SHALE_INDEX_BYTES, w->bytes);
	return r;
}

static int write_sections(struct writing *w, struct shale_err *err)
{
	int r = w->source->inodes(w->source->ctx, false, each_living, w, err);
	if (r == 0)
		r = write_xattrs(w, err);
	if (r == 0)
		r = write_names(w, err);
	if (r == 0)
		r = write_inodes(w, err);
	if (r == 0)
		r = write_rest(w, err);
	if (r == 0)
		r = shale_table_writer_finish(w->table, NULL, NULL, err);
	return r;
}

int shale_index_write(int fd, const struct shale_index_source *source,
		      struct shale_err *err)
{
	cleanup_free struct recent *recent = calloc(RECENT, sizeof(*recent));
	if (!recent)
		return shale_err_set(err, ENOMEM, "write index");

	cleanup_table_writer struct shale_table_writer *table = NULL;
	int r = shale_table_writer_new(&table, fd, &shale_index_kind, err);
	if (r < 0)
		return r;

	struct writing w = {.table = table, .source = source, .recent = recent};
	r = write_sections(&w, err);
	shale_living_release(&w.living);
	return r;
}
