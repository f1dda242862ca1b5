/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_impl.h"

#include <errno.h>

/*
 * Which inode is which.  A name that the parent has too hands its number on, if
 * it is of the same type and no other name was first; so an inode keeps its
 * number as long as one of its names stays.  The rest are new, in walk order,
 * whatever order an archive has.
 */

int shale_import_unplaced(struct shale_import *imp, uint64_t *ino,
			  struct shale_err *err)
{
	const uint64_t none = 0;
	*ino = SHALE_IMPORT_UNPLACED + imp->unplaced.len / sizeof(none);
	if (shale_buf_append(&imp->unplaced, &none, sizeof(none)) < 0)
		return shale_err_set(err, ENOMEM, "numbers of an import");
	return 0;
}

/* Its own number, for an inode that has none or one for the time being. */
static void place(struct shale_import *imp, struct shale_plan_inode *in)
{
	uint64_t was = in->attr.ino;
	uint64_t *unplaced = (void *)imp->unplaced.data;
	if (was && was < SHALE_IMPORT_UNPLACED)
		return;
	in->attr.ino = shale_onto_new_ino(&imp->onto);
	if (was)
		unplaced[was - SHALE_IMPORT_UNPLACED] = in->attr.ino;
}

static int carry_on(struct shale_import *imp, const uint32_t *order, size_t n,
		    struct shale_err *err)
{
	const struct shale_plan *plan = &imp->plan;
	for (size_t i = 0; i < n; i++) {
		const struct shale_plan_name *name =
			shale_plan_name(plan, order[i]);
		uint64_t dir = 0;
		if (order[i] != SHALE_PLAN_ROOT) {
			uint32_t up =
				shale_plan_name(plan, name->parent)->inode;
			dir = shale_plan_inode(plan, up)->base;
		}
		int r = shale_onto_claim(
			&imp->onto, shale_plan_inode(plan, name->inode), dir,
			shale_plan_text(plan, order[i]), name->len, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int shale_import_number(struct shale_import *imp, const uint32_t *order,
			size_t n, struct shale_err *err)
{
	const struct shale_plan *plan = &imp->plan;
	int r = imp->onto.image ? carry_on(imp, order, n, err) : 0;
	if (r < 0)
		return r;

	struct shale_plan_inode *root = shale_plan_inode(plan, 0);
	root->attr.ino = SHALE_ROOT_INO;
	for (size_t i = 0; i < n; i++) {
		struct shale_plan_inode *in = shale_plan_inode(
			plan, shale_plan_name(plan, order[i])->inode);
		place(imp, in);
		if (in->attr.ino >= SHALE_IMPORT_UNPLACED)
			return shale_err_say(err, EOVERFLOW,
					     "the image has no inode numbers "
					     "left");
	}
	return 0;
}
