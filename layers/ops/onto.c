/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/onto.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <string.h>
#include <sys/stat.h>

int shale_onto_open(struct shale_onto *onto, struct shale_store *store,
		    const struct shale_version *version, struct shale_err *err)
{
	*onto = (struct shale_onto){.next_ino = SHALE_ROOT_INO + 1};
	if (!version)
		return 0;

	/* It is only read here, as the callee's type cannot say. */
	struct shale_version *one = (void *)(uintptr_t)version;
	int r = shale_store_open_image(store, &one, 1, &onto->image, err);
	if (r < 0)
		return r;
	onto->next_ino = version->description.next_ino;
	uint64_t next = shale_index_next_ino(onto->image->index);
	if (onto->next_ino < next)
		onto->next_ino = next;
	/* A file system's clock may be as coarse as two seconds. */
	onto->trusted = version->description.created;
	onto->trusted.tv_sec -= 2;
	return 0;
}

void shale_onto_close(struct shale_onto *onto)
{
	shale_image_close(onto->image);
	free(onto->taken);
	onto->image = NULL;
	onto->taken = NULL;
}

/* ------------------------------------------------------- numbers carried on */

static size_t slot_of(const struct shale_onto *onto, uint64_t ino)
{
	uint64_t h = ino * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(h >> 20) & (onto->slots - 1);
	while (onto->taken[at] && onto->taken[at] != ino)
		at = (at + 1) & (onto->slots - 1);
	return at;
}

/* Take a number; `*was` says whether it was taken already. */
static int take(struct shale_onto *onto, uint64_t ino, bool *was)
{
	if ((onto->n_taken + 1) * 2 > onto->slots) {
		struct shale_onto wider = {
			.slots = onto->slots ? onto->slots * 2 : 1024,
		};
		wider.taken = calloc(wider.slots, sizeof(*wider.taken));
		if (!wider.taken)
			return -ENOMEM;
		for (size_t i = 0; i < onto->slots; i++) {
			if (onto->taken[i])
				wider.taken[slot_of(&wider, onto->taken[i])] =
					onto->taken[i];
		}
		free(onto->taken);
		onto->taken = wider.taken;
		onto->slots = wider.slots;
	}
	size_t at = slot_of(onto, ino);
	*was = onto->taken[at] != 0;
	onto->n_taken += !*was;
	onto->taken[at] = ino;
	return 0;
}

static int claim(struct shale_onto *onto, struct shale_plan_inode *in,
		 uint64_t ino, struct shale_err *err)
{
	struct shale_attr attr;
	int r = shale_index_attr(onto->image->index, ino, &attr, err);
	if (r < 0)
		return r;
	if ((attr.mode & S_IFMT) != (in->attr.mode & S_IFMT))
		return 0;
	if (onto->partly && !S_ISDIR(attr.mode) && attr.nlink > 1)
		return 0;
	bool was;
	if (take(onto, ino, &was) < 0)
		return shale_err_set(err, ENOMEM, "numbers of an import");
	if (!was)
		in->base = in->attr.ino = ino;
	return 0;
}

int shale_onto_adopt(struct shale_onto *onto, struct shale_plan_inode *in,
		     uint64_t ino, struct shale_err *err)
{
	bool was;
	if (take(onto, ino, &was) < 0)
		return shale_err_set(err, ENOMEM, "numbers of an import");
	if (was)
		return shale_err_say(err, EEXIST, "inode %llu is taken",
				     (unsigned long long)ino);
	in->base = in->attr.ino = ino;
	return 0;
}

int shale_onto_claim(struct shale_onto *onto, struct shale_plan_inode *in,
		     uint64_t dir, const char *name, size_t len,
		     struct shale_err *err)
{
	if (!onto->image || in->attr.ino)
		return 0;
	if (len == 0)
		return claim(onto, in, SHALE_ROOT_INO, err);
	if (!dir)
		return 0;

	struct shale_entry there;
	int r = shale_index_lookup(onto->image->index, dir, name, len, &there,
				   NULL, err);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : claim(onto, in, there.ino, err);
}

int shale_onto_claim_path(struct shale_onto *onto, struct shale_plan_inode *in,
			  const char *path, struct shale_err *err)
{
	uint64_t ino;
	if (!onto->image || in->attr.ino)
		return 0;
	int r = shale_index_find(onto->image->index, path, &ino, err);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	return r < 0 ? r : claim(onto, in, ino, err);
}

uint64_t shale_onto_new_ino(struct shale_onto *onto)
{
	return onto->next_ino++;
}

/* ------------------------------------------------------------ what is same */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_attr(const struct shale_attr *a, const struct shale_attr *b)
{
	bool size = S_ISREG(a->mode) || S_ISLNK(a->mode);
	bool device = S_ISCHR(a->mode) || S_ISBLK(a->mode);
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
	    !same_time(&a->mtime, &b->mtime))
		return false;
	if (size && a->size != b->size)
		return false;
	return !device || (a->rdev_major == b->rdev_major &&
			   a->rdev_minor == b->rdev_minor);
}

int shale_onto_compare(const struct shale_onto *onto,
		       const struct shale_plan *plan,
		       const struct shale_plan_inode *in, bool *same,
		       struct shale_err *err)
{
	const struct shale_index *ix = onto->image->index;
	struct shale_attr was;
	const void *list;
	const char *target;
	uint32_t len;

	*same = false;
	int r = shale_index_attr(ix, in->base, &was, err);
	if (r < 0 || !same_attr(&in->attr, &was))
		return r;
	r = shale_index_xattrs(ix, in->base, &list, &len, err);
	if (r < 0 || len != in->xattr_len)
		return r;
	if (len && memcmp(list, shale_plan_string(plan, in->xattrs), len) != 0)
		return 0;
	if (S_ISLNK(in->attr.mode)) {
		r = shale_index_target(ix, in->base, &target, &len, err);
		if (r < 0 || len != in->attr.size ||
		    memcmp(target, shale_plan_string(plan, in->target), len) !=
			    0)
			return r;
	}
	*same = true;
	return 0;
}

int shale_onto_trusts(const struct shale_onto *onto,
		      const struct shale_plan *plan,
		      const struct shale_plan_inode *in, bool *trusted,
		      struct shale_err *err)
{
	*trusted = false;
	if (shale_time_order(&in->attr.mtime, &onto->trusted) >= 0)
		return 0;
	return shale_onto_compare(onto, plan, in, trusted, err);
}
