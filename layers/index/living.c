/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/living.h"

#include "layers/blob/tree_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TYPE_DIR (S_IFDIR >> 12)

enum reach {
	UNKNOWN = 0,
	ON_THE_WAY = 1, /* on the path that is being climbed */
	BELOW_ROOT = 2,
};

void shale_living_release(struct shale_living *set)
{
	if (!set)
		return;
	shale_buf_release(&set->buf);
	shale_buf_release(&set->links);
	*set = (struct shale_living){0};
}

int shale_living_add(struct shale_living *set, uint64_t ino, uint32_t mode,
		     struct shale_err *err)
{
	if (set->n == 0 && (ino != SHALE_ROOT_INO || !S_ISDIR(mode)))
		return shale_err_say(err, EUCLEAN, "no root directory");
	if (ino > SHALE_INO_MAX)
		return shale_err_say(err, EUCLEAN, "inode number %" PRIu64,
				     ino);
	if (set->n > 0 && ino <= set->inodes[set->n - 1].ino)
		return shale_err_say(err, EUCLEAN,
				     "inode %" PRIu64 " out of order", ino);

	struct shale_living_inode in = {
		.ino = ino & SHALE_INO_MAX,
		.type = (mode >> 12) & 15,
		.parent = SHALE_LIVING_NONE,
	};
	if (shale_buf_append(&set->buf, &in, sizeof(in)) < 0)
		return shale_err_set(err, ENOMEM, "list inodes");
	set->inodes = (void *)set->buf.data;
	set->n++;
	return 0;
}

/*
 * Numbers are given in walk order, so the next name's inode is most often the
 * next one; and where few were deleted a number is its position or just above.
 */
bool shale_living_find(struct shale_living *set, uint64_t ino, uint64_t *pos)
{
	const struct shale_living_inode *in = set->inodes;

	if (set->n == 0 || ino == 0)
		return false;
	if (set->hint + 1 < set->n && in[set->hint + 1].ino == ino) {
		*pos = ++set->hint;
		return true;
	}

	uint64_t lo = 0, hi = ino < set->n ? ino - 1 : set->n - 1;
	uint64_t mid = hi;
	while (in[mid].ino != ino) {
		if (in[mid].ino < ino)
			lo = mid + 1;
		else if (mid == 0)
			return false;
		else
			hi = mid - 1;
		if (lo > hi)
			return false;
		mid = lo + (hi - lo) / 2;
	}
	*pos = set->hint = mid;
	return true;
}

static int add_link(struct shale_living *set,
		    const struct shale_living_inode *d,
		    const struct shale_living_inode *in, uint64_t entry,
		    struct shale_err *err)
{
	struct shale_disk_index_link link = {
		.ino = le64_make(in->ino),
		.dir = le64_make(d->ino),
		.entry = le64_make(entry),
	};
	if (shale_buf_append(&set->links, &link, sizeof(link)) < 0)
		return shale_err_set(err, ENOMEM, "list hard links");
	return 0;
}

int shale_living_name(struct shale_living *set, uint64_t dir, uint64_t child,
		      uint64_t entry, struct shale_err *err)
{
	struct shale_living_inode *d = &set->inodes[dir];
	struct shale_living_inode *in = &set->inodes[child];
	bool first = in->parent == SHALE_LIVING_NONE;

	if (d->type != TYPE_DIR)
		return shale_err_say(err, EUCLEAN,
				     "inode %" PRIu64
				     " has entries but is no directory",
				     (uint64_t)d->ino);
	if (child == 0)
		return shale_err_say(
			err, EUCLEAN,
			"the root is an entry of directory %" PRIu64,
			(uint64_t)d->ino);
	if (in->type == TYPE_DIR && !first)
		return shale_err_say(err, EUCLEAN,
				     "directory %" PRIu64
				     " has two parents, %" PRIu64
				     " and %" PRIu64,
				     (uint64_t)in->ino,
				     (uint64_t)set->inodes[in->parent].ino,
				     (uint64_t)d->ino);
	if (d->names >= UINT32_MAX - 2 || in->names >= UINT32_MAX - 2)
		return shale_err_set(err, EMLINK, "directory %" PRIu64,
				     (uint64_t)d->ino);
	if (!first) {
		int r = add_link(set, d, in, entry, err);
		if (r < 0)
			return r;
	} else {
		in->parent = dir;
		in->entry = entry;
	}
	d->names++;
	if (in->type == TYPE_DIR)
		d->subdirs++;
	else
		in->names++;
	return 0;
}

/* Climb from a directory until something known is met. */
static int climb(struct shale_living *set, uint64_t from, struct shale_err *err)
{
	struct shale_living_inode *in = set->inodes;
	uint64_t at = from;

	while (in[at].reach == UNKNOWN) {
		in[at].reach = ON_THE_WAY;
		at = in[at].parent;
	}
	if (in[at].reach == ON_THE_WAY)
		return shale_err_say(err, EUCLEAN,
				     "directory %" PRIu64 " lies inside itself",
				     (uint64_t)in[at].ino);
	for (at = from; in[at].reach == ON_THE_WAY; at = in[at].parent)
		in[at].reach = BELOW_ROOT;
	return 0;
}

static int by_ino_and_entry(const void *pa, const void *pb)
{
	const struct shale_disk_index_link *a = pa, *b = pb;
	uint64_t x = le64_get(a->ino), y = le64_get(b->ino);

	if (x == y) {
		x = le64_get(a->entry);
		y = le64_get(b->entry);
	}
	return x < y ? -1 : x > y;
}

int shale_living_check(struct shale_living *set, struct shale_err *err)
{
	if (set->n == 0)
		return shale_err_say(err, EUCLEAN, "no root directory");
	for (uint64_t i = 1; i < set->n; i++)
		if (set->inodes[i].parent == SHALE_LIVING_NONE)
			return shale_err_say(err, EUCLEAN,
					     "inode %" PRIu64 " has no name",
					     (uint64_t)set->inodes[i].ino);

	set->inodes[0].parent = 0;
	set->inodes[0].reach = BELOW_ROOT;
	for (uint64_t i = 1; i < set->n; i++) {
		int r = set->inodes[i].type == TYPE_DIR ? climb(set, i, err)
							: 0;
		if (r < 0)
			return r;
	}

	size_t size = sizeof(struct shale_disk_index_link);
	if (set->links.len > 0)
		qsort(set->links.data, set->links.len / size, size,
		      by_ino_and_entry);
	return 0;
}
